/** A bench's rows as a table for the terminal and for docs/reference/benchmarks.md. */
import type { BenchRow } from './types.ts'

export function printRows(rows: readonly BenchRow[]): void {
  const cells = rows.map(({ name, ours, peer, peerName, unit, ratio, target, isRatio, met }) => [
    name,
    `${figure(ours)} ${unit}`,
    peer === undefined ? '' : `${figure(peer)} ${unit}${peerName ? ` (${peerName})` : ''}`,
    ratio === undefined ? '' : ratio.toFixed(2),
    target === undefined ? '' : `≤ ${figure(target)}${isRatio ? ' times' : ` ${unit}`}`,
    met ? 'met' : 'MISSED',
  ])
  const all = [['measure', 'ours', 'beside it', 'ratio', 'target', ''], ...cells]
  for (const row of all) process.stdout.write(`| ${row.join(' | ')} |\n`)
}

function figure(value: number): string {
  return Math.abs(value) >= 100 ? value.toFixed(0) : value.toPrecision(3)
}

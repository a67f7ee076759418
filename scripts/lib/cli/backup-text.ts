/** Names and values under each other. */
import { printableLine } from '../core/printable.ts'

export function describePaths(lines: readonly (readonly [name: string, value: string])[]): string {
  const width = Math.max(...lines.map(([name]) => name.length))
  return lines.map(([name, value]) => `${name.padEnd(width)}  ${printableLine(value)}`).join('\n')
}

/**
 * The growth of kernel counters between two looks: they wrap at 32 bits on old kernels, start again with a device or a
 * name space, and a few (idle, iowait) may even step back a little. None of that may show as a huge rate.
 */

const WRAP = 2 ** 32

/** @returns what was counted between the looks; 0 when the counter started again in between */
export function growth(before: number | undefined, after: number | undefined): number {
  if (before === undefined || after === undefined) return 0
  if (after >= before) return after - before
  const wrapped = after + WRAP - before
  return before < WRAP && wrapped < WRAP / 2 && before > WRAP / 2 ? wrapped : 0
}

/** Lines `name value` (vmstat, memory.stat) or `name: value kB` (meminfo): name to the number as written. */
export function parseNumbers(text: string): ReadonlyMap<string, number> {
  const numbers = new Map<string, number>()
  for (const line of text.split('\n')) {
    const match = /^([^\s:]+):?\s+(\d+)/.exec(line)
    if (match?.[1] !== undefined) numbers.set(match[1], Number(match[2]))
  }
  return numbers
}

/** Pairs of lines (names, then values) with the same first word, as in /proc/net/snmp: `Tcp.OutSegs` to its value. */
export function parseHeadedNumbers(text: string): ReadonlyMap<string, number> {
  const numbers = new Map<string, number>()
  const lines = text.split('\n')
  for (let index = 0; index + 1 < lines.length; index += 2) {
    const names = (lines[index] ?? '').trim().split(/\s+/)
    const values = (lines[index + 1] ?? '').trim().split(/\s+/)
    const group = names[0]
    if (group === undefined || group !== values[0]) continue
    for (const [column, name] of names.entries()) {
      const value = Number(values[column])
      if (column > 0 && Number.isFinite(value)) numbers.set(`${group.replace(/:$/, '')}.${name}`, value)
    }
  }
  return numbers
}

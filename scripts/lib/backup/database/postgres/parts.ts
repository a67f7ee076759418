/**
 * Spreads the tables of a database over parts that are dumped and restored at the same time, by size. Pure.
 *
 * The first part is the rest: every table that is not in another one, sequences and large objects. The others name their
 * tables; only large ones are worth naming, which keeps the argument lists short.
 */
import type { Argv } from '../../../core/quote.ts'
import { quoteIdentifier } from './connect.ts'
import type { PostgresTable } from './facts.ts'

/** Below it, a process of its own costs more than it saves. */
const PART_BYTES = 16 * 1024 ** 2
const MOST_PARTS = 4
const MOST_NAMED = 200

/** @returns the tables of each part; those of the first are the ones that the others leave */
export function decideParts(tables: readonly PostgresTable[], cpus: number): PostgresTable[][] {
  const total = sumOf(tables)
  const count = Math.max(1, Math.min(MOST_PARTS, cpus, Math.floor(total / PART_BYTES)))
  const largest = [...tables].sort((a, b) => b.sizeBytes - a.sizeBytes)
  const parts: PostgresTable[][] = Array.from({ length: count }, () => [])
  parts[0] = largest.slice(MOST_NAMED)
  for (const table of largest.slice(0, MOST_NAMED)) lightest(parts).push(table)
  return parts.filter((part, index) => index === 0 || part.length > 0)
}

function lightest(parts: PostgresTable[][]): PostgresTable[] {
  return parts.reduce((least, part) => (sumOf(part) < sumOf(least) ? part : least))
}

function sumOf(tables: readonly PostgresTable[]): number {
  return tables.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0)
}

const ARCHIVE = ['--format=custom', '--compress=0', '--no-password'] as const

export function schemaArgv(snapshot: string): Argv {
  return ['pg_dump', ...ARCHIVE, `--snapshot=${snapshot}`, '--section=pre-data', '--section=post-data']
}

export function partArgv(snapshot: string, parts: readonly (readonly PostgresTable[])[], index: number): Argv {
  const named = index === 0 ? parts.slice(1).flat() : (parts[index] ?? [])
  const option = index === 0 ? '--exclude-table-data' : '--table'
  const patterns = named.map(({ schema, name }) => `${option}=${quoteIdentifier(schema)}.${quoteIdentifier(name)}`)
  return ['pg_dump', ...ARCHIVE, `--snapshot=${snapshot}`, '--section=data', ...patterns]
}

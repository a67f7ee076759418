/** Whether a restored copy is what its manifest promises: objects by name, rows by number, content by fingerprint. Pure. */
import { printableLine } from '../../core/printable.ts'
import type { Comparison, DatabaseFacts, TableFacts } from '../types.ts'

export interface CompareOptions {
  /** Only these tables, as `nameOfTable` writes them, with their indexes and foreign keys. */
  readonly tables?: readonly string[]
  /** Kinds that the copy is not meant to hold yet. */
  readonly without?: readonly ObjectKind[]
  /** A live database: its rows are not counted, and what its users have made meanwhile is no difference. */
  readonly isLive?: boolean
}

export type ObjectKind =
  'views' | 'triggers' | 'routines' | 'events' | 'sequences' | 'indexes' | 'foreignKeys' | 'extensions'

const WORD_OF: Readonly<Record<ObjectKind, string>> = {
  views: 'view',
  triggers: 'trigger',
  routines: 'routine',
  events: 'event',
  sequences: 'sequence',
  indexes: 'index',
  foreignKeys: 'foreign key',
  extensions: 'extension',
}
const KINDS = Object.keys(WORD_OF) as ObjectKind[]
const MISSING = ' is missing'
/** So many differences say as much as all of them. */
const MAX_DIFFERENCES = 50

/** `orders`, or `sales.orders` where a database has schemas and it is not in `public`. */
export function nameOfTable({ schema, name }: TableFacts): string {
  return schema === undefined || schema === 'public' ? name : `${schema}.${name}`
}

export function compareFacts(
  promised: DatabaseFacts,
  found: DatabaseFacts,
  { tables, without = [], isLive = false }: CompareOptions = {},
): Comparison {
  const isWanted = (table: TableFacts) => tables === undefined || tables.includes(nameOfTable(table))
  const all = [
    ...compareTables(promised.tables.filter(isWanted), found.tables.filter(isWanted)),
    ...KINDS.filter((kind) => !without.includes(kind)).flatMap((kind) => {
      const ofTables = namesFor(kind, tables)
      return ofTables === undefined
        ? []
        : compareNames(kind, promised[kind].filter(ofTables), found[kind].filter(ofTables))
    }),
  ]
  const differences = isLive ? all.filter((line) => line.endsWith(MISSING)) : all
  const more = differences.length - MAX_DIFFERENCES
  const shown = differences.slice(0, MAX_DIFFERENCES).map((line) => printableLine(line, 300))
  return { equal: differences.length === 0, differences: more > 0 ? [...shown, `and ${more} more`] : shown }
}

/** Of a part of the tables only what is named after its table can be told to belong to them. */
function namesFor(kind: ObjectKind, tables?: readonly string[]): ((name: string) => boolean) | undefined {
  if (tables === undefined) return () => true
  if (kind !== 'indexes' && kind !== 'foreignKeys') return undefined
  return (name) => tables.some((table) => name.startsWith(`${table}.`) || name.startsWith(`public.${table}.`))
}

function compareTables(promised: readonly TableFacts[], found: readonly TableFacts[]): string[] {
  const there = new Map(found.map((table) => [nameOfTable(table), table]))
  const known = new Set(promised.map(nameOfTable))
  return [
    ...promised.flatMap((table) => {
      const name = nameOfTable(table)
      const copy = there.get(name)
      return copy === undefined ? [`table ${name}${MISSING}`] : compareTable(name, table, copy)
    }),
    ...[...there.keys()].filter((name) => !known.has(name)).map((name) => `table ${name} is not in the backup`),
  ]
}

function compareTable(name: string, promised: TableFacts, found: TableFacts): string[] {
  if (promised.rows !== undefined && found.rows !== undefined && promised.rows !== found.rows) {
    return [`table ${name} has ${found.rows} rows, the backup has ${promised.rows}`]
  }
  if (promised.fingerprint === undefined || found.fingerprint === undefined) return []
  return promised.fingerprint === found.fingerprint ? [] : [`the content of table ${name} differs from the backup`]
}

function compareNames(kind: ObjectKind, promised: readonly string[], found: readonly string[]): string[] {
  const [there, known] = [new Set(found), new Set(promised)]
  return [
    ...promised.filter((name) => !there.has(name)).map((name) => `${WORD_OF[kind]} ${name}${MISSING}`),
    ...found.filter((name) => !known.has(name)).map((name) => `${WORD_OF[kind]} ${name} is not in the backup`),
  ]
}

/** What lies in a MariaDB or MySQL database by name, and how each kind is taken away. */
import { prepared, literal, quoteName } from '../../database/mysql/connect.ts'
import type { SqlSession } from '../../database/session.ts'

export interface Inventory {
  readonly exists: boolean
  /** Base tables and sequences: what RENAME TABLE moves between databases. */
  readonly tables: readonly string[]
  readonly views: readonly string[]
  readonly triggers: readonly { readonly name: string; readonly table: string }[]
  /** Functions, procedures and packages, with the word that drops them. */
  readonly routines: readonly { readonly name: string; readonly type: string }[]
  readonly events: readonly string[]
}

export async function readInventory(session: SqlSession, database: string): Promise<Inventory> {
  const name = literal(database)
  const ask = (columns: string, table: string, column: string) =>
    session.query(`SELECT ${columns} FROM information_schema.${table} WHERE BINARY ${column} = BINARY ${name}`)
  const exists = await ask('schema_name', 'schemata', 'schema_name')
  const tables = await ask('table_name, table_type', 'tables', 'table_schema')
  const triggers = await ask('trigger_name, event_object_table', 'triggers', 'trigger_schema')
  const routines = await ask('routine_name, routine_type', 'routines', 'routine_schema')
  const events = await ask('event_name', 'events', 'event_schema')
  const names = (rows: readonly string[][]) => rows.map(([first = '']) => first).sort()
  return {
    exists: exists.length > 0,
    tables: names(tables.filter(([, type]) => type !== 'VIEW')),
    views: names(tables.filter(([, type]) => type === 'VIEW')),
    triggers: triggers.map(([trigger = '', table = '']) => ({ name: trigger, table })),
    routines: routines.map(([routine = '', type = '']) => ({ name: routine, type })),
    events: names(events),
  }
}

/** Views that refer to what is not there any more: they cannot be dumped, nor made anew. */
export async function readBrokenViews(session: SqlSession, database: string): Promise<string[]> {
  const { views } = await readInventory(session, database)
  const broken: string[] = []
  for (const view of views) {
    const rows = await session.query(prepared(`CHECK TABLE ${quoteName(database)}.${quoteName(view)}`))
    if (rows.some(([, , type = '']) => type.toLowerCase() === 'error')) broken.push(view)
  }
  return broken
}

/** Bytes of its tables and their indexes, as the server estimates them. */
export async function readSize(session: SqlSession, database: string): Promise<number> {
  const [row] = await session.query(
    `SELECT IFNULL(SUM(data_length + index_length), 0) FROM information_schema.tables
     WHERE BINARY table_schema = BINARY ${literal(database)}`,
  )
  return Number(row?.[0])
}

/** Drops everything that is not a table; with `tables`, only the triggers of those. */
export async function dropObjects(session: SqlSession, database: string, tables?: readonly string[]): Promise<void> {
  const { triggers, views, routines, events } = await readInventory(session, database)
  const within = (name: string) => `${quoteName(database)}.${quoteName(name)}`
  const dropped = triggers
    .filter(({ table }) => tables?.includes(table) ?? true)
    .map(({ name }) => `DROP TRIGGER IF EXISTS ${within(name)}`)
  if (!tables) {
    dropped.push(
      ...events.map((name) => `DROP EVENT IF EXISTS ${within(name)}`),
      ...views.map((name) => `DROP VIEW IF EXISTS ${within(name)}`),
      // A package's body goes with the package.
      ...routines
        .filter(({ type }) => type !== 'PACKAGE BODY')
        .map(({ name, type }) => `DROP ${type} IF EXISTS ${within(name)}`),
    )
  }
  for (const statement of dropped) await session.query(prepared(statement))
}

export interface Move {
  readonly from: string
  readonly to: string
  readonly table: string
}

/** All of them by one statement, in order; foreign keys between moved tables follow. */
export async function moveTables(session: SqlSession, moves: readonly Move[]): Promise<void> {
  if (moves.length === 0) return
  const within = (database: string, table: string) => `${quoteName(database)}.${quoteName(table)}`
  const list = moves.map(({ from, to, table }) => `${within(from, table)} TO ${within(to, table)}`).join(', ')
  await session.query(prepared(`RENAME TABLE ${list}`))
}

export async function createDatabase(session: SqlSession, database: string, like?: string): Promise<void> {
  const rows = like === undefined ? [] : await session.query(charsetOf(like))
  const [charset, collation] = rows[0] ?? []
  const options = charset && collation ? ` CHARACTER SET ${charset} COLLATE ${collation}` : ''
  await session.query(prepared(`CREATE DATABASE IF NOT EXISTS ${quoteName(database)}${options}`))
}

export async function dropDatabase(session: SqlSession, database: string): Promise<void> {
  await session.query(prepared(`DROP DATABASE IF EXISTS ${quoteName(database)}`))
}

function charsetOf(database: string): string {
  return `SELECT default_character_set_name, default_collation_name FROM information_schema.schemata
    WHERE BINARY schema_name = BINARY ${literal(database)}`
}

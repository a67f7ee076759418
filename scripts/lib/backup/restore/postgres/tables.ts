/**
 * Some tables of a PostgreSQL database, replaced by what a scratch database holds: tables do not move between databases, so
 * their rows are copied, all of them in one transaction. What was there is kept in a schema of its own.
 */
import { OpsError } from '../../../core/errors.ts'
import {
  connected,
  openPostgresSession,
  postgresError,
  quoteIdentifier,
  quoteLiteral,
} from '../../database/postgres/connect.ts'
import type { SqlSession } from '../../database/session.ts'
import { hasFailed } from '../../pipeline/failure.ts'
import { pipeline } from 'node:stream/promises'
import { loading, runScript, swapLock, type LoadAccess } from './client.ts'

export interface TableCopy {
  readonly scratch: string
  readonly target: string
  /** The schema that keeps the rows there were. */
  readonly aside: string
  /** `orders` (in public) or `sales.orders`. */
  readonly tables: readonly string[]
}

/** @throws OpsError FAILED when a table is not made as it was, or another one refers to it */
export async function refuseOtherColumns(access: LoadAccess, { scratch, target, tables }: TableCopy): Promise<void> {
  const [copy, live] = await Promise.all([scratch, target].map((database) => readColumns(access, database, tables)))
  const changed = tables.filter((table) => copy?.get(table) !== live?.get(table))
  if (changed.length === 0) return
  throw new OpsError('FAILED', `not made as they were when they were backed up, or not there: ${changed.join(', ')}`, {
    hint: 'Restore into another database with --to, and take what you need from there.',
  })
}

export async function copyTables(access: LoadAccess, copy: TableCopy): Promise<void> {
  const { target, aside, tables } = copy
  const names = tables.map(sqlName)
  const columns = await readCopied(access, copy)
  const tool = await access.place.start({
    ...loading(['psql', '-X', '-q', '-w', '-v', 'ON_ERROR_STOP=1', '-f', '-'], access, target),
    wantsInput: true,
  })
  tool.input.on('error', () => undefined)
  tool.output?.resume()
  const write = (text: string) => tool.input.write(`${text}\n`)
  write(`BEGIN; SET LOCAL lock_timeout = 20000; ${swapLock(copy.scratch)};`)
  write(`LOCK TABLE ${names.join(', ')} IN ACCESS EXCLUSIVE MODE;`)
  write(`CREATE SCHEMA ${quoteIdentifier(aside)};`)
  for (const [index, name] of names.entries()) {
    write(`CREATE TABLE ${keptName(aside, tables[index] ?? '')} AS TABLE ${name};`)
    write(`ALTER TABLE ${name} DISABLE TRIGGER USER;`)
  }
  write(`TRUNCATE ${names.join(', ')};`)
  for (const [index, name] of names.entries()) {
    const list = columns.get(tables[index] ?? '') ?? ''
    write(`COPY ${name} (${list}) FROM STDIN;`)
    await pipeRows(access, copy, { name, list }, tool.input)
    write('\\.')
  }
  for (const name of names) write(`ALTER TABLE ${name} ENABLE TRIGGER USER;`)
  tool.input.end('COMMIT;\n')
  const end = await tool.ended
  if (hasFailed(end)) throw await postgresError(end, access)
}

/** The rows that were there before, put back in one transaction. */
export function uncopyTables(access: LoadAccess, copy: TableCopy): Promise<void> {
  return putBack(access, copy, { from: copy.aside })
}

/** The same for rows that a finished restore has kept, in the schema `scratch`: those that are there now are kept in turn. */
export function exchangeTables(access: LoadAccess, copy: TableCopy): Promise<void> {
  return putBack(access, copy, { from: copy.scratch, keepIn: copy.aside })
}

async function putBack(
  access: LoadAccess,
  copy: TableCopy,
  { from, keepIn }: { readonly from: string; readonly keepIn?: string },
): Promise<void> {
  const { target, tables } = copy
  const columns = await readCopied(access, { ...copy, scratch: target })
  const names = tables.map(sqlName)
  const keep =
    keepIn === undefined
      ? []
      : [
          `CREATE SCHEMA ${quoteIdentifier(keepIn)};`,
          ...tables.map((table, index) => `CREATE TABLE ${keptName(keepIn, table)} AS TABLE ${names[index]};`),
        ]
  const back = tables.flatMap((table, index) => {
    const list = columns.get(table) ?? ''
    const kept = keptName(from, table)
    return [
      `ALTER TABLE ${names[index]} DISABLE TRIGGER USER;`,
      `INSERT INTO ${names[index]} (${list}) OVERRIDING SYSTEM VALUE SELECT ${list} FROM ${kept};`,
      `ALTER TABLE ${names[index]} ENABLE TRIGGER USER;`,
    ]
  })
  const script = [
    `BEGIN; ${swapLock(copy.scratch)};`,
    `LOCK TABLE ${names.join(', ')} IN ACCESS EXCLUSIVE MODE;`,
    ...keep,
    `TRUNCATE ${names.join(', ')};`,
    ...back,
    `DROP SCHEMA ${quoteIdentifier(from)} CASCADE;`,
    'COMMIT;',
  ]
  await runScript(access, target, script.join('\n'))
}

export async function hasSchema(access: LoadAccess, database: string, schema: string): Promise<boolean> {
  const session = await openPostgresSession(access, database)
  try {
    return (await session.query(`SELECT 1 FROM pg_namespace WHERE nspname = ${quoteLiteral(schema)}`)).length > 0
  } finally {
    await session.close()
  }
}

async function pipeRows(
  access: LoadAccess,
  { scratch }: TableCopy,
  { name, list }: { readonly name: string; readonly list: string },
  into: NodeJS.WritableStream,
): Promise<void> {
  // A scan that may join another one begins in the middle: the rows would come in another order.
  const [inOrder, copy] = ['SET synchronize_seqscans = off', `COPY ${name} (${list}) TO STDOUT`]
  const argv = ['psql', '-X', '-q', '-w', '-v', 'ON_ERROR_STOP=1', '-c', inOrder, '-c', copy] as const
  const tool = await access.place.start(connected(argv, access, scratch))
  if (tool.output) await pipeline(tool.output, into, { end: false })
  const end = await tool.ended
  if (hasFailed(end)) throw await postgresError(end, access)
}

/** What makes two tables take the same rows: names, types and order of their columns. */
function readColumns(access: LoadAccess, database: string, tables: readonly string[]): Promise<Map<string, string>> {
  return columnsOf(access, database, tables, (session, name) =>
    session.query(
      `SELECT coalesce(string_agg(quote_ident(attname) || ' ' || format_type(atttypid, atttypmod), ', ' ORDER BY attnum), '')
       FROM pg_attribute WHERE attrelid = to_regclass(${quoteLiteral(name)}) AND attnum > 0 AND NOT attisdropped`,
    ),
  )
}

/** Generated columns make themselves. */
function readCopied(access: LoadAccess, { scratch, tables }: TableCopy): Promise<Map<string, string>> {
  return columnsOf(access, scratch, tables, (session, name) =>
    session.query(
      `SELECT string_agg(quote_ident(attname), ', ' ORDER BY attnum) FROM pg_attribute
       WHERE attrelid = to_regclass(${quoteLiteral(name)}) AND attnum > 0 AND NOT attisdropped AND attgenerated = ''`,
    ),
  )
}

async function columnsOf(
  access: LoadAccess,
  database: string,
  tables: readonly string[],
  read: (session: SqlSession, name: string) => Promise<string[][]>,
): Promise<Map<string, string>> {
  const session = await openPostgresSession(access, database)
  try {
    const found = new Map<string, string>()
    for (const table of tables) found.set(table, (await read(session, sqlName(table)))[0]?.[0] ?? '')
    return found
  } finally {
    await session.close()
  }
}

/** A kept table is named as it is asked for, in the schema that keeps it. */
function keptName(schema: string, table: string): string {
  return `${quoteIdentifier(schema)}.${quoteIdentifier(table)}`
}

function sqlName(table: string): string {
  const dot = table.indexOf('.')
  return dot === -1
    ? `public.${quoteIdentifier(table)}`
    : `${quoteIdentifier(table.slice(0, dot))}.${quoteIdentifier(table.slice(dot + 1))}`
}

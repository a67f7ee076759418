/** What a finished restore left of a PostgreSQL database: a whole one under another name, or rows of tables in a schema. */
import { openPostgresSession, quoteLiteral } from '../../database/postgres/connect.ts'
import type { SqlSession } from '../../database/session.ts'
import type { KeptFacts, Replacement } from '../engine.ts'
import type { LoadAccess, ServerAccess } from './client.ts'
import { readNames } from './replace.ts'

/** @param aroundOf the way in that is in none of the databases of a replacement */
export async function readKeptPostgres(
  access: LoadAccess,
  aroundOf: (replacement: Replacement) => Promise<ServerAccess>,
  replacement: Replacement,
): Promise<KeptFacts | undefined> {
  const { target, aside, tables } = replacement
  const around = await aroundOf(replacement)
  const there = await readNames(around, [tables ? target : aside])
  if (there.size === 0) return undefined
  const session = await openPostgresSession(access, tables ? target : aside)
  try {
    return await (tables ? readSchema(session, aside) : readDatabase(session))
  } finally {
    await session.close()
  }
}

const SIZE = 'coalesce(sum(pg_total_relation_size(c.oid)), 0)'

/** The tables are named in it as they were in the database: `orders`, `sales.orders`. */
async function readSchema(session: SqlSession, schema: string): Promise<KeptFacts | undefined> {
  const from = `pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = ${quoteLiteral(schema)} AND c.relkind = 'r'`
  const names = await session.query(`SELECT c.relname FROM ${from} ORDER BY 1`)
  if (names.length === 0) return undefined
  const [size] = await session.query(`SELECT ${SIZE} FROM ${from}`)
  return { sizeBytes: Number(size?.[0]), tables: names.map(([name = '']) => name) }
}

async function readDatabase(session: SqlSession): Promise<KeptFacts> {
  const [size] = await session.query('SELECT pg_database_size(current_database())')
  const rows = await session.query(
    `SELECT CASE n.nspname WHEN 'public' THEN c.relname ELSE n.nspname || '.' || c.relname END
     FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE c.relkind IN ('r', 'p') AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' ORDER BY 1`,
  )
  return { sizeBytes: Number(size?.[0]), tables: rows.map(([name = '']) => name) }
}

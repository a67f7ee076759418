/** What a PostgreSQL server is, and what a database holds: names, kinds and counts, from the system catalogs. */
import type { DatabaseFacts, TableFacts } from '../../types.ts'
import type { SqlSession } from '../session.ts'
import { quoteIdentifier, quoteLiteral } from './connect.ts'

export interface PostgresServer {
  /** `15.18`. */
  readonly version: string
  readonly major: number
  /** The system identifier. */
  readonly id: string
  /** Follows another server. */
  readonly isStandby: boolean
}

export async function readPostgresServer(session: SqlSession): Promise<PostgresServer> {
  const [row = []] = await session.query(
    `SELECT current_setting('server_version'), current_setting('server_version_num')::int / 10000, pg_is_in_recovery(),
            (SELECT system_identifier FROM pg_control_system())`,
  )
  const [version = '', major, standby, id = ''] = row
  return { version: version.split(' ')[0] ?? version, major: Number(major), id, isStandby: standby === 't' }
}

export async function readPostgresNames(session: SqlSession): Promise<string[]> {
  const rows = await session.query('SELECT datname FROM pg_database WHERE datallowconn AND NOT datistemplate')
  return rows.map(([name = '']) => name).sort()
}

export interface PostgresTable {
  readonly schema: string
  readonly name: string
  readonly sizeBytes: number
  /** The account may read its rows. */
  readonly readable: boolean
}

/** Schemas of users: not the system's, not temporary, not what an extension owns. */
const OURS = `n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'`
const NOT_EXTENSION = (oid: string, catalog: string) =>
  `NOT EXISTS (SELECT 1 FROM pg_depend dep WHERE dep.classid = '${catalog}'::regclass AND dep.objid = ${oid} AND dep.deptype = 'e')`

/** Tables that hold rows of their own, largest first; within the session's snapshot. */
export async function readPostgresTables(session: SqlSession): Promise<PostgresTable[]> {
  const rows = await session.query(
    `SELECT n.nspname, c.relname, pg_table_size(c.oid), has_schema_privilege(n.oid, 'USAGE') AND has_table_privilege(c.oid, 'SELECT') FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE c.relkind = 'r' AND ${OURS} AND ${NOT_EXTENSION('c.oid', 'pg_class')} ORDER BY 3 DESC, 1, 2`,
  )
  return rows.map(([schema = '', name = '', size, readable]) => ({
    ...{ schema, name },
    sizeBytes: Number(size),
    readable: readable === 't',
  }))
}

export async function readPostgresFacts(session: SqlSession, database: string): Promise<DatabaseFacts> {
  const names = async (statement: string) => (await session.query(statement)).map(([name = '']) => name).sort()
  const relations = (kinds: string) =>
    names(
      `SELECT n.nspname || '.' || c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
       WHERE c.relkind IN (${kinds}) AND ${OURS} AND ${NOT_EXTENSION('c.oid', 'pg_class')}`,
    )
  const tables = await readPostgresTables(session)
  return {
    name: database,
    tables: tables.map(({ schema, name }): TableFacts => ({ name, schema })).sort(byName),
    views: await relations(`'v', 'm'`),
    triggers: await names(
      `SELECT n.nspname || '.' || c.relname || '.' || t.tgname FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid
       JOIN pg_namespace n ON n.oid = c.relnamespace WHERE NOT t.tgisinternal AND ${OURS}`,
    ),
    routines: await names(
      `SELECT n.nspname || '.' || p.proname || '(' || pg_get_function_identity_arguments(p.oid) || ')' FROM pg_proc p
       JOIN pg_namespace n ON n.oid = p.pronamespace WHERE ${OURS} AND ${NOT_EXTENSION('p.oid', 'pg_proc')}`,
    ),
    events: await names(`SELECT evtname FROM pg_event_trigger e WHERE ${NOT_EXTENSION('e.oid', 'pg_event_trigger')}`),
    sequences: await relations(`'S'`),
    indexes: await relations(`'i', 'I'`),
    foreignKeys: await names(
      `SELECT n.nspname || '.' || c.relname || '.' || k.conname FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid
       JOIN pg_namespace n ON n.oid = c.relnamespace WHERE k.contype = 'f' AND ${OURS}`,
    ),
    extensions: await names('SELECT extname FROM pg_extension'),
  }
}

function byName(a: TableFacts, b: TableFacts): number {
  const key = ({ schema = '', name }: TableFacts) => `${schema}.${name}`
  return key(a) < key(b) ? -1 : 1
}

/** Results must not depend on settings of the server, the role or the database. */
const SAME_TEXT = `SET TimeZone = 'UTC'; SET DateStyle = 'ISO, YMD'; SET IntervalStyle = 'postgres'; SET bytea_output = 'hex';
  SET extra_float_digits = 3; SET xmloption = 'content'; SET row_security = off`

export interface RowFacts {
  readonly rows: number
  readonly fingerprint?: string
}

/**
 * Exact counts, and digests when asked for: the sum of 64 bits per row, in any order. In the session's snapshot.
 * @returns by schema and table, in the order of `tables`
 */
export async function readPostgresRows(
  session: SqlSession,
  tables: readonly Pick<TableFacts, 'schema' | 'name'>[],
  { fingerprints }: { readonly fingerprints: boolean },
): Promise<RowFacts[]> {
  await session.query(SAME_TEXT)
  const facts: RowFacts[] = []
  for (const { schema = 'public', name } of tables) {
    const digest = fingerprints ? ', coalesce(sum(hashtextextended((t.*)::text, 0)), 0)' : ''
    const from = `ONLY ${quoteIdentifier(schema)}.${quoteIdentifier(name)} t`
    const [row = []] = await session.query(`SELECT count(*)${digest} FROM ${from}`)
    const rows = Number(row[0])
    facts.push(fingerprints ? { rows, fingerprint: `${rows}:${row[1]}` } : { rows })
  }
  return facts
}

/**
 * Who keeps a table from being read.
 * @returns undefined when nobody does
 */
export async function readPostgresObstacle(session: SqlSession, database: string): Promise<string | undefined> {
  const [row] = await session.query(
    `SELECT a.pid, coalesce(a.usename, '?'), extract(epoch FROM now() - a.xact_start)::int, l.relation::regclass
     FROM pg_locks l JOIN pg_stat_activity a USING (pid)
     WHERE l.mode = 'AccessExclusiveLock' AND l.granted AND l.locktype = 'relation'
       AND l.database = (SELECT oid FROM pg_database WHERE datname = ${quoteLiteral(database)}) LIMIT 1`,
  )
  return row && `session ${row[0]} (${row[1]}, ${row[2]} s) holds ${row[3]} for itself`
}

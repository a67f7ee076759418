/**
 * What a MariaDB or MySQL server is, and what its databases hold: names, kinds and counts, for comparing a restored copy
 * with its origin. Reads information_schema alone.
 */
import type { DatabaseFacts, TableFacts } from '../../types.ts'
import type { SqlSession } from '../session.ts'
import { literal, prepared, quoteName } from './connect.ts'

export interface MysqlServer {
  readonly family: 'mariadb' | 'mysql'
  /** `10.11.19`. */
  readonly version: string
  /** server_uuid of MySQL, server_id of MariaDB. */
  readonly id: string
  readonly hasBinlog: boolean
}

export async function readMysqlServer(session: SqlSession): Promise<MysqlServer> {
  const [row = []] = await session.query('SELECT VERSION(), @@version_comment, @@global.log_bin, @@global.server_id')
  const [said = '', comment = '', log, id = ''] = row
  const isMariaDb = /mariadb/i.test(said) || /mariadb/i.test(comment)
  const [uuid] = isMariaDb ? [[id]] : await session.query('SELECT @@server_uuid')
  return {
    family: isMariaDb ? 'mariadb' : 'mysql',
    version: /\d+(?:\.\d+)+/.exec(said)?.[0] ?? said,
    id: uuid?.[0] ?? id,
    hasBinlog: log === '1',
  }
}

/** Compares `8.0.26` number by number. */
export function isAtLeast(version: string, wanted: string): boolean {
  return version.localeCompare(wanted, 'en', { numeric: true }) >= 0
}

/** Engines that take part in the dump's snapshot. */
const TRANSACTIONAL = new Set(['innodb', 'rocksdb', 'tokudb', 'ndbcluster', 'xtradb'])
/** Hold no rows that a dump could read inconsistently. */
const ROWLESS = new Set(['', 'null', 'blackhole', 'sequence', 'performance_schema', 'mrg_myisam'])

export interface MysqlContents {
  /** In the order of the names asked for; no rows yet. */
  readonly databases: readonly DatabaseFacts[]
  /** `db.table (MyISAM)`: not in the snapshot of the dump. */
  readonly nonTransactional: readonly string[]
  /** Their history is not in a dump. */
  readonly versioned: readonly string[]
}

export async function readMysqlContents(session: SqlSession, names: readonly string[]): Promise<MysqlContents> {
  if (names.length === 0) return { databases: [], nonTransactional: [], versioned: [] }
  const list = names.map(literal).join(', ')
  const read = (columns: string, from: string, schema = 'table_schema') =>
    session.query(`SELECT ${columns} FROM information_schema.${from} WHERE ${schema} IN (${list})`)
  const tables = await read("table_schema, table_name, table_type, IFNULL(engine, '')", 'tables')
  const triggers = await read('trigger_schema, trigger_name', 'triggers', 'trigger_schema')
  const routines = await read("routine_schema, CONCAT(routine_type, ' ', routine_name)", 'routines', 'routine_schema')
  const events = await read('event_schema, event_name', 'events', 'event_schema')
  const indexes = await read("DISTINCT table_schema, CONCAT(table_name, '.', index_name)", 'statistics')
  const keys = await read(
    "constraint_schema, CONCAT(table_name, '.', constraint_name)",
    'referential_constraints',
    'constraint_schema',
  )
  const ofType = (pattern: RegExp) => tables.filter(([, , type = '']) => pattern.test(type))
  const bases = ofType(/^(?:BASE TABLE|SYSTEM VERSIONED)$/)
  const named = (rows: readonly string[][], database: string) =>
    rows
      .filter(([schema]) => schema === database)
      .map(([, name = '']) => name)
      .sort()

  return {
    databases: names.map((name) => ({
      name,
      tables: named(bases, name).map((table): TableFacts => ({ name: table })),
      views: named(ofType(/VIEW$/), name),
      triggers: named(triggers, name),
      routines: named(routines, name),
      events: named(events, name),
      sequences: named(ofType(/^SEQUENCE$/), name),
      indexes: named(indexes, name),
      foreignKeys: named(keys, name),
      extensions: [],
    })),
    nonTransactional: bases
      .filter(([, , , engine = '']) => !TRANSACTIONAL.has(engine.toLowerCase()) && !ROWLESS.has(engine.toLowerCase()))
      .map(([schema, table, , engine]) => `${schema}.${table} (${engine})`),
    versioned: ofType(/^SYSTEM VERSIONED$/).map(([schema, table]) => `${schema}.${table}`),
  }
}

/** Exact numbers of rows, for a copy that was restored. */
export async function countMysqlRows(
  session: SqlSession,
  database: string,
  tables: readonly string[],
): Promise<Map<string, number>> {
  const counts = new Map<string, number>()
  for (const table of tables) {
    const [row] = await session.query(prepared(`SELECT COUNT(*) FROM ${quoteName(database)}.${quoteName(table)}`))
    counts.set(table, Number(row?.[0]))
  }
  return counts
}

/** The rights of an account that a backup depends on. */
export interface MysqlRights {
  /**
   * What it may not see, and what would be missing in the backup without an error: the server leaves triggers, events and
   * views out of its answers when the privilege is lacking. Empty when roles are active: their rights are not listed here.
   */
  readonly missing: readonly string[]
  /** It may read the position in the binary log at the moment of the snapshot. */
  readonly mayReadPosition: boolean
  /** It may hold every table still for a moment. */
  readonly mayLock: boolean
}

export async function readMysqlRights(
  session: SqlSession,
  server: MysqlServer,
  databases: readonly string[],
): Promise<MysqlRights> {
  const grantee = `CONCAT('''', REPLACE(CURRENT_USER(), '@', '''@'''), '''')`
  const everywhere = await session.query(
    `SELECT privilege_type FROM information_schema.user_privileges WHERE grantee = ${grantee}`,
  )
  const perDatabase = await session.query(
    `SELECT table_schema, privilege_type FROM information_schema.schema_privileges WHERE grantee = ${grantee}`,
  )
  const hasRoles = server.family === 'mariadb' || isAtLeast(server.version, '8.0.19')
  const roles = hasRoles ? await session.query('SELECT COUNT(*) FROM information_schema.applicable_roles') : [['0']]
  const global = new Set(everywhere.map(([type]) => type))
  const local = new Set(perDatabase.map(([schema, type]) => `${schema}\0${type}`))
  const missing = ['TRIGGER', 'EVENT', 'SHOW VIEW'].filter(
    (type) => !global.has(type) && !databases.every((name) => local.has(`${name}\0${type}`)),
  )
  const readsLogs = ['BINLOG MONITOR', 'REPLICATION CLIENT', 'SUPER'].some((type) => global.has(type))
  return {
    missing: roles[0]?.[0] === '0' ? missing : [],
    mayReadPosition: readsLogs && global.has('RELOAD'),
    mayLock: global.has('RELOAD') || global.has('FLUSH_TABLES'),
  }
}

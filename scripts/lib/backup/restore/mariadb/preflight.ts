/** Whether a dump can be restored into a server of MariaDB or MySQL: looked up before the first change. */
import { OpsError } from '../../../core/errors.ts'
import { formatSize } from '../../../core/duration.ts'
import type { Host } from '../../../host/types.ts'
import { literal, type MysqlAddress } from '../../database/mysql/connect.ts'
import { readMysqlServer } from '../../database/mysql/facts.ts'
import type { SqlSession } from '../../database/session.ts'
import { plural } from '../../plural.ts'
import type { Preflight, Replacement, RestoreSource } from '../engine.ts'
import { isMysqlHere } from '../here.ts'
import { readFreeBytes } from '../room.ts'
import { refuseNewer } from '../versions.ts'
import { readBrokenViews, readInventory } from './inventory.ts'

/** What loading, moving and dropping takes, on every database: the scratch one is new. */
const NEEDED = [
  'SELECT',
  'INSERT',
  'CREATE',
  'DROP',
  'ALTER',
  'INDEX',
  'REFERENCES',
  'CREATE VIEW',
  'CREATE ROUTINE',
  'ALTER ROUTINE',
  'TRIGGER',
  'EVENT',
]
/** Rows with their indexes take more room in the server than as text. */
const ROOM_FACTOR = 1.3

export interface MysqlTarget {
  readonly session: SqlSession
  readonly host: Host
  readonly address: MysqlAddress
}

export async function preflightMysql(
  { session, host, address }: MysqlTarget,
  source: RestoreSource,
  replacement: Replacement,
): Promise<Preflight> {
  const { target, tables } = replacement
  const server = await readMysqlServer(session)
  refuseNewer(source.entry.manifest.server, server, host.name)
  const [flags = []] = await session.query('SELECT @@global.read_only, @@datadir, @@lower_case_table_names')
  if (flags[0] === '1') {
    throw new OpsError('NOT_PERMITTED', `the server on ${host.name} is read-only: it follows another one`, {
      host: host.name,
      hint: 'Restore into its primary.',
    })
  }
  const lacking = await readLacking(session)
  if (lacking.length > 0) {
    throw new OpsError('NOT_PERMITTED', `the account may not ${lacking.join(', ')} on every database of the server`, {
      host: host.name,
      hint: `GRANT ${lacking.join(', ')} ON *.* TO the account of this source, or configure one for restoring.`,
    })
  }
  const before = await readInventory(session, target)
  await refuseForeignReferences(session, replacement, before.tables)
  const isHere = await isMysqlHere(session, host, address)
  const space = await decideSpace(host, isHere ? flags[1] : undefined, source)
  const broken = tables ? [] : await readBrokenViews(session, target)
  const missing = (tables ?? []).filter((table) => !source.facts.tables.some(({ name }) => name === table))
  if (missing.length > 0) throw new OpsError('USAGE', `the backup has no table ${missing.join(', ')}`)
  return {
    existed: before.exists,
    version: `${server.family} ${server.version}`,
    notes: [
      ...(space === undefined ? [] : [space]),
      ...(broken.length === 0
        ? []
        : [
            `not kept, for what they refer to is missing now: the ${plural(broken.length, 'view')} ${broken.join(', ')}`,
          ]),
    ],
  }
}

/** @returns privileges that the account has not; empty when a role may bring them */
async function readLacking(session: SqlSession): Promise<string[]> {
  const has = await readPrivileges(session)
  const [role] = await session.query('SELECT IFNULL(CURRENT_ROLE(), "")').catch(() => [['']])
  if ((role?.[0] ?? '') !== '' && role?.[0] !== 'NONE') return []
  return NEEDED.filter((privilege) => !has.has(privilege))
}

/** Whether objects may be made that belong to another account. */
export async function mayNameDefiners(session: SqlSession): Promise<boolean> {
  const has = await readPrivileges(session)
  return ['SET USER', 'SUPER', 'SET_USER_ID', 'SET_ANY_DEFINER'].some((privilege) => has.has(privilege))
}

async function readPrivileges(session: SqlSession): Promise<Set<string>> {
  const rows = await session.query(
    `SELECT privilege_type FROM information_schema.user_privileges
     WHERE grantee = CONCAT("'", REPLACE(CURRENT_USER(), '@', "'@'"), "'")`,
  )
  return new Set(rows.map(([type = '']) => type))
}

/** A foreign key follows the table that it points to, so it would go aside with the old one. */
async function refuseForeignReferences(
  session: SqlSession,
  { target, tables }: Replacement,
  there: readonly string[],
): Promise<void> {
  const rows = await session.query(
    `SELECT constraint_schema, table_name, constraint_name, referenced_table_name
     FROM information_schema.referential_constraints WHERE BINARY unique_constraint_schema = BINARY ${literal(target)}`,
  )
  const replaced = (table: string) => (tables ?? there).includes(table)
  const broken = rows.filter(
    ([schema, table = '', , referenced = '']) => replaced(referenced) && !(schema === target && replaced(table)),
  )
  if (broken.length === 0) return
  const named = broken.slice(0, 5).map(([schema, table, key]) => `${schema}.${table} (${key})`)
  throw new OpsError(
    'FAILED',
    `foreign keys of tables that stay point to what would be replaced: ${named.join(', ')}`,
    {
      hint: 'Restore those tables too, or restore into another database with --to.',
    },
  )
}

/**
 * @param datadir undefined for that of another machine
 * @returns a note; undefined when the space is known to be enough
 */
async function decideSpace(
  host: Host,
  datadir: string | undefined,
  { files }: RestoreSource,
): Promise<string | undefined> {
  const plain = files.find(({ role }) => role === 'dump')?.plainBytes
  if (plain === undefined) return 'how much space it takes is not known'
  const needed = Math.round(plain * ROOM_FACTOR)
  const free = await readFreeBytes(host, datadir)
  if (free === undefined) return `it takes about ${formatSize(needed)}; free space there is not known`
  if (free >= needed) return undefined
  throw new OpsError(
    'CANNOT_WRITE',
    `${datadir} on ${host.name} has ${formatSize(free)} free, the restore takes about ${formatSize(needed)}`,
    {
      host: host.name,
      hint: 'Free space there; what is there now is kept until the restore is over.',
    },
  )
}

/** Whether a backup can be restored into a PostgreSQL server: looked up before the first change. */
import { formatSize } from '../../../core/duration.ts'
import { OpsError } from '../../../core/errors.ts'
import type { Host } from '../../../host/types.ts'
import { connected, MAINTENANCE, openPostgresSession, quoteLiteral } from '../../database/postgres/connect.ts'
import { readPostgresServer } from '../../database/postgres/facts.ts'
import type { SqlSession } from '../../database/session.ts'
import { runTool } from '../../pipeline/place.ts'
import { parseToolVersion } from '../../pipeline/tools.ts'
import { dataFilePath, feed } from '../decode.ts'
import type { Preflight, Replacement, RestoreSource } from '../engine.ts'
import { compareSeries, refuseNewer } from '../versions.ts'
import { isPostgresHere } from '../here.ts'
import { readFreeBytes } from '../room.ts'
import type { LoadAccess, ServerAccess } from './client.ts'

/** Rows with their indexes take more room in the server than in the archive. */
const ROOM_FACTOR = 1.5

export interface PostgresPreflight extends Preflight {
  /** Owners and grants are those of the restoring account. */
  readonly ownOwner: boolean
}

export interface PostgresTarget {
  readonly access: ServerAccess
  readonly host: Host
  readonly signal: AbortSignal
}

export async function preflightPostgres(
  { access, host, signal }: PostgresTarget,
  source: RestoreSource,
  replacement: Replacement,
): Promise<PostgresPreflight> {
  const session = await openPostgresSession(access, access.maintenance)
  try {
    const server = await readPostgresServer(session)
    refuseNewer(source.entry.manifest.server, { family: 'postgresql', version: server.version }, host.name)
    // Each of these tools takes a while to start.
    const [, owners] = await Promise.all([refuseOldTool(access, source), readOwners(access, source, signal)])
    if (server.isStandby) {
      throw new OpsError('NOT_PERMITTED', `the server on ${host.name} is a standby`, {
        host: host.name,
        hint: 'Restore into its primary.',
      })
    }
    const isSuperuser = await readMay(session, host)
    await refuseMissingExtensions(session, source, host)
    if (isSuperuser) await refuseMissingRoles(session, owners, source, host)
    const existed = await session.query(`SELECT 1 FROM pg_database WHERE datname = ${quoteLiteral(replacement.target)}`)
    refuseUnknownTables(source, replacement, existed.length > 0)
    const notes = [
      ...(isSuperuser
        ? []
        : ['everything will belong to the restoring account, without grants: it is not a superuser']),
      ...(await readSpace(session, host, source, isSuperuser && (await isPostgresHere(session, host, access.address)))),
    ]
    return { existed: existed.length > 0, version: `postgresql ${server.version}`, notes, ownOwner: !isSuperuser }
  } finally {
    await session.close()
  }
}

async function refuseOldTool(access: LoadAccess, { entry }: RestoreSource): Promise<void> {
  const { place } = access
  const [version, help] = await Promise.all([
    runTool(place, connected(['pg_restore', '--version'], access, MAINTENANCE)),
    runTool(place, connected(['psql', '--help=commands'], access, MAINTENANCE)),
  ])
  if (!help.stdout.includes('\\restrict ')) {
    throw new OpsError('MISSING_TOOL', `psql on ${place.host} is too old: a backup could make it run commands there`, {
      host: place.host,
      hint: 'Install one with restricted mode (13.22, 14.19, 15.14, 16.10, 17.6 or newer): apt-get install postgresql-client',
    })
  }
  const [own, wrote] = [parseToolVersion(version.stdout), entry.manifest.tools['pg_dump']]
  if (wrote === undefined || compareSeries(wrote, own, 1) <= 0) return
  throw new OpsError(
    'MISSING_TOOL',
    `the backup was written by pg_dump ${wrote}, and pg_restore on ${place.host} is ${own}`,
    {
      host: place.host,
      hint: `Install the newer one there: apt-get install postgresql-client-${Number.parseInt(wrote, 10)}`,
    },
  )
}

/** @returns whether the account is a superuser */
async function readMay(session: SqlSession, host: Host): Promise<boolean> {
  const [row = []] = await session.query('SELECT rolsuper, rolcreatedb FROM pg_roles WHERE rolname = current_user')
  const [superuser, creates] = row
  if (superuser === 't' || creates === 't') return superuser === 't'
  throw new OpsError('NOT_PERMITTED', 'the account may not create databases', {
    host: host.name,
    hint: 'ALTER ROLE … CREATEDB, or configure a superuser for restoring.',
  })
}

async function refuseMissingExtensions(session: SqlSession, { facts }: RestoreSource, host: Host): Promise<void> {
  const rows = await session.query('SELECT name FROM pg_available_extensions')
  const there = new Set(rows.map(([name]) => name))
  const missing = facts.extensions.filter((name) => !there.has(name))
  if (missing.length === 0) return
  throw new OpsError('MISSING_TOOL', `the server on ${host.name} has not the extensions ${missing.join(', ')}`, {
    host: host.name,
    hint: 'Install them there: often apt-get install postgresql-contrib, or the package of the extension.',
  })
}

async function refuseMissingRoles(
  session: SqlSession,
  owners: readonly string[],
  source: RestoreSource,
  host: Host,
): Promise<void> {
  const rows = await session.query('SELECT rolname FROM pg_roles')
  const there = new Set(rows.map(([name]) => name))
  const missing = owners.filter((name) => !there.has(name))
  if (missing.length === 0) return
  throw new OpsError('FAILED', `the server has not the roles that own what is in the backup: ${missing.join(', ')}`, {
    host: host.name,
    hint: `Create them first; the backup has them: zstd -dc ${source.entry.path}/_globals.sql.zst | psql -d postgres`,
  })
}

/** The last word of a line of `pg_restore --list` is the owner. */
async function readOwners(access: LoadAccess, source: RestoreSource, signal: AbortSignal): Promise<string[]> {
  const file = source.files.find(({ role }) => role === 'schema')
  if (!file) throw new OpsError('DATA_MISMATCH', `the backup has no schema of ${source.facts.name}`)
  const tool = await access.place.start({
    ...connected(['pg_restore', '--list'], access, MAINTENANCE),
    wantsInput: true,
  })
  let text = ''
  tool.output?.setEncoding('utf8').on('data', (piece: string) => {
    text += piece
  })
  await feed(dataFilePath(source.entry, file), {
    into: tool.input,
    isPipe: access.isLocal,
    identity: source.identity,
    signal,
  })
  await tool.ended
  const lines = text.split('\n').filter((line) => /^\d+; \d+ \d+ /.test(line))
  const owners = lines.map((line) => line.slice(line.lastIndexOf(' ') + 1))
  // Extensions and comments have no owner of their own.
  return [...new Set(owners)].filter((name) => name !== '').sort()
}

function refuseUnknownTables({ facts }: RestoreSource, { tables = [], target }: Replacement, existed: boolean): void {
  const known = new Set(
    facts.tables.flatMap(({ schema, name }) => [`${schema}.${name}`, ...(schema === 'public' ? [name] : [])]),
  )
  const unknown = tables.filter((table) => !known.has(table))
  if (unknown.length > 0) throw new OpsError('USAGE', `the backup has no table ${unknown.join(', ')}`)
  if (tables.length > 0 && !existed)
    throw new OpsError('USAGE', `there is no database ${target} to restore tables into`)
}

async function readSpace(
  session: SqlSession,
  host: Host,
  { files }: RestoreSource,
  maySee: boolean,
): Promise<string[]> {
  // What went by descriptors was not counted; text compresses to about a third.
  const bytes = files.reduce((sum, file) => sum + (file.plainBytes ?? file.sizeBytes * 3), 0)
  const needed = Math.round(bytes * ROOM_FACTOR)
  if (!maySee) return [`it takes about ${formatSize(needed)}; free space there is not known`]
  const [row] = await session.query(`SELECT current_setting('data_directory')`)
  const free = await readFreeBytes(host, row?.[0])
  if (free === undefined) return [`it takes about ${formatSize(needed)}; free space there is not known`]
  if (free >= needed) return []
  throw new OpsError(
    'CANNOT_WRITE',
    `${row?.[0]} on ${host.name} has ${formatSize(free)} free, the restore takes about ${formatSize(needed)}`,
    {
      host: host.name,
      hint: 'Free space there; what is there now is kept until the restore is over.',
    },
  )
}

/**
 * A backup of PostgreSQL: every database in an exported snapshot of its own, which the dump of the schema, the parts with
 * the rows and the counts all read; the globals beside.
 */
import { availableParallelism } from 'node:os'
import { isOpsError, OpsError } from '../../../core/errors.ts'
import { hasFailed, said } from '../../pipeline/failure.ts'
import { runTool, type ToolEnd, type ToolSpec } from '../../pipeline/place.ts'
import { parseToolVersion } from '../../pipeline/tools.ts'
import type { DatabaseFacts, DataFile, SourceResult } from '../../types.ts'
import { chooseNames } from '../mysql/connect.ts'
import { DEFAULT_LOCK_WAIT_MS, fileStem, type FamilyRun } from '../request.ts'
import type { SqlSession } from '../session.ts'
import { tlsOf } from '../tls.ts'
import { connected, MAINTENANCE, openPostgresSession, postgresError, type PostgresAccess } from './connect.ts'
import {
  readPostgresFacts,
  readPostgresNames,
  readPostgresObstacle,
  readPostgresRows,
  readPostgresServer,
  readPostgresTables,
  type PostgresServer,
  type PostgresTable,
} from './facts.ts'
import { openMaintenance } from './maintenance.ts'
import { decideParts, partArgv, schemaArgv } from './parts.ts'

/** A database with its snapshot, held by a session that stays open while the tools read. */
interface Held {
  readonly database: string
  readonly session: SqlSession
  readonly snapshot: string
  readonly lsn: string
}

/** As many snapshots as are taken at one moment; each holds a connection and keeps vacuum back while it lasts. */
const HELD_AT_ONCE = 16

export async function backUpPostgres(run: FamilyRun): Promise<SourceResult> {
  const { source, password, place } = run
  const { host, port, socket, user } = source
  const address = { host, port, socket, user, password, tls: tlsOf(source) }
  const access: PostgresAccess = { place, address, lockWaitMs: run.settings.lockWaitMs ?? DEFAULT_LOCK_WAIT_MS }
  // The questions about the whole server are asked where the account is surely let in.
  const first = source.databases === 'all' ? [] : source.databases.slice(0, 1)
  const { session } = await openMaintenance(access, { first })
  try {
    const server = await readPostgresServer(session)
    const tool = await readDumpVersion(access, server)
    const there = await readPostgresNames(session)
    const names = source.databases === 'all' ? there : chooseNames(there, source.databases)
    const databases: DatabaseFacts[] = []
    const positions: Record<string, string> = {}
    await run.atSnapshot?.()
    for (let from = 0; from < names.length; from += HELD_AT_ONCE) {
      const held = await hold(access, names.slice(from, from + HELD_AT_ONCE), server)
      try {
        for (const one of held) {
          positions[names.length === 1 ? 'lsn' : `lsn.${one.database}`] = one.lsn
          databases.push(await backUpOne(run, access, one))
        }
      } finally {
        await Promise.all(held.map((one) => one.session.close()))
      }
    }
    const warnings = source.users ? await writeGlobals(run, access) : []
    if (names.length > HELD_AT_ONCE) {
      warnings.push(`the snapshots of more than ${HELD_AT_ONCE} databases were not taken at one moment`)
    }
    return {
      files: inOrder(run.files.done),
      server: { family: 'postgresql', version: server.version, id: server.id },
      tools: { pg_dump: tool },
      position: positions,
      databases,
      warnings,
    }
  } finally {
    await session.close()
  }
}

/** @throws OpsError MISSING_TOOL when pg_dump is older than the server: it refuses such servers itself, half-way */
async function readDumpVersion(access: PostgresAccess, { major, version }: PostgresServer): Promise<string> {
  const { place } = access
  const { stdout } = await runTool(place, connected(['pg_dump', '--version'], access, MAINTENANCE))
  const own = parseToolVersion(stdout)
  if (Number.parseInt(own, 10) >= major) return own
  throw new OpsError('MISSING_TOOL', `the server is PostgreSQL ${version} and pg_dump on ${place.host} is ${own}`, {
    host: place.host,
    hint: `Install the newer one on ${place.host}: apt-get install postgresql-client-${major}`,
  })
}

/** Connects to all first and takes the snapshots then, so that they are as near to one moment as can be. */
async function hold(access: PostgresAccess, names: readonly string[], { isStandby }: PostgresServer): Promise<Held[]> {
  const opened = await Promise.allSettled(names.map((name) => openPostgresSession(access, name)))
  const sessions = opened.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []))
  try {
    for (const one of opened) if (one.status === 'rejected') throw one.reason
    const lsn = isStandby ? 'pg_last_wal_replay_lsn()' : 'pg_current_wal_lsn()'
    return await Promise.all(
      sessions.map(async (session, index) => {
        const [row] = await session.query(
          `BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SELECT pg_export_snapshot(), ${lsn}`,
        )
        return { database: names[index] ?? '', session, snapshot: row?.[0] ?? '', lsn: row?.[1] ?? '' }
      }),
    )
  } catch (error) {
    await Promise.all(sessions.map((session) => session.close()))
    throw error
  }
}

/** @throws OpsError also for a table that somebody holds, naming who */
async function backUpOne(run: FamilyRun, access: PostgresAccess, held: Held): Promise<DatabaseFacts> {
  try {
    return await dumpAndRead(run, access, held)
  } catch (error) {
    throw await explain(error, access, held.database)
  }
}

async function dumpAndRead(run: FamilyRun, access: PostgresAccess, held: Held): Promise<DatabaseFacts> {
  const { database, session, snapshot } = held
  const stem = fileStem(database)
  const tables = await readPostgresTables(session)
  assertReadable(tables, access)
  const parts = decideParts(tables, availableParallelism())
  const write = (argv: ToolSpec['argv'], name: string, role: string) =>
    writeDump(run, access, { argv, stem: `${stem}.${name}.dump`, role, database })
  const [facts] = await Promise.all([
    readFacts(run, held),
    write(schemaArgv(snapshot), 'schema', 'schema'),
    ...parts.map((_, index) => write(partArgv(snapshot, parts, index), `data-${index + 1}`, 'rows')),
  ])
  return facts
}

/** Before anything is written: pg_dump would find out half-way. */
function assertReadable(tables: readonly PostgresTable[], { place }: PostgresAccess): void {
  const closed = tables.filter(({ readable }) => !readable).map(({ schema, name }) => `${schema}.${name}`)
  if (closed.length === 0) return
  const named = `${closed.slice(0, 5).join(', ')}${closed.length > 5 ? `, and ${closed.length - 5} more` : ''}`
  throw new OpsError('NOT_PERMITTED', `the account may not read ${named}`, {
    host: place.host,
    hint: 'GRANT pg_read_all_data TO the account (PostgreSQL 14), or SELECT on its tables and sequences.',
  })
}

async function readFacts({ source }: FamilyRun, { database, session }: Held): Promise<DatabaseFacts> {
  const facts = await readPostgresFacts(session, database)
  const { row_counts: counts, fingerprints } = source
  const rows = counts || fingerprints ? await readPostgresRows(session, facts.tables, { fingerprints }) : []
  return { ...facts, tables: facts.tables.map((table, index) => ({ ...table, ...rows[index] })) }
}

interface DumpFile extends Pick<DataFile, 'role'> {
  readonly argv: ToolSpec['argv']
  readonly stem: string
  readonly database: string
}

/** From process to process by descriptors: pg_dump | zstd | [age] | file. */
async function writeDump(run: FamilyRun, access: PostgresAccess, { argv, ...file }: DumpFile): Promise<void> {
  const sink = await run.files.open(file)
  const tool = await access.place.start({ ...connected(argv, access, file.database), into: sink.input(), bulk: true })
  const end = await tool.ended
  if (hasFailed(end)) throw await dumpError(end, sink, access)
  await run.files.finish(sink)
}

/** A dump that the disk has ended is the disk's failure. */
async function dumpError(end: ToolEnd, sink: { failure(): Promise<OpsError | undefined> }, access: PostgresAccess) {
  return (await sink.failure()) ?? postgresError(end, access)
}

/** What waited in vain for a table failed because somebody holds it. */
async function explain(error: unknown, access: PostgresAccess, database: string): Promise<unknown> {
  if (!isOpsError(error, 'FAILED') && !isOpsError(error, 'LOCKED')) return error
  const obstacle = await readObstacle(access, database).catch(() => undefined)
  if (obstacle === undefined) return error
  return new OpsError('LOCKED', `${database} could not be read: ${obstacle}`, {
    host: access.place.host,
    transient: true,
    cause: error,
    hint: 'Wait for that session, or end it (SELECT pg_terminate_backend), and run the backup again.',
  })
}

async function readObstacle(access: PostgresAccess, database: string): Promise<string | undefined> {
  const session = await openPostgresSession(access, database)
  try {
    return await readPostgresObstacle(session, database)
  } finally {
    await session.close()
  }
}

/** @returns warnings: an account may be allowed to read data and not the roles, or not their passwords */
async function writeGlobals(run: FamilyRun, access: PostgresAccess): Promise<string[]> {
  let because = ''
  for (const extra of [[], ['--no-role-passwords']]) {
    const argv = ['pg_dumpall', '--globals-only', '--no-password', ...extra] as const
    const sink = await run.files.open({ stem: '_globals.sql', role: 'globals' })
    const tool = await access.place.start({
      ...connected(['pg_dumpall', ...argv.slice(1)], access, MAINTENANCE),
      into: sink.input(),
    })
    const end = await tool.ended
    if (!hasFailed(end)) {
      await run.files.finish(sink)
      return extra.length === 0 ? [] : ['roles are saved without their passwords: the account may not read them']
    }
    const failure = await sink.failure()
    if (failure) throw failure
    await run.files.drop(sink)
    because = said(end.stderr, access.place.redact)
  }
  return [`roles and other globals are not in the backup${because}`]
}

/** The parts are finished in any order. */
function inOrder(files: readonly DataFile[]): DataFile[] {
  return [...files].sort((a, b) => (a.path < b.path ? -1 : 1))
}

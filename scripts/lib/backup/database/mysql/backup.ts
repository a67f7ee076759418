/** A backup of MariaDB or MySQL: look at the server, dump all databases in one snapshot, save the accounts. */
import { parseToolVersion } from '../../pipeline/tools.ts'
import { writeTo } from '../../pipeline/pump.ts'
import type { DatabaseFacts, SourceResult, TableFacts } from '../../types.ts'
import { DEFAULT_STALL_MS, fileStem, type FamilyRun } from '../request.ts'
import type { SqlSession } from '../session.ts'
import { tlsOf } from '../tls.ts'
import { findProgram, openMysqlSession, readDatabaseNames, type MysqlAccess, type MysqlAddress } from './connect.ts'
import type { Cut } from './cut.ts'
import { runDump, type DumpTool } from './dump.ts'
import { readMysqlContents, readMysqlRights, readMysqlServer, type MysqlContents, type MysqlServer } from './facts.ts'
import { beginFingerprints } from './snapshot.ts'
import { writeAccounts } from './accounts.ts'

export async function backUpMysql(run: FamilyRun): Promise<SourceResult> {
  const address = addressOf(run)
  const client = await findProgram(run.place, ['mariadb', 'mysql'])
  const access: MysqlAccess = { place: run.place, address, client: client.program, family: client.family }
  const session = await openMysqlSession(access)
  try {
    const server = await readMysqlServer(session)
    const tool = await findDumpTool(run, server)
    const names = await readDatabaseNames(session, run.source.databases)
    const rights = await readMysqlRights(session, server, names)
    const contents = await readMysqlContents(session, names)
    const withPosition = server.hasBinlog && rights.mayReadPosition && tool.family === server.family
    const warnings = [
      ...warningsAbout(contents, tool, server),
      ...rights.missing.map((type) => `the account lacks ${type}: what it may not see is not in the backup`),
      ...(server.hasBinlog && !withPosition
        ? ['no binary log position: the account lacks RELOAD and BINLOG MONITOR (REPLICATION CLIENT)']
        : []),
    ]
    const dumped =
      names.length === 0
        ? undefined
        : await dump({ run, access, session, tool, names, contents, withPosition, mayLock: rights.mayLock })
    if (names.length === 0) warnings.push('the server holds no database to save')
    if (run.source.users) warnings.push(...(await accounts(run, access, tool, server)))
    const databases = dumped ? joinFacts(contents.databases, dumped, run.source.row_counts) : []
    return {
      files: run.files.done,
      server: { family: server.family, version: server.version, id: server.id },
      tools: { [tool.program]: tool.version },
      ...(dumped && Object.keys(dumped.position).length > 0 ? { position: dumped.position } : {}),
      databases,
      warnings: [...warnings, ...(dumped?.warnings ?? []), ...(dumped ? tableChanges(contents.databases, dumped) : [])],
    }
  } finally {
    await session.close()
  }
}

function addressOf({ source, password }: FamilyRun): MysqlAddress {
  const { host, port, socket, user } = source
  return { host, port, socket, user, password, tls: tlsOf(source) }
}

/** MariaDB's tools do not know MySQL 8, and MySQL's ask MariaDB for what it has not: each server has its own. */
async function findDumpTool({ place }: FamilyRun, { family }: MysqlServer): Promise<DumpTool> {
  const names = family === 'mariadb' ? ['mariadb-dump', 'mysqldump'] : ['mysqldump', 'mariadb-dump']
  const found = await findProgram(place, names)
  return {
    program: found.program,
    family: found.family,
    version: parseToolVersion(found.said),
  }
}

interface DumpPart {
  readonly run: FamilyRun
  readonly access: MysqlAccess
  readonly session: SqlSession
  readonly tool: DumpTool
  readonly names: readonly string[]
  readonly contents: MysqlContents
  readonly withPosition: boolean
  readonly mayLock: boolean
}

type Dumped = Cut & {
  readonly fingerprints?: ReadonlyMap<string, ReadonlyMap<string, string>>
  readonly warnings: readonly string[]
}

async function dump(part: DumpPart): Promise<Dumped> {
  const { run, access, session, tool, names, contents, withPosition } = part
  await run.atSnapshot?.()
  const fingerprints = run.source.fingerprints ? await beginFingerprints(part) : undefined
  try {
    const dumping = runDump({
      ...{ tool, databases: names, withPosition, place: access.place, address: access.address },
      withViews: new Set(contents.databases.filter(({ views }) => views.length > 0).map(({ name }) => name)),
      open: (database) => run.files.open({ stem: `${fileStem(database)}.sql`, role: 'dump', database }),
      close: (sink, plainBytes) => run.files.finish(sink, plainBytes),
      stallMs: run.settings.stallMs ?? DEFAULT_STALL_MS,
      readObstacle: () => readObstacle(session),
      ...(fingerprints ? { onBytes: fingerprints.dumpHasBegun } : {}),
    })
    const [cut, read] = await Promise.all([dumping, fingerprints?.read()])
    return { ...cut, ...(read ? { fingerprints: read.digests } : {}), warnings: read?.warnings ?? [] }
  } finally {
    await fingerprints?.close()
  }
}

/** Who holds the table that a dump waits for. */
async function readObstacle(session: SqlSession): Promise<string | undefined> {
  const [waiting] = await session.query(
    `SELECT COUNT(*) FROM information_schema.processlist WHERE state LIKE 'Waiting for %lock%'`,
  )
  if (waiting?.[0] === '0') return undefined
  const [holder] = await session.query(
    `SELECT id, user, time, IFNULL(LEFT(info, 80), 'nothing') FROM information_schema.processlist
     WHERE state NOT LIKE 'Waiting for %lock%' AND id <> CONNECTION_ID() AND user NOT IN ('system user', 'event_scheduler')
     ORDER BY time DESC LIMIT 1`,
  )
  if (!holder) return 'it waits for a lock'
  const [id, user, seconds, doing] = holder
  return `it waits for a lock, perhaps of session ${id} (${user}, ${seconds} s, runs ${doing})`
}

function warningsAbout(contents: MysqlContents, tool: DumpTool, server: MysqlServer): string[] {
  const list = (tables: readonly string[]) => `${tables.slice(0, 10).join(', ')}${tables.length > 10 ? ', …' : ''}`
  return [
    ...(contents.nonTransactional.length > 0
      ? [`not transactional, so not of the same moment as the rest: ${list(contents.nonTransactional)}`]
      : []),
    ...(contents.versioned.length > 0 ? [`saved without their history: ${list(contents.versioned)}`] : []),
    ...(tool.family === server.family ? [] : [`${tool.program} is of ${tool.family}, the server is ${server.family}`]),
  ]
}

async function accounts(run: FamilyRun, access: MysqlAccess, tool: DumpTool, server: MysqlServer): Promise<string[]> {
  const sink = await run.files.open({ stem: '_users.sql', role: 'users' })
  const { written, warning } = await writeAccounts({
    ...{ access, tool, server },
    write: (bytes) => writeTo(sink.input(), bytes),
  })
  await (written ? run.files.finish(sink) : run.files.drop(sink))
  return warning === undefined ? [] : [warning]
}

function joinFacts(databases: readonly DatabaseFacts[], dumped: Dumped, withRows: boolean): DatabaseFacts[] {
  return databases.map((facts) => {
    const rows = dumped.rows.get(facts.name)
    const digests = dumped.fingerprints?.get(facts.name)
    const create = dumped.create.get(facts.name)
    const tables = facts.tables
      .filter(({ name }) => rows?.has(name) ?? true)
      .map(({ name }): TableFacts => {
        const [count, fingerprint] = [rows?.get(name), digests?.get(name)]
        return {
          name,
          ...(withRows && count !== undefined ? { rows: count } : {}),
          ...(fingerprint === undefined ? {} : { fingerprint }),
        }
      })
    return { ...facts, tables, ...(create === undefined ? {} : { create }) }
  })
}

/** Tables that came or went between the look and the dump. */
function tableChanges(databases: readonly DatabaseFacts[], { rows }: Dumped): string[] {
  return databases.flatMap(({ name, tables }) => {
    const seen = rows.get(name)
    const known = new Set(tables.map((table) => table.name))
    const gone = [...known].filter((table) => !seen?.has(table))
    const came = [...(seen?.keys() ?? [])].filter((table) => !known.has(table))
    return [...gone, ...came].map((table) => `${name}.${table} was created or dropped while the dump ran`)
  })
}

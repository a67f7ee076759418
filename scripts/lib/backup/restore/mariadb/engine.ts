/** Restoring into MariaDB and MySQL: one plain dump per database, loaded by several sessions, moved table by table. */
import { randomBytes } from 'node:crypto'
import { open, rm } from 'node:fs/promises'
import { messageOf, OpsError } from '../../../core/errors.ts'
import {
  formatOptionFile,
  findProgram,
  mysqlError,
  ONLY_OUR_OPTIONS,
  openMysqlSession,
  quoteName,
  type MysqlAccess,
  type MysqlAddress,
} from '../../database/mysql/connect.ts'
import { countMysqlRows, readMysqlContents } from '../../database/mysql/facts.ts'
import { fingerprintMysql } from '../../database/mysql/fingerprint.ts'
import { hasFailed } from '../../pipeline/failure.ts'
import type { Place } from '../../pipeline/place.ts'
import type { DataFile, DatabaseFacts, TableFacts } from '../../types.ts'
import { openDataFile, startBulkDecoding } from '../decode.ts'
import type { EngineOptions, RestoreEngine, RestoreSource } from '../engine.ts'
import { isMysqlHere } from '../here.ts'
import { readFreeBytes } from '../room.ts'
import { createDatabase, dropDatabase, readBrokenViews, readInventory, readSize } from './inventory.ts'
import { loadDump } from './load.ts'
import { mayNameDefiners, preflightMysql } from './preflight.ts'
import { applyReplacement, completeAside, undoReplacement, type ReplaceContext } from './replace.ts'

export interface MysqlEngineOptions extends EngineOptions {
  readonly place: Place
  readonly address: MysqlAddress
  /** Sessions that load at once. */
  readonly jobs: number
  /** A directory of this machine for what must be known to undo a swap. */
  readonly stateDirectory: string
}

/** @throws OpsError MISSING_TOOL, UNREACHABLE, NOT_PERMITTED */
export async function openMysqlEngine(options: MysqlEngineOptions): Promise<RestoreEngine> {
  const { host, signal, place, address, jobs, isThrowAway = false } = options
  const { program: client, family } = await findProgram(place, ['mariadb', 'mysql'])
  const access: MysqlAccess = { place, address, client, family }
  const session = await openMysqlSession(access)
  // A first question tells a refused login from a refused restore.
  await session.query('SELECT 1')
  const ownDefiner = !(await mayNameDefiners(session))
  const context: ReplaceContext = {
    access,
    session,
    signal,
    ownDefiner,
    openOldObjects: (path) => startBulkDecoding(path, { signal }),
  }
  const openDump = (source: RestoreSource) => () =>
    openDataFile(source.entry, dumpOf(source), { identity: source.identity, signal })

  return {
    notInScratch: isThrowAway ? [] : ['events'],
    async preflight(source, replacement) {
      const found = await preflightMysql({ session, host, address }, source, replacement)
      const owners = ownDefiner
        ? ['views, routines, triggers and events will belong to the restoring account (no SET USER)']
        : []
      return { ...found, notes: [...found.notes, ...owners] }
    },
    async load(source, replacement, progress) {
      const { scratch, tables } = replacement
      const file = dumpOf(source)
      await dropDatabase(session, scratch)
      await createScratch(context, source, scratch)
      await loadDump(access, openDump(source), {
        database: scratch,
        jobs,
        signal,
        ownDefiner,
        // An event of the scratch database would run.
        without: isThrowAway ? [] : ['event'],
        ...(tables ? { tables } : {}),
        onBytes: (bytes) => progress.update(bytes, file.plainBytes ?? 0, `loading ${source.facts.name}`),
      })
      const { tables: fresh } = await readInventory(session, scratch)
      return { ...replacement, fresh }
    },
    async prepare(replacement) {
      const { target, tables, kept, scratch } = replacement
      const fresh = kept ? (await readInventory(session, scratch)).tables : (replacement.fresh ?? [])
      const { exists, tables: there } = await readInventory(session, target)
      if (!exists) return { ...replacement, fresh, existed: false, old: [] }
      const broken = await readBrokenViews(session, target)
      const oldObjects = await saveObjects(options, access, { database: target, broken })
      const old = tables ? there.filter((table) => fresh.includes(table)) : there
      return { ...replacement, fresh, existed: true, old, oldObjects }
    },
    readFacts: (database, like) => readFacts(context, database, like),
    apply(replacement, source) {
      const objects = replacement.kept?.objects
      const openKept = objects === undefined ? undefined : () => context.openOldObjects(objects)
      const openBackup = source && holdsObjects(source) ? openDump(source) : undefined
      return applyReplacement(replacement, replacement.kept ? openKept : openBackup, context)
    },
    async undo(replacement, swapped) {
      if (swapped) await undoReplacement(replacement, context)
      else if (!replacement.kept) await dropDatabase(session, replacement.scratch)
    },
    async readKept({ aside }) {
      const { exists, tables } = await readInventory(session, aside)
      return exists ? { tables, sizeBytes: await readSize(session, aside) } : undefined
    },
    async ask(database, sql) {
      const asking = await openMysqlSession(access)
      try {
        await asking.query(`USE ${quoteName(database)}`)
        return (await asking.query(sql))[0]?.[0]
      } finally {
        await asking.close()
      }
    },
    async finish(replacement) {
      try {
        await completeAside(replacement, context)
        return []
      } catch (error) {
        return [
          `${replacement.aside} holds the old tables, but not all of the old views and routines: ${messageOf(error)}`,
        ]
      }
    },
    async discard({ existed, aside, oldObjects }) {
      if (!existed) return
      await dropDatabase(session, aside)
      if (oldObjects !== undefined) await rm(oldObjects, { force: true })
    },
    async freeBytes() {
      if (!(await isMysqlHere(session, host, address))) return undefined
      const [row] = await session.query('SELECT @@datadir')
      return readFreeBytes(host, row?.[0])
    },
    close: () => session.close(),
  }
}

function dumpOf({ files, facts }: RestoreSource): DataFile {
  const file = files.find(({ role }) => role === 'dump')
  if (!file) throw new OpsError('DATA_MISMATCH', `the backup has no dump of ${facts.name}`)
  return file
}

/** The whole dump is read once more for them. */
function holdsObjects({ facts }: RestoreSource): boolean {
  return [facts.views, facts.triggers, facts.routines, facts.events].some((names) => names.length > 0)
}

/** With the character set that the original had; the statement is in the dump's own comment and in its facts. */
async function createScratch({ session }: ReplaceContext, { facts }: RestoreSource, scratch: string): Promise<void> {
  const statement = facts.create ?? ''
  const charset = /CHARACTER SET (\w+)/i.exec(statement)?.[1]
  const collation = /COLLATE (\w+)/i.exec(statement)?.[1]
  await createDatabase(session, scratch)
  if (charset === undefined) return
  await session.query(
    `ALTER DATABASE \`${scratch}\` CHARACTER SET ${charset}${collation ? ` COLLATE ${collation}` : ''}`,
  )
}

async function readFacts({ session }: ReplaceContext, database: string, like: DatabaseFacts): Promise<DatabaseFacts> {
  const { databases } = await readMysqlContents(session, [database])
  const facts = databases[0]
  if (!facts) throw new OpsError('FAILED', `there is no database ${database}`)
  const there = new Set(facts.tables.map(({ name }) => name))
  const namesWith = (has: (table: TableFacts) => boolean) =>
    like.tables.filter((table) => has(table) && there.has(table.name)).map(({ name }) => name)
  const rows = await countMysqlRows(
    session,
    database,
    namesWith((table) => table.rows !== undefined),
  )
  const digests = await fingerprintMysql(
    session,
    database,
    namesWith((table) => table.fingerprint !== undefined),
  )
  return {
    ...facts,
    tables: facts.tables.map(({ name }) => {
      const [count, fingerprint] = [rows.get(name), digests.get(name)]
      return {
        name,
        ...(count === undefined ? {} : { rows: count }),
        ...(fingerprint === undefined ? {} : { fingerprint }),
      }
    }),
  }
}

/** The dump tool's own text of everything in a database that is not rows; durable before anything is dropped. */
async function saveObjects(
  { stateDirectory }: MysqlEngineOptions,
  { place, address, client, family }: MysqlAccess,
  { database, broken }: { readonly database: string; readonly broken: readonly string[] },
): Promise<string> {
  const program = client === 'mariadb' ? 'mariadb-dump' : 'mysqldump'
  const path = `${stateDirectory}/objects-${randomBytes(6).toString('hex')}.sql`
  const what = [
    '--no-data',
    '--routines',
    '--triggers',
    '--events',
    '--skip-lock-tables',
    '--default-character-set=utf8mb4',
  ]
  const file = await open(path, 'w', 0o600)
  try {
    const tool = await place.start({
      argv: [
        program,
        ONLY_OUR_OPTIONS,
        ...what,
        ...broken.map((view) => `--ignore-table=${database}.${view}`),
        '--',
        database,
      ],
      credentials: formatOptionFile(address, family),
    })
    for await (const chunk of tool.output ?? []) await file.write(chunk as Buffer)
    const end = await tool.ended
    if (hasFailed(end)) throw mysqlError(end, place)
    await file.sync()
    return path
  } finally {
    await file.close()
  }
}

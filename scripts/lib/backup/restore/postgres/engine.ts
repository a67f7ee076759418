/** Restoring into PostgreSQL: archives in parts, a scratch database that takes the live one's name in one transaction. */
import { OpsError } from '../../../core/errors.ts'
import { openPostgresSession, quoteIdentifier, type PostgresAddress } from '../../database/postgres/connect.ts'
import { readPostgresFacts, readPostgresRows } from '../../database/postgres/facts.ts'
import { openMaintenance } from '../../database/postgres/maintenance.ts'
import type { Place } from '../../pipeline/place.ts'
import type { DatabaseFacts } from '../../types.ts'
import { nameOfTable } from '../compare.ts'
import { dataFilePath } from '../decode.ts'
import type { EngineOptions, Replacement, RestoreEngine, RestoreSource } from '../engine.ts'
import { isPostgresHere } from '../here.ts'
import { readFreeBytes } from '../room.ts'
import { ask, runScript, waitForSwap, type LoadAccess, type ServerAccess } from './client.ts'
import { loadArchives } from './load.ts'
import { readKeptPostgres } from './kept.ts'
import { preflightPostgres } from './preflight.ts'
import { applyRename, dropDatabase, dropScratch, undoRename } from './replace.ts'
import { copyTables, exchangeTables, hasSchema, refuseOtherColumns, uncopyTables, type TableCopy } from './tables.ts'

export interface PostgresEngineOptions extends EngineOptions {
  readonly place: Place
  readonly address: PostgresAddress
  /** Processes that load at once. */
  readonly jobs: number
}

/** For questions; what loads waits as long as the whole restore may take. */
const LOCK_WAIT_MS = 60_000

export function openPostgresEngine({
  host,
  signal,
  place,
  address,
  jobs,
  isThrowAway = false,
}: PostgresEngineOptions): RestoreEngine {
  const access: LoadAccess = { place, address, isLocal: host.kind === 'local', lockWaitMs: LOCK_WAIT_MS }
  const known = new Map<string, Promise<ServerAccess>>()
  const aroundOf = (replacement: Replacement) => {
    const found = known.get(replacement.target) ?? findAround(access, replacement)
    known.set(replacement.target, found)
    return found
  }
  return {
    notInScratch: [],
    preflight: async (source, replacement) =>
      preflightPostgres({ access: await aroundOf(replacement), host, signal }, source, replacement),
    async load(source, replacement, progress) {
      const { scratch, tables } = replacement
      const access = await aroundOf(replacement)
      const { ownOwner } = await preflightPostgres({ access, host, signal }, source, replacement)
      await dropScratch(access, scratch)
      progress.update(0, 0, `loading ${source.facts.name}`)
      const files = filesOf(source)
      await loadArchives({
        access,
        files,
        jobs,
        ownOwner,
        noTablespaces: isThrowAway,
        signal,
        original: source.facts.name,
        database: scratch,
        identity: source.identity,
        ...(tables ? { tables } : {}),
        onBytes: (bytes) => progress.update(bytes, files.plainBytes, `loading ${source.facts.name}`),
      })
      if (tables) await refuseOtherColumns(access, copyOf(replacement, tables))
      return replacement
    },
    prepare: async (replacement) => ({ ...replacement, maintenance: (await aroundOf(replacement)).maintenance }),
    readFacts: (database, like) => readFacts(access, database, like),
    async apply(replacement) {
      const access = await aroundOf(replacement)
      if (!replacement.tables) return applyRename(access, replacement)
      const copy = copyOf(replacement, replacement.tables)
      await waitForSwap(access, copy.target, copy.scratch)
      if (replacement.kept) return exchange(access, copy)
      // The rows and the schema that keeps the old ones come together or not at all.
      if (!(await hasSchema(access, copy.target, copy.aside))) await copyTables(access, copy)
      await dropScratch(access, copy.scratch)
    },
    async undo(replacement, swapped) {
      const access = await aroundOf(replacement)
      const { tables, kept, scratch } = replacement
      if (swapped && !tables) await undoRename(access, replacement)
      if (!swapped || !tables) return kept ? undefined : dropScratch(access, scratch)
      const copy = copyOf(replacement, tables)
      await waitForSwap(access, copy.target, copy.scratch)
      if (kept) return exchange(access, { ...copy, scratch: copy.aside, aside: copy.scratch })
      if (await hasSchema(access, copy.target, copy.aside)) await uncopyTables(access, copy)
      await dropScratch(access, copy.scratch)
    },
    readKept: (replacement) => readKeptPostgres(access, aroundOf, replacement),
    ask: async (database, sql) => (await ask(access, database, sql, { asOperator: true }))[0]?.[0],
    finish: async () => [],
    async discard(replacement) {
      const { existed, tables, aside, target } = replacement
      if (!existed) return
      if (tables) await runScript(access, target, `DROP SCHEMA IF EXISTS ${quoteIdentifier(aside)} CASCADE;`)
      else await dropDatabase(await aroundOf(replacement), aside)
    },
    async freeBytes() {
      const { session } = await openMaintenance(access)
      try {
        if (!(await isPostgresHere(session, host, address))) return undefined
        const [row] = await session.query("SELECT current_setting('data_directory')")
        return await readFreeBytes(host, row?.[0])
      } finally {
        await session.close()
      }
    },
    close: async () => undefined,
  }
}

/** Rows that are kept in a schema, and the live ones: what has happened is told by which of the schemas is there. */
async function exchange(access: ServerAccess, copy: TableCopy): Promise<void> {
  if (await hasSchema(access, copy.target, copy.scratch)) await exchangeTables(access, copy)
}

/** Nobody is in a database that is renamed, so who renames is in another one: the same as last time, whose lock counts. */
async function findAround(
  access: LoadAccess,
  { target, scratch, aside, maintenance }: Replacement,
): Promise<ServerAccess> {
  const options = { avoid: [target, scratch, aside], ...(maintenance === undefined ? {} : { first: [maintenance] }) }
  const { database, session } = await openMaintenance(access, options)
  await session.close()
  return { ...access, maintenance: database }
}

function copyOf({ scratch, target, aside }: Replacement, tables: readonly string[]): TableCopy {
  return { scratch, target, aside, tables }
}

function filesOf({ entry, files, facts }: RestoreSource) {
  const schema = files.find(({ role }) => role === 'schema')
  if (!schema) throw new OpsError('DATA_MISMATCH', `the backup has no schema of ${facts.name}`)
  // The largest first: it takes the longest.
  const rows = files.filter(({ role }) => role === 'rows').toSorted((a, b) => b.sizeBytes - a.sizeBytes)
  const known = rows.every(({ plainBytes }) => plainBytes !== undefined)
  return {
    schema: dataFilePath(entry, schema),
    rows: rows.map((file) => dataFilePath(entry, file)),
    /** Of the rows; 0 when it was not counted. */
    plainBytes: known ? rows.reduce((sum, { plainBytes = 0 }) => sum + plainBytes, 0) : 0,
  }
}

async function readFacts(access: LoadAccess, database: string, like: DatabaseFacts): Promise<DatabaseFacts> {
  const session = await openPostgresSession(access, database)
  try {
    const facts = await readPostgresFacts(session, database)
    const counted = new Set(like.tables.filter(({ rows }) => rows !== undefined).map(nameOfTable))
    const tables = facts.tables.filter((table) => counted.has(nameOfTable(table)))
    const fingerprints = like.tables.some(({ fingerprint }) => fingerprint !== undefined)
    const named = tables.map(({ name, schema = 'public' }) => ({ name, schema }))
    const rows = await readPostgresRows(session, named, { fingerprints })
    const found = new Map(tables.map((table, index) => [nameOfTable(table), rows[index]]))
    return { ...facts, tables: facts.tables.map((table) => ({ ...table, ...found.get(nameOfTable(table)) })) }
  } finally {
    await session.close()
  }
}

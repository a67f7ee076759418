/**
 * A drill of a database backup: restored whole into a server of its own (private, or in a container), compared with the
 * manifest, asked the operator's questions, thrown away. What it finds is evidence, not an exception; only a drill that
 * cannot be held throws.
 */
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { DatabaseSource, SqlCheck } from '../../config/types.ts'
import type { Clock } from '../../core/clock.ts'
import { isOpsError, messageOf, OpsError } from '../../core/errors.ts'
import type { Progress } from '../../core/progress.ts'
import type { Host } from '../../host/types.ts'
import { MAINTENANCE } from '../database/postgres/connect.ts'
import { plural } from '../plural.ts'
import { readChecksumProblems } from '../repository/checksums.ts'
import { compareFacts } from '../restore/compare.ts'
import { sourceOf } from '../restore/database.ts'
import { dataFilePath } from '../restore/decode.ts'
import type { Replacement, RestoreEngine } from '../restore/engine.ts'
import { explainFailedLoad, readFreeBytes } from '../restore/room.ts'
import { openEngine } from '../restore/open-engine.ts'
import type { BackupEntry, DatabaseFacts } from '../types.ts'
import { runChecks } from './checks.ts'
import { makeInstanceDirectory, type Instance } from './instance.ts'
import { startInstance } from './servers.ts'
import type { AgeIdentity } from '../restore/identity.ts'

export interface DrillResult {
  readonly ok: boolean
  /** One sentence: what was restored and compared, or what is wrong. */
  readonly because: string
  /** From the first byte of the restore to the compared copy; without making the private server. */
  readonly rtoMs: number
  readonly differences: readonly string[]
}

export interface DatabaseDrill {
  readonly entry: BackupEntry
  readonly identity: AgeIdentity | undefined
  readonly checks: readonly SqlCheck[]
  /** The throw-away server is a container of this image, in place of a private one. */
  readonly image?: string
  readonly timeoutMs: number
  readonly host: Host
  readonly redact: (text: string) => string
  readonly clock: Clock
  readonly signal: AbortSignal
  readonly progress: Progress
}

/** @throws OpsError MISSING_TOOL, CANNOT_WRITE, FAILED: the drill could not be held, which says nothing of the backup */
export async function drillDatabase(drill: DatabaseDrill): Promise<DrillResult> {
  const { entry, clock, signal, progress } = drill
  const damaged = await readChecksumProblems(entry.path, entry.manifest.files, { signal, progress })
  if (damaged.length > 0) return { ok: false, because: damaged[0] ?? '', rtoMs: 0, differences: damaged }
  const instance = await startFor(drill)
  try {
    const there = { ...drill, host: instance.host ?? drill.host }
    const engine = await openPrivate(there, instance)
    try {
      const startedAt = clock.monotonic()
      const differences = await restoreAndCompare(there, engine, instance)
      return resultOf(entry, differences, clock.monotonic() - startedAt)
    } finally {
      await engine.close()
    }
  } finally {
    await instance.stop()
  }
}

async function startFor({ entry, image, redact, signal }: DatabaseDrill): Promise<Instance> {
  const { server } = entry.manifest
  if (!server) throw new OpsError('DATA_MISMATCH', `the manifest of ${entry.id} does not say what server it is of`)
  if (image !== undefined) return (await import('./container.ts')).startContainer({ image, server, redact, signal })
  return server.family === 'sqlite' ? makeFileInstance() : startInstance(server, signal)
}

/** SQLite needs no server, only a directory. */
async function makeFileInstance(): Promise<Instance> {
  const directory = await makeInstanceDirectory(undefined)
  const stop = () => rm(directory, { recursive: true, force: true })
  return { directory, version: 'sqlite', settings: { socket: directory, user: '' }, stop }
}

export function openPrivate(
  { entry, host, redact, signal, timeoutMs }: DatabaseDrill,
  instance: Instance,
): Promise<RestoreEngine> {
  const type = entry.manifest.server?.family as DatabaseSource['type']
  return openEngine({
    source: { type, ...instance.settings, timeout: timeoutMs },
    host,
    resolveSecret: () => Promise.reject(new OpsError('FAILED', 'a private server asks for no password')),
    redact,
    stateDirectory: instance.directory,
    signal,
    isThrowAway: true,
  })
}

/** @returns what is not as it was backed up, a sentence each */
export async function restoreAndCompare(
  drill: DatabaseDrill,
  engine: RestoreEngine,
  instance: Instance,
): Promise<string[]> {
  const databases = drill.entry.manifest.databases ?? []
  await restoreGlobals(drill, instance)
  const differences: string[] = []
  for (const facts of databases) {
    const replacement = inPlaceOf(drill.entry, facts, instance)
    try {
      await engine.load(sourceOf(drill, facts), replacement, drill.progress)
      const found = compareFacts(facts, await engine.readFacts(replacement.scratch, facts))
      differences.push(...found.differences.map((line) => (databases.length > 1 ? `${facts.name}: ${line}` : line)))
    } catch (thrown) {
      drill.signal.throwIfAborted()
      const ended = await instance.readEnd?.()
      if (ended) throw ended
      const where = instance.host?.name ?? 'this machine'
      const error = await explainFailedLoad(thrown, where, () => readFreeBytes(drill.host, instance.directory))
      // A tool that is missing or a disk that is full says nothing of the backup.
      if (!isOpsError(error) || error.code === 'MISSING_TOOL' || error.code === 'CANNOT_WRITE') throw error
      differences.push(`${facts.name} cannot be restored: ${messageOf(error)}`)
    }
  }
  if (differences.length > 0) return differences
  return runChecks(engine, drill.checks, ({ database }) =>
    placeOf(drill.entry, database ?? databases[0]?.name ?? '', instance),
  )
}

function inPlaceOf(entry: BackupEntry, { name }: DatabaseFacts, instance: Instance): Replacement {
  const place = placeOf(entry, name, instance)
  return { target: place, scratch: place, aside: '', existed: false }
}

/** In a server of its own a database is restored under its own name, but for one that every such server has already. */
function placeOf({ manifest }: BackupEntry, name: string, { directory }: Instance): string {
  const family = manifest.server?.family
  if (family === 'sqlite') return join(directory, 'copy')
  return family === 'postgresql' && name === MAINTENANCE ? `${name} of the backup` : name
}

/** PostgreSQL: the roles that own what is restored. */
async function restoreGlobals(
  { entry, identity, host, redact, signal, timeoutMs }: DatabaseDrill,
  instance: Instance,
): Promise<void> {
  const file = entry.manifest.files.find(({ role }) => role === 'globals')
  if (!file) return
  const { openPlace } = await import('../pipeline/place.ts')
  const { loadGlobals } = await import('../restore/postgres/globals.ts')
  const place = openPlace({ host, redact, signal, timeoutMs })
  const access = { place, address: instance.settings, isLocal: host.kind === 'local', lockWaitMs: timeoutMs }
  await loadGlobals(access, { path: dataFilePath(entry, file), identity, signal })
}

export function resultOf({ manifest }: BackupEntry, differences: readonly string[], rtoMs: number): DrillResult {
  const tables = (manifest.databases ?? []).flatMap((facts) => facts.tables)
  const rows = tables.reduce((sum, table) => sum + (table.rows ?? 0), 0)
  const fingerprints = tables.some(({ fingerprint }) => fingerprint !== undefined) ? ', content fingerprints too' : ''
  const ok = differences.length === 0
  return {
    ok,
    because: ok
      ? `${plural(tables.length, 'table')} with ${plural(rows, 'row')} are as they were backed up${fingerprints}`
      : `${differences.length === 1 ? '' : `${differences.length} differences: `}${differences[0]}`,
    rtoMs: Math.round(rtoMs),
    differences,
  }
}

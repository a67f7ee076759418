/**
 * A backup from beginning to end: staged, published whole, recorded as verified, told to the journal. Prune is another
 * action and is never run from here: a failed backup must not cost an old one.
 */
import { formatDuration, formatSize } from '../../core/duration.ts'
import { isOpsError, messageOf, OpsError } from '../../core/errors.ts'
import { openGate, type GroupGate } from '../group.ts'
import { plural } from '../plural.ts'
import { ALERT, tellRecovered } from '../told.ts'
import type { BackupEntry, BackupKind } from '../types.ts'
import { findSource, seriesLease, type BackupSource } from './sources.ts'
import {
  openConfiguredRepository,
  stageBackup,
  type BackupContext,
  type StagedBackup,
  type StageOptions,
} from './stage.ts'

/**
 * Makes one backup of a configured source. The caller holds its lease (`seriesLease`).
 * @throws OpsError whatever the source throws; CANNOT_WRITE for a full disk; nothing is listed or left then
 */
export async function runBackup(context: BackupContext, kind: BackupKind, name: string): Promise<BackupEntry> {
  const source = findSource(context.config, `${kind}/${name}`)
  return publish(context, await stageTold(context, source))
}

/** Makes one backup under its own lease. @throws OpsError LOCKED naming the holder, and as `runBackup` */
export async function runLeased(context: BackupContext, source: BackupSource): Promise<BackupEntry> {
  const release = leaseAll(context, [source], `backup.run ${source.series}`)
  try {
    return await publish(context, await stageTold(context, source))
  } finally {
    release()
  }
}

/**
 * Saves the members of a consistency group at one moment: their snapshots begin when all are ready, and they are
 * published when all are whole. One that fails takes the group along: nothing of it is published.
 */
export async function runGroup(
  context: BackupContext,
  name: string,
  members: readonly BackupSource[],
): Promise<BackupEntry[]> {
  const release = leaseAll(context, members, `backup.run group ${name}`)
  try {
    const staged = await stageTogether(context, name, members)
    const entries = await publishAll(context, staged)
    await tellRecovered(context, ALERT.backup(`group ${name}`))
    return entries
  } finally {
    release()
  }
}

/** In a fixed order, so that two groups that share members cannot wait for each other; all or none. */
function leaseAll({ journal }: BackupContext, sources: readonly BackupSource[], reason: string): () => void {
  const sorted = [...sources].sort((a, b) => (a.series < b.series ? -1 : 1))
  const leases: { release(): void }[] = []
  const release = () => leases.forEach((lease) => lease.release())
  try {
    for (const { kind, name } of sorted) leases.push(journal.acquire({ name: seriesLease(kind, name), reason }))
  } catch (error) {
    release()
    throw error
  }
  return release
}

async function stageTogether(
  context: BackupContext,
  name: string,
  members: readonly BackupSource[],
): Promise<StagedBackup[]> {
  const gate = openGate(members.length)
  const stop = new AbortController()
  const signal = AbortSignal.any([context.signal, stop.signal])
  const group = `${name}/${new Date(context.clock.now()).toISOString()}`
  const results = await Promise.allSettled(
    members.map(async (source) => {
      try {
        const atSnapshot = once(gate)
        const staged = await stageTold({ ...context, signal }, source, { group, atSnapshot })
        await atSnapshot()
        return staged
      } catch (error) {
        const because = new OpsError('FAILED', `${source.series} failed: ${messageOf(error)}`, { cause: error })
        gate.withdraw(source.series)
        stop.abort(because)
        throw error
      }
    }),
  )
  const failed = results.filter((result) => result.status === 'rejected')
  const staged = results.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []))
  if (failed.length === 0) return staged
  await Promise.all(staged.map((one) => one.discard()))
  context.signal.throwIfAborted()
  throw groupFailure(name, firstCause(failed, stop.signal.reason))
}

/** A member that fails before it has a snapshot to begin must not keep the others; one that asks twice counts once. */
function once(gate: GroupGate): () => Promise<void> {
  let arrived: Promise<void> | undefined
  return () => (arrived ??= gate.arrive())
}

function firstCause(failed: readonly PromiseRejectedResult[], reason: unknown): unknown {
  return reason ?? failed[0]?.reason
}

function groupFailure(name: string, cause: unknown): OpsError {
  const own = cause instanceof OpsError && isOpsError(cause.details.cause) ? cause.details.cause : cause
  const details = isOpsError(own) ? own.details : {}
  const code = isOpsError(own) ? own.code : 'FAILED'
  return new OpsError(code, `nothing of group ${name} is saved, because ${messageOf(cause)}`, { ...details, cause })
}

async function publishAll(context: BackupContext, staged: readonly StagedBackup[]): Promise<BackupEntry[]> {
  const entries: BackupEntry[] = []
  try {
    for (const one of staged) entries.push(await publish(context, one))
    return entries
  } catch (error) {
    const repository = openConfiguredRepository(context)
    for (const entry of entries) await repository.remove(entry)
    await Promise.all(staged.map((one) => one.discard()))
    throw error
  }
}

/** Stages, and tells the journal when that fails. */
async function stageTold(context: BackupContext, source: BackupSource, options?: StageOptions): Promise<StagedBackup> {
  try {
    return await stageBackup(context, source, options)
  } catch (error) {
    const code = isOpsError(error) ? error.code : 'FAILED'
    tell(context, {
      kind: 'backup.failed',
      result: 'failed',
      message: `${source.series}: ${messageOf(error)}`,
      details: { code },
    })
    throw error
  }
}

async function publish(context: BackupContext, staged: StagedBackup): Promise<BackupEntry> {
  const { clock } = context
  let entry: BackupEntry
  try {
    entry = await staged.publish()
  } catch (error) {
    await staged.discard()
    tell(context, {
      kind: 'backup.failed',
      result: 'failed',
      message: `${staged.source.series}: ${messageOf(error)}`,
      details: {},
    })
    throw error
  }
  const repository = openConfiguredRepository(context)
  const files = entry.manifest.files.length
  await repository.record(entry, {
    type: 'verified',
    at: new Date(clock.now()).toISOString(),
    ok: true,
    level: 'checksums',
    because: `SHA-256 of ${files === 1 ? 'its file' : `all ${files} files`} taken from the bytes on disk when it was written`,
    durationMs: 0,
  })
  const { sizeBytes, manifest } = entry
  const details = {
    id: entry.id,
    sizeBytes,
    durationMs: manifest.durationMs,
    warnings: manifest.warnings,
    parent: manifest.parent,
  }
  tell(context, { kind: 'backup.published', result: 'ok', message: describeEntry(entry), details })
  await tellRecovered(context, ALERT.backup(staged.source.series))
  return repository.find(entry.id)
}

interface Told {
  readonly kind: string
  readonly result: 'ok' | 'failed'
  readonly message: string
  readonly details: Readonly<Record<string, unknown>>
}

/** A journal on a full disk must not turn a good backup into a failed one. */
function tell({ journal, log }: BackupContext, event: Told): void {
  try {
    journal.record(event)
  } catch (error) {
    log.warn(`the journal does not know of it: ${messageOf(error)}`)
  }
}

/** One line: `database/app/20261120T020000Z: 182.4 MiB, 12 tables, 1,002,000 rows, in 3.9 s`. */
export function describeEntry({ id, sizeBytes, manifest }: BackupEntry): string {
  const { databases = [], content, parent, warnings } = manifest
  const tables = databases.flatMap((database) => database.tables)
  const rows = tables.reduce((sum, table) => sum + (table.rows ?? 0), 0)
  const isCounted = tables.length > 0 && tables.every((table) => table.rows !== undefined)
  const parts = [
    formatSize(sizeBytes),
    ...(databases.length > 1 ? [plural(databases.length, 'database')] : []),
    ...(tables.length > 0 ? [plural(tables.length, 'table')] : []),
    ...(isCounted ? [plural(rows, 'row')] : []),
    ...(content ? [`${plural(content.files, 'file')} of ${formatSize(content.bytes)}`] : []),
    ...(parent === undefined ? [] : [`incremental on ${parent.split('/')[2] ?? parent}`]),
    `in ${formatDuration(manifest.durationMs)}`,
    ...(warnings.length > 0 ? [plural(warnings.length, 'warning')] : []),
  ]
  return `${id}: ${parts.join(', ')}`
}

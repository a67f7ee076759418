/**
 * One source into a staged backup: room looked at, hooks run, data written, manifest made. Publishing is the caller's, so
 * that a group is published together or not at all.
 */
import { readFile } from 'node:fs/promises'
import type { ActionContext } from '../../action/types.ts'
import { formatDuration } from '../../core/duration.ts'
import { OpsError } from '../../core/errors.ts'
import { silentProgress } from '../../core/progress.ts'
import type { Host } from '../../host/types.ts'
import type { FileIndex } from '../files/facts.ts'
import { withHooks } from '../hooks.ts'
import { readIdentity } from '../restore/identity.ts'
import { openRepository } from '../repository/open.ts'
import {
  MANIFEST_SCHEMA,
  type BackupEntry,
  type Manifest,
  type Repository,
  type SourceResult,
  type Staging,
} from '../types.ts'
import { decideFull, readBase } from './full.ts'
import type { BackupSource } from './sources.ts'
import { assertSpace, expectBytes } from './space.ts'

/** What a backup needs of an action's context. */
export type BackupContext = Pick<
  ActionContext,
  'config' | 'hosts' | 'journal' | 'clock' | 'log' | 'signal' | 'resolveSecret' | 'redact' | 'localName' | 'progress'
>

export interface StageOptions {
  /** Members of one consistency group share it. */
  readonly group?: string
  readonly atSnapshot?: () => Promise<void>
}

export interface StagedBackup {
  readonly source: BackupSource
  readonly id: string
  publish(): Promise<BackupEntry>
  discard(): Promise<void>
}

export function openConfiguredRepository({ config, clock }: Pick<BackupContext, 'config' | 'clock'>): Repository {
  return openRepository(config.backup.repository, { clock })
}

/**
 * Looks whether a backup could begin: the part of a run that changes nothing.
 * @throws OpsError CANNOT_WRITE when there is no room
 */
export async function readPreflight(context: BackupContext, source: BackupSource): Promise<Preflight> {
  const repository = openConfiguredRepository(context)
  const earlier = await repository.list({ kind: source.kind, name: source.name })
  const verdict =
    source.kind === 'static'
      ? decideFull(source.source, earlier, context.clock.now())
      : { full: true as const, because: 'always whole' }
  const expectedBytes = expectBytes(earlier, !verdict.full)
  await assertSpace(repository, source.series, expectedBytes)
  return { repository, verdict, expectedBytes }
}

export interface Preflight {
  readonly repository: Repository
  readonly verdict: ReturnType<typeof decideFull>
  /** 0 when there is no earlier one. */
  readonly expectedBytes: number
}

/**
 * @throws OpsError TIMEOUT at the source's own deadline, and whatever the source throws; nothing is left behind then
 */
export async function stageBackup(
  context: BackupContext,
  source: BackupSource,
  options: StageOptions = {},
): Promise<StagedBackup> {
  const preflight = await readPreflight(context, source)
  const startedAt = context.clock.now()
  const began = context.clock.monotonic()
  const deadline = startDeadline(context.signal, source)
  const host = await context.hosts.open(source.on, { signal: deadline.signal })
  const staging = await preflight.repository.stage(source.kind, source.name)
  try {
    const job: Job = { context, source, options, preflight, staging, host, signal: deadline.signal }
    const result = await takeWithHooks(job)
    deadline.signal.throwIfAborted()
    const manifest = await makeManifest(job, result, { startedAt, durationMs: context.clock.monotonic() - began })
    return {
      source,
      id: staging.id,
      publish: () => staging.publish(manifest),
      discard: () => staging.discard(),
    }
  } catch (error) {
    await staging.discard()
    // What a source says after it was told to stop is noise: the reason is why it was told.
    throw deadline.signal.aborted ? asStop(deadline.signal.reason) : error
  } finally {
    deadline.clear()
  }
}

interface Job {
  readonly context: BackupContext
  readonly source: BackupSource
  readonly options: StageOptions
  readonly preflight: Preflight
  readonly staging: Staging
  readonly host: Host
  readonly signal: AbortSignal
}

function startDeadline(outer: AbortSignal, { series, timeoutMs }: BackupSource) {
  const own = new AbortController()
  const timer = setTimeout(() => {
    own.abort(
      new OpsError('TIMEOUT', `${series} did not end within ${formatDuration(timeoutMs)}`, {
        hint: 'Raise its timeout in opskit.yaml, or look what holds it up.',
      }),
    )
  }, timeoutMs)
  return { signal: AbortSignal.any([outer, own.signal]), clear: () => clearTimeout(timer) }
}

function asStop(reason: unknown): unknown {
  return reason instanceof OpsError ? reason : new OpsError('INTERRUPTED', 'interrupted', { cause: reason })
}

/** A hook that fails after the backup does not make it any less whole: a warning of the backup. */
async function takeWithHooks(job: Job): Promise<SourceResult> {
  const { source, host, signal } = job
  const warnings: string[] = []
  const onWarning = (message: string) => warnings.push(`a hook after the backup failed: ${message}`)
  const result = await withHooks({ host, hooks: source.hooks, signal, onWarning }, () => take(job))
  return warnings.length === 0 ? result : { ...result, warnings: [...result.warnings, ...warnings] }
}

async function take(job: Job): Promise<SourceResult> {
  const { context, source, staging, host, signal, options } = job
  const { compression, encryption } = context.config.backup
  const settings = { compression, recipients: encryption?.recipients ?? [] }
  const progress = context.progress ?? silentProgress
  const atSnapshot = options.atSnapshot === undefined ? {} : { atSnapshot: options.atSnapshot }
  if (source.kind === 'database') {
    const { backUpDatabase } = await import('../database/index.ts')
    const { resolveSecret, clock } = context
    return backUpDatabase({
      ...{ name: source.name, source: source.source, host, resolveSecret, staging, settings, signal, clock },
      ...{ progress: withTotal(progress, job.preflight.expectedBytes), ...atSnapshot },
    })
  }
  const [{ backUpFiles }, base] = await Promise.all([import('../files/source.ts'), chooseBase(job)])
  const result = await backUpFiles({
    ...{
      what: source.series,
      host,
      stagingPath: staging.path,
      settings,
      progress,
      signal,
      timeoutMs: source.timeoutMs,
    },
    ...{ paths: source.source.paths, exclude: source.source.exclude, redact: context.redact, ...atSnapshot },
    expectedBytes: job.preflight.expectedBytes,
    // Configuration is small, and a drill compares it by content; static sets may be terabytes.
    checksums: source.kind === 'config',
    ...(base.full ? { full: base.full } : {}),
  })
  return base.note === undefined ? result : { ...result, notes: [...(result.notes ?? []), base.note] }
}

interface Base {
  readonly full?: { readonly id: string; readonly index: FileIndex }
  readonly note?: string
}

async function chooseBase({ context, preflight, signal }: Job): Promise<Base> {
  const { verdict } = preflight
  if (verdict.full) return {}
  const base = await readBase(verdict.base, { readIdentity: () => readIdentity(context), signal })
  return 'full' in base ? base : { note: base.because }
}

/** Sources that do not know how much there will be are told what it was last time. */
function withTotal(progress: NonNullable<BackupContext['progress']>, expectedBytes: number) {
  return {
    update: (doneBytes: number, totalBytes: number, what: string) =>
      progress.update(doneBytes, totalBytes || expectedBytes, what),
  }
}

async function makeManifest(
  { context, source, options, staging, host }: Job,
  result: SourceResult,
  { startedAt, durationMs }: { startedAt: number; durationMs: number },
): Promise<Manifest> {
  const { notes = [], warnings, ...rest } = result
  const recipients = context.config.backup.encryption?.recipients ?? []
  const uneasy = warnings.length > 0 || (result.changedDuringRead?.length ?? 0) > 0
  return {
    schema: MANIFEST_SCHEMA,
    ...{ id: staging.id, kind: source.kind, name: source.name },
    startedAt: new Date(startedAt).toISOString(),
    finishedAt: new Date(context.clock.now()).toISOString(),
    durationMs: Math.round(durationMs),
    host: host.kind === 'local' ? context.localName : host.name,
    opskit: await readOwnVersion(),
    compression: 'zstd',
    ...(recipients.length > 0 ? { encryption: { method: 'age', recipients } } : {}),
    ...rest,
    ...(options.group === undefined ? {} : { group: options.group }),
    status: uneasy ? 'warning' : 'ok',
    warnings: warnings.map(context.redact),
    ...(notes.length > 0 ? { notes: notes.map(context.redact) } : {}),
  }
}

async function readOwnVersion(): Promise<string> {
  const text = await readFile(new URL('../../../../package.json', import.meta.url), 'utf8')
  return String((JSON.parse(text) as { version?: unknown }).version)
}

/**
 * The actions that make backups: `backup.database`, `backup.config` and `backup.static` for one source each (what a
 * schedule names), and `backup.run` for several or for a consistency group.
 */
import { z } from 'zod'
import type { ActionContext, ChangeAction } from '../action/types.ts'
import { formatSize } from '../core/duration.ts'
import { isOpsError, messageOf, OpsError } from '../core/errors.ts'
import type { Plan, Step } from '../plan/types.ts'
import { copyToAll } from './copy/copy.ts'
import { automaticTargets } from './copy/targets.ts'
import { describeEntry, runBackup, runGroup, runLeased } from './run/run.ts'
import { LOCAL_HOST, findGroup, findSource, listSources, seriesLease, type BackupSource } from './run/sources.ts'
import { openConfiguredRepository, readPreflight } from './run/stage.ts'
import type { BackupEntry, BackupKind } from './types.ts'

const oneParams = z.strictObject({
  /** Its name in the config, with or without the kind before it. */
  name: z.string().min(1),
})

export type BackupOneParams = z.output<typeof oneParams>

/** Room for hooks and publishing beside the time that the source itself has. */
const STEP_MARGIN_MS = 10 * 60_000

function createBackupAction(kind: BackupKind, summary: string): ChangeAction<BackupOneParams> {
  return {
    name: `backup.${kind}`,
    summary,
    params: oneParams,
    changes: true,
    lease: ({ name }) => seriesLease(kind, plainName(kind, name)),
    async plan(context, { name }) {
      const source = findSource(context.config, plainName(kind, name), kind)
      const { verdict, expectedBytes } = await readPreflight(context, source)
      const size = expectedBytes === 0 ? 'the first one' : `about ${formatSize(expectedBytes)}, as the last one`
      return {
        title: `Back up ${source.series}`,
        because: `it was asked for (${size}; ${verdict.full ? 'in full' : 'what changed'}: ${verdict.because})`,
        steps: [backupStep(context, source), ...copySteps(context, source)],
      }
    },
  }
}

export const backupDatabaseAction = createBackupAction('database', 'Makes a verified backup of a database')
export const backupConfigAction = createBackupAction(
  'config',
  'Makes a verified backup of a set of configuration files',
)
export const backupStaticAction = createBackupAction('static', 'Makes a verified backup of a set of static files')

function plainName(kind: BackupKind, name: string): string {
  return name.startsWith(`${kind}/`) ? name.slice(kind.length + 1) : name
}

function backupStep(context: ActionContext, source: BackupSource): Step {
  const repository = openConfiguredRepository(context)
  let entry: BackupEntry | undefined
  return {
    on: LOCAL_HOST,
    title: `Back up ${source.series} from ${source.on} into ${repository.path}`,
    timeoutMs: source.timeoutMs + STEP_MARGIN_MS,
    async apply(_host, signal) {
      entry = await runBackup({ ...context, signal }, source.kind, source.name)
    },
    async verify() {
      if (!entry) return { ok: false, because: 'nothing was published' }
      return { ok: true, because: describeEntry(await repository.find(entry.id)) }
    },
    async undo() {
      const published = entry && (await repository.list({ kind: source.kind, name: source.name })).find(hasId(entry.id))
      if (published) await repository.remove(published)
    },
  }
}

function hasId(wanted: string) {
  return ({ id }: BackupEntry) => id === wanted
}

/** No undo: a copy that fails must not take the backup along, which is whole. */
function copySteps(context: ActionContext, source: BackupSource): Step[] {
  const targets = automaticTargets(context.config)
  if (targets.length === 0) return []
  return [
    {
      on: LOCAL_HOST,
      title: `Copy ${source.series} to ${targets.map(({ name }) => name).join(', ')}`,
      timeoutMs: source.timeoutMs * targets.length + STEP_MARGIN_MS,
      async apply(_host, signal) {
        const repository = openConfiguredRepository(context)
        await copyToAll({ ...context, signal }, await repository.find(source.series), targets)
      },
    },
  ]
}

const runParams = z.strictObject({
  /** Names, with or without the kind. */
  names: z.array(z.string()).default([]),
  all: z.boolean().default(false),
  /** A consistency group of the config. */
  group: z.string().optional(),
})

export type BackupRunParams = z.output<typeof runParams>

export const backupRunAction: ChangeAction<BackupRunParams> = {
  name: 'backup.run',
  summary: 'Makes verified backups of several sources, or of a group at one moment',
  params: runParams,
  changes: true,
  // Each source has a lease of its own; this one only keeps the same run from being started twice.
  lease: ({ names, all, group }) => `backup.run:${group ?? (all ? 'all' : [...names].sort().join(','))}`,
  async plan(context, params): Promise<Plan> {
    const sources = chooseSources(context, params)
    for (const source of sources) await readPreflight(context, source)
    const list = sources.map(({ series }) => series).join(', ')
    return {
      title: params.group === undefined ? `Back up ${list}` : `Back up group ${params.group}: ${list}`,
      because: 'it was asked for',
      steps: [
        {
          on: LOCAL_HOST,
          title: `Back up ${list}`,
          timeoutMs: sources.reduce((sum, { timeoutMs }) => sum + timeoutMs, STEP_MARGIN_MS),
          apply: (_host, signal) => runAll({ ...context, signal }, sources, params.group),
        },
      ],
    }
  },
}

/** @throws OpsError USAGE when nothing, or too much, is named */
export function chooseSources({ config }: Pick<ActionContext, 'config'>, params: BackupRunParams): BackupSource[] {
  const { names, all, group } = params
  if (Number(names.length > 0) + Number(all) + Number(group !== undefined) !== 1) {
    const known = listSources(config).map(({ series }) => series)
    throw new OpsError('USAGE', 'say which backups: names, all of them, or one group', {
      hint: known.length > 0 ? `There are ${known.join(', ')}.` : 'Add one under backup: in opskit.yaml.',
    })
  }
  if (group !== undefined) return findGroup(config, group)
  const chosen = all ? listSources(config) : names.map((name) => findSource(config, name))
  if (chosen.length === 0) {
    throw new OpsError('USAGE', 'no backup is configured', {
      hint: 'Add one under backup.databases, backup.config or backup.static in opskit.yaml.',
    })
  }
  return [...new Map(chosen.map((source) => [source.series, source])).values()]
}

/** One that fails does not keep the others from being made. @throws OpsError with the code of the first failure */
async function runAll(context: ActionContext, sources: readonly BackupSource[], group?: string): Promise<void> {
  if (group !== undefined) {
    for (const entry of await runGroup(context, group, sources)) await copyAutomatic(context, entry)
    return
  }
  const failures: unknown[] = []
  for (const source of sources) {
    try {
      const entry = await runLeased(context, source)
      context.log.info(describeEntry(entry))
      await copyAutomatic(context, entry)
    } catch (error) {
      context.signal.throwIfAborted()
      failures.push(new Error(`${source.series}: ${messageOf(error)}`, { cause: error }))
    }
  }
  const [first] = failures
  if (first === undefined) return
  const cause = (first as Error).cause
  throw new OpsError(
    isOpsError(cause) ? cause.code : 'FAILED',
    `${failures.length} of ${sources.length} backups failed: ${failures.map(messageOf).join('; ')}`,
    { ...(isOpsError(cause) && cause.details.hint ? { hint: cause.details.hint } : {}), cause },
  )
}

async function copyAutomatic(context: ActionContext, entry: BackupEntry): Promise<void> {
  const targets = automaticTargets(context.config)
  if (targets.length > 0) await copyToAll(context, entry, targets)
}

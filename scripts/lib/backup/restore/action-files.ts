/** The actions restore.config and restore.static: from a reference and a destination to the plan of a restore. */
import { z } from 'zod'
import type { ActionContext, ChangeAction } from '../../action/types.ts'
import { silentProgress } from '../../core/progress.ts'
import type { Plan } from '../../plan/types.ts'
import { createExcluder } from '../files/select.ts'
import { openConfiguredRepository } from '../run/stage.ts'
import { decideFilesDestination, followersOf } from './destination.ts'
import { planFilesRestore } from './files/restore.ts'
import { readIdentity, refuseOtherIdentity } from './identity.ts'
import { findBackup } from './reference.ts'

const params = z.strictObject({
  /** An id, a name, or `latest`. */
  backup: z.string().min(1),
  /** Only these: absolute paths or globs. */
  paths: z.array(z.string().min(1)).default([]),
  /** An absolute directory, a configured host, or `HOST:DIRECTORY`. */
  to: z.string().min(1).optional(),
  /** Move aside what is there and not in the backup. */
  exact: z.boolean().default(false),
  /** Keep what was there before beside the files. */
  keep: z.boolean().default(true),
})

export type RestoreFilesParams = z.output<typeof params>

export const restoreConfigAction = restoreFilesAction(
  'config',
  'configuration: put in place, and nginx and compose must use it',
)
export const restoreStaticAction = restoreFilesAction(
  'static',
  'static files: unpacked beside, compared, then put in place',
)

function restoreFilesAction(kind: 'config' | 'static', what: string): ChangeAction<RestoreFilesParams> {
  return {
    name: `restore.${kind}`,
    summary: `Restores ${what}`,
    changes: true,
    params,
    lease: ({ backup }) => `restore:${kind}:${backup.split('/').find((part) => part !== kind) ?? backup}`,
    plan: (context, chosen) => planFiles(context, kind, chosen),
  }
}

const TIMEOUT_MS = 6 * 3_600_000

export async function planFiles(
  context: ActionContext,
  kind: 'config' | 'static',
  { backup, paths, to, exact, keep }: RestoreFilesParams,
): Promise<Plan> {
  const { config, journal, clock, signal, log, redact } = context
  const repository = openConfiguredRepository(context)
  const entry = await findBackup(repository, kind, backup)
  const identity = await readIdentity(context)
  await refuseOtherIdentity(entry, identity)
  const source = config.backup[kind][entry.name]
  const { on, into } = decideFilesDestination(config, source?.on ?? 'localhost', to)
  return planFilesRestore({
    entry,
    repository,
    identity,
    on,
    host: await context.hosts.open(on, { signal }),
    ...(into === undefined ? {} : { into }),
    patterns: paths,
    exact,
    keep,
    isExcluded: createExcluder(source?.exclude ?? []),
    // Elsewhere nobody reads them.
    followers: to === undefined && kind === 'config' ? followersOf(config, entry, log.warn) : [],
    journal,
    now: clock.now(),
    timeoutMs: source?.timeout ?? TIMEOUT_MS,
    signal,
    progress: context.progress ?? silentProgress,
    redact,
    say: log.info,
  })
}

/** `backup.copy`: published backups to other hosts and restic repositories, each verified on arrival. */
import { z } from 'zod'
import type { ActionContext, ChangeAction } from '../action/types.ts'
import { formatSize } from '../core/duration.ts'
import { OpsError } from '../core/errors.ts'
import type { Plan } from '../plan/types.ts'
import { copyOne } from './copy/copy.ts'
import { chooseTargets, isCopied, type Target } from './copy/targets.ts'
import { LOCAL_HOST } from './run/sources.ts'
import { openConfiguredRepository } from './run/stage.ts'
import type { BackupEntry } from './types.ts'

const params = z.strictObject({
  /** Ids or names; a name is its newest backup. */
  backups: z.array(z.string()).default([]),
  /** Every backup that is not there yet. */
  all: z.boolean().default(false),
  /** Names of targets; empty: all of them. */
  to: z.array(z.string()).default([]),
})

export type CopyParams = z.output<typeof params>

const STEP_TIMEOUT_MS = 24 * 60 * 60_000

export const copyAction: ChangeAction<CopyParams> = {
  name: 'backup.copy',
  summary: 'Copies backups to another host or a restic repository, verified on arrival',
  params,
  changes: true,
  lease: ({ to }) => `backup.copy:${[...to].sort().join(',') || 'all'}`,
  async plan(context, input): Promise<Plan> {
    const targets = chooseTargets(context.config, input.to)
    const entries = await chooseBackups(context, input)
    const jobs = entries.flatMap((entry) =>
      targets.filter(({ name }) => !isCopied(entry, name)).map((target) => ({ entry, target })),
    )
    const names = targets.map(({ name }) => name).join(', ')
    return {
      title: `Copy backups to ${names}`,
      because: jobs.length === 0 ? `what was asked for is there already` : `${jobs.length} not there yet`,
      steps: jobs.map((job) => copyStep(context, job)),
    }
  },
}

async function chooseBackups(context: ActionContext, { backups, all }: CopyParams): Promise<BackupEntry[]> {
  const repository = openConfiguredRepository(context)
  if (all === backups.length > 0) {
    throw new OpsError('USAGE', 'say which backups to copy: ids, names, or all', {
      hint: 'npx zx scripts/backup.ts list shows them.',
    })
  }
  // Oldest first, so that a full backup comes before what builds on it.
  if (all) return (await repository.list()).filter(({ failedBecause }) => failedBecause === undefined).reverse()
  return Promise.all(backups.map((reference) => repository.find(reference)))
}

function copyStep(context: ActionContext, { entry, target }: { entry: BackupEntry; target: Target }) {
  return {
    on: LOCAL_HOST,
    title: `Copy ${entry.id} (${formatSize(entry.sizeBytes)}) to ${target.name}`,
    timeoutMs: STEP_TIMEOUT_MS,
    apply: (_host: unknown, signal: AbortSignal) => copyOne({ ...context, signal }, entry, target),
    async verify() {
      const now = await openConfiguredRepository(context).find(entry.id)
      const last = now.records.findLast((record) => record.type === 'copied' && record.target === target.name)
      return {
        ok: isCopied(now, target.name),
        because: `${entry.id}: ${last?.type === 'copied' ? last.because : 'no record'}`,
      }
    },
  }
}

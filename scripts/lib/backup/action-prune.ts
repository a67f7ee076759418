/**
 * `backup.prune`: removes what the retention policy does not keep. Only when it is asked to; a backup that fails never
 * brings it on. Judged when planned, and each backup again right before it goes.
 */
import { z } from 'zod'
import type { ActionContext, ChangeAction } from '../action/types.ts'
import { formatSize } from '../core/duration.ts'
import type { Plan, Step } from '../plan/types.ts'
import { decideRetention, describePolicy, type RetentionEntry, type Verdict } from './retention/decide.ts'
import { readUses } from './run/in-use.ts'
import { LOCAL_HOST, findSource, listSources, seriesLease, type BackupSource } from './run/sources.ts'
import { openConfiguredRepository } from './run/stage.ts'
import type { BackupEntry } from './types.ts'

const params = z.strictObject({
  /** Names, with or without the kind; empty: every configured one. */
  names: z.array(z.string()).default([]),
})

export type PruneParams = z.output<typeof params>

/** What becomes of each backup, and why. */
export interface JudgedBackup extends Verdict {
  readonly entry: BackupEntry
}

type PruneContext = Pick<ActionContext, 'config' | 'clock' | 'journal'>

/**
 * @returns newest first within each name; names that are no longer configured are nobody's to judge and are left out
 * @throws OpsError CONFIG_INVALID for an empty policy, USAGE for an unknown name
 */
export async function readVerdicts(context: PruneContext, { names }: PruneParams): Promise<JudgedBackup[]> {
  const { config } = context
  const sources = names.length > 0 ? names.map((name) => findSource(config, name)) : listSources(config)
  const judged: JudgedBackup[] = []
  for (const source of sources) judged.push(...(await judgeSeries(context, source)))
  return judged
}

async function judgeSeries(context: PruneContext, { kind, name, retention }: BackupSource): Promise<JudgedBackup[]> {
  const entries = await openConfiguredRepository(context).list({ kind, name })
  const uses = readUses(context.journal)
  const facts = entries.map((entry): RetentionEntry => ({
    ...entry,
    parent: entry.manifest.parent,
    inUse: uses.get(entry.id),
  }))
  const verdicts = decideRetention(facts, retention, context.clock.now())
  return entries.flatMap((entry, index) => {
    const verdict = verdicts[index]
    return verdict ? [{ ...verdict, entry }] : []
  })
}

export const pruneAction: ChangeAction<PruneParams> = {
  name: 'backup.prune',
  summary: 'Removes the backups that the retention policy does not keep',
  params,
  changes: true,
  lease: () => 'backup.prune',
  async plan(context, input): Promise<Plan> {
    const judged = await readVerdicts(context, input)
    const going = judged.filter(({ keep }) => !keep).sort(incrementalsFirst)
    const freed = going.reduce((sum, { entry }) => sum + entry.sizeBytes, 0)
    const kept = judged.length - going.length
    return {
      title: 'Prune backups',
      because:
        going.length === 0
          ? `the policy keeps all ${kept} of them`
          : `the policy keeps ${kept} of ${judged.length}; this frees ${formatSize(freed)}`,
      steps: going.map((one) => removeStep(context, one)),
    }
  },
}

/** An incremental goes before the full backup it builds on: an interruption between the two leaves no orphan. */
function incrementalsFirst(a: JudgedBackup, b: JudgedBackup): number {
  return Number(a.entry.manifest.parent === undefined) - Number(b.entry.manifest.parent === undefined)
}

function removeStep(context: ActionContext, { entry, because }: JudgedBackup): Step {
  const { journal } = context
  const policy = describePolicy(findSource(context.config, entry.name, entry.kind).retention)
  return {
    on: LOCAL_HOST,
    title: `Remove ${entry.id} (${formatSize(entry.sizeBytes)}): ${because}`,
    async apply() {
      const lease = journal.acquire({ name: seriesLease(entry.kind, entry.name), reason: `backup.prune ${entry.id}` })
      try {
        const now = await readVerdicts(context, { names: [`${entry.kind}/${entry.name}`] })
        const verdict = now.find(({ id }) => id === entry.id)
        // Gone already, or something makes it needed since it was judged: both are as they should be.
        if (!verdict || verdict.keep) return
        await openConfiguredRepository(context).remove(verdict.entry)
        const details = { id: entry.id, sizeBytes: entry.sizeBytes, policy }
        journal.record({ kind: 'backup.removed', result: 'ok', message: `${entry.id}: ${because}`, details })
      } finally {
        lease.release()
      }
    },
  }
}

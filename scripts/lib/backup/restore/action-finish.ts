/**
 * The actions restore.resume, restore.undo and restore.discard: what an interrupted restore left is finished, or taken back; what
 * a finished one has kept is brought back, or removed.
 */
import { z } from 'zod'
import type { ActionContext, ChangeAction } from '../../action/types.ts'
import { OpsError } from '../../core/errors.ts'
import { silentProgress } from '../../core/progress.ts'
import type { Plan, Step } from '../../plan/types.ts'
import type { Journal } from '../../journal/types.ts'
import { openPlace } from '../pipeline/place.ts'
import { openConfiguredRepository } from '../run/stage.ts'
import { followersOf, openerOf } from './destination.ts'
import { planDiscard } from './discard.ts'
import { completeSwap, sourceOf } from './database.ts'
import type { Replacement, RestoreEngine } from './engine.ts'
import { readIdentity } from './identity.ts'
import { findKept, nameKept, readKept, type Kept, type KeptFiles } from './kept.ts'
import { completeTakeBack, planTakeBack } from './take-back.ts'
import { settleKept } from './files/restore.ts'
import { removeWorkDirectory, runMoves, unkeepAll } from './files/place.ts'
import { planFilesTakeBack, returnKept, settleTakeBack, stampOf, type FilesTakeBack } from './files/take-back.ts'
import { describeUnfinished, forgetUnfinished, readUnfinished, type Unfinished } from './unfinished.ts'

const params = z.strictObject({
  /** Which one, when there are several; or what a finished restore has kept: its id. */
  id: z.string().min(1).optional(),
})
const discardParams = z.strictObject({
  /** The id of what a finished restore has kept. */
  id: z.string().min(1),
})

export type FinishParams = z.output<typeof params>
type Direction = 'resume' | 'undo'

export const resumeRestoreAction = finishAction('resume', 'Finishes a restore that was interrupted')
export const undoRestoreAction = finishAction(
  'undo',
  'Takes back a restore: one that was interrupted, or a finished one',
)

export const discardRestoreAction: ChangeAction<z.output<typeof discardParams>> = {
  name: 'restore.discard',
  summary: 'Removes for good what a finished restore has kept of what was there before',
  changes: true,
  params: discardParams,
  lease: () => 'restore:unfinished',
  plan: (context, { id }) => planDiscard(context, findKept(context.journal, id)),
}

function finishAction(direction: Direction, summary: string): ChangeAction<FinishParams> {
  return {
    name: `restore.${direction}`,
    summary,
    changes: true,
    params,
    lease: () => 'restore:unfinished',
    plan: (context, { id }) => planFinish(context, direction, id),
  }
}

const TIMEOUT_MS = 6 * 3_600_000

/** @throws OpsError USAGE when nothing is unfinished under that id, or several are and none is named */
export async function planFinish(context: ActionContext, direction: Direction, id: string | undefined): Promise<Plan> {
  const all = readUnfinished(context.journal)
  const title = direction === 'resume' ? 'Finish the interrupted restore' : 'Take the interrupted restore back'
  if (all.length === 0 && id === undefined) return { title, steps: [], because: describeNothing(context.journal) }
  if (id !== undefined && !all.some((one) => one.id === id)) return planKept(context, direction, id)
  const one = chooseUnfinished(all, id)
  // What was never swapped in is not worth keeping: the restore begins anew.
  if (one.phase === 'loading') {
    const because = `${describeUnfinished(one)}; what was loaded so far is removed${direction === 'resume' ? ', then run the restore again' : ''}`
    return {
      title,
      because,
      steps: [one.kind === 'files' ? filesStep(context, one, 'undo') : databaseStep(context, one, 'undo')],
    }
  }
  const step = one.kind === 'files' ? filesStep(context, one, direction) : databaseStep(context, one, direction)
  return { title, because: describeUnfinished(one), steps: [step] }
}

function chooseUnfinished(all: readonly Unfinished[], id: string | undefined): Unfinished {
  const found = id === undefined ? all : all.filter((one) => one.id === id)
  const [only] = found
  if (only && found.length === 1) return only
  const known = all.map((one) => `${one.id} (${one.backup} on ${one.on})`).join(', ')
  throw new OpsError('USAGE', 'several restores are unfinished', { hint: `Name one of them: ${known}.` })
}

async function filesStory(context: ActionContext, kept: Kept & KeptFiles): Promise<FilesTakeBack> {
  const { config, journal, clock, signal, log, redact } = context
  const name = kept.backup.split('/')[1] ?? ''
  return {
    ...{ kept, journal, signal, redact, now: clock.now(), timeoutMs: TIMEOUT_MS, say: log.info },
    host: await context.hosts.open(kept.on, { signal }),
    followers: kept.isInPlace ? followersOf(config, { name }, log.warn) : [],
  }
}

function describeNothing(journal: Journal): string {
  const kept = readKept(journal).length
  const more = kept === 0 ? '' : `; of ${kept} finished ones the state before is kept: npx zx scripts/restore.ts list`
  return `no restore is unfinished${more}`
}

async function planKept(context: ActionContext, direction: Direction, id: string): Promise<Plan> {
  const kept = findKept(context.journal, id)
  if (direction === 'resume') {
    throw new OpsError('USAGE', `the ${kept.by} that kept ${nameKept(kept)} is over: there is nothing to resume`, {
      hint: `Take it back with: npx zx scripts/restore.ts --undo ${id}`,
    })
  }
  const { journal, clock, signal, log } = context
  if (kept.kind === 'files') return planFilesTakeBack(await filesStory(context, kept))
  const open = await openerOf(context, kept)
  return planTakeBack({ kept, open, journal, now: clock.now(), timeoutMs: TIMEOUT_MS, signal, warn: log.warn })
}

/** There is no way back from going back, nor from going on: each is repeated until it succeeds. */
function databaseStep(context: ActionContext, one: Unfinished, direction: Direction): Step {
  const replacement = one.replacement as Replacement
  return {
    on: one.on,
    timeoutMs: TIMEOUT_MS,
    title: titleOf(one, replacement, direction),
    async apply(_host, signal) {
      const engine = await (await openerOf(context, one))(signal)
      try {
        if (direction === 'undo') await engine.undo(replacement, one.phase === 'swapping')
        else if (one.keptId !== undefined) await resumeTakeBack(context, one, replacement, engine)
        else await resumeSwap(context, one, replacement, engine)
        forgetUnfinished(context.journal, one.id)
      } finally {
        await engine.close()
      }
    },
  }
}

function titleOf({ keptId }: Unfinished, { target, scratch, aside }: Replacement, direction: Direction): string {
  if (direction === 'undo') {
    const from = keptId === undefined ? '' : `; ${scratch} is kept as it was`
    return `Bring ${target} back to what it was before${from}`
  }
  const what = keptId === undefined ? 'what was restored' : scratch
  return `Put ${what} in the place of ${target}; what was there is kept as ${aside}`
}

async function resumeTakeBack(
  { journal, clock, log }: ActionContext,
  one: Unfinished,
  replacement: Replacement,
  engine: RestoreEngine,
): Promise<void> {
  const kept = findKept(journal, one.keptId ?? '')
  if (kept.kind !== 'database') throw new OpsError('FAILED', `${nameKept(kept)} is no database`)
  await completeTakeBack({ journal, kept, now: clock.now(), warn: log.warn }, replacement, { engine })
}

async function resumeSwap(
  context: ActionContext,
  one: Unfinished,
  replacement: Replacement,
  engine: RestoreEngine,
): Promise<void> {
  const entry = await openConfiguredRepository(context).find(one.backup)
  const facts = entry.manifest.databases?.find(({ name }) => name === one.database)
  if (!facts) throw new OpsError('DATA_MISMATCH', `${entry.id} has no database ${one.database}`)
  const source = sourceOf({ entry, identity: await readIdentity(context) }, facts)
  const story = {
    ...{ journal: context.journal, entry, on: one.on, source: one.source ?? '', now: context.clock.now() },
    ...{ progress: context.progress ?? silentProgress, warn: context.log.warn },
  }
  await completeSwap(story, source, replacement, engine)
}

function filesStep(context: ActionContext, one: Unfinished, direction: Direction): Step {
  const places = (one.places ?? []).map((path) => ({ path }))
  const name = one.backup.split('/')[1] ?? ''
  const found = one.keptId === undefined ? undefined : findKept(context.journal, one.keptId)
  const kept = found?.kind === 'files' ? found : undefined
  return {
    on: one.on,
    timeoutMs: TIMEOUT_MS,
    title:
      direction === 'undo' ? 'Put the files back that were there before' : 'Put the other files in their places too',
    async apply(host, signal) {
      const place = openPlace({ host, redact: context.redact, signal, timeoutMs: TIMEOUT_MS })
      if (direction === 'undo')
        await unkeepAll(place, places, kept ? stampOf({ kept, now: one.startedAt }) : one.startedAt)
      const followers = one.isInPlace ? followersOf(context.config, { name }, context.log.warn) : []
      for (const work of places) await runMoves(place, work, direction === 'undo' ? 'back' : 'forward')
      if (direction === 'undo') {
        for (const follower of followers) await follower.revert(host, signal)
        if (kept) await returnKept(place, kept)
        else for (const work of places) await removeWorkDirectory(place, work)
        forgetUnfinished(context.journal, one.id)
      } else {
        for (const follower of followers) await follower.apply(host, signal)
        const { journal, log } = context
        if (kept) await settleTakeBack({ kept, journal, now: one.startedAt, say: log.info }, place)
        else await settleKept(place, one, { journal, say: log.info })
      }
    },
  }
}

/**
 * A finished restore of a database taken back: what was kept changes places with what is there now, which is kept in turn.
 * It is the swap of a restore with another copy in the place of the loaded one, so it is interrupted, resumed and undone like
 * one.
 */
import { rm } from 'node:fs/promises'
import { formatSize } from '../../core/duration.ts'
import { OpsError } from '../../core/errors.ts'
import type { Journal } from '../../journal/types.ts'
import type { Plan, Step } from '../../plan/types.ts'
import { plural } from '../plural.ts'
import { asideOf, type OpenEngine } from './database.ts'
import type { KeptFacts, Replacement, RestoreEngine } from './engine.ts'
import { forgetAside, forgetKept, keptOf, nameKept, noteKept, type Kept, type KeptDatabase } from './kept.ts'
import { forgetUnfinished, noteUnfinished, refuseUnfinished, type Unfinished } from './unfinished.ts'

export interface TakeBack {
  readonly kept: Kept & KeptDatabase
  readonly open: OpenEngine
  readonly journal: Journal
  readonly now: number
  readonly timeoutMs: number
  readonly signal: AbortSignal
  readonly warn: (message: string) => void
}

/** @throws OpsError FAILED when it is not there any more, LOCKED when a restore of the same place is not over */
export async function planTakeBack(taking: TakeBack): Promise<Plan> {
  const { kept, journal, open, signal, now } = taking
  const { target, aside, tables, oldObjects } = kept.replacement
  refuseUnfinished(journal, (one) => one.on === kept.on && one.replacement?.target === target)
  const engine = await open(signal)
  try {
    const facts = await readThere(engine, kept)
    const back: Replacement = {
      ...{ target, scratch: aside, aside: asideOther(kept, now), existed: true },
      ...(tables ? { tables } : {}),
      kept: oldObjects === undefined ? {} : { objects: oldObjects },
    }
    return {
      title: `Bring ${target} on ${kept.on} back to what it was before the ${kept.by} of ${new Date(kept.at).toISOString()}`,
      because: `it was asked for; ${kept.backup} had taken its place`,
      steps: [swapStep(taking, back, facts)],
    }
  } finally {
    await engine.close()
  }
}

/** Names hold seconds: what was kept a moment ago has this one's. */
function asideOther({ replacement: { target, aside } }: KeptDatabase, now: number): string {
  const name = asideOf(target, now)
  return name === aside ? asideOf(target, now + 1_000) : name
}

/** @throws OpsError FAILED when somebody has removed it */
export async function readThere(engine: RestoreEngine, kept: Kept & KeptDatabase): Promise<KeptFacts> {
  const facts = await engine.readKept(kept.replacement)
  if (facts) return facts
  throw new OpsError('FAILED', `${nameKept(kept)} on ${kept.on} is not there any more`, {
    host: kept.on,
    hint: `Forget it: npx zx scripts/restore.ts --discard ${kept.id}`,
  })
}

function swapStep(taking: TakeBack, back: Replacement, facts: KeptFacts): Step {
  const { kept, open, timeoutMs, journal } = taking
  const state: { replacement?: Replacement; seen?: string } = {}
  const inEngine = async (signal: AbortSignal, work: (engine: RestoreEngine) => Promise<void>) => {
    const engine = await open(signal)
    try {
      await work(engine)
    } finally {
      await engine.close()
    }
  }
  return {
    on: kept.on,
    timeoutMs,
    title: `Put ${back.scratch} back in the place of ${back.target}; what is there now is kept as ${back.aside}`,
    preview: describeFacts(facts),
    apply: (_host, signal) =>
      inEngine(signal, async (engine) => {
        state.replacement = await engine.prepare(back)
        noteUnfinished(journal, unfinishedOf(taking, state.replacement))
        state.seen = await completeTakeBack(taking, state.replacement, { engine, facts })
      }),
    verify: async () =>
      state.seen === undefined ? { ok: false, because: 'it was not looked at' } : { ok: true, because: state.seen },
    undo: (_host, signal) =>
      inEngine(signal, async (engine) => {
        await engine.undo(state.replacement ?? back, true)
        // The note of it may have been taken away with the swap.
        journal.transaction(() => {
          forgetUnfinished(journal, kept.id)
          forgetAside({ journal, on: kept.on }, back)
          noteKept(journal, kept)
        })
      }),
  }
}

type Story = Pick<TakeBack, 'journal' | 'kept' | 'now' | 'warn'>

/**
 * The part that may be repeated.
 * @param facts what was kept, as it was looked at before; undefined after a crash: then nobody knows any more
 * @returns what was seen
 */
export async function completeTakeBack(
  { journal, kept, now, warn }: Story,
  replacement: Replacement,
  { engine, facts }: { readonly engine: RestoreEngine; readonly facts?: KeptFacts },
): Promise<string> {
  const { target, tables, aside } = replacement
  await engine.apply(replacement)
  // Under its own name it is a whole database, also where single tables are replaced in it.
  const live = new Set((await engine.readKept({ target, scratch: aside, aside: target, existed: true }))?.tables)
  const missing = (facts?.tables ?? tables ?? []).filter((table) => !live.has(table))
  if (missing.length > 0) throw new OpsError('DATA_MISMATCH', `${target} lacks what was kept: ${missing.join(', ')}`)
  for (const warning of await engine.finish(replacement)) warn(warning)
  const isThere = (await engine.readKept(replacement)) !== undefined
  journal.transaction(() => {
    forgetUnfinished(journal, kept.id)
    forgetKept(journal, (one) => one.id === kept.id)
    if (isThere) noteKept(journal, keptOf({ ...kept, by: 'undo', now }, replacement))
  })
  if (replacement.kept?.objects !== undefined) await rm(replacement.kept.objects, { force: true })
  return `${tables ? tables.join(', ') : target} is what it was before${isThere ? `; what was restored is ${aside}` : ''}`
}

function unfinishedOf({ kept, now }: TakeBack, replacement: Replacement): Unfinished {
  const { backup, on, source, id } = kept
  return { id, kind: 'database', phase: 'swapping', backup, startedAt: now, on, source, replacement, keptId: id }
}

export function describeFacts({ tables, sizeBytes }: KeptFacts): string {
  const size = sizeBytes === undefined ? [] : [formatSize(sizeBytes)]
  return [...(tables.length > 0 ? [plural(tables.length, 'table')] : []), ...size].join(', ')
}

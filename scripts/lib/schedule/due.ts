/** What is to run of all that has come due since somebody last looked. Pure. */
import { lastRuns, nextRun, runsBetween } from './next-run.ts'
import type { SlotKind, TimedJob } from './types.ts'

/** Later than this is missed, not late: a machine under load, or an event loop that stalled, is not down. */
export const LATE_MS = 60_000
/** `catchup: all` of a job that runs every second is not meant for a day. */
export const MAX_CATCHUP = 1_000
/** More are told as "more than". */
const MAX_COUNTED = 10_000

export interface DueDecision {
  /** In order. */
  readonly run: readonly { readonly at: number; readonly kind: SlotKind }[]
  /** Due moments that are not run, the first of them at most 10,000. */
  readonly missed: readonly number[]
  readonly because: string
}

/** @param seenUntil everything due up to here has been decided before */
export function decideDue(timed: TimedJob, seenUntil: number, now: number): DueDecision {
  const { spec, zone, job } = timed
  const lateFrom = Math.max(seenUntil, now - LATE_MS)
  const fresh = runsBetween(spec, zone, { after: lateFrom, until: now, limit: MAX_COUNTED })
  const first = nextRun(spec, zone, seenUntil)
  const due = fresh.map((at) => ({ at, kind: 'due' as const }))
  if (first > lateFrom) return { run: due, missed: [], because: 'nothing was missed' }

  const oldest = Math.max(seenUntil, now - job.catchupWindowMs)
  const limit = job.catchup === 'all' ? MAX_CATCHUP : job.catchup === 'last' && fresh.length === 0 ? 1 : 0
  const caught =
    limit === 0 || oldest >= lateFrom ? [] : lastRuns(spec, zone, { after: oldest, until: lateFrom, limit })
  const taken = new Set(caught)
  const all = runsBetween(spec, zone, { after: seenUntil, until: lateFrom, limit: MAX_COUNTED })
  return {
    run: [...caught.map((at) => ({ at, kind: 'catchup' as const })), ...due],
    missed: all.filter((at) => !taken.has(at)),
    because: because(job.catchup, caught.length, fresh.length > 0),
  }
}

function because(catchup: string, caught: number, isFresh: boolean): string {
  if (catchup === 'none') return 'catchup is none'
  if (catchup === 'last' && isFresh) return 'catchup is last, and the last one is on time'
  if (caught === 0) return 'it was missed longer ago than catchup_window'
  return catchup === 'last' ? 'catchup is last: the last one is caught up' : `${caught} are caught up, in order`
}

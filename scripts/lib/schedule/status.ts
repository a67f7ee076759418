/** How each job stands: when it ran last and how, when it is due next, and whether it is overdue. Pure after reading. */
import { formatDuration } from '../core/duration.ts'
import { lastRuns, nextRun } from './next-run.ts'
import { slotId, type Store } from './store.ts'
import type { Slot, TimedJob } from './types.ts'

export interface JobStatus {
  readonly name: string
  readonly action: string
  readonly overdue: boolean
  /** The sentence that is shown. */
  readonly because: string
  readonly nextAt: number
  readonly last: Slot | undefined
  readonly running: Slot | undefined
}

/** A daemon that is being restarted, or is busy with other jobs, is not down. */
const GRACE_MS = 5 * 60_000

export function readStatus(timed: TimedJob, store: Store, now: number): JobStatus {
  const { job, spec, zone } = timed
  const last = store.lastEnded(job.name)
  const running = store.runningOf(job.name)
  const { overdue, because } = decideOverdue(timed, store, { now, running, last })
  return { name: job.name, action: job.action, overdue, because, nextAt: nextRun(spec, zone, now), last, running }
}

interface Facts {
  readonly now: number
  readonly last: Slot | undefined
  readonly running: Slot | undefined
}

function decideOverdue(
  { job, spec, zone }: TimedJob,
  store: Store,
  { now, last, running }: Facts,
): { readonly overdue: boolean; readonly because: string } {
  if (running) return { overdue: false, because: `runs since ${formatDuration(now - (running.startedAt ?? now))}` }
  const seen = store.seen(job.name)
  if (!seen) return { overdue: false, because: 'no daemon has seen it yet' }
  const until = now - GRACE_MS - job.jitterMs
  const due = until <= seen.firstSeen ? [] : lastRuns(spec, zone, { after: seen.firstSeen, until, limit: 1 })
  const slot = due[0] === undefined ? undefined : store.find(slotId(job.name, due[0]))
  if (due[0] !== undefined && slot?.state !== 'done' && (last?.dueAt ?? 0) < due[0]) {
    return { overdue: true, because: `overdue since ${formatDuration(now - due[0])}` }
  }
  if (!last) return { overdue: false, because: 'has not run yet' }
  const ago = formatDuration(now - (last.finishedAt ?? now))
  return {
    overdue: false,
    because: last.result === 'ok' ? `ok ${ago} ago` : `${last.result} ${ago} ago: ${last.message}`,
  }
}

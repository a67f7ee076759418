/**
 * A second attempt beside a first that does not answer ("The Tail at Scale", Dean and Barroso, 2013). The first answer wins;
 * whoever is still under way then is told to stop. Only for operations that do no harm when done twice.
 */
import type { End, Started } from './attempt-end.ts'
import type { Deadlines, Expiring } from './deadline.ts'

export interface HedgePlan<T> {
  readonly delayMs: number
  /** Attempts that may be started beside the first. */
  readonly max: number
  readonly deadlines: Deadlines
  readonly nowMs: number
  /** Starts another attempt on another instance; undefined when there is none, or no budget for it. */
  readonly startNext: () => Started<T> | undefined
}

/** @returns the first answer; the last failure when all of them failed */
export function runHedged<T>(first: Started<T>, plan: HedgePlan<T>): Promise<End<T>> {
  const { delayMs, deadlines, startNext } = plan
  const running = new Set<Started<T>>()
  let left = plan.max

  return new Promise((resolve) => {
    const finish = (end: End<T>) => {
      deadlines.remove(alarm)
      const losers = [...running]
      running.clear()
      for (const loser of losers) loser.overtake()
      resolve(end)
    }
    const watch = (started: Started<T>) => {
      running.add(started)
      void started.end.then((end) => {
        if (!running.delete(started)) return
        const isVerdict = end.ok || end.errorClass === 'answer' || end.errorClass === 'cancelled'
        if (isVerdict || running.size === 0) finish(end)
      })
    }
    const alarm: Expiring = {
      dueMs: 0,
      previous: undefined,
      next: undefined,
      expire() {
        const next = left > 0 ? startNext() : undefined
        if (!next) return
        left -= 1
        watch(next)
        if (left > 0) deadlines.add(alarm, delayMs, alarm.dueMs)
      },
    }
    watch(first)
    deadlines.add(alarm, delayMs, plan.nowMs)
  })
}

/**
 * What wakes the daemon: a tick of node-cron every minute, and a timer for what is due before. Neither decides anything;
 * whoever is woken looks at the clock.
 */
import { schedule } from 'node-cron'
import type { Clock } from '../core/clock.ts'

export interface WakeUps {
  /** Resolves after `ms`, at the next full minute, or when woken. */
  sleep(ms: number): Promise<void>
  wake(): void
  stop(): Promise<void>
}

export function startWakeUps(clock: Clock, signal: AbortSignal): WakeUps {
  let alarm = new AbortController()
  const wake = () => alarm.abort()
  const task = schedule('* * * * *', wake, { timezone: 'UTC', suppressMissedWarning: true })
  signal.addEventListener('abort', wake)
  return {
    wake,
    async sleep(ms) {
      if (!alarm.signal.aborted && !signal.aborted) await clock.sleep(ms, alarm.signal).catch(() => undefined)
      alarm = new AbortController()
    },
    async stop() {
      signal.removeEventListener('abort', wake)
      await task.destroy()
    },
  }
}

/**
 * Whether an alert becomes a message of its own, is counted in one that still waits, or waits for the end of the window.
 * One channel and one alert at a time.
 */
import type { NotifySeverity } from '../config/types.ts'
import { atLeast } from './severity.ts'

/** The newest message about this alert to this channel. */
export interface LastMessage {
  readonly severity: NotifySeverity
  /** It is not under way and was not taken: it can still be changed. */
  readonly waiting: boolean
  /** When it was taken, or made. Wall clock, milliseconds. */
  readonly at: number
  readonly dueAt: number
}

export type RepeatVerdict =
  | { readonly do: 'tell'; readonly kind: 'problem' | 'repeat'; readonly dueAt: number; readonly because: string }
  | { readonly do: 'count'; readonly dueAt: number; readonly because: string }

/** @param last undefined when the channel knows nothing of the alert yet */
export function decideRepeat(
  last: LastMessage | undefined,
  { severity, now, windowMs }: { severity: NotifySeverity; now: number; windowMs: number },
): RepeatVerdict {
  if (!last) return { do: 'tell', kind: 'problem', dueAt: now, because: 'it is new' }
  const worse = !atLeast(last.severity, severity)
  if (last.waiting) {
    return worse
      ? { do: 'count', dueAt: Math.min(last.dueAt, now), because: 'one still waits; this is worse, so it goes at once' }
      : { do: 'count', dueAt: last.dueAt, because: 'one still waits' }
  }
  if (worse) return { do: 'tell', kind: 'problem', dueAt: now, because: 'it is worse than what was told' }
  // A wall clock that was put back must not keep it for longer than one window.
  const sinceMs = Math.max(0, now - last.at)
  const leftMs = Math.max(0, windowMs - sinceMs)
  return {
    do: 'tell',
    kind: 'repeat',
    dueAt: now + leftMs,
    because: leftMs > 0 ? 'it was told within the window' : 'the window is over',
  }
}

/**
 * Whether a moment lies in the quiet hours of a channel, and when they end, in the time zone that is written there.
 * `22:00` to `07:00` goes over midnight; the first minute is quiet, the last is not.
 */
import type { NotifySeverity, QuietHours } from '../config/types.ts'
import { atLeast } from './severity.ts'

const DAY_MINUTES = 1_440
const MINUTE_MS = 60_000

export type QuietVerdict =
  | { readonly quiet: false; readonly because: string }
  | { readonly quiet: true; readonly because: string; readonly until: number }

/** @param now wall clock, milliseconds @returns with `until`, when it is quiet: the wall-clock time of its end */
export function decideQuiet(hours: QuietHours | undefined, severity: NotifySeverity, now: number): QuietVerdict {
  if (!hours) return { quiet: false, because: 'the channel has no quiet hours' }
  const text = `${hours.from} to ${hours.to} ${hours.timezone}`
  if (!isQuiet(hours, now)) return { quiet: false, because: `it is not ${text}` }
  if (atLeast(severity, hours.except)) return { quiet: false, because: `${severity} is sent in quiet hours too` }
  return { quiet: true, because: `quiet hours, ${text}`, until: endOf(hours, now) }
}

function isQuiet({ from, to, timezone }: QuietHours, at: number): boolean {
  const [start, end, now] = [minutesOf(from), minutesOf(to), localMinutes(at, timezone)]
  return start < end ? start <= now && now < end : start <= now || now < end
}

/**
 * The wall clock of the zone may be put forward or back before the end: the guess is corrected by what the clock there
 * then shows. An end that a clock change skips is the first moment after it.
 */
function endOf(hours: QuietHours, now: number): number {
  const minutesUntil = (at: number) => minutesOf(hours.to) - localMinutes(at, hours.timezone)
  const startOfMinute = now - (now % MINUTE_MS)
  const guess = startOfMinute + modulo(minutesUntil(startOfMinute)) * MINUTE_MS
  const off = modulo(minutesUntil(guess) + DAY_MINUTES / 2) - DAY_MINUTES / 2
  const corrected = guess + off * MINUTE_MS
  return corrected > now && !isQuiet(hours, corrected) ? corrected : Math.max(guess, now + MINUTE_MS)
}

function minutesOf(time: string): number {
  const [hours, minutes] = time.split(':').map(Number)
  return (hours ?? 0) * 60 + (minutes ?? 0)
}

function localMinutes(at: number, timeZone: string): number {
  const format = new Intl.DateTimeFormat('en-GB', { timeZone, hour: '2-digit', minute: '2-digit', hourCycle: 'h23' })
  return minutesOf(format.format(at))
}

function modulo(minutes: number): number {
  return ((minutes % DAY_MINUTES) + DAY_MINUTES) % DAY_MINUTES
}

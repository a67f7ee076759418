/**
 * When a cron expression is due next in a time zone. Pure.
 *
 * The rules are Vixie cron's (cron(8), "daylight saving time"): where clocks go forward, a job with a fixed time in the
 * gap runs at the first moment after it; where they go back, it runs once, the first time. A job whose minutes or hours
 * begin with `*` simply runs whenever the clock on the wall says so, at real intervals. Changes of more than three hours
 * are corrections of the calendar and get no such care.
 *
 * Two fixed times of one job in the same gap fall on the same moment and are one run.
 */
import type { CronSpec } from '../core/cron.ts'
import type { Transition, Zone } from './zone.ts'

const SECOND_MS = 1_000
const DAY_MS = 86_400_000
const CARE_MS = 3 * 3_600_000
/** The calendar repeats itself after so many years. */
const CYCLE_YEARS = 400
/** When the next match is farther than this, the changes of the clock on the way do not matter. */
const LEAP_MS = 3 * DAY_MS

/**
 * @param after milliseconds since the epoch
 * @returns the first due moment later than `after`, a whole second
 */
export function nextRun(spec: CronSpec, zone: Zone, after: number): number {
  let cursor = (Math.floor(after / SECOND_MS) + 1) * SECOND_MS
  for (;;) {
    const offset = zone.offsetAt(cursor)
    const passed = zone.transitions(cursor - DAY_MS, cursor).at(-1)
    if (passed?.at === cursor && fallsIntoGap(spec, passed)) return cursor
    const wall = nextWall(spec, firstWall(spec, cursor + offset, passed))
    if (wall - (cursor + offset) > LEAP_MS) {
      cursor = wall - 2 * DAY_MS
      continue
    }
    const due = wall - offset
    const change = zone.transitions(cursor, due)[0]
    if (!change) return due
    cursor = change.at
  }
}

/** The due moments after `after` and up to `until`, in order; at most `limit`. */
export function runsBetween(
  spec: CronSpec,
  zone: Zone,
  span: { after: number; until: number; limit: number },
): number[] {
  const found: number[] = []
  for (let at = nextRun(spec, zone, span.after); at <= span.until && found.length < span.limit;) {
    found.push(at)
    at = nextRun(spec, zone, at)
  }
  return found
}

/** The last `limit` due moments after `after` and up to `until`, in order: looked for backwards, in growing steps. */
export function lastRuns(spec: CronSpec, zone: Zone, span: { after: number; until: number; limit: number }): number[] {
  for (let backMs = 60_000 * span.limit; ; backMs *= 4) {
    const after = Math.max(span.after, span.until - backMs)
    const found = runsBetween(spec, zone, { after, until: span.until, limit: Number.POSITIVE_INFINITY })
    if (found.length >= span.limit || after === span.after) return found.slice(-span.limit)
  }
}

function fallsIntoGap(spec: CronSpec, { at, before, after }: Transition): boolean {
  if (spec.isWildcard || after <= before || after - before > CARE_MS) return false
  return nextWall(spec, at + before) < at + after
}

/** Where local time repeats itself, a fixed time was due the first time. */
function firstWall(spec: CronSpec, wall: number, passed: Transition | undefined): number {
  if (!passed || spec.isWildcard || passed.after >= passed.before || passed.before - passed.after > CARE_MS) return wall
  return Math.max(wall, passed.at + passed.before)
}

/** The first match at or after a local time, both as if they were UTC. */
function nextWall(spec: CronSpec, wall: number): number {
  const today = Math.floor(wall / DAY_MS)
  const time = nextTime(spec, Math.ceil((wall - today * DAY_MS) / SECOND_MS))
  if (time !== undefined && isDue(spec, new Date(today * DAY_MS))) return today * DAY_MS + time * SECOND_MS
  const day = nextDay(spec, today + 1)
  return day * DAY_MS + (nextTime(spec, 0) ?? 0) * SECOND_MS
}

function isDue(spec: CronSpec, date: Date): boolean {
  return spec.months.includes(date.getUTCMonth() + 1) && isDueOn(spec, date.getUTCDate(), date.getUTCDay())
}

function isDueOn({ daysOfMonth, daysOfWeek, either }: CronSpec, day: number, weekday: number): boolean {
  const [byDate, byWeekday] = [daysOfMonth.has(day), daysOfWeek.has(weekday)]
  return either ? byDate || byWeekday : byDate && byWeekday
}

/** @returns the first matching second of the day at or after `from`; undefined when there is none left */
function nextTime({ hours, minutes, seconds }: CronSpec, from: number): number | undefined {
  const hour = Math.floor(from / 3_600)
  const minute = Math.floor(from / 60) % 60
  const [firstMinute = 0, firstSecond = 0] = [minutes[0], seconds[0]]
  for (const candidate of hours) {
    if (candidate < hour) continue
    if (candidate > hour) return candidate * 3_600 + firstMinute * 60 + firstSecond
    for (const other of minutes) {
      if (other < minute) continue
      if (other > minute) return candidate * 3_600 + other * 60 + firstSecond
      const second = seconds.find((value) => value >= from % 60)
      if (second !== undefined) return candidate * 3_600 + other * 60 + second
    }
  }
  return undefined
}

/** @returns the first matching day at or after `from`, both counted from the epoch */
function nextDay(spec: CronSpec, from: number): number {
  const date = new Date(from * DAY_MS)
  const lastYear = date.getUTCFullYear() + CYCLE_YEARS
  let [year, month, day] = [date.getUTCFullYear(), date.getUTCMonth() + 1, date.getUTCDate()]
  for (; year <= lastYear;) {
    if (spec.months.includes(month)) {
      const first = Date.UTC(year, month - 1, 1) / DAY_MS
      const days = new Date(Date.UTC(year, month, 0)).getUTCDate()
      // 1970-01-01 was a Thursday.
      for (; day <= days; day++) {
        if (isDueOn(spec, day, (((first + day - 1 + 4) % 7) + 7) % 7)) return first + day - 1
      }
    }
    day = 1
    month = month === 12 ? 1 : month + 1
    if (month === 1) year += 1
  }
  throw new RangeError('a cron expression that never comes')
}

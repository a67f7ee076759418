/**
 * The calendar period that a moment belongs to, in a time zone of the IANA database: hour, day, ISO 8601 week, month and
 * year as people there count them. In the hour that autumn repeats, the two hours are two.
 */
import { OpsError } from '../../core/errors.ts'

export const PERIODS = ['hourly', 'daily', 'weekly', 'monthly', 'yearly'] as const
export type Period = (typeof PERIODS)[number]

export interface Calendar {
  /** A text that is the same for two moments exactly when they lie in the same period: `2026-W47`. */
  bucketOf(at: number, period: Period): string
}

const DAY_MS = 86_400_000

/** @throws OpsError CONFIG_INVALID for a zone that does not exist */
export function createCalendar(timezone: string): Calendar {
  const format = createFormat(timezone)
  return {
    bucketOf(at, period) {
      const parts = Object.fromEntries(format.formatToParts(at).map(({ type, value }) => [type, value]))
      const { year = '', month = '', day = '', hour = '', timeZoneName = '' } = parts
      switch (period) {
        case 'hourly':
          return `${year}-${month}-${day} ${hour}:00 ${timeZoneName}`
        case 'daily':
          return `${year}-${month}-${day}`
        case 'weekly':
          return isoWeek(Number(year), Number(month), Number(day))
        case 'monthly':
          return `${year}-${month}`
        case 'yearly':
          return year
      }
    },
  }
}

function createFormat(timezone: string): Intl.DateTimeFormat {
  try {
    return new Intl.DateTimeFormat('en-US-u-ca-gregory-nu-latn', {
      timeZone: timezone,
      ...{ year: 'numeric', month: '2-digit', day: '2-digit', hour: '2-digit' },
      hourCycle: 'h23',
      timeZoneName: 'longOffset',
    })
  } catch (error) {
    throw new OpsError('CONFIG_INVALID', `"${timezone}" is not a time zone`, {
      hint: 'Name one of the IANA database: UTC, Europe/Berlin, Asia/Shanghai.',
      cause: error,
    })
  }
}

/** ISO 8601: a week begins on Monday and belongs to the year that its Thursday lies in. */
function isoWeek(year: number, month: number, day: number): string {
  const date = Date.UTC(year, month - 1, day)
  const weekday = (new Date(date).getUTCDay() + 6) % 7
  const thursday = date + (3 - weekday) * DAY_MS
  const weekYear = new Date(thursday).getUTCFullYear()
  const week = Math.floor((thursday - Date.UTC(weekYear, 0, 1)) / (7 * DAY_MS)) + 1
  return `${weekYear}-W${String(week).padStart(2, '0')}`
}

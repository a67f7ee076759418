/**
 * Lines of syslog files and of `journalctl -o short-iso`: when, who, what.
 *
 * Source: RFC 3164 (traditional: no year and no zone, so both are worked out), RFC 3339 and systemd's `short-iso`.
 * Lines that continue an entry, and journalctl's own remarks, are not entries.
 */
import type { LogRecord } from './kernel-log.ts'

export interface LineClock {
  /** Milliseconds since the epoch, when the file was read. */
  readonly now: number
  /** Minutes that the machine's local time is ahead of UTC, for stamps without a zone. */
  readonly utcOffsetMinutes: number
}

const MONTHS = 'JanFebMarAprMayJunJulAugSepOctNovDec'
const DAY_MS = 86_400_000
const TRADITIONAL = /^([A-Z][a-z]{2}) {1,2}(\d{1,2}) (\d{2}):(\d{2}):(\d{2})(?:\.\d+)? \S+ (.*)$/
const ISO = /^(\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(?:[.,]\d+)?)(Z|[+-]\d{2}:?\d{2})? \S+ (.*)$/
const PROGRAM = /^([^\s:[]{1,64})(?:\[[^\]]*\])?: ?(.*)$/

/** @returns undefined for a line that is no entry */
export function parseLogLine(line: string, clock: LineClock): LogRecord | undefined {
  const iso = ISO.exec(line)
  if (iso) {
    const zone = iso[2]?.replace(/^([+-]\d{2})(\d{2})$/, '$1:$2')
    const local = Date.parse(`${(iso[1] ?? '').replace(',', '.')}${zone ?? 'Z'}`)
    return recordOf(zone === undefined ? local - clock.utcOffsetMinutes * 60_000 : local, iso[3] ?? '')
  }
  const old = TRADITIONAL.exec(line)
  if (!old) return undefined
  const month = MONTHS.indexOf(old[1] ?? '?') / 3
  if (!Number.isInteger(month) || month < 0) return undefined
  const [day = 0, hour = 0, minute = 0, second = 0] = old.slice(2, 6).map(Number)
  return recordOf(yearless({ month, day, hour, minute, second }, clock), old[6] ?? '')
}

interface Stamp {
  readonly month: number
  readonly day: number
  readonly hour: number
  readonly minute: number
  readonly second: number
}

/** The latest such moment that is not more than a day ahead: a December line read in January is last year's. */
function yearless({ month, day, hour, minute, second }: Stamp, { now, utcOffsetMinutes }: LineClock): number {
  const year = new Date(now + utcOffsetMinutes * 60_000).getUTCFullYear()
  const inYear = (y: number) => Date.UTC(y, month, day, hour, minute, second) - utcOffsetMinutes * 60_000
  return [inYear(year + 1), inYear(year)].find((at) => at <= now + DAY_MS) ?? inYear(year - 1)
}

function recordOf(at: number, rest: string): LogRecord | undefined {
  if (!Number.isFinite(at)) return undefined
  const program = PROGRAM.exec(rest)
  return program
    ? { at, source: program[1] ?? '?', message: program[2] ?? '' }
    : { at, source: rest.split(' ', 1)[0]?.slice(0, 64) || '?', message: rest }
}

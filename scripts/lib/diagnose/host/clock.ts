/**
 * Is the machine's clock kept in time, and how far is it off.
 *
 * Asked in this order, each only where it runs: chronyd (`chronyc -c tracking`: the offset and the leap status),
 * systemd-timesyncd (it makes /run/systemd/timesync/synchronized), ntpd (`ntpq -c rv`), systemd (`timedatectl`, which
 * tells the kernel's flag). Source: chronyc(1), systemd-timesyncd.service(8), ntpq(1), timedatectl(1).
 *
 * A remote machine's clock is also compared with this one's; /proc tells it to the second, so only more counts.
 */
import type { Thresholds } from '../../config/types.ts'
import { formatDuration } from '../../core/duration.ts'
import type { CheckFinding } from '../types.ts'
import { judge, limitText, measure, round, worst } from './judge.ts'

export interface ClockFacts {
  /** Who answered; undefined when nothing here can tell. */
  readonly by?: 'chrony' | 'timesyncd' | 'ntpd' | 'systemd'
  readonly synchronised?: boolean
  /** How far the service says the clock is off. */
  readonly offsetMs?: number
  /** How far a remote clock is ahead of this machine's, and how sure that is. */
  readonly apart?: { readonly aheadMs: number; readonly toleranceMs: number }
}

export interface ClockTexts {
  readonly chrony?: string | undefined
  readonly timesyncd?: boolean
  readonly ntp?: string | undefined
  readonly timedatectl?: string | undefined
}

export function parseClock({ chrony, timesyncd, ntp, timedatectl }: ClockTexts): ClockFacts {
  return (
    (chrony === undefined ? undefined : parseChrony(chrony)) ??
    (timesyncd ? { by: 'timesyncd', synchronised: true } : undefined) ??
    (ntp === undefined ? undefined : parseNtp(ntp)) ??
    (timedatectl === undefined ? undefined : parseTimedatectl(timedatectl)) ??
    {}
  )
}

export function decideClock(clock: ClockFacts, thresholds: Thresholds): CheckFinding {
  const check = 'host.clock'
  const threshold = thresholds.clock_offset_ms
  const apartMs = clock.apart ? Math.max(0, Math.abs(clock.apart.aheadMs) - clock.apart.toleranceMs) : 0
  if (clock.synchronised === undefined && judge(apartMs, threshold) === 'ok') {
    return {
      check,
      severity: 'skipped',
      title: 'no time service that could be asked runs here',
      ...measured(clock, threshold),
    }
  }
  const byOffset = judge(Math.abs(clock.offsetMs ?? 0), threshold)
  const severity = worst(byOffset, judge(apartMs, threshold), clock.synchronised === false ? 'warning' : 'ok')
  return {
    check,
    severity,
    title: titleOf(clock, severity),
    evidence: [
      clock.synchronised === undefined
        ? 'no time service could be asked'
        : `${clock.by ?? 'the clock'} says ${clock.synchronised ? '' : 'not '}synchronised`,
      clock.offsetMs === undefined ? '' : `off by ${round(clock.offsetMs, 3)} ms`,
      apartMs > 0
        ? `${formatDuration(Math.abs(clock.apart?.aheadMs ?? 0))} ${(clock.apart?.aheadMs ?? 0) > 0 ? 'ahead of' : 'behind'} this machine`
        : '',
      limitText(severity, threshold, ' ms'),
    ]
      .filter((part) => part !== '')
      .join(', '),
    ...(severity !== 'ok' && {
      cause: 'no time server can be reached, or no time service is enabled',
      next: NEXT[clock.by ?? 'systemd'],
    }),
    ...measured(clock, threshold),
  }
}

const NEXT = {
  chrony: 'chronyc tracking; chronyc sources -v',
  timesyncd: 'timedatectl timesync-status',
  ntpd: 'ntpq -pn',
  systemd: 'timedatectl; timedatectl set-ntp true',
} as const

function titleOf({ synchronised, apart }: ClockFacts, severity: string): string {
  if (severity === 'ok') return 'the clock is synchronised'
  if (synchronised === false) return 'the clock is not synchronised'
  return apart && Math.abs(apart.aheadMs) > apart.toleranceMs
    ? "the clock differs from this machine's"
    : 'the clock is off'
}

function measured({ offsetMs }: ClockFacts, threshold: Thresholds['clock_offset_ms']): Pick<CheckFinding, 'measures'> {
  return offsetMs === undefined
    ? {}
    : { measures: [measure('clock_offset', Math.abs(offsetMs), { unit: 'ms', threshold })] }
}

/** One CSV line; field 5 is the system clock's offset in seconds, the last the leap status. */
function parseChrony(text: string): ClockFacts | undefined {
  const fields = text.trim().split(',')
  const offsetSeconds = Number(fields[4])
  if (fields.length < 14 || !Number.isFinite(offsetSeconds)) return undefined
  return { by: 'chrony', synchronised: fields.at(-1) !== 'Not synchronised', offsetMs: offsetSeconds * 1000 }
}

/** `leap=00, stratum=3, …, offset=0.412` (ms); stratum 16 and leap 11 mean not synchronised. */
function parseNtp(text: string): ClockFacts | undefined {
  const stratum = /\bstratum=(\d+)/.exec(text)?.[1]
  if (stratum === undefined) return undefined
  const offset = /\boffset=([+-]?[\d.]+)/.exec(text)?.[1]
  const synchronised = Number(stratum) < 16 && !/\bleap=11\b|leap_alarm/.test(text)
  return { by: 'ntpd', synchronised, ...(offset !== undefined && { offsetMs: Number(offset) }) }
}

/** `NTPSynchronized=yes`, or `System clock synchronized: yes` before systemd 239. */
function parseTimedatectl(text: string): ClockFacts | undefined {
  const answer = /^(?:NTPSynchronized=|\s*(?:System clock|NTP) synchronized: )(yes|no)/m.exec(text)?.[1]
  return answer === undefined ? undefined : { by: 'systemd', synchronised: answer === 'yes' }
}

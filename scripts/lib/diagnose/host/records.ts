/**
 * What a machine has on record: failed units, errors of the last 24 hours, OOM kills, the state of its clock. Read apart
 * from the vital signs, because a large journal may take its time and must not hold those up.
 *
 * Files are read in place. Programs are asked only where their service runs: systemctl and journalctl under systemd, one
 * of chronyc, ntpq and timedatectl for the clock; a machine without any of these costs no process at all.
 */
import type { Thresholds } from '../../config/types.ts'
import type { Texts } from '../frames.ts'
import type { CheckFinding } from '../types.ts'
import { decideClock, parseClock, type ClockFacts } from './clock.ts'
import { parseKernelLog } from './kernel-log.ts'
import { DAY_MS, decideLogs, parseLogs, type LogFacts } from './logs.ts'
import { decideOom, parseOomCount, parseOomKills, type OomFacts } from './oom.ts'
import { linesOf } from './sources.ts'
import { decideUnits, parseFailedUnits, type FailedUnit } from './units.ts'

export interface RecordFacts {
  /** When it was read, on the clock that dates the machine's log. */
  readonly now: number
  readonly units: readonly FailedUnit[] | undefined | 'absent'
  readonly logs: LogFacts
  readonly oom: OomFacts
  readonly clock: ClockFacts
}

/** The raw material. */
export interface RecordTexts {
  /**
   * By name: `/proc/uptime`, `/proc/stat`, `/proc/vmstat`; `kmsg`; `present` (markers that exist); `units STATUS`,
   * `journal`, `late journal` (it took too long), `log PATH`, `denied` (a log that may not be read), `chrony`, `ntp`,
   * `timedatectl`, `zone` (`+0200`).
   */
  readonly texts: Texts
  /** When the texts came in, milliseconds since the epoch, on this machine's clock. */
  readonly now: number
  /** How long the question took, when another machine answered: the uncertainty of its clock. */
  readonly remoteMs?: number
}

/** Seconds of wall clock are all that /proc/stat and /proc/uptime give. */
const CLOCK_RESOLUTION_MS = 1000

export function parseRecords({ texts, now, remoteMs }: RecordTexts): RecordFacts {
  const uptimeMs = (Number.parseFloat(texts.get('/proc/uptime') ?? '') || 0) * 1000
  const bootSeconds = /^btime (\d+)$/m.exec(texts.get('/proc/stat') ?? '')?.[1]
  const theirs = bootSeconds === undefined ? undefined : Number(bootSeconds) * 1000 + uptimeMs
  // A remote log is dated by the clock of its machine, however wrong that is.
  const logNow = remoteMs === undefined ? now : (theirs ?? now)
  const bootedAt = logNow - uptimeMs
  const present = new Set(linesOf(texts.get('present')))
  const logs = logsOf(texts, { now: logNow, bootedAt })
  const kmsg = texts.get('kmsg')
  const kernel = kmsg === undefined ? [] : parseKernelLog(kmsg, bootedAt)
  const sinceBoot = parseOomCount(texts.get('/proc/vmstat') ?? '')
  const kills = parseOomKills([...kernel, ...logs.records]).filter(({ at }) => at >= logNow - DAY_MS)
  const seesKernel = kmsg !== undefined || logs.from === 'journal'
  return {
    now: logNow,
    units: unitsOf(texts, present),
    logs,
    oom: { uptimeMs, ...(sinceBoot !== undefined && { sinceBoot }), ...(seesKernel && { kills }) },
    clock: {
      ...parseClock({
        chrony: texts.get('chrony'),
        timesyncd: present.has('/run/systemd/timesync/synchronized'),
        ntp: texts.get('ntp'),
        timedatectl: texts.get('timedatectl'),
      }),
      ...(remoteMs !== undefined &&
        theirs !== undefined && {
          apart: { aheadMs: theirs - (now - remoteMs / 2), toleranceMs: remoteMs / 2 + CLOCK_RESOLUTION_MS },
        }),
    },
  }
}

export function decideRecords({ now, units, logs, oom, clock }: RecordFacts, thresholds: Thresholds): CheckFinding[] {
  return [
    decideOom(oom, now),
    ...decideUnits(units),
    ...decideLogs(logs, thresholds, now),
    decideClock(clock, thresholds),
  ]
}

function unitsOf(texts: Texts, present: ReadonlySet<string>): RecordFacts['units'] {
  if (!present.has('/run/systemd/system')) return 'absent'
  const entry = [...texts].find(([name]) => name.startsWith('units '))
  return entry && parseFailedUnits(entry[1], Number(entry[0].slice('units '.length)))
}

function logsOf(texts: Texts, { now, bootedAt }: { now: number; bootedAt: number }): LogFacts {
  const file = [...texts].find(([name]) => name.startsWith('log '))
  return parseLogs(
    {
      journal: texts.get('journal'),
      file: file && { path: file[0].slice('log '.length), text: file[1] },
      kmsg: texts.get('kmsg'),
      denied: texts.has('denied'),
      late: texts.has('late journal'),
    },
    { now, utcOffsetMinutes: parseZone(texts.get('zone') ?? '') },
    bootedAt,
  )
}

/** `+0530` as 330 minutes; 0 for anything else. */
function parseZone(text: string): number {
  const match = /^([+-])(\d{2})(\d{2})\s*$/.exec(text)
  if (!match) return 0
  const minutes = Number(match[2]) * 60 + Number(match[3])
  return match[1] === '-' ? -minutes : minutes
}

/**
 * Which programs, and the kernel, have written errors in the last 24 hours.
 *
 * The journal knows a priority for each entry; a syslog file does not, so there an error is a line with one of the words
 * below. Only the end of a file is read; when that end is younger than 24 hours, the finding says so.
 */
import type { Thresholds } from '../../config/types.ts'
import { formatDuration } from '../../core/duration.ts'
import { printableLine } from '../../core/printable.ts'
import { quoteWord } from '../../core/quote.ts'
import type { CheckFinding } from '../types.ts'
import { count, judge, limitText, measure } from './judge.ts'
import { parseKernelLog, type LogRecord } from './kernel-log.ts'
import { parseLogLine, type LineClock } from './log-lines.ts'

export interface LogFacts {
  /** `journal`, the path of a file, `kernel log`; undefined when there is no log that can be read. */
  readonly from?: string
  /** Errors of the last 24 h, in any order. */
  readonly records: readonly LogRecord[]
  /** The oldest moment that was looked at, when that is less than 24 h ago. */
  readonly reachesBackTo?: number
  /** Why `from` is missing: there is a log, but this user may not read it, or it took too long. */
  readonly because?: 'denied' | 'late'
}

export interface LogTexts {
  /** Standard output and error of journalctl, when journald runs. */
  readonly journal?: string | undefined
  /** The end of a log file: its first two lines (one may be cut), for their time, then the lines that may be errors. */
  readonly file?: { readonly path: string; readonly text: string } | undefined
  readonly kmsg?: string | undefined
  /** A log is there that this user may not read. */
  readonly denied?: boolean
  /** journalctl did not answer in time. */
  readonly late?: boolean
}

/** An extended regular expression for grep -i and a JavaScript one: the words of an error. */
export const ERROR_WORDS = 'error|fail|fatal|panic|critical|emergency|segfault|oops|out of memory'
export const DAY_MS = 86_400_000
/** Bytes read from the end of a log file. */
export const LOG_TAIL_BYTES = 2 * 1024 * 1024
const SOURCES_SHOWN = 8

const IS_ERROR = new RegExp(`\\b(?:${ERROR_WORDS})`, 'i')
/** Talk about errors that is none: options, counts of nothing. */
const IS_HARMLESS = /errors=|\b(?:no|0|without) (?:errors?|fail\w*)\b|\b(?:errors?|fail\w*)[:=] ?(?:0|none|no)\b/i

export function parseLogs(texts: LogTexts, clock: LineClock, bootedAt: number): LogFacts {
  const { journal, file, kmsg, denied = false, late = false } = texts
  const since = clock.now - DAY_MS
  const recent = (records: readonly LogRecord[]) => records.filter(({ at }) => at >= since && at <= clock.now + DAY_MS)
  if (late) return { records: [], because: 'late' }
  if (journal !== undefined && !isDenied(journal) && !isMissing(journal)) {
    return { from: 'journal', records: recent(parseLines(journal, clock)) }
  }
  if (file) {
    const records = parseLines(file.text, clock)
    const first = records[0]?.at
    return {
      from: file.path,
      records: recent(records).filter(({ message }) => IS_ERROR.test(message) && !IS_HARMLESS.test(message)),
      ...(first !== undefined && first > since && { reachesBackTo: first }),
    }
  }
  if (kmsg !== undefined) return { from: 'kernel log', records: recent(parseKernelLog(kmsg, bootedAt)) }
  return { records: [], ...((denied || isDenied(journal ?? '')) && { because: 'denied' as const }) }
}

export function decideLogs(logs: LogFacts, thresholds: Thresholds, now: number): CheckFinding[] {
  const check = 'host.logs'
  if (logs.from === undefined) return [decideMissing(check, logs.because)]
  const groups = [...Map.groupBy(logs.records, ({ source }) => source)]
    .map(([source, records]) => ({ source, amount: records.length, newest: newestOf(records) }))
    .sort((a, b) => b.amount - a.amount)
  const many = groups.filter(({ amount }) => judge(amount, thresholds.log_errors) !== 'ok').slice(0, SOURCES_SHOWN)
  const few = groups.filter((group) => !many.includes(group))
  const total = logs.records.length
  const reach = logs.reachesBackTo === undefined ? 'in 24 h' : `in the last ${formatDuration(now - logs.reachesBackTo)}`
  const rest: CheckFinding = {
    check,
    severity: 'ok',
    title: many.length > 0 ? 'other errors in the log' : total === 0 ? 'no errors in the log' : 'few errors in the log',
    evidence: `${count(sum(few), 'error')} of ${count(few.length, 'source')} ${reach} (${logs.from}), ${limitText('ok', thresholds.log_errors, ' of one source')}`,
    ...(few.length > 0 && { lines: few.slice(0, SOURCES_SHOWN).map(lineOf) }),
    measures: [measure('log_errors', total)],
  }
  return [
    ...(few.length > 0 || many.length === 0 ? [rest] : []),
    ...many.map(({ source, amount, newest }): CheckFinding => {
      const severity = judge(amount, thresholds.log_errors)
      const name = printableLine(source, 64)
      return {
        check,
        subject: name,
        severity,
        title: `${name} writes errors`,
        evidence: `${amount} ${reach} (${logs.from}), ${limitText(severity, thresholds.log_errors, '')}`,
        next: nextFor(logs.from ?? '', source),
        lines: [`${new Date(newest.at).toISOString()} ${printableLine(newest.message, 240)}`],
        measures: [measure(`log_errors_${name}`, amount, { threshold: thresholds.log_errors })],
      }
    }),
  ]
}

function decideMissing(check: string, because: LogFacts['because']): CheckFinding {
  const next = 'sudo journalctl -p err --since -24h || sudo tail -n 50 /var/log/syslog'
  if (because === 'late') return { check, severity: 'unknown', title: 'journalctl gave no answer in time', next }
  return because === 'denied'
    ? { check, severity: 'skipped', title: 'the system log cannot be read as this user', next }
    : { check, severity: 'skipped', title: 'no system log is kept here' }
}

/** True when journalctl could not, or not fully, read the journal as this user. */
function isDenied(journal: string): boolean {
  return /^Hint: You are currently not seeing messages|^No journal files were opened due to insufficient/m.test(journal)
}

function isMissing(journal: string): boolean {
  return journal.includes('No journal files were found')
}

function parseLines(text: string, clock: LineClock): LogRecord[] {
  return text.split('\n').flatMap((line) => parseLogLine(line, clock) ?? [])
}

function newestOf(records: readonly LogRecord[]): LogRecord {
  return records.reduce((newest, record) => (record.at >= newest.at ? record : newest))
}

function sum(groups: readonly { readonly amount: number }[]): number {
  return groups.reduce((total, { amount }) => total + amount, 0)
}

function lineOf({ source, amount, newest }: { source: string; amount: number; newest: LogRecord }): string {
  return `${amount} × ${printableLine(source, 64)}: ${printableLine(newest.message, 200)}`
}

function nextFor(from: string, source: string): string {
  if (from === 'kernel log' || source === 'kernel') return 'dmesg -T --level=emerg,alert,crit,err | tail -50'
  return from === 'journal'
    ? `journalctl -p err --since -24h -t ${quoteWord(source)} | tail -50`
    : `grep -iE ${quoteWord(ERROR_WORDS)} ${quoteWord(from)} | grep -F ${quoteWord(source)} | tail -50`
}

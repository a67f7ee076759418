/**
 * nginx.access: over the recent window, how many requests, which share of them failed, how long they took.
 * The window is cut by the times in the log, which carry their zone.
 */
import { setImmediate } from 'node:timers/promises'
import { formatDuration, formatSize } from '../../../core/duration.ts'
import { quoteArgv } from '../../../core/quote.ts'
import { redactText } from '../../../core/redact.ts'
import type { Threshold, Thresholds } from '../../../config/types.ts'
import type { HostReader } from '../../../host/types.ts'
import type { CheckFinding, Measure, Severity } from '../../types.ts'
import { linesOf, readLogTail } from '../log-tail.ts'
import { createAccessParser, pathOf, type AccessParser } from './access-format.ts'

export interface Traffic {
  readonly log: string
  readonly requests: number
  /** Requests by status code. */
  readonly byStatus: ReadonlyMap<number, number>
  /** `status path` of requests answered with 5xx, with their number. */
  readonly failing: ReadonlyMap<string, number>
  /** Durations in ms, ascending; empty when the format has none. */
  readonly durationsMs: readonly number[]
  /** The time that the counts are about. */
  readonly coveredMs: number
  /** False when the log is busier than what is read of it: then `coveredMs` is shorter than the window. */
  readonly complete: boolean
  /** Lines in no format that is known. */
  readonly unreadableLines: number
  readonly bytesRead: number
}

export interface AccessLogQuestion {
  readonly path: string
  /** The text of its log_format, where the configuration names one. */
  readonly format?: string | undefined
  /** Milliseconds back from `now`. */
  readonly recentMs: number
  readonly now: number
  readonly maxBytes: number
  readonly signal?: AbortSignal
}

const CHECK = 'nginx.access'

/** Below this many requests a share says little: one failure of three is not a critical. */
const MIN_REQUESTS = 20
const MIN_FAILURES = 3

/** Counted before other checks get their turn: some milliseconds, so that nobody's measured time is made of ours. */
const LINES_PER_TURN = 2_000

const MAX_PATHS = 10_000
const SHOWN_PATHS = 5

/** @returns undefined when there is no such log */
export async function readTraffic(host: HostReader, question: AccessLogQuestion): Promise<Traffic | undefined> {
  const { path, format, recentMs, now, maxBytes, signal } = question
  const parse = createAccessParser(format)
  const sinceMs = now - recentMs
  const timeOf = (line: string) => parse(line)?.atMs
  const tail = await readLogTail(host, path, { sinceMs, now, timeOf, maxBytes, ...(signal && { signal }) })
  if (!tail) return undefined
  const counts = await countTraffic(tail.text, parse, { sinceMs, signal })
  const coveredMs = tail.complete ? recentMs : Math.min(recentMs, Math.max(1000, now - counts.firstMs))
  return { log: path, ...counts, coveredMs, complete: tail.complete, bytesRead: tail.bytesRead }
}

async function countTraffic(
  text: string,
  parse: AccessParser,
  { sinceMs, signal }: { readonly sinceMs: number; readonly signal: AbortSignal | undefined },
) {
  const byStatus = new Map<number, number>()
  const failing = new Map<string, number>()
  const durationsMs: number[] = []
  let [lines, requests, unreadableLines, firstMs] = [0, 0, 0, Number.POSITIVE_INFINITY]
  for (const line of linesOf(text)) {
    lines += 1
    if (lines % LINES_PER_TURN === 0) {
      await setImmediate()
      signal?.throwIfAborted()
    }
    const entry = parse(line)
    if (!entry) {
      if (line !== '') unreadableLines += 1
      continue
    }
    if (entry.atMs < sinceMs) continue
    requests += 1
    firstMs = Math.min(firstMs, entry.atMs)
    byStatus.set(entry.status, (byStatus.get(entry.status) ?? 0) + 1)
    if (entry.seconds !== undefined) durationsMs.push(entry.seconds * 1000)
    if (entry.status < 500) continue
    const key = `${entry.status} ${pathOf(entry.target)}`
    if (failing.has(key) || failing.size < MAX_PATHS) failing.set(key, (failing.get(key) ?? 0) + 1)
  }
  durationsMs.sort((a, b) => a - b)
  return { requests, byStatus, failing, durationsMs, unreadableLines, firstMs }
}

/** One finding about failures, which carries all measures, and one each for 4xx and for slowness when they are too much. */
export function decideTraffic(
  traffic: Traffic,
  thresholds: Pick<Thresholds, 'nginx_5xx_percent' | 'nginx_4xx_percent' | 'nginx_p95_ms'>,
): CheckFinding[] {
  const { requests, unreadableLines } = traffic
  const base = { check: CHECK, subject: traffic.log }
  if (requests === 0 && unreadableLines > 0) {
    return [
      {
        ...base,
        severity: 'unknown',
        title: 'the access log is in a format that cannot be read',
        evidence: `none of its last ${unreadableLines} lines is combined, common, JSON or its own log_format`,
        cause: 'the log holds no time with a zone, or no status',
        next: quoteArgv(['tail', '-n', '3', traffic.log]),
      },
    ]
  }
  return [
    failures(traffic, thresholds.nginx_5xx_percent),
    ...refusals(traffic, thresholds.nginx_4xx_percent),
    ...slowness(traffic, thresholds.nginx_p95_ms),
  ].map((finding, index) => ({
    ...base,
    ...finding,
    ...(index === 0 && { measures: measuresOf(traffic, thresholds) }),
  }))
}

function failures(traffic: Traffic, threshold: Threshold): CheckFinding {
  const failed = countClass(traffic, 5)
  const percent = share(failed, traffic.requests)
  const severity = judgeShare(percent, failed, { requests: traffic.requests, threshold })
  const evidence = [
    `${failed} of ${traffic.requests} requests in ${formatDuration(traffic.coveredMs)} (${round(percent)} %) answered 5xx`,
    `warning from ${threshold.warning} %, critical from ${threshold.critical} %`,
    ...statuses(traffic, 5),
    latencyText(traffic),
    ...(traffic.complete ? [] : [`only the last ${formatSize(traffic.bytesRead)} of the log were read`]),
  ].join('; ')
  if (traffic.requests === 0) {
    return { severity, title: 'no requests lately', evidence: `none in ${formatDuration(traffic.coveredMs)}` }
  }
  if (severity === 'ok') return { severity, title: 'requests are answered', evidence }
  const lines = [...traffic.failing].sort((a, b) => b[1] - a[1]).slice(0, SHOWN_PATHS)
  return {
    severity,
    title: `${round(percent)} % of the requests fail`,
    evidence,
    cause: causeOf(traffic),
    next: quoteArgv(['grep', '-E', '[" :]5[0-9]{2}[", ]', traffic.log]) + ' | tail -n 50',
    lines: lines.map(([what, count]) => `${count}× ${redactText(what)}`),
  }
}

function refusals(traffic: Traffic, threshold: Threshold): CheckFinding[] {
  const refused = countClass(traffic, 4)
  const percent = share(refused, traffic.requests)
  const severity = judgeShare(percent, refused, { requests: traffic.requests, threshold })
  if (severity === 'ok' || traffic.requests < MIN_REQUESTS) return []
  return [
    {
      severity,
      title: `${round(percent)} % of the requests are refused (4xx)`,
      evidence: [
        `${refused} of ${traffic.requests} requests in ${formatDuration(traffic.coveredMs)}`,
        `warning from ${threshold.warning} %, critical from ${threshold.critical} %`,
        ...statuses(traffic, 4),
      ].join('; '),
      cause: 'a scanner, a broken link or client, or a login that no longer works',
      next: quoteArgv(['grep', '-E', '[" :]4[0-9]{2}[", ]', traffic.log]) + ' | tail -n 50',
    },
  ]
}

function slowness(traffic: Traffic, threshold: Threshold): CheckFinding[] {
  const p95 = percentile(traffic.durationsMs, 95)
  if (p95 === undefined || traffic.durationsMs.length < MIN_REQUESTS || p95 < threshold.warning) return []
  return [
    {
      severity: p95 >= threshold.critical ? 'critical' : 'warning',
      title: 'requests are slow',
      evidence: `${latencyText(traffic)}; p95 warning from ${formatDuration(threshold.warning)}, critical from ${formatDuration(threshold.critical)}`,
      cause: 'a slow upstream or database, or downloads over slow connections',
      next: quoteArgv(['tail', '-n', '100', traffic.log]),
    },
  ]
}

function judgeShare(
  percent: number,
  count: number,
  { requests, threshold }: { requests: number; threshold: Threshold },
): Severity {
  if (count < MIN_FAILURES || percent < threshold.warning) return 'ok'
  return percent >= threshold.critical && requests >= MIN_REQUESTS ? 'critical' : 'warning'
}

function causeOf({ byStatus }: Traffic): string {
  const [status] = [...byStatus].filter(([code]) => code >= 500).sort((a, b) => b[1] - a[1])[0] ?? [500]
  if (status === 502) return 'an upstream refuses or drops connections: nginx.errors names it'
  if (status === 503) return 'a rate limit, a maintenance page, or no server left in the upstream'
  if (status === 504) return 'an upstream does not answer in time: nginx.errors names it'
  return 'the application fails: its own log says why'
}

function measuresOf(
  traffic: Traffic,
  thresholds: Pick<Thresholds, 'nginx_5xx_percent' | 'nginx_4xx_percent' | 'nginx_p95_ms'>,
): Measure[] {
  const ranges = ({ warning, critical }: Threshold) => ({ warn: `~:${warning}`, crit: `~:${critical}`, min: 0 })
  const percent = (status: number) => round(share(countClass(traffic, status), traffic.requests))
  const ms = (rank: number) => Math.round(percentile(traffic.durationsMs, rank) ?? 0)
  return [
    { label: 'nginx requests/s', value: round(traffic.requests / (traffic.coveredMs / 1000)), min: 0 },
    { label: 'nginx 5xx', value: percent(5), unit: '%', ...ranges(thresholds.nginx_5xx_percent), max: 100 },
    { label: 'nginx 4xx', value: percent(4), unit: '%', ...ranges(thresholds.nginx_4xx_percent), max: 100 },
    ...(traffic.durationsMs.length === 0
      ? []
      : ([
          { label: 'nginx p50', value: ms(50), unit: 'ms', min: 0 },
          { label: 'nginx p95', value: ms(95), unit: 'ms', ...ranges(thresholds.nginx_p95_ms) },
          { label: 'nginx p99', value: ms(99), unit: 'ms', min: 0 },
        ] as const)),
  ]
}

function latencyText({ durationsMs }: Traffic): string {
  if (durationsMs.length === 0) return 'the log format has no $request_time'
  const text = (rank: number) => formatDuration(percentile(durationsMs, rank) ?? 0)
  return `p50 ${text(50)}, p95 ${text(95)}, p99 ${text(99)}`
}

/** Nearest rank. */
function percentile(ascending: readonly number[], rank: number): number | undefined {
  return ascending[Math.max(0, Math.ceil((rank / 100) * ascending.length) - 1)]
}

function statuses({ byStatus }: Traffic, hundreds: number): string[] {
  const counts = [...byStatus].filter(([status]) => Math.floor(status / 100) === hundreds).sort((a, b) => b[1] - a[1])
  return counts.length === 0
    ? []
    : [
        counts
          .slice(0, SHOWN_PATHS)
          .map(([status, count]) => `${count}× ${status}`)
          .join(', '),
      ]
}

function countClass({ byStatus }: Traffic, hundreds: number): number {
  return [...byStatus].reduce((sum, [status, count]) => (Math.floor(status / 100) === hundreds ? sum + count : sum), 0)
}

function share(part: number, whole: number): number {
  return whole === 0 ? 0 : (part / whole) * 100
}

function round(value: number): number {
  return Math.round(value * 10) / 10
}

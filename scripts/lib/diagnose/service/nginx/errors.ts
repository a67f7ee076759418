/**
 * nginx.errors: what the error log said over the recent window, grouped by message. Numbers, addresses and quoted
 * names are taken out of a message before it is grouped, except for what makes it useful: the system error, the
 * upstream. The log's times have no zone: they are those of the machine.
 */
import { formatDuration } from '../../../core/duration.ts'
import { quoteArgv } from '../../../core/quote.ts'
import { redactText } from '../../../core/redact.ts'
import type { Threshold } from '../../../config/types.ts'
import type { HostReader } from '../../../host/types.ts'
import type { CheckFinding } from '../../types.ts'
import { linesOf, readLogTail } from '../log-tail.ts'

export interface ErrorEntry {
  readonly atMs: number
  readonly level: string
  /** The message without details of the request. */
  readonly message: string
  /** `127.0.0.1:8090` of an upstream that failed. */
  readonly upstream?: string
  /** The server_name that answered. */
  readonly server?: string
}

export interface ErrorGroup {
  readonly level: string
  /** With numbers, addresses and names taken out. */
  readonly message: string
  readonly upstream?: string
  /** The newest message of the group as it was written. */
  readonly example: string
  readonly count: number
  readonly servers: readonly string[]
  /** True when it tells about a client (missing file, refused address, rate limit), not about this machine. */
  readonly byClient: boolean
}

export interface ErrorLog {
  readonly path: string
  /** Most first. */
  readonly groups: readonly ErrorGroup[]
  readonly recentMs: number
  readonly complete: boolean
}

export interface ErrorLogQuestion {
  readonly path: string
  readonly recentMs: number
  readonly now: number
  readonly maxBytes: number
  /** Minutes east of UTC; undefined for the zone of this program. */
  readonly zoneOffsetMinutes: number | undefined
  readonly signal?: AbortSignal
}

const CHECK = 'nginx.errors'
const MAX_GROUPS = 1000
const SHOWN_GROUPS = 6
const MAX_MESSAGE_LENGTH = 300

/** `2026/11/20 23:29:58 [error] 123#123: *45 message` */
const ENTRY = /^(\d{4})\/(\d\d)\/(\d\d) (\d\d):(\d\d):(\d\d) \[(\w+)\] \d+#\d+: (?:\*\d+ )?(.*)$/s

/** Levels that are counted against the threshold; `emerg` is judged by itself. */
const COUNTED = ['error', 'crit', 'alert']

/** Messages that one client alone can cause, however healthy the machine is. */
const BY_CLIENT = [
  /^open\(\) "…" failed \(2: /,
  /^(directory index of|access forbidden by rule|client intended to send too large body)/,
  /^(limiting (requests|connections)|client sent|invalid (host|method)|user "…"|no user\/password)/,
  /^SSL_do_handshake\(\) failed .* while SSL handshaking$/,
  /^"…" is forbidden/,
]

const CAUSES: readonly (readonly [pattern: RegExp, cause: string])[] = [
  [/no live upstreams/, 'every server of an upstream has failed, so requests are answered 502'],
  [/\(111: .*upstream/, 'the upstream is not running, or listens on another address or port'],
  [/\(110: .*upstream/, 'the upstream is too slow, hangs, or a firewall drops its packets'],
  [/\(113: .*upstream|\(101: .*upstream/, 'there is no route to the upstream: its machine or network is down'],
  [/\(2: .*upstream/, 'the upstream’s socket file is not there: its service is not running'],
  [
    /prematurely closed|\(104: .*upstream/,
    'the upstream drops connections: it crashes, restarts or runs out of workers',
  ],
  [/\(98: /, 'another process holds the port, so the old configuration stays in effect'],
  [/\(24: /, 'nginx runs out of file descriptors: raise worker_rlimit_nofile'],
  [/\(28: /, 'the disk is full'],
  [/\(13: /, 'nginx may not open it: owner, mode, or a security module'],
  [/worker_connections are not enough/, 'more connections than worker_connections allows'],
  [/exited on signal/, 'a worker crashed: a module or a memory limit'],
  [/host not found in upstream|could not be resolved/, 'the name of an upstream cannot be resolved'],
]

/** @returns undefined when there is no such log */
export async function readNginxErrors(host: HostReader, question: ErrorLogQuestion): Promise<ErrorLog | undefined> {
  const { path, recentMs, now, maxBytes, zoneOffsetMinutes, signal } = question
  const sinceMs = now - recentMs
  const timeOf = (line: string) => parseErrorLine(line, zoneOffsetMinutes)?.atMs
  const tail = await readLogTail(host, path, { sinceMs, now, timeOf, maxBytes, ...(signal && { signal }) })
  if (!tail) return undefined
  const recent: ErrorEntry[] = []
  for (const line of linesOf(tail.text)) {
    const entry = parseErrorLine(line, zoneOffsetMinutes)
    if (entry && entry.atMs >= sinceMs) recent.push(entry)
  }
  return { path, groups: groupErrors(recent), recentMs, complete: tail.complete }
}

/** @returns undefined for a line that is no entry of its own (a later line of a long message) */
export function parseErrorLine(line: string, zoneOffsetMinutes?: number): ErrorEntry | undefined {
  const match = ENTRY.exec(line.slice(0, 4096))
  if (!match) return undefined
  const [year, month, day, hour, minute, second] = match.slice(1, 7).map(Number) as [
    number,
    number,
    number,
    number,
    number,
    number,
  ]
  const atMs =
    zoneOffsetMinutes === undefined
      ? new Date(year, month - 1, day, hour, minute, second).getTime()
      : Date.UTC(year, month - 1, day, hour, minute, second) - zoneOffsetMinutes * 60_000
  const whole = Buffer.from(match[8] as string, 'latin1').toString('utf8')
  const details = whole.search(/, (client|server|upstream|request|host|referrer): /)
  const detail = (pattern: RegExp) => (details === -1 ? undefined : pattern.exec(whole.slice(details))?.[1])
  const upstream = detail(/, upstream: "(?:\w+:\/\/)?(unix:[^:"]+|[^/"]+)/)
  const server = detail(/, server: ([^,]+)/)
  return {
    atMs,
    level: match[7] as string,
    message: (details === -1 ? whole : whole.slice(0, details)).slice(0, MAX_MESSAGE_LENGTH),
    ...(upstream && { upstream }),
    ...(server && { server }),
  }
}

/** A message with all that differs between two of a kind taken out; system errors keep their number. */
export function normalizeMessage(message: string): string {
  return message
    .replace(/"[^"]*"/g, '"…"')
    .replace(/\b\d{1,3}(?:\.\d{1,3}){3}(?::\d+)?\b/g, '<address>')
    .replace(/\[[0-9a-f:]*:[0-9a-f:.]*\](?::\d+)?/gi, '<address>')
    .replace(/\b[0-9a-f]{8,}(?:-[0-9a-f]{4,})*\b/gi, '<id>')
    .replace(/(?<!signal )\b\d+\b(?!: [A-Z])/g, 'N')
}

export function groupErrors(entries: readonly ErrorEntry[]): ErrorGroup[] {
  const groups = new Map<string, { group: ErrorGroup; servers: Set<string>; count: number }>()
  for (const { level, message, upstream, server } of entries) {
    const normal = normalizeMessage(message)
    const key = [level, normal, upstream].join('\n')
    const known = groups.get(key)
    if (!known && groups.size >= MAX_GROUPS) continue
    const byClient = BY_CLIENT.some((pattern) => pattern.test(normal))
    const group = {
      level,
      message: normal,
      example: redactText(message),
      count: 0,
      servers: [],
      byClient,
      ...(upstream && { upstream }),
    }
    const entry = { group, servers: known?.servers ?? new Set(), count: (known?.count ?? 0) + 1 }
    if (server) entry.servers.add(server)
    groups.set(key, entry)
  }
  return [...groups.values()]
    .map(({ group, servers, count }) => ({ ...group, count, servers: [...servers].slice(0, 5) }))
    .sort((a, b) => b.count - a.count)
}

export function decideNginxErrors(
  { path, groups, recentMs, complete }: ErrorLog,
  threshold: Threshold,
): CheckFinding[] {
  const within = `in ${formatDuration(recentMs)}${complete ? '' : ' (only the end of a longer log)'}`
  const judged = groups.filter((group) => COUNTED.includes(group.level) && !group.byClient)
  const byClients = sum(groups.filter((group) => group.byClient && COUNTED.includes(group.level)))
  const count = sum(judged)
  const emergencies = groups.filter((group) => group.level === 'emerg')
  const counted = `${plural(count)} ${within}, warning from ${threshold.warning}, critical from ${threshold.critical}`
  const evidence = [
    ...(emergencies.length > 0 ? [`${sum(emergencies)} emergencies`] : []),
    counted,
    ...(byClients > 0 ? [`${byClients} more that clients caused`] : []),
  ].join('; ')
  const measures = [
    { label: 'nginx errors', value: count, warn: `~:${threshold.warning}`, crit: `~:${threshold.critical}`, min: 0 },
  ]
  const base = { check: CHECK, subject: path, evidence, measures }
  const grave = judged.some((group) => group.level === 'alert')
  const severity =
    emergencies.length > 0 || count >= threshold.critical
      ? 'critical'
      : grave || count >= threshold.warning
        ? 'warning'
        : 'ok'
  if (severity === 'ok') {
    const title = count === 0 ? 'the nginx error log is quiet' : 'the nginx error log holds few errors'
    return [{ ...base, severity, title, ...(judged.length > 0 && { lines: linesFor(judged) }) }]
  }
  const worst = emergencies[0] ?? judged[0]
  const cause = worst && causeOf(worst)
  return [
    {
      ...base,
      severity,
      title: titleOf(worst, emergencies.length > 0, count),
      ...(cause && { cause }),
      next: quoteArgv(['tail', '-n', '50', path]),
      lines: linesFor([...emergencies, ...judged]),
    },
  ]
}

function titleOf(worst: ErrorGroup | undefined, emergency: boolean, count: number): string {
  if (emergency) return 'nginx could not do what it was told'
  return worst?.upstream ? `nginx cannot use the upstream ${worst.upstream}` : `nginx logged ${plural(count)}`
}

function causeOf(group: ErrorGroup): string | undefined {
  return CAUSES.find(([pattern]) => pattern.test(group.message))?.[1]
}

function linesFor(groups: readonly ErrorGroup[]): string[] {
  return groups.slice(0, SHOWN_GROUPS).map(({ count, level, example, upstream, servers }) => {
    const from = [
      ...(upstream ? [`upstream ${upstream}`] : []),
      ...(servers.length > 0 ? [`server ${servers.join(', ')}`] : []),
    ]
    return `${count}× [${level}] ${example}${from.length > 0 ? ` (${from.join('; ')})` : ''}`
  })
}

function plural(count: number): string {
  return `${count} ${count === 1 ? 'error' : 'errors'}`
}

function sum(groups: readonly ErrorGroup[]): number {
  return groups.reduce((total, group) => total + group.count, 0)
}

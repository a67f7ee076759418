/**
 * One line of an nginx access log to its time, status, path and duration, in whatever format it is written: a log_format
 * found in the configuration, JSON, or combined/common with a duration at the end
 * (nginx.org/en/docs/http/ngx_http_log_module.html).
 */

export interface AccessEntry {
  /** Milliseconds since the epoch. */
  readonly atMs: number
  readonly status: number
  /** The request line or its target, as it was logged. It may hold secrets: show `pathOf` it. */
  readonly target: string
  /** How long the request, or else its upstream, took; absent when the line does not say. */
  readonly seconds?: number
}

export type AccessParser = (line: string) => AccessEntry | undefined

/** Longer lines are attacks or accidents; a request line and headers of nginx's default limits stay below. */
const MAX_LINE_LENGTH = 65_536
const MAX_PATH_LENGTH = 200

const MONTHS = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec']

/** @param logFormat the text of the log's `log_format`; undefined for the built-in `combined` or an unknown one */
export function createAccessParser(logFormat?: string): AccessParser {
  const parseTime = createTimeParser()
  const byFormat = logFormat !== undefined && !isJson(logFormat) ? compileFormat(logFormat) : undefined
  return (line) => {
    if (line.length > MAX_LINE_LENGTH) return undefined
    if (isJson(line)) return entryFrom(jsonFields(line), parseTime)
    return entryFrom(byFormat?.(line) ?? combinedFields(line), parseTime)
  }
}

/** What a line says, still as text. */
interface Fields {
  readonly time: string
  readonly status: string
  readonly target: string
  readonly seconds?: string | undefined
}

function entryFrom(fields: Fields | undefined, parseTime: (text: string) => number): AccessEntry | undefined {
  if (!fields) return undefined
  const atMs = parseTime(fields.time)
  const status = Number(fields.status)
  if (!Number.isFinite(atMs) || !Number.isInteger(status) || status < 100 || status > 999) return undefined
  const seconds = totalSeconds(fields.seconds)
  return { atMs, status, target: fields.target, ...(seconds !== undefined && { seconds }) }
}

/** `0.001`; of several upstreams tried (`0.001, 0.204 : 0.1`) the sum, which is what the client waited. */
function totalSeconds(text: string | undefined): number | undefined {
  const numbers = (text ?? '').split(/[,:\s]+/).flatMap((part) => (/^\d+(\.\d+)?$/.test(part) ? [Number(part)] : []))
  return numbers.length === 0 ? undefined : numbers.reduce((sum, value) => sum + value, 0)
}

/** The path of a request, without its query string, which may hold secrets. */
export function pathOf(target: string): string {
  const uri = /^[A-Z]+ (\S+)/.exec(target)?.[1] ?? (target.startsWith('/') ? target : undefined)
  if (uri === undefined) return '(no valid request line)'
  return Buffer.from(uri.replace(/[?#].*$/s, ''), 'latin1')
    .toString('utf8')
    .slice(0, MAX_PATH_LENGTH)
}

const COMBINED = /^"((?:[^"\\]|\\.)*)" (\d{3}) (?:\d+|-)(.*)$/s

/** `$remote_addr - $remote_user [$time_local] "$request" $status $body_bytes_sent …` */
function combinedFields(line: string): Fields | undefined {
  const open = line.indexOf(' [')
  const close = line.indexOf('] ', open)
  if (open === -1 || close === -1) return undefined
  const match = COMBINED.exec(line.slice(close + 2))
  if (!match) return undefined
  const [, target = '', status = '', rest = ''] = match
  return { time: line.slice(open + 2, close), status, target, seconds: durationIn(rest) }
}

/** A duration after the standard fields. Quoted text is what clients sent (referrer, agent) and is not believed. */
function durationIn(rest: string): string | undefined {
  const own = rest.replace(/(^|\s)"(?:[^"\\]|\\.)*"/g, '$1')
  const request = /(?:^|\s)(?:rt|request_time|req_time|reqtime)[=:]"?(\d+(?:\.\d+)?)/.exec(own)
  const upstream = /(?:^|\s)(?:urt|uht|upstream_response_time|upstream_time)[=:]"?(\d+(?:\.\d+)?)/.exec(own)
  // nginx writes times with milliseconds: three digits after the point.
  return request?.[1] ?? upstream?.[1] ?? /(?:^|\s)(\d+\.\d{3})$/.exec(own.trimEnd())?.[1]
}

type Value = string | number | undefined

function jsonFields(line: string): Fields | undefined {
  let record: Record<string, unknown>
  try {
    record = JSON.parse(line) as Record<string, unknown>
  } catch {
    return undefined
  }
  const pick = (...names: string[]): Value => {
    for (const name of names) {
      const value = record[name]
      if ((typeof value === 'string' && value !== '' && value !== '-') || typeof value === 'number') return value
    }
    return undefined
  }
  const time = pick('time_iso8601', 'time_local', '@timestamp', 'timestamp', 'time', 'ts', 'msec', 'date')
  const status = pick('status', 'status_code', 'response_status', 'http_status', 'code')
  if (time === undefined || status === undefined) return undefined
  return {
    time: String(time),
    status: String(status),
    target: String(pick('request_uri', 'path', 'uri', 'url', 'request') ?? ''),
    seconds: String(pick('request_time', 'rt', 'duration', 'upstream_response_time', 'urt') ?? ''),
  }
}

/** Patterns of variables whose values are known to have one shape. */
const SHAPE_OF: Readonly<Record<string, string>> = {
  time_local: String.raw`\d\d/\w{3}/\d{4}:\d\d:\d\d:\d\d [+-]\d{4}`,
  time_iso8601: String.raw`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:[+-]\d\d:\d\d|Z)`,
  msec: String.raw`\d+\.\d+`,
  status: String.raw`\d{3}`,
  request_time: String.raw`\d+(?:\.\d+)?`,
  upstream_response_time: String.raw`(?:[-\d.]+(?:(?:, | : )[-\d.]+)*)?`,
  request: String.raw`(?:[^"\\]|\\.)*?`,
}

const GROUP_OF: Readonly<Record<string, string>> = {
  time_local: 'time',
  time_iso8601: 'time',
  msec: 'time',
  status: 'status',
  request: 'request',
  request_uri: 'uri',
  uri: 'uri',
  request_time: 'seconds',
  upstream_response_time: 'upstream',
}

/** @returns undefined when the format names no time or no status, so that nothing can be counted */
function compileFormat(format: string): ((line: string) => Fields | undefined) | undefined {
  const parts = format.split(/\$(?:\{(\w+)\}|(\w+))/)
  const used = new Set<string>()
  let source = '^'
  for (let at = 0; at < parts.length; at += 3) {
    source += (parts[at] ?? '').replace(/[.*+?^${}()|[\]\\/]/g, '\\$&')
    const variable = parts[at + 1] ?? parts[at + 2]
    if (variable === undefined) break
    const shape = SHAPE_OF[variable] ?? anythingBefore(parts[at + 3] ?? '', at + 3 >= parts.length - 1)
    const group = GROUP_OF[variable]
    source += group && !used.has(group) ? `(?<${group}>${shape})` : `(?:${shape})`
    if (group) used.add(group)
  }
  if (!used.has('time') || !used.has('status')) return undefined
  const expression = new RegExp(source, 's')
  return (line) => {
    const groups = expression.exec(line)?.groups
    if (!groups) return undefined
    const { time = '', status = '', request, uri, seconds, upstream } = groups
    return { time, status, target: request ?? uri ?? '', seconds: seconds ?? upstream }
  }
}

/** Any value up to the next fixed character: no backtracking, whatever a client sent. */
function anythingBefore(literal: string, last: boolean): string {
  const stop = literal[0]
  if (stop === undefined) return last ? '.*' : String.raw`\S*?`
  if (stop === '"') return String.raw`(?:[^"\\]|\\.)*`
  return `[^${/[\]\\^-]/.test(stop) ? `\\${stop}` : stop}]*`
}

function isJson(text: string): boolean {
  return text.startsWith('{')
}

/** Times of neighbouring lines are mostly the same text, so the last one is kept. */
function createTimeParser(): (text: string) => number {
  let lastText = ''
  let lastMs = Number.NaN
  return (text) => {
    if (text !== lastText) {
      lastMs = parseTime(text)
      lastText = text
    }
    return lastMs
  }
}

/** @returns NaN for a time without a zone, which could be any hour */
function parseTime(text: string): number {
  const clf = /^(\d\d)\/(\w{3})\/(\d{4}):(\d\d):(\d\d):(\d\d) ([+-])(\d\d)(\d\d)$/.exec(text)
  if (clf) {
    const [, day, month = '', year, hour, minute, second, sign, zoneHours, zoneMinutes] = clf
    const zoneMs = (Number(zoneHours) * 60 + Number(zoneMinutes)) * 60_000 * (sign === '-' ? -1 : 1)
    const monthIndex = MONTHS.indexOf(month)
    if (monthIndex === -1) return Number.NaN
    return Date.UTC(Number(year), monthIndex, Number(day), Number(hour), Number(minute), Number(second)) - zoneMs
  }
  if (/^\d{9,10}(\.\d+)?$/.test(text)) return Number(text) * 1000
  if (/^\d{13}$/.test(text)) return Number(text)
  return /T.*(Z|[+-]\d\d:?\d\d)$/.test(text) ? Date.parse(text) : Number.NaN
}

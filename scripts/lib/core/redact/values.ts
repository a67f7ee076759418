/**
 * How far a value reaches: quoted at any depth of escaping, a shell word, the rest of a line.
 * Every function moves forward only and looks at each character a bounded number of times.
 */
import { REDACTED } from '../secret.ts'

/** A stretch of a text, `end` exclusive. `quote` is put around the marker where JSON would not be JSON without it. */
export interface Span {
  readonly start: number
  readonly end: number
  readonly quote?: string
}

/** A text whose line ends are looked up once each: one line may be a megabyte long and hold a thousand names. */
export interface Source {
  readonly text: string
  /** The end of the line that holds `at`: the index of its line break, or of the end of the text. */
  readonly lineEnd: (at: number) => number
}

export function createSource(text: string): Source {
  let line: Span = { start: 0, end: -1 }
  return {
    text,
    lineEnd: (at) => {
      if (at < line.start || at > line.end) {
        const newline = text.indexOf('\n', at)
        line = { start: at, end: newline === -1 ? text.length : newline }
      }
      return line.end > at && text[line.end - 1] === '\r' ? line.end - 1 : line.end
    },
  }
}

/** The deepest escaping that is followed: JSON in JSON in JSON in JSON. */
const MAX_BACKSLASHES = 15

/** An opening quote with the backslashes before it: `"`, `\"` in JSON within JSON, `\\\"` one level deeper. */
export function quoteAt(text: string, at: number): string | undefined {
  let end = at
  while (text[end] === '\\' && end - at < MAX_BACKSLASHES) end += 1
  const quote = text[end]
  return quote === '"' || quote === "'" || (quote === '`' && end === at) ? text.slice(at, end + 1) : undefined
}

/** The quote that ends right before `at`, as `quoteAt` would name it. */
export function quoteBefore(text: string, at: number): string | undefined {
  const quote = text[at - 1]
  if (quote !== '"' && quote !== "'" && quote !== '`') return undefined
  let start = at - 1
  while (text[start - 1] === '\\' && at - start <= MAX_BACKSLASHES) start -= 1
  return text.slice(start, at)
}

/**
 * Where the quoted text that starts at `from` closes.
 *
 * With k backslashes before the opening quote, a run of r backslashes and a quote closes when r mod 2(k+1) = k: each
 * level of JSON doubles them. A double quote after fewer than k ends an outer string, and this one with it.
 * @returns the index of the closing quote's first character, or `limit` when nothing closes it
 */
export function closingAt(text: string, from: number, quote: string, limit: number): number {
  const depth = quote.length - 1
  const mark = quote.at(-1)
  let run = 0
  for (let at = from; at < limit; at += 1) {
    const char = text[at]
    if (char === '\\') {
      run += 1
      continue
    }
    if (char === mark && run % (2 * (depth + 1)) === depth) return at - depth
    if (char === '"' && run < depth) return at - run
    run = 0
  }
  return limit
}

/** After spaces and tabs, at most 160 of them: deeper than people indent. */
export function skipBlanks(text: string, at: number): number {
  let end = at
  while ((text[end] === ' ' || text[end] === '\t') && end - at < 160) end += 1
  return end
}

/** The characters of a line before `at`, at most 160; `\n` first when the line begins there. */
export function lineBefore(text: string, at: number): string {
  const before = text.slice(Math.max(0, at - 160), at)
  const newline = before.lastIndexOf('\n')
  if (newline !== -1) return before.slice(newline)
  return at <= 160 ? `\n${before}` : before
}

/** What ends a word besides white space: a separator with nothing or another `name=` after it. */
const LOG_SEPARATOR = /[;,&](?:\s|$|[;&]|[A-Za-z_][\w. -]{0,40}=)/y

/** The same on a command line, where a comma is part of a word. */
export const SHELL_SEPARATOR = /[;&](?:\s|$|[;&])/y

/**
 * Where a word ends, as a shell or a log line writes it: quoted pieces may be joined, `\ ` is a space; nothing is
 * escaped between single quotes.
 * @param outer quotes that were opened before the word and end it
 */
export function wordEnd({ text, lineEnd }: Source, from: number, outer = '', separator = LOG_SEPARATOR): number {
  const limit = lineEnd(from)
  let at = text.startsWith(REDACTED, from) ? from + REDACTED.length : from
  while (at < limit) {
    const char = text[at] ?? ''
    if (char === ' ' || char === '\t') return at
    if (outer.includes(char)) return text[at - 1] === '\\' && at > from ? at - 1 : at
    if (char === '\\') at += outer.includes(text[at + 1] ?? ' ') ? 1 : 2
    else if (char === '"') at = closingAt(text, at + 1, char, limit) + 1
    else if (char === "'") at = singleQuoteEnd(text, at + 1, limit) + 1
    else if (';,&'.includes(char) && matchAt(separator, text, at)) return at
    else at += 1
  }
  return Math.min(at, limit)
}

function singleQuoteEnd(text: string, from: number, limit: number): number {
  let at = from
  while (at < limit && text[at] !== "'") at += 1
  return at
}

/** Matches `pattern` (which has the `y` flag) exactly at `at`. */
export function matchAt(pattern: RegExp, text: string, at: number): RegExpExecArray | null {
  pattern.lastIndex = at
  return pattern.exec(text)
}

/** The text with each span replaced by the marker. Spans must be in order and apart from each other. */
export function maskSpans(text: string, spans: readonly Span[]): string {
  if (spans.length === 0) return text
  const parts: string[] = []
  let done = 0
  for (const { start, end, quote = '' } of spans) {
    parts.push(text.slice(done, start), quote, REDACTED, quote)
    done = end
  }
  parts.push(text.slice(done))
  return parts.join('')
}

/**
 * Secrets that a name announces: `.env` lines, YAML, JSON at any depth of escaping, flags, headers, query parameters,
 * connection strings, XML, PHP, SQL, Kubernetes `name`/`value` pairs.
 *
 * One pass over the names of a text: each is looked at once, and after a secret the scan goes on behind it.
 */
import { describeName, readNameValue, readSeparator, type Named, type Separator } from './around.ts'
import { indentOf, readIndented } from './indented.ts'
import { isFlag, isHeaderName, isOrdinary, isPlaceholder, isSecretName, isSecretParameter } from './names.ts'
import { plainEnd } from './plain.ts'
import {
  closingAt,
  createSource,
  maskSpans,
  matchAt,
  quoteAt,
  quoteBefore,
  skipBlanks,
  wordEnd,
  type Source,
  type Span,
} from './values.ts'

const NAME = /[\p{L}_][\p{L}\p{N}_.-]*/gu
/** A text with none of these announces no secret; most lines end here. */
const HINT =
  /pass|pwd|secret|token|key|credential|cookie|auth|jwt|sess|webhook|sig|pw|code|ticket|sid|identified|密|令|口/i
/** Before "token: unexpected end": a sentence about a secret, when what follows is a plain word. */
const PROSE =
  /\b(?:invalid|unexpected|bad|wrong|missing|unknown|expired|failed|incorrect|illegal|empty|no|the|a|an|reading|for|of|csrf|your|with|without|using|unsupported|malformed) $/i
const PLAIN_WORD = /^[A-Za-z]?[a-z]{1,20}(?:[-'][a-z]{1,20})?[,.;:!?)]?$/
/** After "--password": a sentence about the flag, or a usage line. */
const FLAG_TALK =
  /^(?:(?:is|or|and|to|option|flag|argument|must|can|cannot|requires|for|with|not|in|on|was|has|are|instead|if|when|from)$|[A-Z]{3,}\]?$|[|\])])/
const LIST_START = /\[[\s[]{0,64}\\{0,15}["'\d]/y
const MAPPING_START = /\{\s{0,64}(?:\}|["']?[\w.-]{1,64}["']?\s{0,8}[:=]|$)/my
const AUTH_SCHEME = /^(?:bearer|basic|digest|token|negotiate) +/i
/** Behind a closed quote: more of the same shell word. */
const MORE_OF_WORD = /[\w$%@*+~^]|["'][^\s,;&)\]}>"'`\\/]/y
const BASE64_VALUE = /\\{0,15}["']?\s{0,8}[:=]\s{0,8}\\{0,15}["']?([A-Za-z0-9+/=]{8,})/y
const SQL_IDENTIFIED = /\s{1,8}(?:WITH\s{1,8}\S{1,64}\s{1,8})?(?:BY|AS|USING)\s{1,8}(?:PASSWORD\s{1,8})?(?=['"])/iy

/** Masks every value that a name in the text announces. */
export function maskNamed(text: string): string {
  if (!HINT.test(text)) return text
  const source = createSource(text)
  const spans: Span[] = []
  const names = new RegExp(NAME)
  for (let match = names.exec(text); match; match = names.exec(text)) {
    const found = readName(source, match[0], match.index)
    spans.push(...found)
    names.lastIndex = Math.max(names.lastIndex, found.at(-1)?.end ?? 0)
  }
  return maskSpans(text, spans)
}

function readName(source: Source, word: string, at: number): Span[] {
  const { text } = source
  if (/^(?:name|key)$/i.test(word)) {
    const pair = readNameValue(source, at + word.length)
    if (pair) return readValue(pair.named, pair.separator)
  }
  const name = word.replace(/[.-]+$/, '')
  const isParameter = text[at - 1] === '?' || text[at - 1] === '&'
  const isSecret = isParameter ? isSecretParameter(name) : isSecretName(name) || isSpacedName(text, name, at)
  if (!isSecret) return readSpecial(source, name, at)
  const named = describeName(source, name, at)
  const separator = readSeparator(named)
  return separator ? readValue(named, separator) : []
}

/** `API key`, `Secret access key`: words with spaces between them. */
function isSpacedName(text: string, name: string, at: number): boolean {
  const before = /\b(?:api|access|secret|private|encryption|signing|account|master) $/i
  return /^(?:key|token)$/i.test(name) && before.test(text.slice(Math.max(0, at - 12), at))
}

function readValue(named: Named, separator: Separator): Span[] {
  const { source, quote } = named
  const { at, sign, closed } = separator
  if ((quote !== undefined && !closed) || /[?&]$/.test(named.before)) return readPlain(named, separator)
  const opening = quoteAt(source.text, at)
  if (opening !== undefined && !closed && sign !== ' ' && closesOuter(named, at, opening)) return []
  if (opening !== undefined) return readQuoted(named, separator, opening)
  if (matchAt(LIST_START, source.text, at)) return readList(source, at)
  if (sign === ':' && !closed && isLineOver(source, at)) return readIndented(source, named.start, at)
  if (sign !== ' ' && (closed ? /[[{]/.test(source.text[at] ?? '') : matchAt(MAPPING_START, source.text, at))) return []
  return readPlain(named, separator)
}

/** In `"…the password:"` the quote after the colon ends the string that the name stands in; there is no value. */
function closesOuter({ source: { text }, before }: Named, at: number, quote: string): boolean {
  if (!quote.endsWith('"') || !/^[\s,}\]:]?$/.test(text.slice(at + quote.length, at + quote.length + 1))) return false
  const opened = before
    .split(quote)
    .slice(0, -1)
    .filter((part) => !part.endsWith('\\')).length
  return !before.startsWith('\n') || opened % 2 === 1
}

/** Nothing is left on the line but the head of a block scalar or a comment. */
function isLineOver({ text, lineEnd }: Source, at: number): boolean {
  return /^(?:[|>][+\-\d]{0,2})?[ \t]*(?:#.*)?$/.test(text.slice(at, Math.min(lineEnd(at), at + 160)))
}

function readPlain(named: Named, separator: Separator): Span[] {
  const { source, name, quote } = named
  const { at, sign, closed } = separator
  const end = plainEnd(named, separator)
  const start = at + (isHeaderName(name) ? schemeLength(source.text.slice(at, end)) : 0)
  const value = source.text.slice(start, end)
  if (isPlaceholder(value) || isOrdinary(name, value, named.before) || isTalk(named, separator, value)) return []
  return [{ start, end, ...(closed && sign === ':' && quote !== undefined ? { quote } : {}) }]
}

function isTalk({ before }: Named, { sign }: Separator, value: string): boolean {
  if (value.length > 64) return false
  return sign === ' '
    ? isFlag(value) || FLAG_TALK.test(value)
    : sign === ':' && PROSE.test(before) && PLAIN_WORD.test(value)
}

function readQuoted(named: Named, separator: Separator, quote: string): Span[] {
  const { source, name } = named
  const { text, lineEnd } = source
  let start = separator.at + quote.length
  let close = closingAt(text, start, quote, lineEnd(start))
  const isYaml = separator.sign === ':' && !separator.closed
  if (isYaml && close === lineEnd(start)) close = closingAt(text, start, quote, continuedTo(source, named.start, start))
  if (quote.length === 1 && quote !== '`' && goesOn(text, close + 1, quote)) {
    // YAML knows no `\'`, so where its pieces end cannot be told from a shell's: there, the whole line.
    const isLine = isYaml && indentOf(text, named.start) !== undefined
    return [{ start: separator.at, end: isLine ? lineEnd(start) : wordEnd(source, separator.at) }]
  }
  if (isHeaderName(name)) start += schemeLength(text.slice(start, close))
  const value = text.slice(start, close)
  return isPlaceholder(value) || isOrdinary(name, value, named.before) ? [] : [{ start, end: close }]
}

/** Joined pieces of a shell word, `'a'"b"` and `'a'\''b'`, or YAML's `'a''b'`. */
function goesOn(text: string, at: number, quote: string): boolean {
  if (text[at] === quote || (quote === "'" && text.startsWith("\\'", at))) return true
  return matchAt(MORE_OF_WORD, text, at) !== null
}

/** The end of the following lines that are indented deeper than the name: a quoted YAML value may go on there. */
function continuedTo({ text, lineEnd }: Source, start: number, from: number): number {
  const indent = indentOf(text, start)
  let end = lineEnd(from)
  while (indent !== undefined && end - from < 8192) {
    const next = text.indexOf('\n', end) + 1
    if (next === 0 || skipBlanks(text, next) - next <= indent) break
    end = lineEnd(next)
  }
  return end
}

/** `["a b", 1, ["c"]]`: every string and number of a list. */
function readList({ text, lineEnd }: Source, at: number): Span[] {
  const spans: Span[] = []
  let depth = 0
  for (let next = at; ;) {
    const char = text[next] ?? ''
    if (char === '[') depth += 1
    if (char === ']') depth -= 1
    if (depth === 0) return spans
    const quote = quoteAt(text, next)
    const number = quote === undefined ? matchAt(/-?\d[\d.eE+-]{0,30}/y, text, next) : null
    if (number) spans.push({ start: next, end: (next += number[0].length), quote: '"' })
    else if (quote !== undefined) {
      const start = next + quote.length
      next = closingAt(text, start, quote, lineEnd(start))
      if (!isPlaceholder(text.slice(start, next))) spans.push({ start, end: next })
      next += quote.length
    } else if (/[\s,[\]]/.test(char)) next += 1
    else return spans
  }
}

/** Names that announce a secret in one form only: `_auth` of npm, `"auth"` of docker, SQL's `IDENTIFIED BY`. */
function readSpecial(source: Source, name: string, at: number): Span[] {
  const { text } = source
  const after = at + name.length
  if (name === '_auth' || (name === 'auth' && quoteBefore(text, at) !== undefined)) {
    const match = matchAt(BASE64_VALUE, text, after)
    const end = after + (match?.[0].length ?? 0)
    return match ? [{ start: end - (match[1]?.length ?? 0), end }] : []
  }
  const by = /^identified$/i.test(name) ? matchAt(SQL_IDENTIFIED, text, after) : null
  if (!by) return []
  const value = after + by[0].length
  const named = describeName(source, 'password', at)
  return readQuoted(named, { sign: '=', at: value, closed: false }, text[value] ?? "'")
}

function schemeLength(value: string): number {
  return AUTH_SCHEME.exec(value)?.[0].length ?? 0
}

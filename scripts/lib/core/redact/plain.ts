/**
 * How far a value without quotes reaches. That depends on where its name stands:
 *   header  Authorization, Cookie: the rest of the line
 *   inside  right behind a quote that is still open, `"PASSWORD=a b"`: up to that quote
 *   field   a parameter of a URL, an element of XML, an entry of `{…}`, a part of `…;Name=…`: up to its separator
 *   line    at the beginning of a line or of a log message: the rest of the line, so that values with spaces are whole
 *   word    anywhere else: one shell word
 */
import { REDACTED } from '../secret.ts'
import type { Named, Separator } from './around.ts'
import { isHeaderName } from './names.ts'
import { closingAt, SHELL_SEPARATOR, wordEnd } from './values.ts'

const LINE_START =
  /^\n[\s>+<*#;/-]*(?:(?:export|set|declare -x|env|ENV|ARG|local|readonly) |Environment=)?["']?$|(?:: |(?<!\[REDACTED)\] |\| )$/
const QUERY_END = /[&#\s"<>\\]|'(?=[\s,;\]}>]|$)/gm
const ELEMENT_END = /<\//g
const ENTRY_END = /,(?=\s|["'])|,(?=[\w-]{1,64}:)|[})]|(?<!\[REDACTED)\]|,?$/g
const PART_END = /;(?:\s*$|["']|\s{0,8}[A-Za-z][\w ]{0,40}=)|["']/g
/** The next part of a line of logfmt. */
const NEXT_ASSIGNMENT = /\s[A-Za-z_][\w.-]{0,40}=/g
/** A `;` and another assignment come before anything else: `Password=a b;Server=…`. */
const FIRST_PART = /^[^;=\n]{0,1024};\s{0,8}[A-Za-z][\w ]{0,40}=/

export function plainEnd(named: Named, { at, sign, closed }: Separator): number {
  const { source, name, before, quote } = named
  const { text } = source
  const lineEnd = source.lineEnd(at)
  const upTo = (pattern: RegExp) => indexOf(pattern, text, at, lineEnd)

  if (sign === '>') return upTo(ELEMENT_END)
  if (quote !== undefined && !closed) return closingAt(text, at, quote, lineEnd)
  if (/[?&]$/.test(before)) return upTo(QUERY_END)
  if (closed || (sign === ':' && /[{,[(]\s*$/.test(before))) return upTo(ENTRY_END)
  if (isHeaderName(name)) return lineEnd
  if (sign === '=' && (/;\s*$/.test(before) || FIRST_PART.test(text.slice(at, Math.min(lineEnd, at + 1100))))) {
    return upTo(PART_END)
  }
  if (sign !== ' ' && LINE_START.test(before)) {
    // `DB_PASSWORD=a b=c` is an environment file, `password=a b=c` is logfmt.
    return sign === '=' && /[a-z]/.test(name) ? upTo(NEXT_ASSIGNMENT) : lineEnd
  }
  const outer = [...'"\''].filter((mark) => before.includes(mark)).join('')
  return wordEnd(source, at, outer, before.endsWith('-') ? SHELL_SEPARATOR : undefined)
}

/** Where `pattern` first matches, or `limit`. A marker at the beginning is passed over. */
function indexOf(pattern: RegExp, text: string, at: number, limit: number): number {
  const skipped = text.startsWith(REDACTED, at) ? at + REDACTED.length : at
  const rest = text.slice(skipped, limit)
  pattern.lastIndex = 0
  return skipped + (pattern.exec(rest)?.index ?? rest.length)
}

/**
 * What stands around a name in a text: its quote, the line before it, the separator after it.
 */
import { isSecretName } from './names.ts'
import { lineBefore, matchAt, quoteBefore, type Source } from './values.ts'

export interface Named {
  readonly source: Source
  readonly name: string
  readonly start: number
  readonly end: number
  /** The characters of its line before it, at most 160, `\n` first when the line begins there. */
  readonly before: string
  /** A quote right before the name. */
  readonly quote: string | undefined
}

/** How a value is announced, and where it begins: `key: v`, `key=v` (also `=>`, `:=`), `--key v`, `<key>v`. */
export interface Separator {
  readonly sign: ':' | '=' | ' ' | '>'
  readonly at: number
  /** The quote before the name was closed right after it, as around a key of JSON. */
  readonly closed: boolean
}

const SIGN = /[ \t]{0,64}(=>|:=|=(?!(?<=[ \t]=)[=~])|:(?!:)|：)[ \t]{0,160}/y
/** `--password x`, and `"--password", "x"` of an argument list in JSON. */
const FLAG_GAP = /\\{0,15}["']\s{0,64},\s{0,64}(?=\\{0,15}["'])|[ \t]{1,8}/y
const FLAG = /(?:^|[\s"'`=([,|\n])-{1,2}$/
/** A quoted string right after the word: nginx `Authorization "Basic …"`, SQL `PASSWORD '…'`. */
const QUOTED_AFTER = /[ \t]{1,8}(?=\\{0,15}["'])/y
const TAKES_QUOTED = /^(?:authorization|cookie|PASSWORD)$|-(?:authorization|cookie)$/i
const DEFINE_GAP = /\s{0,8},\s{0,8}(?=["'])/y
/** The name/value pairs of Kubernetes and ECS, in JSON and YAML. */
const NAME_VALUE =
  /(\\{0,15}["']?)\s{0,8}[:=]\s{0,64}\\{0,15}["']?([\w.-]{1,128})\\{0,15}["']?\s{0,8},?\s{0,160}(\\{0,15}["']?)value\3\s{0,8}[:=][ \t]{0,64}/iy

export function describeName(source: Source, name: string, start: number): Named {
  const { text } = source
  return {
    source,
    name,
    start,
    end: start + name.length,
    quote: quoteBefore(text, start),
    before: lineBefore(text, start),
  }
}

/** @returns undefined when nothing after the name announces a value */
export function readSeparator({ source: { text }, name, start, end, quote, before }: Named): Separator | undefined {
  const closed = quote !== undefined && text.startsWith(quote, end)
  let at = end + (closed ? quote.length : 0)
  if (closed && text[at] === ']') at += 1
  if (text[start - 1] === '<' && text[at] === '>') {
    return text.slice(at, at + 1024).includes('</') ? { sign: '>', at: at + 1, closed } : undefined
  }
  const sign = matchAt(SIGN, text, at)
  if (sign) return { sign: sign[1] === ':' || sign[1] === '：' ? ':' : '=', at: at + sign[0].length, closed }
  const [kind, gap] = FLAG.test(before)
    ? ([' ', FLAG_GAP] as const)
    : closed && /\bdefine\(\s?["']$/.test(before)
      ? (['=', DEFINE_GAP] as const)
      : (['=', TAKES_QUOTED.test(name) ? QUOTED_AFTER : undefined] as const)
  const match = gap && matchAt(gap, text, at)
  return match ? { sign: kind, at: at + match[0].length, closed } : undefined
}

/**
 * `{"name": "DB_PASSWORD", "value": "…"}`, and the same in YAML.
 * @param end behind the word `name` or `key`
 */
export function readNameValue(source: Source, end: number): { named: Named; separator: Separator } | undefined {
  const match = matchAt(NAME_VALUE, source.text, end)
  const name = match?.[2] ?? ''
  if (!match || !isSecretName(name)) return undefined
  const start = end + match[0].toLowerCase().lastIndexOf('value')
  const named = { ...describeName(source, 'value', start), name }
  return { named, separator: { sign: ':', at: end + match[0].length, closed: named.quote !== undefined } }
}

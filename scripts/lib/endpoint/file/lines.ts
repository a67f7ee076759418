/**
 * The lines of an endpoint list as the reference server reads them: what is a section, what is an item, what is dropped.
 * Its reader is Python's: lines end at \n, \r\n or \r, and `strip()` takes Unicode white space but not a byte order mark.
 */

export type Section = 'domains' | 'ips'

export type FileLine =
  | { readonly kind: 'blank' | 'comment'; readonly number: number; readonly text: string }
  /** `rest`: what stands after the colon; the reference drops it. */
  | {
      readonly kind: 'section'
      readonly number: number
      readonly text: string
      readonly section: Section
      readonly rest: string
    }
  /** `section` is undefined before the first section: the reference drops such items. */
  | {
      readonly kind: 'items'
      readonly number: number
      readonly text: string
      readonly section: Section | undefined
      readonly items: readonly string[]
    }

/** White space of Python's `str.strip()`: that of Unicode and the separators U+001C to U+001F, without U+FEFF. */
const SPACE = '[\\t-\\r\\u001c-\\u0020\\u0085\\u00a0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000]'
const EDGES = new RegExp(`^${SPACE}+|${SPACE}+$`, 'gu')

const SECTIONS: readonly (readonly [prefix: string, section: Section])[] = [
  ['domainlist:', 'domains'],
  ['iplist:', 'ips'],
]

/** @returns every line, numbered from 1 */
export function readLines(text: string): FileLine[] {
  let section: Section | undefined
  return text.split(/\r\n|\n|\r/).map((raw, index): FileLine => {
    const number = index + 1
    const line = strip(raw)
    if (line === '') return { kind: 'blank', number, text: line }
    if (line.startsWith('#')) return { kind: 'comment', number, text: line }
    const header = SECTIONS.find(([prefix]) => line.toLowerCase().startsWith(prefix))
    if (header) {
      section = header[1]
      return { kind: 'section', number, text: line, section, rest: strip(line.slice(header[0].length)) }
    }
    const items = line.split(',').flatMap((item) => strip(item) || [])
    return { kind: 'items', number, text: line, section, items }
  })
}

function strip(text: string): string {
  return text.replace(EDGES, '')
}

/**
 * Secrets on the lines below a YAML key: block scalars (`password: |`), a value on the next line, and lists.
 * Which lines belong is decided by indentation alone (YAML 1.2.2, section 8.1), so nothing needs to parse.
 */
import { isPlaceholder } from './names.ts'
import { lineBefore, skipBlanks, type Source, type Span } from './values.ts'

/**
 * @param start where the key's name begins
 * @param after behind the `:`, on a line with nothing else but `|`, `>` or a comment
 * @returns what to mask in the lines that are indented deeper than the key
 */
export function readIndented(source: Source, start: number, after: number): Span[] {
  const { text } = source
  const indent = indentOf(text, start)
  if (indent === undefined) return []
  const isBlock = /[|>]/.test(text[after] ?? '')
  const lines = readLines(source, source.lineEnd(after), indent)
  const first = lines[0]
  const last = lines.at(-1)
  if (!first || !last) return []
  if (!isBlock && lines.some((line) => text.startsWith('- ', line.start))) return listItems(text, lines)
  return !isBlock && isMapping(text.slice(first.start, first.end)) ? [] : [{ start: first.start, end: last.end }]
}

/** The column of a key, `- ` before it included; undefined when other text stands before it on its line. */
export function indentOf(text: string, start: number): number | undefined {
  return /^\n([ \t]*(?:- +)*)["']?$/.exec(lineBefore(text, start))?.[1]?.length
}

/** The lines deeper than `indent` (list items may stand as deep as their key), without their indentation. */
function readLines({ text, lineEnd }: Source, from: number, indent: number): Span[] {
  const lines: Span[] = []
  let end = from
  for (;;) {
    const next = text.indexOf('\n', end) + 1
    if (next === 0) return lines
    const start = skipBlanks(text, next)
    end = lineEnd(next)
    if (start >= end) continue
    const isItem = start - next === indent && text.startsWith('- ', start)
    if (start - next <= indent && !isItem) return lines
    lines.push({ start, end })
  }
}

function listItems(text: string, lines: readonly Span[]): Span[] {
  return lines
    .map(({ start, end }) => ({ start: start + (text.startsWith('- ', start) ? 2 : 0), end }))
    .filter(({ start, end }) => !isMapping(text.slice(start, end)) && !isPlaceholder(text.slice(start, end)))
}

function isMapping(line: string): boolean {
  return /^(["']?)[\w.-]{1,128}\1:(?:\s|$)/.test(line)
}

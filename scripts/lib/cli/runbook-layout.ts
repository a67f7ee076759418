/**
 * How lines about a run fit a terminal: prose is wrapped by words with a hanging indent; what is to be copied (commands)
 * and what a machine has put out stay as they are, however long.
 */
import { printableLine } from '../core/printable.ts'
import { displayWidth, wrapText } from '../report/width.ts'

export interface StyledLine {
  /** Before the first line; those below are indented by as many columns. Default: the indent and mark of `text`. */
  readonly head?: string
  readonly text: string
  readonly tone?: 'bold' | 'red' | 'dim'
  /** Never broken; `words`: not within a word, however long. */
  readonly whole?: boolean | 'words'
}

/** A text alone is prose. */
export type Line = string | StyledLine

export type Painter = (tone: NonNullable<StyledLine['tone']>, text: string) => string

const NO_BREAK = '\u00a0'
/** Narrower than this, words would stand one below the other. */
const NARROWEST = 20
/** What prose hangs from: an indent, then the mark of a step with its number, or that of a list. */
const HEAD = /^ *(?:\[[^\]]\] \d+\.\d+ |[-*+] |\d+[.)] )?/

/** @param width columns; undefined: nothing is wrapped (a pipe, a file) */
export function layOut(lines: readonly Line[], width: number | undefined, paint?: Painter): string[] {
  return lines.flatMap((line) => {
    const styled = typeof line === 'string' ? { text: line } : line
    const { tone } = styled
    const laid = fitLine(styled, width)
    return tone && paint ? laid.map((one) => paint(tone, one)) : laid
  })
}

function fitLine({ head, text, whole }: StyledLine, width: number | undefined): string[] {
  if (width === undefined || whole === true) return [`${head ?? ''}${text}`.replaceAll(NO_BREAK, ' ')]
  const lead = head ?? HEAD.exec(text)?.[0] ?? ''
  const rest = head === undefined ? text.slice(lead.length) : text
  const indent = displayWidth(lead)
  if (whole === 'words' && rest.split(' ').some((word) => displayWidth(word) > width - indent))
    return [`${lead}${rest}`]
  return wrapAround(rest, Math.max(NARROWEST, width - indent)).map((line, index) =>
    index === 0 ? `${lead}${line}` : `${' '.repeat(indent)}${line}`,
  )
}

/** Keeps words on one line, where a line is long enough for them. */
export function together(words: string): string {
  return words.replaceAll(' ', NO_BREAK)
}

/** Commands in backticks are not broken: one that is longer than a line has its own. */
function wrapAround(text: string, width: number): string[] {
  const parts = [{ isLong: false, text: '' }]
  for (const part of text.split(/(`[^`]+`)/)) {
    const isLong = part.startsWith('`') && displayWidth(part) > width
    const last = parts.at(-1)
    if (isLong || !last || last.isLong) parts.push({ isLong, text: part })
    else last.text += part.startsWith('`') ? together(part) : part
  }
  const lines = parts.flatMap((part) => {
    if (part.isLong) return [part.text]
    return part.text.trim() === ''
      ? []
      : wrapText(part.text.trim(), width).map((line) => line.replaceAll(NO_BREAK, ' '))
  })
  return lines.length === 0 ? [text] : lines
}

export function whole(text: string): StyledLine {
  return { text, whole: true }
}

/** A command to be copied, on a line of its own, with what it does: behind it where all of them fit, else above. */
export function commandLines(commands: readonly (readonly [command: string, what: string])[], width?: number): Line[] {
  const columns = Math.min(76, Math.max(0, ...commands.map(([command]) => command.length)))
  const rows = commands.map(([command, what]) => `  ${command.padEnd(columns)}  # ${printableLine(what)}`)
  if (width === undefined || rows.every((row) => displayWidth(row) <= width)) return rows.map(whole)
  return commands.flatMap(([command, what]) => [{ head: '  # ', text: printableLine(what) }, whole(`  ${command}`)])
}

/** Markdown as lines: paragraphs and items of lists are one line each, code and tables keep theirs. */
export function markdownLines(text: string, indent: string): StyledLine[] {
  const lines: StyledLine[] = []
  let open: { head: string; words: string[] } | undefined
  let fence = false
  const flush = () => {
    if (open) lines.push({ head: open.head, text: plainText(joinLines(open.words)) })
    open = undefined
  }
  for (const line of text.trim() === '' ? [] : text.split('\n')) {
    const isFence = /^\s*(?:`{3}|~{3})/.test(line)
    const marker = /^(\s*(?:[-*+]|\d+[.)]|>|#{1,6})\s+)(.*)$/.exec(line)
    if (fence || isFence) {
      flush()
      fence = fence !== isFence
      if (!isFence) lines.push({ head: `${indent}  `, text: line, whole: true })
    } else if (/^\s*\|/.test(line)) {
      flush()
      lines.push({ head: indent, text: plainText(line), whole: true })
    } else if (marker) {
      flush()
      open = { head: `${indent}${marker[1] ?? ''}`, words: [marker[2] ?? ''] }
    } else if (line.trim() === '') {
      flush()
      lines.push({ head: '', text: '' })
    } else if (open) open.words.push(line.trim())
    else open = { head: indent, words: [line.trim()] }
  }
  flush()
  return lines
}

/** Without what only a web page shows: marks of emphasis, and where links lead outside of the page. */
export function plainText(text: string): string {
  return text
    .replace(/(`[^`]*`)|\*\*(.+?)\*\*/g, (_, code?: string, word?: string) => code ?? word ?? '')
    .replace(
      /(`[^`]*`)|(?<![\w*])\*([^\s*](?:[^*]*[^\s*])?)\*(?![\w*])/g,
      (_, code?: string, word?: string) => code ?? word ?? '',
    )
    .replace(/(?<!!)\[([^\]]+)\]\(([^)\s]+)\)/g, '$1 ($2)')
}

/** Between two characters of Chinese, the end of a line is no space. */
function joinLines(lines: readonly string[]): string {
  return lines.reduce((text, line) => {
    const isDense = displayWidth(text.slice(-1)) === 2 && displayWidth(line.slice(0, 1)) === 2
    return `${text}${isDense ? '' : ' '}${line}`
  })
}

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
  /** Never broken. */
  readonly whole?: boolean
}

/** A text alone is prose. */
export type Line = string | StyledLine

export type Painter = (tone: NonNullable<StyledLine['tone']>, text: string) => string

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
  if (width === undefined || whole) return [`${head ?? ''}${text}`]
  const lead = head ?? HEAD.exec(text)?.[0] ?? ''
  const rest = head === undefined ? text.slice(lead.length) : text
  const indent = displayWidth(lead)
  return wrapText(rest, Math.max(NARROWEST, width - indent)).map((line, index) =>
    index === 0 ? `${lead}${line}` : `${' '.repeat(indent)}${line}`,
  )
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
    if (open) lines.push({ head: open.head, text: plainText(open.words.join(' ')) })
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

/** Without what only a web page shows: bold marks, and where links lead outside of the page. */
export function plainText(text: string): string {
  return text.replace(/\*\*(.+?)\*\*/g, '$1').replace(/(?<!!)\[([^\]]+)\]\(([^)\s]+)\)/g, '$1 ($2)')
}

/**
 * A runbook's Markdown as front matter, phases and items with their blocks: which line belongs to what. What the blocks
 * mean is read in block.ts. It never throws; what a web page would show otherwise than it would run is a problem.
 */
import type { Complaint } from '../types.ts'
import { indentOf, isBlank, splitLines, unindent, type Line } from './lines.ts'
import {
  closesFence,
  isCodeIndent,
  isRule,
  isUnderline,
  looksLikeHeading,
  looksLikeTask,
  matchFence,
  matchHeading,
  matchTask,
  opensComment,
  startsBlock,
  type FenceLine,
} from './markdown.ts'

export interface OutlineProblem {
  readonly line: number
  readonly column: number
  readonly message: string
  /** Default: error. */
  readonly severity?: Complaint['severity']
  readonly hint?: string
}

/** YAML within the file: its text, and where each of its lines stood. */
export interface Embedded {
  readonly text: string
  /** The line of the file that is its first; from 1. */
  readonly firstLine: number
  /** How many characters of the file's line are before each of its lines. */
  readonly removed: readonly number[]
}

export interface OutlineItem {
  readonly title: string
  readonly text: string
  readonly line: number
  readonly column: number
  readonly block?: Embedded
}

export interface OutlinePhase {
  readonly title: string
  readonly text: string
  readonly line: number
  readonly items: readonly OutlineItem[]
}

/** A line that people read: of no block, no comment, not the front matter. */
export interface ProseLine extends Line {
  /** Within a fence: its links are no links. */
  readonly code: boolean
}

export interface Outline {
  /** Absent: the file has none. */
  readonly front?: Embedded
  readonly intro: string
  readonly phases: readonly OutlinePhase[]
  readonly prose: readonly ProseLine[]
  readonly problems: readonly OutlineProblem[]
}

interface OpenItem {
  title: string
  readonly lines: string[]
  readonly line: number
  readonly column: number
  readonly contentColumn: number
  block?: Embedded
  /** Lines that follow without a blank one still belong to the title. */
  titleOpen: boolean
}

interface OpenPhase {
  readonly title: string
  readonly line: number
  readonly lines: string[]
  readonly items: OpenItem[]
}

interface OpenFence extends FenceLine {
  readonly line: Line
  /** The item it stands in; it ends with it. */
  readonly item: OpenItem | undefined
  /** Present: it is the block of its item. */
  readonly block?: { readonly lines: string[]; readonly removed: number[] }
}

interface State {
  readonly intro: string[]
  readonly phases: OpenPhase[]
  readonly prose: ProseLine[]
  readonly problems: OutlineProblem[]
  item: OpenItem | undefined
  fence: OpenFence | undefined
  comment: boolean
  /** The line before was text that the next one may go on. */
  paragraph: boolean
}

export function readOutline(text: string): Outline {
  const lines = splitLines(text)
  const state: State = {
    ...{ intro: [], phases: [], prose: [], problems: [] },
    ...{ item: undefined, fence: undefined, comment: false, paragraph: false },
  }
  const { front, next } = readFrontMatter(lines, state.problems)
  for (const line of lines.slice(next)) readLine(state, line)
  if (state.fence) closeAtEnd(state, state.fence)
  return {
    ...(front && { front }),
    intro: joined(state.intro),
    phases: state.phases.map(({ items, lines: own, ...phase }) => ({
      ...phase,
      text: joined(own),
      items: items.map(({ title, line, column, block, lines: more }) => ({
        ...{ title, line, column, text: joined(more) },
        ...(block && { block }),
      })),
    })),
    prose: state.prose,
    problems: state.problems,
  }
}

function readFrontMatter(lines: readonly Line[], problems: OutlineProblem[]): { front?: Embedded; next: number } {
  const hint = 'A runbook begins with a line of ---, its id, title, severity and owner, and another ---.'
  if (!/^---[ \t]*$/.test(lines[0]?.text ?? '')) {
    problems.push({ line: 1, column: 1, message: 'the front matter is missing', hint })
    return { next: 0 }
  }
  const end = lines.findIndex(({ text }, index) => index > 0 && /^---[ \t]*$/.test(text))
  if (end === -1) {
    problems.push({ line: 1, column: 1, message: 'the front matter has no end: a line of ---', hint })
    return { next: lines.length }
  }
  const own = lines.slice(1, end)
  return {
    front: { text: own.map(({ text }) => text).join('\n'), firstLine: 2, removed: own.map(() => 0) },
    next: end + 1,
  }
}

function readLine(state: State, line: Line): void {
  if (state.fence && readFenced(state, line, state.fence)) return
  if (state.comment || opensComment(line.text) || (state.item && opensComment(inItem(state.item, line)))) {
    state.comment = !line.text.includes('-->')
    state.paragraph = false
    return
  }
  state.prose.push({ ...line, code: false })
  if (isBlank(line.text)) return readBlank(state)
  const { item } = state
  if (item && indentOf(line.text) >= item.contentColumn) return readWithin(state, line, item)
  if (item && state.paragraph && !startsBlock(line.text)) return readText(state, line.text.trim(), item)
  if (item) {
    state.item = undefined
    state.paragraph = false
  }
  readTop(state, line)
}

/** @returns false when the line is none of the fence's any more */
function readFenced(state: State, line: Line, fence: OpenFence): boolean {
  const { item, block } = fence
  if (item && !isBlank(line.text) && indentOf(line.text) < item.contentColumn) {
    complain(state, line, 'this line is indented less than its item: on a web page the block ends above it', {
      hint: `Indent it by ${item.contentColumn} spaces.`,
    })
    endFence(state, fence)
    return false
  }
  if (closesFence(line.text, fence)) {
    endFence(state, fence)
    if (!block) keepProse(state, line, true)
    return true
  }
  if (block) {
    const { text, removed } = unindent(line.text, fence.indent)
    block.lines.push(text)
    block.removed.push(removed)
  } else keepProse(state, line, true)
  return true
}

function endFence(state: State, { item, block, line }: OpenFence): void {
  state.fence = undefined
  state.paragraph = false
  if (item && block) {
    item.block = { text: block.lines.join('\n'), firstLine: line.number + 1, removed: block.removed }
  }
}

function closeAtEnd(state: State, fence: OpenFence): void {
  complain(state, fence.line, 'this block has no end', { hint: `Close it with ${fence.mark} on a line of its own.` })
  endFence(state, fence)
}

function readBlank(state: State): void {
  state.paragraph = false
  textOf(state).push('')
  if (state.item) state.item.titleOpen = false
}

/** A line indented under an item. */
function readWithin(state: State, line: Line, item: OpenItem): void {
  const text = inItem(item, line)
  if (refuseUnderline(state, line, text)) return
  const fence = matchFence(text)
  if (fence && !isCodeIndent(text)) return openFence(state, line, { ...fence, indent: indentOf(line.text) })
  if (matchTask(text) || looksLikeTask(text)) {
    complain(state, line, 'an item within an item is never run', { hint: 'Make it an item of its own at the margin.' })
  }
  const heading = isCodeIndent(text) ? undefined : matchHeading(text)
  if (heading && heading.level <= 2) {
    complain(state, line, 'a heading within an item begins no phase', { hint: 'Put it at the left margin.' })
  }
  readText(state, text, item)
}

function readText(state: State, text: string, item: OpenItem): void {
  const plain = !startsBlock(text)
  if (item.titleOpen && plain) item.title = `${item.title} ${text.trim()}`
  else {
    item.titleOpen = false
    item.lines.push(text)
  }
  state.paragraph = plain || /^ {0,3}(?:[-*+>]|\d{1,9}[.)])[ \t]/.test(text)
}

/** A line at the left margin. */
function readTop(state: State, line: Line): void {
  const { text } = line
  if (refuseUnderline(state, line, text)) return
  const heading = isCodeIndent(text) ? undefined : matchHeading(text)
  if (heading?.level === 2) return openPhase(state, line, heading.title)
  const task = isCodeIndent(text) ? undefined : matchTask(text)
  if (task) return openItem(state, line, task)
  if (isRule(text)) {
    state.paragraph = false
    return
  }
  const fence = isCodeIndent(text) ? undefined : matchFence(text)
  if (looksLikeTask(text) && !isCodeIndent(text)) {
    complain(state, line, 'this is no item on a web page', { hint: 'Write "- [ ] " and what to do.' })
  } else if (looksLikeHeading(text)) {
    complain(state, line, 'this is no heading on a web page', { hint: 'Put a space after the #.' })
  } else if ((state.phases.at(-1)?.items.length ?? 0) > 0 && !state.paragraph) {
    complain(state, line, 'this stands between items and belongs to none', {
      hint: 'Indent it under its item, put it before the first item, or begin a phase with "## ".',
    })
  }
  if (fence) return openFence(state, line, fence)
  // The title of the page is in the front matter.
  if (heading?.level !== 1) textOf(state).push(text)
  state.paragraph = !heading
}

function refuseUnderline(state: State, line: Line, text: string): boolean {
  if (!state.paragraph || !isUnderline(text)) return false
  complain(state, line, 'underlined headings are not read', {
    hint: 'Write "## " before the text, or a blank line above a rule.',
  })
  state.paragraph = false
  return true
}

function openPhase(state: State, line: Line, title: string): void {
  if (title === '') complain(state, line, 'a phase needs a title')
  state.phases.push({ title, line: line.number, lines: [], items: [] })
  state.paragraph = false
}

function openItem(state: State, line: Line, task: NonNullable<ReturnType<typeof matchTask>>): void {
  const { title, column, contentColumn, ticked } = task
  const phase = state.phases.at(-1)
  if (title === '') complain(state, line, 'an item needs a text')
  if (ticked) complain(state, line, 'this item is ticked in the file', { severity: 'warning', hint: 'Write "- [ ] ".' })
  if (!phase) complain(state, line, 'an item before the first phase', { hint: 'Put a heading above it: "## Look".' })
  state.item = { title, column, contentColumn, line: line.number, lines: [], titleOpen: true }
  state.paragraph = true
  phase?.items.push(state.item)
}

function openFence(state: State, line: Line, fence: FenceLine): void {
  const { item } = state
  if (item) item.titleOpen = false
  state.paragraph = false
  const isYaml = fence.info === 'yaml' || fence.info === 'yml'
  const isBlock = item !== undefined && fence.info === 'yaml' && !item.block
  if (isYaml && !isBlock && (item !== undefined || state.phases.length > 0)) {
    const problem = !item
      ? 'this block belongs to no item'
      : item.block
        ? 'an item has one block at most'
        : 'the block of an item is opened by ```yaml'
    complain(state, line, problem, { hint: 'Indent it under its item as its ```yaml block; ```text only shows.' })
  }
  state.fence = { ...fence, line, item, ...(isBlock && { block: { lines: [], removed: [] } }) }
  if (isBlock) state.prose.pop()
  else textOf(state).push(item ? inItem(item, line) : line.text)
}

function keepProse(state: State, line: Line, code: boolean): void {
  state.prose.push({ ...line, code })
  textOf(state).push(state.item ? inItem(state.item, line) : line.text)
}

/** Where prose goes at this point. */
function textOf(state: State): string[] {
  return state.item?.lines ?? state.phases.at(-1)?.lines ?? state.intro
}

function inItem(item: OpenItem, line: Line): string {
  return unindent(line.text, item.contentColumn).text
}

function complain(state: State, line: Line, message: string, more: Partial<OutlineProblem> = {}): void {
  const column = (/^[ \t]*/.exec(line.text)?.[0].length ?? 0) + 1
  state.problems.push({ line: line.number, column, message, ...more })
}

function joined(lines: readonly string[]): string {
  const first = lines.findIndex((line) => !isBlank(line))
  if (first === -1) return ''
  return lines
    .slice(first)
    .join('\n')
    .trimEnd()
    .replace(/\n{3,}/g, '\n\n')
}

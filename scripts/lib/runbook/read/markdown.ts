/**
 * The few constructs of Markdown that a runbook is made of, as patterns: what a line is, by itself. Where CommonMark 0.31
 * and the task lists of GitHub Flavored Markdown differ from what a writer meant (`- []`, `##Title`), it is told.
 */
import { indentOf, widthOf } from './lines.ts'

export interface TaskLine {
  /** Where its content begins, in columns from 0: what is indented so far belongs to it. */
  readonly contentColumn: number
  /** Where its marker stands, in characters from 1. */
  readonly column: number
  readonly ticked: boolean
  readonly title: string
}

export interface FenceLine {
  readonly mark: string
  /** The first word after the mark, in small letters: the language. */
  readonly info: string
  readonly indent: number
}

/** Deeper than this at the left margin is code, not a heading or an item (CommonMark 4.4). */
const MAX_INDENT = 3

export function matchTask(text: string): TaskLine | undefined {
  const match = /^([ \t]*)([-*+]|\d{1,9}[.)])([ \t]+)\[([ xX])\](?:[ \t]+(.*))?$/.exec(text)
  if (!match) return undefined
  const [, indent = '', marker = '', space = '', tick, title = ''] = match
  const before = widthOf(indent, 0) + marker.length
  return {
    contentColumn: before + widthOf(space, before),
    column: indent.length + 1,
    ticked: tick !== ' ',
    title: title.trim(),
  }
}

/** Meant as an item, and none on a web page: `- []`, `-[ ] text`, `- [ ]text`. A link that begins a list item is none. */
export function looksLikeTask(text: string): boolean {
  return /^[ \t]*[-*+][ \t]*\[[ \t]*[xX]?[ \t]*\](?![([:])/.test(text)
}

export function matchHeading(text: string): { readonly level: number; readonly title: string } | undefined {
  const match = /^[ \t]*(#{1,6})(?:[ \t]+(.*))?$/.exec(text)
  if (!match) return undefined
  return { level: match[1]?.length ?? 0, title: withoutClosing((match[2] ?? '').trim()) }
}

/** A heading may end in marks too: `## Title ##`. By hand: a pattern anchored at the end alone takes quadratic time. */
function withoutClosing(title: string): string {
  let end = title.length
  while (title[end - 1] === '#') end -= 1
  return end === 0 || title[end - 1] === ' ' || title[end - 1] === '\t' ? title.slice(0, end).trimEnd() : title
}

/** `##Title`, which a web page shows as text. */
export function looksLikeHeading(text: string): boolean {
  return /^ {0,3}#{2,6}[^#\s]/.test(text)
}

/** The line under a heading that is underlined. */
export function isUnderline(text: string): boolean {
  return /^ {0,3}(?:=+|-+)[ \t]*$/.test(text)
}

/** A line across the page: `---`, `* * *`. */
export function isRule(text: string): boolean {
  return /^ {0,3}(?:(?:\*[ \t]*){3,}|(?:_[ \t]*){3,}|(?:-[ \t]*){3,})$/.test(text)
}

export function matchFence(text: string): FenceLine | undefined {
  const match = /^[ \t]*(`{3,}|~{3,})(.*)$/.exec(text)
  if (!match) return undefined
  const [, mark = '', rest = ''] = match
  if (mark.startsWith('`') && rest.includes('`')) return undefined
  return { mark, info: rest.trim().split(/\s/)[0]?.toLowerCase() ?? '', indent: indentOf(text) }
}

export function closesFence(text: string, { mark }: FenceLine): boolean {
  const match = /^[ \t]*(`{3,}|~{3,})[ \t]*$/.exec(text)
  return match !== null && match[1]?.[0] === mark[0] && (match[1]?.length ?? 0) >= mark.length
}

export function opensComment(text: string): boolean {
  return /^ {0,3}<!--/.test(text)
}

/** True for what never goes on a paragraph: everything but plain text (CommonMark 5.2, laziness). */
export function startsBlock(text: string): boolean {
  return isRule(text) || /^ {0,3}(?:#{1,6}(?:\s|$)|>|`{3}|~{3}|<!--|[-*+][ \t]|\d{1,9}[.)][ \t])/.test(text)
}

export function isCodeIndent(text: string): boolean {
  return indentOf(text) > MAX_INDENT
}

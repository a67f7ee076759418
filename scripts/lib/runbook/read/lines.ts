/**
 * The lines of a Markdown file and how deep each is indented. A tab reaches to the next multiple of four columns
 * (CommonMark 0.31, 2.2); a byte order mark and carriage returns belong to no line.
 */

export interface Line {
  /** From 1. */
  readonly number: number
  /** Without its end. */
  readonly text: string
}

const TAB = 4

/** @returns at least one line */
export function splitLines(text: string): Line[] {
  return text
    .replace(/^\ufeff/, '')
    .split(/\r\n|\n|\r/)
    .map((line, index) => ({ number: index + 1, text: line }))
}

export function isBlank(text: string): boolean {
  return /^[ \t]*$/.test(text)
}

/** The width of the white space a line begins with, in columns from 0. */
export function indentOf(text: string): number {
  return widthOf(/^[ \t]*/.exec(text)?.[0] ?? '', 0)
}

/** @param from the column at which `space` begins */
export function widthOf(space: string, from: number): number {
  let column = from
  for (const char of space) column = char === '\t' ? column + TAB - (column % TAB) : column + 1
  return column - from
}

/**
 * Takes up to `columns` columns of white space from the front; what a tab reaches beyond them stays as spaces.
 * @returns the rest, and how many characters of the line are before it (negative when spaces stand for part of a tab)
 */
export function unindent(text: string, columns: number): { readonly text: string; readonly removed: number } {
  let column = 0
  let index = 0
  while (column < columns && (text[index] === ' ' || text[index] === '\t')) {
    column += text[index] === '\t' ? TAB - (column % TAB) : 1
    index += 1
  }
  const left = Math.max(0, column - columns)
  return { text: ' '.repeat(left) + text.slice(index), removed: index - left }
}

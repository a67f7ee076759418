/**
 * Rows as aligned columns for a terminal, for any command that lists things.
 * Cells are made inert here too, so a list that never was a report is safe; secrets must have been redacted before.
 */
import { printableLine } from '../core/printable.ts'
import type { Table } from './types.ts'
import { displayWidth, padTo, wrapText } from './width.ts'

export interface TableOptions {
  /** Columns of the terminal; absent: cells are never wrapped. */
  readonly width?: number
  /** The line under the column names; default `─`. */
  readonly rule?: string
  /** Paints the column names. */
  readonly heading?: (text: string) => string
}

const GAP = 2
/** A text column is not squeezed below this; a table that still does not fit becomes records. */
const MIN_COLUMN = 10
const MAX_CELL_LENGTH = 1_000
/** `12`, `-3.5`, `1,024`, `97 %`, `1.5 GiB`, `340 ms`; an empty cell or a dash stands for "none". */
const NUMERIC = /^[-+]?\d[\d.,]*(?: ?(?:%|[A-Za-zµ]{1,4}(?:\/s)?))?$/

/**
 * Column names, a rule, and one row per line; long cells wrap inside their column. Columns of numbers align right.
 * Where the terminal is too narrow even for that, each row becomes a record of `name  value` lines.
 * The title is left to the caller. No line ends in spaces.
 */
export function formatTable(table: Pick<Table, 'columns' | 'rows'>, options: TableOptions = {}): string {
  const { width = Number.POSITIVE_INFINITY, rule = '─', heading = (text: string) => text } = options
  const columns = table.columns.map(cleanCell)
  const rows = table.rows.map((row) => columns.map((_, index) => cleanCell(row[index] ?? '')))
  if (columns.length === 0) return ''
  const widths = fitWidths([columns, ...rows], width)
  if (!widths) return formatRecords({ columns, rows }, width, heading)
  const aligns = columns.map((_, index) => (isNumericColumn(rows, index) ? 'right' : 'left'))
  const lay = (cells: readonly string[]) => layRow(cells, widths, aligns)
  const ruleLine = widths.map((columnWidth) => rule.repeat(columnWidth)).join(' '.repeat(GAP))
  return [...lay(columns).map(heading), heading(ruleLine), ...rows.flatMap(lay)].join('\n')
}

function cleanCell(text: string): string {
  return printableLine(text, MAX_CELL_LENGTH)
}

/** True when every cell of a column that is not empty is a number, with or without a unit. */
export function isNumericColumn(rows: readonly (readonly string[])[], index: number): boolean {
  const cells = rows.map((row) => row[index] ?? '').filter((cell) => !/^[-–—]?$/.test(cell))
  return cells.length > 0 && cells.every((cell) => NUMERIC.test(cell))
}

/** Natural widths, the widest squeezed first; undefined when it cannot fit. */
function fitWidths(rows: readonly (readonly string[])[], width: number): number[] | undefined {
  const widths = (rows[0] ?? []).map((_, index) =>
    rows.reduce((widest, row) => Math.max(widest, displayWidth(row[index] ?? '')), 1),
  )
  let excess = widths.reduce((sum, column) => sum + column, GAP * (widths.length - 1)) - width
  while (excess > 0) {
    const widest = Math.max(...widths)
    if (widest <= MIN_COLUMN) return undefined
    const second = Math.max(MIN_COLUMN, ...widths.filter((column) => column < widest))
    const index = widths.indexOf(widest)
    const cut = Math.max(1, Math.min(excess, widest - second))
    widths[index] = widest - cut
    excess -= cut
  }
  return widths
}

function layRow(cells: readonly string[], widths: readonly number[], aligns: readonly ('left' | 'right')[]): string[] {
  const wrapped = cells.map((cell, index) => wrapText(cell, widths[index] ?? 0))
  const height = Math.max(...wrapped.map((lines) => lines.length))
  return Array.from({ length: height }, (_, line) =>
    wrapped
      .map((lines, index) => padTo(lines[line] ?? '', widths[index] ?? 0, aligns[index]))
      .join(' '.repeat(GAP))
      .trimEnd(),
  )
}

function formatRecords(
  { columns, rows }: Pick<Table, 'columns' | 'rows'>,
  width: number,
  heading: (text: string) => string,
): string {
  const nameWidth = Math.min(Math.max(...columns.map(displayWidth)), Math.floor(width / 3))
  const valueWidth = Math.max(1, width - nameWidth - GAP)
  const field = (name: string, value: string) => {
    const names = wrapText(name, nameWidth)
    const values = wrapText(value, valueWidth)
    return Array.from({ length: Math.max(names.length, values.length) }, (_, line) =>
      `${heading(padTo(names[line] ?? '', nameWidth))}${' '.repeat(GAP)}${values[line] ?? ''}`.trimEnd(),
    )
  }
  return rows
    .map((row) => columns.flatMap((column, index) => (row[index] ? field(column, row[index]) : [])).join('\n'))
    .join('\n\n')
}

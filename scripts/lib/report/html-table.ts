/** Tables in a page: they scroll sideways by themselves, by keyboard too, so the page never does. */
import { say } from './html-text.ts'
import { html, type Markup } from './markup.ts'
import { isNumericColumn } from './table.ts'
import type { Table } from './types.ts'

/** Cells are markup already; numeric columns align right. */
export function showRows(
  columns: readonly string[],
  rows: readonly (readonly Markup[])[],
  isNumeric: (column: string, index: number) => boolean = () => false,
): Markup {
  const attributes = columns.map((column, index) => isNumeric(column, index) && html` class="number"`)
  const head = columns.map((column, index) => html`<th scope="col" ${attributes[index]}>${say(column)}</th>`)
  const body = rows.map(
    (row) =>
      html`<tr>
        ${row.map((cell, index) => html`<td${attributes[index]}>${cell}</td>`)}
      </tr> `,
  )
  return html`<div class="scroll" tabindex="0" role="group" aria-label="Table">
    <table>
      <thead>
        <tr>
          ${head}
        </tr>
      </thead>
      <tbody>
        ${body}
      </tbody>
    </table>
  </div>`
}

export function showTableSection(table: Table, index: number): Markup {
  const id = `table-${index + 1}`
  const isNumeric = (_: string, column: number) => isNumericColumn(table.rows, column)
  const rows = table.rows.map((row) => row.map(say))
  const content = rows.length === 0 ? html`<p class="none">(none)</p>` : showRows(table.columns, rows, isNumeric)
  return html`<section aria-labelledby="${id}">
    <h2 id="${id}">${say(table.title)}</h2>
    <div class="panel">${content}</div>
  </section>`
}

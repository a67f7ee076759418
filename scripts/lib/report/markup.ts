/**
 * HTML that cannot hold unescaped text: the `html` tag escapes every value but `Markup`, and only the tag makes `Markup`.
 * Attributes must be written in double quotes. Characters: HTML Living Standard, 13.3 "Escaping a string".
 */

const MARK: unique symbol = Symbol('markup')

export interface Markup {
  readonly [MARK]: string
}

export type MarkupValue = string | number | Markup | readonly Markup[] | undefined | false

const ENTITY_OF: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
}

export function html(strings: TemplateStringsArray, ...values: readonly MarkupValue[]): Markup {
  return { [MARK]: strings.map((text, index) => text + toHtml(values[index])).join('') }
}

/** The text of a fragment, for writing out. */
export function formatMarkup(markup: Markup): string {
  return markup[MARK]
}

export function escapeHtml(text: string): string {
  return text.replace(/[&<>"']/g, (char) => ENTITY_OF[char] ?? char)
}

function toHtml(value: MarkupValue): string {
  if (value === undefined || value === false) return ''
  if (typeof value === 'string') return escapeHtml(value)
  if (typeof value === 'number') return String(value)
  if (MARK in value) return value[MARK]
  return value.map(formatMarkup).join('')
}

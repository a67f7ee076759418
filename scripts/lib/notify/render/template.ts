/**
 * Templates of messages: `{{title}}` is a value, `{{#next}}…{{/next}}` is there only when the value is not empty. Values are
 * escaped for where they go and never read as a template themselves.
 */
import type { MessageField } from '../../config/types.ts'

export type Fields = Readonly<Record<MessageField, string>>
export type Escape = (text: string) => string

export type Render = (fields: Fields) => string

/** Unknown fields stay as they are: the config refuses them before it comes to that. Sections do not stand in each other. */
export function compileTemplate(template: string, escape: Escape): Render {
  const parts: Render[] = []
  let at = 0
  for (const { index, 0: all, 1: section, 2: inner, 3: name } of template.matchAll(PART)) {
    parts.push(constant(template.slice(at, index)))
    parts.push(
      section !== undefined
        ? optional(section, compileTemplate(inner ?? '', escape))
        : value(name ?? '', { all, escape }),
    )
    at = index + all.length
  }
  parts.push(constant(template.slice(at)))
  return (fields) => parts.map((part) => part(fields)).join('')
}

const PART = /\{\{#(\w+)\}\}([\s\S]*?)\{\{\/\1\}\}|\{\{\s*(\w+)\s*\}\}/g

function constant(text: string): Render {
  return () => text
}

function optional(name: string, inner: Render): Render {
  return (fields) => (valueOf(fields, name) ? inner(fields) : '')
}

function value(name: string, { all, escape }: { all: string; escape: Escape }): Render {
  return (fields) => {
    const text = valueOf(fields, name)
    return text === undefined ? all : escape(text)
  }
}

function valueOf(fields: Fields, name: string): string | undefined {
  return Object.hasOwn(fields, name) ? fields[name as MessageField] : undefined
}

/** For text and attributes of HTML. */
export function escapeHtml(text: string): string {
  return text.replace(/[&<>"']/g, (char) => HTML_ENTITIES[char] ?? char)
}

const HTML_ENTITIES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
}

/** For the inside of a JSON string; a number stays a number. */
export function escapeJson(text: string): string {
  return JSON.stringify(text).slice(1, -1)
}

/** How values are escaped in a body of this content type. */
export function escapeFor(contentType: string): Escape {
  if (/[/+]json$/.test(contentType)) return escapeJson
  if (contentType === 'application/x-www-form-urlencoded') return (text) => encodeURIComponent(text.toWellFormed())
  if (/[/+](?:html|xml)$/.test(contentType)) return escapeHtml
  return (text) => text
}

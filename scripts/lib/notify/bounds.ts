/** Text cut to what a service takes, never through a character; alerts made safe to store. */
import { printable, printableLine } from '../core/printable.ts'
import { isSecretName } from '../core/redact/names.ts'
import { redactText } from '../core/redact.ts'
import { REDACTED } from '../core/secret.ts'
import type { Alert, Content } from './types.ts'

/** What is looked at of one text before it is redacted: a secret that is cut in two would not be found. */
const MAX_INPUT_CHARS = 65_536
const MAX_TITLE_CHARS = 200
const MAX_TEXT_CHARS = 8_000
const MAX_COMMAND_CHARS = 1_000
const MAX_DETAILS = 50
const MAX_NAME_CHARS = 200
const MAX_TAGS = 50

const encoder = new TextEncoder()

/**
 * The beginning of a text in at most so many bytes of UTF-8, with `…` when something is missing.
 * Cuts between characters as people see them: not through an accent, a flag or a family.
 */
export function cutBytes(text: string, maxBytes: number, mark = '…'): string {
  if (byteLength(text) <= maxBytes) return text
  const room = maxBytes - byteLength(mark)
  if (room < 0) return ''
  let [bytes, end] = [0, 0]
  // No character is shorter than a byte, so what lies beyond need not be split.
  for (const { segment, index } of new Intl.Segmenter().segment(text.slice(0, room))) {
    bytes += byteLength(segment)
    if (bytes > room) break
    end = index + segment.length
  }
  // The slice may have cut a surrogate pair in two.
  return text.slice(0, end).replace(/[\ud800-\udbff]$/, '') + mark
}

/** The beginning of a text in at most so many characters (UTF-16 units), as `cutBytes`. */
export function cutChars(text: string, maxChars: number, mark = '…'): string {
  if (text.length <= maxChars) return text
  let end = 0
  for (const { segment, index } of new Intl.Segmenter().segment(text.slice(0, maxChars - mark.length))) {
    end = index + segment.length
  }
  return text.slice(0, end).replace(/[\ud800-\udbff]$/, '') + mark
}

export function byteLength(text: string): number {
  return encoder.encode(text).length
}

export type Redact = (text: string) => string

/** What is kept of an alert: without secrets and control characters, and bounded. */
export function boundContent(
  alert: Omit<Alert, 'severity' | 'once'>,
  { source, openedAt, redact = redactText }: { source: string; openedAt: number; redact?: Redact | undefined },
): Content {
  const clean = (text: string) => redact(text.slice(0, MAX_INPUT_CHARS).toWellFormed())
  const line = (text: string, maxChars = MAX_NAME_CHARS) => printableLine(clean(text), maxChars)
  const optional = {
    text:
      alert.text === undefined
        ? undefined
        : cutChars(printable(clean(alert.text).replace(/\r\n?/g, '\n')).trim(), MAX_TEXT_CHARS),
    host: alert.host && line(alert.host),
    action: alert.action && line(alert.action),
    next: alert.next && line(alert.next, MAX_COMMAND_CHARS),
  }
  return {
    key: line(alert.key) || 'unnamed',
    title: line(alert.title, MAX_TITLE_CHARS) || 'Something happened that has no title',
    ...Object.fromEntries(Object.entries(optional).filter(([, value]) => value)),
    tags: (alert.tags ?? []).slice(0, MAX_TAGS).map((tag) => line(tag)),
    details: (alert.details ?? [])
      .slice(0, MAX_DETAILS)
      .map(([name, value]) => [line(name), isSecretName(name) ? REDACTED : line(value, MAX_COMMAND_CHARS)] as const),
    source: line(source) || 'unknown',
    openedAt,
  }
}

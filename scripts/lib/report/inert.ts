/**
 * Makes text from outside safe to show: redacted, without anything a terminal would obey, on one line, bounded.
 * What HTML, Markdown or a monitoring system would obey is escaped again by its own renderer.
 */
import { printableLine } from '../core/printable.ts'

export type Redact = (text: string) => string

export interface Cleaner {
  /** One line of at most `maxLength` characters. */
  line(text: string, maxLength?: number): string
  /** The last `maxLines` lines, each with its indentation; a text with line breaks counts as several. */
  lines(texts: readonly string[], maxLines?: number): string[]
}

/** Wide enough for a log line on a large terminal, short enough that a report stays readable. */
const MAX_LINE_LENGTH = 300
const MAX_LINES = 50
/** What is looked at of one text: enough for a PEM block, little enough that a hostile megabyte costs nothing. */
const MAX_INPUT_LENGTH = 65_536

/** Colours carry no meaning and would split a secret in two before it is redacted; other sequences stay visible. */
const COLOURS = /\u001b\[[0-9;:]*m/g
/** Invisible characters that `printable` leaves alone: soft hyphen, annotations, tags. */
const INVISIBLE = /[\u00ad\u180e\ufff9-\ufffb\u{e0000}-\u{e007f}]/gu

export function createCleaner(redact: Redact): Cleaner {
  const prepare = (text: string) => redact(text.slice(0, MAX_INPUT_LENGTH).toWellFormed().replace(COLOURS, ''))
  return {
    line: (text, maxLength = MAX_LINE_LENGTH) => printableLine(showInvisible(prepare(text)), maxLength),
    lines: (texts, maxLines = MAX_LINES) =>
      prepare(texts.join('\n'))
        .split(/\r?\n/)
        .slice(-maxLines)
        .map((text) => indentOf(text) + printableLine(showInvisible(text), MAX_LINE_LENGTH)),
  }
}

function showInvisible(text: string): string {
  return text.replace(INVISIBLE, (char) => `\\u{${char.codePointAt(0)?.toString(16)}}`)
}

/** Leading spaces of a stack trace or a YAML excerpt, which `printableLine` would trim; at most 12. */
function indentOf(text: string): string {
  const blank = /^[ \t]*/.exec(text)?.[0].replaceAll('\t', '  ') ?? ''
  return blank.length === text.length ? '' : blank.slice(0, 12)
}

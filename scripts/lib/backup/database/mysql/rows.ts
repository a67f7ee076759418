/**
 * Counts the rows of INSERT statements while they stream by, exactly and without looking at most bytes.
 *
 * `mariadb-dump` (since 10.7) writes each row on a line of its own, and a line break within a value is always escaped:
 * rows are lines that begin with `(`. Older tools and MySQL write all rows of a statement on one line: there quotes and
 * backslashes are followed byte by byte (mysql_real_escape_string never leaves a bare quote in a value).
 */

export type RowLayout = 'lines' | 'statement'

export interface RowCounter {
  /** Begins behind `VALUES` and the character after it. */
  begin(layout: RowLayout): void
  /**
   * @returns where the rows end in `buffer`; its length when they go on in the next one. `ended` tells which.
   */
  read(buffer: Buffer, from: number): number
  readonly ended: boolean
  /** Rows since it was last taken. */
  take(): number
}

const LF = 10
const QUOTE = 39
const OPEN = 40
const CLOSE = 41
const SEMICOLON = 59
const BACKSLASH = 92

export function createRowCounter(): RowCounter {
  let layout: RowLayout = 'lines'
  let rows = 0
  let ended = true
  let atLineStart = false
  let inString = false
  let escaped = false
  let depth = 0

  const readLines = (buffer: Buffer, from: number): number => {
    let at = from
    for (;;) {
      if (at === buffer.length) return at
      if (atLineStart) {
        atLineStart = false
        if (buffer[at] !== OPEN) {
          ended = true
          return at
        }
        rows += 1
      }
      const newline = buffer.indexOf(LF, at)
      if (newline === -1) return buffer.length
      at = newline + 1
      atLineStart = true
    }
  }

  const readStatement = (buffer: Buffer, from: number): number => {
    for (let at = from; at < buffer.length; at += 1) {
      const byte = buffer[at]
      if (escaped) escaped = false
      else if (inString) {
        if (byte === BACKSLASH) escaped = true
        else if (byte === QUOTE) inString = false
      } else if (byte === QUOTE) inString = true
      else if (byte === OPEN) {
        if (depth === 0) rows += 1
        depth += 1
      } else if (byte === CLOSE) depth -= 1
      else if (byte === SEMICOLON && depth === 0) {
        ended = true
        return at + 1
      }
    }
    return buffer.length
  }

  return {
    begin(next) {
      layout = next
      ended = false
      atLineStart = true
      inString = escaped = false
      depth = 0
    },
    read: (buffer, from) => (layout === 'lines' ? readLines(buffer, from) : readStatement(buffer, from)),
    get ended() {
      return ended
    },
    take() {
      const taken = rows
      rows = 0
      return taken
    },
  }
}

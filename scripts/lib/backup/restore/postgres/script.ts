/**
 * What pg_restore prints of the data section of an archive, in pieces: statements, and the rows of each COPY in blocks of
 * whole rows as far as they go. A script of rows is text format: one line a row, and a line of `\.` behind the last
 * (PostgreSQL manual, COPY, "Text Format").
 */
import { OpsError } from '../../../core/errors.ts'

export type ScriptPiece =
  /** With its semicolon. */
  | { readonly kind: 'statement'; readonly text: string }
  /** `COPY … FROM stdin;`: rows follow. */
  | { readonly kind: 'copy'; readonly text: string }
  /** Valid until the next `push`. `continues`: begins within the row that the last piece left unfinished. */
  | { readonly kind: 'rows'; readonly bytes: Buffer; readonly continues: boolean }
  /** Of the rows. */
  | { readonly kind: 'end' }

export interface ScriptSplitter {
  push(chunk: Buffer): Generator<ScriptPiece>
  /** @throws OpsError DATA_MISMATCH when the script stops in the middle of something */
  end(): void
}

const NEWLINE = 0x0a
const DOUBLE_QUOTE = 0x22
const SINGLE_QUOTE = 0x27
const DASH = 0x2d
const SEMICOLON = 0x3b
const BACKSLASH = 0x5c
const BLANK = new Set(Buffer.from(' \t\r\n'))
const LAST_LINE = Buffer.from('\\.\n')
const LAST_LINE_AFTER_ROW = Buffer.from('\n\\.\n')
const COPY = /^COPY [^]* FROM stdin;$/
/** Psql's own, around what newer versions print: our session has its own. */
const RESTRICT = /^\\(?:un)?restrict /

export function createScriptSplitter(): ScriptSplitter {
  let reading: 'between' | 'comment' | 'command' | 'statement' | 'line end' | 'rows' = 'between'
  let quote: number | undefined
  let begun: Buffer[] = []
  let inRow = false
  let kept = Buffer.alloc(0)

  const finish = (bytes: Buffer): string => {
    const text = Buffer.concat([...begun, bytes]).toString()
    begun = []
    return text
  }

  function* push(chunk: Buffer): Generator<ScriptPiece> {
    const data = kept.length === 0 ? chunk : Buffer.concat([kept, chunk])
    kept = Buffer.alloc(0)
    for (let at = 0; at < data.length;) {
      at = reading === 'rows' ? yield* readRows(data, at) : yield* readScript(data, at)
    }
  }

  /** @returns where to go on */
  function* readScript(data: Buffer, from: number): Generator<ScriptPiece, number> {
    for (let at = from, start = from; ; at += 1) {
      const byte = data[at]
      if (byte === undefined) {
        if (reading === 'statement' || reading === 'command') begun.push(Buffer.from(data.subarray(start)))
        return at
      }
      if (reading === 'between') {
        if (BLANK.has(byte)) continue
        start = at
        reading = byte === DASH ? 'comment' : byte === BACKSLASH ? 'command' : 'statement'
      }
      if (reading === 'line end') {
        if (byte !== NEWLINE) continue
        reading = 'rows'
        return at + 1
      }
      if (reading === 'comment' || reading === 'command') {
        if (byte !== NEWLINE) continue
        const text = reading === 'command' ? finish(data.subarray(start, at)) : ''
        reading = 'between'
        // Whatever else it is: the session refuses it.
        if (text !== '' && !RESTRICT.test(text)) yield { kind: 'statement', text }
        continue
      }
      if (quote !== undefined) {
        if (byte === quote) quote = undefined
      } else if (byte === SINGLE_QUOTE || byte === DOUBLE_QUOTE) quote = byte
      else if (byte === SEMICOLON) {
        const text = finish(data.subarray(start, at + 1))
        const isCopy = COPY.test(text)
        reading = isCopy ? 'line end' : 'between'
        yield { kind: isCopy ? 'copy' : 'statement', text }
      }
    }
  }

  /** @returns where to go on */
  function* readRows(data: Buffer, from: number): Generator<ScriptPiece, number> {
    let at = from
    if (inRow) {
      const end = data.indexOf(NEWLINE, at) + 1 || data.length
      inRow = data[end - 1] !== NEWLINE
      yield { kind: 'rows', bytes: data.subarray(at, end), continues: true }
      at = end
      if (at === data.length) return at
    }
    const isLast = data.subarray(at, at + LAST_LINE.length).equals(LAST_LINE)
    const end = isLast ? at : data.indexOf(LAST_LINE_AFTER_ROW, at) + 1
    if (isLast || end > 0) {
      if (end > at) yield { kind: 'rows', bytes: data.subarray(at, end), continues: false }
      yield { kind: 'end' }
      reading = 'between'
      return end + LAST_LINE.length
    }
    const rowStart = Math.max(at, data.lastIndexOf(NEWLINE) + 1)
    const rest = data.subarray(rowStart)
    // Perhaps the first bytes of the last line: not to be given away as a row.
    const waits = rest.length > 0 && LAST_LINE.subarray(0, rest.length).equals(rest)
    if (waits) kept = Buffer.from(rest)
    const whole = waits ? rowStart : data.length
    inRow = !waits && rest.length > 0
    if (whole > at) yield { kind: 'rows', bytes: data.subarray(at, whole), continues: false }
    return data.length
  }

  return {
    push,
    end() {
      if (reading === 'between' || reading === 'comment') return
      throw new OpsError('DATA_MISMATCH', 'what pg_restore printed has no end: the archive is damaged', {
        hint: 'Take another backup.',
      })
    },
  }
}

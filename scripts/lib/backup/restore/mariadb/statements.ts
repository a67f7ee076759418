/**
 * A dump of mariadb-dump or mysqldump as it arrives, cut into statements without being parsed as SQL: rows are handed on
 * as the pieces they came in, everything else whole. What a statement means is statement.ts's question.
 *
 * The dump tools write strings with `\n` for a newline, so in an INSERT only a name can hold a raw one: past the table's
 * name its end is the next `;` before a newline (client/mysqldump.cc, dump_table()).
 */
import { OpsError } from '../../../core/errors.ts'

export type DumpPiece =
  /** Rows for one table; an INSERT begins with `first` and ends with `last`, which are both true when it came whole. */
  | {
      readonly kind: 'rows'
      readonly table: string
      readonly bytes: Buffer
      readonly first: boolean
      readonly last: boolean
    }
  /** One whole statement without its delimiter; `block` when the delimiter was changed for it (a body with `;` inside). */
  | { readonly kind: 'statement'; readonly text: Buffer; readonly block: boolean }
  /** A `--` line, whole: the dump's end marker is one. */
  | { readonly kind: 'comment'; readonly text: string }

export interface Splitter {
  /** The pieces are parts of the chunk, to be dealt with before it changes. */
  push(chunk: Buffer): DumpPiece[]
  /** @throws OpsError DATA_MISMATCH when the dump ends inside a statement */
  end(): DumpPiece[]
}

/** A table definition or a routine; rows are not bounded by it. */
const MAX_STATEMENT_BYTES = 64 * 1024 * 1024

const [NEWLINE, SEMICOLON, BACKTICK, QUOTE, DOUBLE_QUOTE, BACKSLASH, DASH, HASH, SLASH, STAR, BANG] = [
  10, 59, 96, 39, 34, 92, 45, 35, 47, 42, 33,
] as const
const PARENTHESIS = 40
const END_OF_ROWS = Buffer.from(';\n')
/** The byte after the name must be here: a backtick may be the first of two. */
const INSERT = /^(?:INSERT|REPLACE)\s+(?:IGNORE\s+)?INTO\s+`((?:[^`]|``)*)`(?=[^`])/s
/** Longer than `REPLACE INTO` and a quoted name of 64 characters, each of them up to four bytes or a doubled backtick. */
const INSERT_HEAD_BYTES = 400
/** Enough to tell a line of the client's own from a statement. */
const LINE_HEAD_BYTES = 12

export function createSplitter(): Splitter {
  let rest: Buffer = Buffer.alloc(0)
  let delimiter = ';'
  let rows: string | undefined
  let scan = freshScan()

  function cut(bytes: number): Buffer {
    const taken = rest.subarray(0, bytes)
    rest = rest.subarray(bytes)
    scan = freshScan()
    return taken
  }

  /** @returns false when more has to arrive before anything can be said */
  function step(pieces: DumpPiece[], ended: boolean): boolean {
    if (rows !== undefined) return continueRows(pieces, ended)
    if (scan.at === 0 && skipBlank()) return true
    if (rest.length === 0) return false
    if (scan.at > 0) return takeStatement(pieces, ended)
    if (rest.length < LINE_HEAD_BYTES && !ended) return false
    if (isLineKind(rest)) {
      const line = wholeLine(ended)
      return line === undefined ? false : takeLine(line, pieces)
    }
    if (delimiter !== ';' || !mayBeInsert(rest)) return takeStatement(pieces, ended)
    const head = INSERT.exec(rest.subarray(0, INSERT_HEAD_BYTES).toString())
    if (head) return beginRows(head, pieces, ended)
    // The rest of the table's name may come with the next chunk.
    return rest.length < INSERT_HEAD_BYTES && !ended ? false : takeStatement(pieces, ended)
  }

  function skipBlank(): boolean {
    let blank = 0
    while (blank < rest.length && isSpace(rest[blank])) blank += 1
    if (blank === 0) return false
    cut(blank)
    return true
  }

  function wholeLine(ended: boolean): number | undefined {
    const newline = rest.indexOf(NEWLINE)
    if (newline !== -1) return newline
    return ended ? rest.length : undefined
  }

  function takeLine(length: number, pieces: DumpPiece[]): boolean {
    const text = cut(length).toString().trimEnd()
    const changed = /^delimiter\s+(\S+)/i.exec(text)
    if (changed?.[1] !== undefined) delimiter = changed[1]
    else if (text.startsWith('--')) pieces.push({ kind: 'comment', text })
    return true
  }

  function beginRows(head: RegExpExecArray, pieces: DumpPiece[], ended: boolean): boolean {
    rows = (head[1] ?? '').replaceAll('``', '`')
    const bytes = Buffer.byteLength(head[0])
    pieces.push({ kind: 'rows', table: rows, bytes: cut(bytes), first: true, last: false })
    return continueRows(pieces, ended)
  }

  function continueRows(pieces: DumpPiece[], ended: boolean): boolean {
    const table = rows ?? ''
    const end = rest.indexOf(END_OF_ROWS)
    refuseBrokenRows(rest, end === -1 ? rest.length : end, table)
    if (end !== -1 || (ended && rest.at(-1) === SEMICOLON)) {
      pieces.push({ kind: 'rows', table, bytes: cut(end === -1 ? rest.length : end + 1), first: false, last: true })
      rows = undefined
      return true
    }
    // The end mark, and what follows a newline, may come with the next chunk.
    const keep = rest.at(-1) === SEMICOLON || rest.at(-1) === NEWLINE ? 1 : 0
    const bytes = cut(rest.length - keep)
    if (bytes.length > 0) pieces.push({ kind: 'rows', table, bytes, first: false, last: false })
    return false
  }

  function takeStatement(pieces: DumpPiece[], ended: boolean): boolean {
    const end = scanStatement(rest, scan, { delimiter, ended })
    if (end === undefined) {
      if (rest.length > MAX_STATEMENT_BYTES) {
        throw new OpsError('DATA_MISMATCH', `a statement of the dump is longer than ${MAX_STATEMENT_BYTES} bytes`)
      }
      return false
    }
    const text = cut(end + Buffer.byteLength(delimiter)).subarray(0, end)
    if (!isBlank(text)) pieces.push({ kind: 'statement', text: trimEnd(text), block: delimiter !== ';' })
    return true
  }

  return {
    push(chunk) {
      const pieces: DumpPiece[] = []
      rest = rest.length === 0 ? chunk : Buffer.concat([rest, chunk])
      while (rest.length > 0 && step(pieces, false)) continue
      // A copy: the chunk's buffer may be used again.
      rest = Buffer.from(rest)
      return pieces
    },
    end() {
      const pieces: DumpPiece[] = []
      while (rest.length > 0 && step(pieces, true)) continue
      if (rest.length > 0 || rows !== undefined) {
        throw new OpsError('DATA_MISMATCH', 'the dump ends inside a statement', {
          hint: 'It is cut short: take another.',
        })
      }
      return pieces
    },
  }
}

/** Each row is a line of its own, or all rows are one line: after a newline comes nothing but a row. */
function refuseBrokenRows(text: Buffer, end: number, table: string): void {
  for (let at = text.indexOf(NEWLINE); at !== -1 && at + 1 < end; at = text.indexOf(NEWLINE, at + 1)) {
    if (text[at + 1] === PARENTHESIS) continue
    throw new OpsError('DATA_MISMATCH', `the rows of table ${table} break off in the middle of the dump`, {
      hint: 'The dump is damaged: take another backup.',
    })
  }
}

/** How far a statement has been read, so that the next chunk goes on from there. */
interface Scan {
  at: number
  /** The quote, or the kind of comment, that `at` is inside of; 0 for none. */
  inside: number
}

function freshScan(): Scan {
  return { at: 0, inside: 0 }
}

/** @returns where the delimiter begins */
function scanStatement(
  text: Buffer,
  scan: Scan,
  { delimiter, ended }: { readonly delimiter: string; readonly ended: boolean },
): number | undefined {
  const wanted = Buffer.from(delimiter)
  // The last bytes may be the beginning of something longer.
  const safe = ended ? text.length : text.length - Math.max(3, wanted.length)
  while (scan.at < safe) {
    const byte = text[scan.at] ?? 0
    if (scan.inside !== 0) scan.at += leave(text, scan, byte)
    else if (byte === wanted[0] && text.subarray(scan.at, scan.at + wanted.length).equals(wanted)) return scan.at
    else scan.at += enter(text, scan, byte)
  }
  return undefined
}

function enter(text: Buffer, scan: Scan, byte: number): number {
  const next = text[scan.at + 1]
  if (byte === QUOTE || byte === DOUBLE_QUOTE || byte === BACKTICK || byte === HASH) scan.inside = byte
  else if (byte === DASH && next === DASH && isSpace(text[scan.at + 2])) scan.inside = HASH
  // `/*!50003 …*/` is code that other servers skip: what is quoted in it is quoted.
  else if (byte === SLASH && next === STAR && text[scan.at + 2] !== BANG && text[scan.at + 2] !== 77) scan.inside = STAR
  return 1
}

function leave(text: Buffer, scan: Scan, byte: number): number {
  if (scan.inside === HASH) {
    if (byte === NEWLINE) scan.inside = 0
    return 1
  }
  if (scan.inside === STAR) {
    if (byte !== STAR || text[scan.at + 1] !== SLASH) return 1
    scan.inside = 0
    return 2
  }
  if (byte === BACKSLASH && scan.inside !== BACKTICK) return 2
  // A doubled quote leaves and enters again, which comes to the same.
  if (byte === scan.inside) scan.inside = 0
  return 1
}

/** `-- …`, `DELIMITER …` and the line that older clients trip over are lines, not statements. */
function isLineKind(text: Buffer): boolean {
  const head = text.subarray(0, 10).toString('latin1')
  return /^(?:--(?:\s|$)|delimiter\s|\/\*M!999999)/i.test(head)
}

function mayBeInsert(text: Buffer): boolean {
  return /^(?:INSERT|REPLACE)\s/.test(text.subarray(0, LINE_HEAD_BYTES).toString('latin1'))
}

function isSpace(byte: number | undefined): boolean {
  return byte === 32 || byte === NEWLINE || byte === 13 || byte === 9 || byte === undefined
}

function isBlank(text: Buffer): boolean {
  return text.every((byte) => isSpace(byte))
}

function trimEnd(text: Buffer): Buffer {
  let end = text.length
  while (end > 0 && isSpace(text[end - 1])) end -= 1
  return text.subarray(0, end)
}

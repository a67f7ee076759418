/**
 * Cuts the stream of one `mariadb-dump --databases a b …` into one dump per database and counts the rows in it.
 *
 * The stream is: a preamble (SET statements, position); per database a header (`-- Current Database`, CREATE DATABASE,
 * USE), then tables with triggers, events and routines; once more a header per database, with its views; a footer. Each
 * database gets the preamble, its own parts without CREATE DATABASE and USE, and a footer.
 *
 *   text ⇄ body    between `DELIMITER ;;` and `DELIMITER ;`: triggers, events and routines
 *   text ⇄ header  from `-- Current Database` to the end of its USE
 *   text ⇄ data    from `LOCK TABLES` to `UNLOCK TABLES`
 *   data ⇄ rows    behind an INSERT's VALUES
 *   text → footer  from the first `=@OLD_` after the databases
 *
 * Only in `text` is a header believed, only in `data` an INSERT: what a routine's body says changes nothing.
 */
import { OpsError } from '../../../core/errors.ts'
import { quoteName } from './connect.ts'
import { closingOf, openingOf, readPosition } from './preamble.ts'
import { createRowCounter } from './rows.ts'

/** Bytes of one database's dump. */
export interface Piece {
  readonly database: string
  readonly bytes: Buffer
}

export interface Cut {
  /** Rows of each table of each database, as they stand in the stream. */
  readonly rows: ReadonlyMap<string, ReadonlyMap<string, number>>
  /** The CREATE DATABASE statement of each. */
  readonly create: ReadonlyMap<string, string>
  /** Binary log file and position, GTID; empty when none was asked for. */
  readonly position: Readonly<Record<string, string>>
}

export interface Cutter {
  /** Where the next bytes of the stream go; the pieces are parts of the chunk, to be written before the next one. */
  push(chunk: Buffer): readonly Piece[]
  /** What follows a database's last piece. */
  closing(): Buffer
  /** @throws OpsError DATA_MISMATCH when the stream has no end marker, or a database is not in it */
  finish(): Cut
}

type State = 'text' | 'body' | 'header' | 'data' | 'rows' | 'footer'

const LF = 10
const BODY_END = Buffer.from('DELIMITER ;\n')
const DATA_END = Buffer.from('UNLOCK TABLES;\n')
const DUMP_COMPLETED = Buffer.from('-- Dump completed')
/** One line outside of rows: a CREATE VIEW at most. */
const LONGEST_LINE_BYTES = 64 * 1024 ** 2
const LONGEST_HEADER = 64 * 1024
const INSERT =
  /^(?:INSERT|REPLACE) (?:IGNORE )?(?:INTO )?`((?:[^`]|``)*)` (?:\((?:`(?:[^`]|``)*`,? ?)+\) )?VALUES([ \n])/

export function createCutter(databases: readonly string[]): Cutter {
  const announced = new Map(databases.map((name) => [commentOf(name), name]))
  const rows = new Map<string, Map<string, number>>()
  const create = new Map<string, string>()
  const position: Record<string, string> = {}
  const counter = createRowCounter()
  let state: State = 'text'
  let carry: Buffer = Buffer.alloc(0)
  let preamble = ''
  let header = ''
  let database: string | undefined
  let table = ''
  let complete = false
  let pieces: Piece[] = []

  const keep = (bytes: Buffer) => {
    if (bytes.length === 0) return
    if (database === undefined) preamble += bytes.toString('latin1')
    else pieces.push({ database, bytes })
  }

  const addRows = () => {
    const tables = database === undefined ? undefined : rows.get(database)
    tables?.set(table, (tables.get(table) ?? 0) + counter.take())
  }

  const enter = (name: string) => {
    state = 'text'
    database = name
    if (rows.has(name)) return
    rows.set(name, new Map())
    const statement = /^CREATE DATABASE [^]*?;$/m.exec(header)?.[0]
    if (statement !== undefined) create.set(name, statement)
    keep(openingOf(preamble, name, statement))
  }

  /** @returns whether the line stays in the dump */
  const readLine = (line: Buffer): boolean => {
    switch (state) {
      case 'body':
        if (line.equals(BODY_END)) state = 'text'
        return true
      case 'header': {
        header += line.toString()
        if (header.length > LONGEST_HEADER) throw strange('the beginning of a database has no end')
        const name = [...announced].find(([comment]) => header.startsWith(comment))?.[1]
        if (name !== undefined && header.endsWith(`USE ${quoteName(name)};\n`)) enter(name)
        return false
      }
      case 'footer':
        complete ||= line.subarray(0, DUMP_COMPLETED.length).equals(DUMP_COMPLETED)
        return false
      case 'data':
        if (line.equals(DATA_END)) state = 'text'
        return true
      default:
        return readText(line)
    }
  }

  const readText = (line: Buffer): boolean => {
    const start = line.toString('latin1', 0, 24)
    if (start.startsWith('DELIMITER ;;')) state = 'body'
    else if (start.startsWith('LOCK TABLES `')) beginTable(line)
    else if (start.startsWith('-- Current Database: `')) {
      state = 'header'
      header = line.toString()
      return false
    } else if (start.startsWith('-- ')) Object.assign(position, readPosition(line.toString('latin1', 0, 4096)))
    else if (database !== undefined && start.startsWith('/*!40103 SET TIME_ZONE=@')) {
      state = 'footer'
      return false
    }
    return true
  }

  const beginTable = (line: Buffer) => {
    state = 'data'
    const name = /^LOCK TABLES `((?:[^`]|``)*)` WRITE;\n$/.exec(line.toString())?.[1]
    if (name === undefined) throw strange('a LOCK TABLES names no table')
    table = name.replaceAll('``', '`')
    addRows()
  }

  /** Behind VALUES, when an INSERT begins at `from`; undefined when it does not, or not all of it is here yet. */
  const beginRows = (buffer: Buffer, from: number): number | undefined => {
    const found = INSERT.exec(buffer.toString('latin1', from, from + LONGEST_HEADER))
    if (!found) return undefined
    state = 'rows'
    counter.begin(found[2] === '\n' ? 'lines' : 'statement')
    return from + found[0].length
  }

  return {
    push(chunk) {
      pieces = []
      const buffer = carry.length === 0 ? chunk : Buffer.concat([carry, chunk])
      let kept = 0
      let at = 0
      while (at < buffer.length) {
        if (state === 'rows') {
          at = counter.read(buffer, at)
          if (counter.ended) {
            addRows()
            state = 'data'
          }
          continue
        }
        const behind = state === 'data' ? beginRows(buffer, at) : undefined
        if (behind !== undefined) {
          at = behind
          continue
        }
        const end = state === 'data' && isInsert(buffer, at) ? -1 : lineEnd(buffer, at)
        if (end === -1) break
        if (!readLine(buffer.subarray(at, end))) {
          keepBefore(at)
          kept = end
        }
        at = end
      }
      keepBefore(at)
      // A copy: the chunk's buffer may be used again.
      carry = Buffer.from(buffer.subarray(at))
      if (carry.length > LONGEST_LINE_BYTES) throw strange('a line has no end')
      return pieces

      function keepBefore(to: number) {
        if (to > kept) keep(buffer.subarray(kept, to))
        kept = to
      }
    },
    closing: () => closingOf(preamble),
    finish() {
      const missing = databases.filter((name) => !rows.has(name))
      if (!complete) throw strange('its end marker is missing')
      if (missing.length > 0) throw strange(`${missing.map((name) => JSON.stringify(name)).join(', ')} is not in it`)
      return { rows, create, position }
    },
  }
}

/** As the dump tool writes it: a name of several lines stays a comment. */
function commentOf(name: string): string {
  return `-- Current Database: ${quoteName(name).replaceAll('\n', '\n-- ')}\n`
}

/** An INSERT whose beginning is not here yet: a name may hold line breaks. */
function isInsert(buffer: Buffer, at: number): boolean {
  const start = buffer.toString('latin1', at, at + 8)
  if (!start.startsWith('INSERT ') && !start.startsWith('REPLACE ')) return false
  if (buffer.length - at > LONGEST_HEADER) throw strange('an INSERT has no VALUES')
  return true
}

/** Behind the line that begins at `at`, -1 when its end is not here yet. A LOCK TABLES ends with its name. */
function lineEnd(buffer: Buffer, at: number): number {
  const end = buffer.indexOf(LF, at) + 1
  if (end === 0) return -1
  if (buffer.toString('latin1', at, at + 13) !== 'LOCK TABLES `') return end
  const lock = buffer.indexOf('` WRITE;\n', at)
  return lock === -1 ? -1 : lock + 9
}

function strange(what: string): OpsError {
  return new OpsError('DATA_MISMATCH', `the dump is not whole: ${what}`, {
    hint: 'The backup was thrown away. Run it again; if it stays, run the dump tool by hand and look at its end.',
  })
}

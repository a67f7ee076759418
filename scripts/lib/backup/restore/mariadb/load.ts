/**
 * A plain dump into a database that is there and empty, by several sessions: tables first without the keys that can wait,
 * rows spread over the sessions as they arrive, then the keys (several at once), the foreign keys, and last what acts on
 * rows or needs everything: triggers, views, routines, events.
 *
 * The first error of any session ends the load. A dump that does not end with its own end marker is refused.
 */
import { OpsError } from '../../../core/errors.ts'
import { quoteName, type MysqlAccess } from '../../database/mysql/connect.ts'
import type { BulkDecoding } from '../decode.ts'
import { splitCreateTable, type CreateTable } from './create-table.ts'
import { openLoadSession, readClientOptions, type LoadSession } from './session.ts'
import { createSplitter, type DumpPiece } from './statements.ts'
import { decidePurpose, withinDatabase, withoutDefiner, type Purpose } from './statement.ts'

export interface LoadOptions {
  readonly database: string
  /** Sessions that insert rows and build keys. */
  readonly jobs: number
  readonly signal: AbortSignal
  /** Only these tables, with their triggers; absent: everything. */
  readonly tables?: readonly string[]
  /** `tables`: no views, routines, events, triggers. `objects`: only those. Default: both. */
  readonly parts?: 'tables' | 'objects'
  /** Kinds of objects that are left out: events would run in a scratch database. */
  readonly without?: readonly Purpose['kind'][]
  /** The account may not make objects of other owners: they become its own. */
  readonly ownDefiner?: boolean
  /** Plain bytes read so far. */
  readonly onBytes?: (bytes: number) => void
}

export interface LoadResult {
  readonly tables: number
  /** Objects other than tables, by kind. */
  readonly objects: Readonly<Partial<Record<Purpose['kind'], number>>>
  readonly bytes: number
}

/** Definitions of views, routines, triggers and events wait in memory until the rows are there. */
const MAX_HELD_BYTES = 64 * 1024 * 1024
const END_MARKER = /^-- Dump completed\b/

/**
 * @param openDump begins to read; called when somebody is there to take what comes
 * @throws OpsError DATA_MISMATCH (cut short, not a dump), FAILED with the server's message for a statement it refuses
 */
export async function loadDump(
  access: MysqlAccess,
  openDump: () => Promise<BulkDecoding>,
  options: LoadOptions,
): Promise<LoadResult> {
  const clientOptions = await readClientOptions(access)
  const open = () => openLoadSession(access, { options: clientOptions, database: options.database })
  const sessions = await Promise.all(Array.from({ length: options.jobs + 1 }, open))
  const [main, ...workers] = sessions as [LoadSession, ...LoadSession[]]
  const load = createLoad(main, workers, options)
  let dump: BulkDecoding | undefined
  try {
    dump = await openDump()
    await Promise.race([run(load, dump), ...sessions.map((session) => session.failed)])
    await Promise.all(sessions.map((session) => session.end()))
    return load.result()
  } catch (error) {
    sessions.forEach((session) => session.kill())
    dump?.stop()
    options.signal.throwIfAborted()
    throw error
  }
}

interface Load {
  take(piece: DumpPiece): Promise<void>
  /** Keys, foreign keys, held objects. */
  finish(): Promise<void>
  result(): LoadResult
  count(bytes: number): void
}

async function run(load: Load, dump: BulkDecoding): Promise<void> {
  const splitter = createSplitter()
  let complete = false
  const takeAll = async (pieces: readonly DumpPiece[]) => {
    for (const piece of pieces) {
      if (piece.kind === 'comment') complete ||= END_MARKER.test(piece.text)
      else await load.take(piece)
    }
  }
  await dump.each(async (chunk) => {
    load.count(chunk.length)
    await takeAll(splitter.push(chunk))
  })
  await dump.done
  await takeAll(splitter.end())
  if (!complete) {
    throw new OpsError('DATA_MISMATCH', 'the dump has no end marker: it is cut short', { hint: 'Take another backup.' })
  }
  await load.finish()
}

interface Held {
  readonly text: string
  readonly block: boolean
}

function createLoad(main: LoadSession, workers: readonly LoadSession[], options: LoadOptions): Load {
  const { tables: wanted, parts, without = [], ownDefiner = false } = options
  const created: (CreateTable & { bytes: number })[] = []
  const counts: Partial<Record<Purpose['kind'], number>> = {}
  const held: Held[] = []
  let heldBytes = 0
  let total = 0
  /** Settings and drops that stand before a statement not yet seen. */
  const before: Held[] = []
  let inHeader = true
  /** Where the last statement went, so that what puts settings back goes after it. */
  let destination: 'now' | 'held' | 'nowhere' = 'now'
  let rowsOf: { table: string; session: LoadSession } | undefined
  let createdUpTo = 0
  /** The table that is being filled, and who makes its first rows until they are known to be there. */
  let filling: { table: string; first?: LoadSession } | undefined

  async function take(piece: DumpPiece): Promise<void> {
    if (piece.kind === 'rows') return takeRows(piece)
    if (piece.kind === 'comment') return
    // One character a byte: what is not in any character set (a binary default) comes out as it went in.
    const text = piece.text.toString('latin1')
    const purpose = decidePurpose(text)
    const statement = { text, block: piece.block }
    if (purpose.kind === 'place' || purpose.kind === 'locks') return
    if (inHeader && (purpose.kind === 'before' || purpose.kind === 'after')) return everywhere(statement)
    inHeader = false
    if (purpose.kind === 'before' || purpose.kind === 'drop') return void before.push(statement)
    if (purpose.kind === 'after') return send(statement)
    destination = decideDestination(purpose)
    for (const one of before.splice(0)) await send(one)
    if (destination === 'nowhere') return
    if (purpose.kind === 'table') return createTable(text)
    if (purpose.kind !== 'stand-in') counts[purpose.kind] = (counts[purpose.kind] ?? 0) + 1
    const local = purpose.kind === 'trigger' ? withinDatabase(text) : text
    await send({ ...statement, text: ownDefiner ? withoutDefiner(local) : local })
  }

  function decideDestination(purpose: Purpose): typeof destination {
    if (without.includes(purpose.kind)) return 'nowhere'
    const ofTable = purpose.kind === 'table' ? purpose.name : purpose.kind === 'trigger' ? purpose.table : undefined
    if (wanted && (ofTable === undefined || !wanted.includes(ofTable))) return 'nowhere'
    const early = purpose.kind === 'table' || purpose.kind === 'stand-in'
    if (parts === 'objects')
      return purpose.kind === 'table' || isSequence(purpose, before) ? 'nowhere' : early ? 'now' : 'held'
    if (parts === 'tables' && !early) return 'nowhere'
    return early ? 'now' : 'held'
  }

  async function send(statement: Held): Promise<void> {
    if (destination === 'now') return main.write(textFor(statement))
    if (destination === 'nowhere') return
    heldBytes += statement.text.length
    if (heldBytes > MAX_HELD_BYTES)
      throw new OpsError('FAILED', 'the views, routines and triggers of the dump take over 64 MiB')
    held.push(statement)
  }

  async function everywhere(statement: Held): Promise<void> {
    for (const session of [main, ...workers]) await session.write(textFor(statement))
  }

  async function createTable(text: string): Promise<void> {
    const split = splitCreateTable(text) ?? { name: '', create: text, keys: [], foreignKeys: [] }
    created.push({ ...split, bytes: 0 })
    await main.write(Buffer.from(`${split.create};\n`, 'latin1'))
  }

  async function takeRows({ table, bytes, first, last }: DumpPiece & { kind: 'rows' }): Promise<void> {
    if (first) rowsOf = isWanted(table) ? { table, session: await sessionFor(table) } : undefined
    if (rowsOf) {
      const of = created.at(-1)
      if (of) of.bytes += bytes.length
      await rowsOf.session.write(bytes)
      if (last) await rowsOf.session.write(NEWLINE)
    }
    if (last) rowsOf = undefined
  }

  const isWanted = (table: string) => parts !== 'objects' && (wanted === undefined || wanted.includes(table))

  /**
   * The session with the least to do; every table made so far is there before its first row. InnoDB fills an empty table
   * under a lock on all of it (MDEV-515), which is a deadlock when two sessions begin at once: the first rows go alone.
   */
  async function sessionFor(table: string): Promise<LoadSession> {
    if (createdUpTo < created.length) {
      await main.barrier()
      createdUpTo = created.length
    }
    const isFirst = filling?.table !== table
    if (!isFirst) await filling?.first?.barrier()
    const least = workers.reduce(
      (one, other) => (other.waitingBytes < one.waitingBytes ? other : one),
      workers[0] ?? main,
    )
    filling = isFirst ? { table, first: least } : { table }
    return least
  }

  async function finish(): Promise<void> {
    await Promise.all([main, ...workers].map((session) => session.barrier()))
    await shareOut(created.toSorted((a, b) => b.bytes - a.bytes).flatMap((table) => alter(table.name, table.keys)))
    await shareOut(created.flatMap((table) => alter(table.name, table.foreignKeys)))
    for (const statement of held) await main.write(textFor(statement))
    await main.barrier()
  }

  async function shareOut(statements: readonly Buffer[]): Promise<void> {
    const queue = [...statements]
    await Promise.all(
      workers.map(async (session) => {
        for (let next = queue.shift(); next !== undefined; next = queue.shift()) {
          await session.write(next)
          await session.barrier()
        }
      }),
    )
  }

  return {
    take,
    finish,
    count(bytes) {
      total += bytes
      options.onBytes?.(total)
    },
    result: () => ({ tables: created.length, objects: counts, bytes: total }),
  }
}

const NEWLINE = Buffer.from('\n')

/** A stand-in that drops nothing before it is a sequence's; those belong to the tables. */
function isSequence(purpose: Purpose, before: readonly Held[]): boolean {
  return purpose.kind === 'stand-in' && !before.some(({ text }) => /\bVIEW\b/.test(text))
}

function alter(table: string, items: readonly string[]): Buffer[] {
  if (items.length === 0) return []
  const added = items.map((item) => `ADD ${item}`).join(', ')
  return [Buffer.from(`ALTER TABLE ${latin1(quoteName(table))} ${added};\n`, 'latin1')]
}

function latin1(text: string): string {
  return Buffer.from(text).toString('latin1')
}

/** `;;` cannot stand in a body: the dump tool would not have used it. */
function textFor({ text, block }: Held): Buffer {
  return Buffer.from(block ? `DELIMITER ;;\n${text};;\nDELIMITER ;\n` : `${text};\n`, 'latin1')
}

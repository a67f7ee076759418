/**
 * The rows of a database by several sessions, however few its tables are: pg_restore prints each archive as a script, and
 * sessions that have nothing to do help with the rows of large tables. There are no keys and no triggers yet, so those
 * may come in any order. For programs on this machine; docs/decisions/060-postgres-rows.md.
 */
import { connected, MAINTENANCE, postgresError } from '../../database/postgres/connect.ts'
import { hasFailed } from '../../pipeline/failure.ts'
import { feed, type DecodeOptions } from '../decode.ts'
import { createOutbox } from '../outbox.ts'
import { startScript, type LoadAccess } from './client.ts'
import { createScriptSplitter, type ScriptPiece } from './script.ts'

export interface RowsLoad extends DecodeOptions {
  readonly access: LoadAccess
  readonly database: string
  readonly archives: readonly string[]
  /** Options of pg_restore that choose tables. */
  readonly only: readonly string[]
  readonly sessions: number
  /** Plain bytes so far. */
  readonly onBytes?: ((bytes: number) => void) | undefined
}

/** @throws OpsError DATA_MISMATCH, NOT_PERMITTED, FAILED with what the server refused; nothing of it runs any more then */
export async function loadRows(load: RowsLoad): Promise<void> {
  const { access, database, archives, sessions: count, onBytes } = load
  const sessions = await Promise.all(Array.from({ length: Math.max(1, count) }, () => openRowSession(access, database)))
  const kill = () => sessions.forEach((session) => session.kill())
  const waiting = [...archives]
  const idle = sessions.slice(archives.length)
  let bytes = 0
  const lanes = sessions.slice(0, archives.length).map(async (own) => {
    for (let path = waiting.shift(); path !== undefined; path = waiting.shift()) {
      const deal = createDealer(own, idle)
      await readArchive(load, path, async (chunk, pieces) => {
        for (const piece of pieces) await deal(piece)
        onBytes?.((bytes += chunk.length))
      })
    }
    idle.push(own)
  })
  try {
    await allOrNone(lanes, kill)
    await allOrNone(
      sessions.map((session) => session.end()),
      kill,
    )
  } finally {
    kill()
  }
}

/** @throws the first failure, when all have come to their end */
async function allOrNone(works: readonly Promise<void>[], stop: () => void): Promise<void> {
  works.forEach((work) => void work.catch(stop))
  try {
    await Promise.all(works)
  } catch (error) {
    await Promise.allSettled(works)
    throw error
  }
}

type Take = (chunk: Buffer, pieces: Iterable<ScriptPiece>) => Promise<void>

async function readArchive({ access, only, identity, signal }: RowsLoad, path: string, take: Take): Promise<void> {
  const argv = ['pg_restore', '--section=data', ...only, '--file=-'] as const
  const tool = await access.place.start({ ...connected(argv, access, MAINTENANCE), wantsInput: true, bulk: true })
  const fed = feed(path, { into: tool.input, isPipe: true, identity, signal })
  fed.catch(tool.kill)
  const splitter = createScriptSplitter()
  try {
    await tool.each((chunk) => take(chunk, splitter.push(chunk)))
  } catch (error) {
    tool.kill()
    throw error
  }
  const end = await tool.ended
  // A file that cannot be read is the cause; what the tool says about it is its consequence.
  await fed
  if (hasFailed(end)) throw await postgresError(end, access)
  splitter.end()
}

interface RowSession {
  /** Bytes written and not yet taken by the client. */
  readonly waitingBytes: number
  /** Resolves when the bytes are copied. @throws what the session failed with */
  write(bytes: Buffer): Promise<void>
  /** @throws likewise, when everything has run */
  end(): Promise<void>
  kill(): void
}

async function openRowSession(access: LoadAccess, database: string): Promise<RowSession> {
  const tool = await startScript(access, database)
  const outbox = createOutbox(tool.input)
  const ended = tool.ended.then(async (end) => {
    if (hasFailed(end)) throw await postgresError(end, access)
  })
  // Asked for with every write; one that fails between two of them is told by the next.
  ended.catch(() => undefined)
  return {
    get waitingBytes() {
      return outbox.waitingBytes
    },
    async write(bytes) {
      await Promise.race([outbox.write(bytes), ended])
    },
    async end() {
      await Promise.race([outbox.empty(), ended])
      tool.input.end()
      await ended
    },
    kill: tool.kill,
  }
}

/** So much of a table goes to one session, which keeps the order of its rows: a small table comes out as it went in. */
const ORDERED_BYTES = 32 * 1024 ** 2
/** Settings are for every session. */
const SETTING = /^(?:SET |SELECT pg_catalog\.set_config\()/
const END_OF_ROWS = Buffer.from('\\.\n')

/**
 * Deals one archive out: to its own session, and the rows of a large table to those that have nothing to do as well.
 * @param idle sessions that are nobody's; taken from it, and given back
 */
function createDealer(own: RowSession, idle: RowSession[]): (piece: ScriptPiece) => Promise<void> {
  let settings = ''
  let copy = ''
  let copiedBytes = 0
  let copying: RowSession[] = []
  let last = own

  async function join(session: RowSession): Promise<void> {
    copying.push(session)
    await session.write(Buffer.from(`${session === own ? '' : settings}${copy}`))
  }
  async function takeRows(bytes: Buffer, continues: boolean): Promise<void> {
    if (copying.length === 0) await join(own)
    const helper = copiedBytes >= ORDERED_BYTES ? idle.shift() : undefined
    if (helper) await join(helper)
    if (!continues) last = copying.reduce((one, other) => (other.waitingBytes < one.waitingBytes ? other : one))
    copiedBytes += bytes.length
    await last.write(bytes)
  }
  async function endCopy(): Promise<void> {
    const ending = copying
    copying = []
    for (const session of ending) await session.write(END_OF_ROWS)
    idle.push(...ending.filter((session) => session !== own))
    last = own
  }

  return async (piece) => {
    if (piece.kind === 'rows') return takeRows(piece.bytes, piece.continues)
    if (piece.kind === 'end') return endCopy()
    if (piece.kind === 'copy') {
      copy = `${piece.text}\n`
      copiedBytes = 0
      return
    }
    if (SETTING.test(piece.text)) settings += `${piece.text}\n`
    await own.write(Buffer.from(`${piece.text}\n`))
  }
}

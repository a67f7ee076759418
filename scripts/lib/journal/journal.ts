/**
 * Opens the journal: on disk for whatever changes something, in memory where looking must work although the disk does
 * not. What is kept and for how long is in events.ts, leases in leases.ts, the tables in schema.ts.
 */
import { randomBytes } from 'node:crypto'
import { hostname, userInfo } from 'node:os'
import { join } from 'node:path'
import { systemClock, type Clock } from '../core/clock.ts'
import { isOpsError, OpsError } from '../core/errors.ts'
import { MEMORY, openDatabase, type Database } from './database.ts'
import { readEvents, recordEvent, RETENTION, type Retention, type Writer } from './events.ts'
import { createLeases } from './leases.ts'
import { readMachine, type Machine } from './machine.ts'
import { migrateJournal, migrateRoom } from './schema.ts'
import type { Journal } from './types.ts'

const MAX_STATE_CHARS = 4 * 1024 * 1024

export interface MemoryJournalOptions {
  readonly clock?: Clock
  /** One run of one command; default: the time and some random letters. */
  readonly runId?: string
  /** Who; default: this process's user and host, and who called sudo. */
  readonly actor?: string
  /** Applied to messages and details before they are stored. Default: nothing is changed. */
  readonly redact?: (value: unknown) => unknown
  readonly retention?: Retention
  /** How processes are told apart and time is shared between them; default: this machine. */
  readonly machine?: Machine
}

export interface JournalOptions extends MemoryJournalOptions {
  /** The state directory; created 0700 when missing. On a local disk: SQLite's WAL does not work over a network. */
  readonly dir: string
  /** How long a write waits for other writers, milliseconds. Default 10,000; less where a deadline is shorter. */
  readonly busyTimeoutMs?: number
}

/**
 * @throws OpsError NOT_PERMITTED, CANNOT_WRITE (full, read-only, or written by a newer opskit), DATA_MISMATCH
 *   (damaged; it is left as it is), LOCKED (busy for too long)
 */
export function openJournal({ dir, busyTimeoutMs, ...options }: JournalOptions): Journal {
  return start(openDatabase(join(dir, 'journal.db'), busyTimeoutMs), options)
}

/** A journal that ends with the process: for tests, and for looking when there is no place to write. */
export function openMemoryJournal(options: MemoryJournalOptions = {}): Journal {
  return start(openDatabase(MEMORY), options)
}

/**
 * For commands that only look: they must work on a machine with a full disk and for a user who may not write.
 * @returns the journal in `dir`, or one in memory and the `problem` to warn about
 */
export function openJournalOrMemory(options: JournalOptions): { journal: Journal; problem?: OpsError } {
  try {
    return { journal: openJournal(options) }
  } catch (error) {
    if (!isOpsError(error)) throw error
    return { journal: openMemoryJournal(options), problem: error }
  }
}

function start(db: Database, options: MemoryJournalOptions): Journal {
  try {
    migrateJournal(db)
  } catch (error) {
    db.close()
    throw error
  }
  const clock = options.clock ?? systemClock
  const writer: Writer = {
    runId: options.runId ?? createRunId(clock.now()),
    actor: options.actor ?? readActor(process.env),
    retention: options.retention ?? RETENTION,
    now: () => clock.now(),
    redact: options.redact ?? ((value) => value),
  }
  const record: Journal['record'] = (event) => recordEvent(db, writer, event)
  const machine = options.machine ?? readMachine()
  const leases = createLeases({ db, machine, owner: writer.actor, runId: writer.runId, now: writer.now, record })
  let open = true
  return {
    runId: writer.runId,
    place: db.place,
    durable: db.place !== MEMORY,
    record,
    events: (query) => readEvents(db, query),
    acquire: (request) => leases.acquire(request),
    leases: () => leases.leases(),
    getState: (key) => getState(db, key),
    setState: (key, value) => setState(db, key, value),
    transaction: (work) => db.transaction(work),
    migrate: (room, migrations) => migrateRoom(db, room, migrations),
    sql: db,
    close() {
      if (!open) return
      open = false
      try {
        leases.releaseAll()
      } finally {
        db.close()
      }
    },
  }
}

function getState(db: Database, key: string): unknown {
  const text = db.get('SELECT value FROM state WHERE key = ?', key)?.['value']
  return text === undefined ? undefined : JSON.parse(String(text))
}

function setState(db: Database, key: string, value: unknown): void {
  const text = JSON.stringify(value) as string | undefined
  if (text === undefined) {
    db.run('DELETE FROM state WHERE key = ?', key)
    return
  }
  if (text.length > MAX_STATE_CHARS) {
    throw new OpsError('FAILED', `The state ${key} is too large to keep: ${text.length} characters`)
  }
  db.run('INSERT OR REPLACE INTO state (key, value) VALUES (?, ?)', key, text)
}

/** `20260101T120000-4f9a1c`: sorts by time, short enough to type. */
function createRunId(now: number): string {
  return `${new Date(now).toISOString().replace(/[-:]|\..*/g, '')}-${randomBytes(3).toString('hex')}`
}

/** `root@web-1`, or `root@web-1 (sudo by alice)`. */
function readActor(env: NodeJS.ProcessEnv): string {
  const sudoer = env['SUDO_USER']
  return `${readUserName()}@${hostname()}${sudoer ? ` (sudo by ${sudoer})` : ''}`
}

function readUserName(): string {
  try {
    return userInfo().username
  } catch {
    // A uid without an entry in the user database, as in many containers.
    return `uid-${process.getuid?.() ?? 'unknown'}`
  }
}

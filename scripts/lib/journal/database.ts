/**
 * How the journal's SQLite file is opened and spoken to. What its tables mean is left to the other files of the room.
 *
 * WAL, so that readers never wait for writers; `synchronous=FULL`, so that a fencing token or an event that was
 * acknowledged is still there after a power cut (sqlite.org/wal.html: NORMAL may lose the last commits). Every write
 * takes the write lock at its start (BEGIN IMMEDIATE): a read that is upgraded later fails without waiting.
 *
 * SQLite's lock is not a queue: a process that writes without pause starves the others for as long as it likes. So we
 * ask often while we wait, and a process that has held the lock for a while leaves a gap in which others can get it.
 */
import { closeSync, mkdirSync, openSync } from 'node:fs'
import { DatabaseSync, type StatementSync } from 'node:sqlite'
import { dirname } from 'node:path'
import { isBusy, openingError, sqliteError } from './failures.ts'
import type { Sql } from './types.ts'

/** An incident is when disks are slow: long enough for a queue of writers on one, short enough not to look hung. */
const BUSY_TIMEOUT_MS = 10_000
/** How often a waiting process asks: less than a gap, and at random, so that none falls into step with another. */
const ASK_EVERY_MS = { least: 1, most: 4 }
const GAP_MS = 5
/** Lock time after which a process that writes without pause leaves a gap. */
const TURN_MS = 20

/** Rooms use constant statements, so this many is never reached but by mistake. */
const MAX_STATEMENTS = 500

export const MEMORY = 'memory'

export interface Database extends Sql {
  readonly place: string
  /** Several statements without parameters. */
  script(text: string): void
  transaction<T>(work: () => T): T
  inTransaction(): boolean
  close(): void
}

/**
 * @param path the database file, or `MEMORY`; its directory is created 0700, the file 0600
 * @param busyTimeoutMs how long each call waits for other writers
 * @throws OpsError NOT_PERMITTED, CANNOT_WRITE, DATA_MISMATCH (not a database), LOCKED (busy)
 */
export function openDatabase(path: string, busyTimeoutMs = BUSY_TIMEOUT_MS): Database {
  if (path !== MEMORY) createFile(path)
  const guard: Guard = (work) => {
    try {
      return patiently(work, busyTimeoutMs)
    } catch (error) {
      throw sqliteError(error, path)
    }
  }
  const db = guard(() => new DatabaseSync(path === MEMORY ? ':memory:' : path, { timeout: 0 }))
  try {
    guard(() => db.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON'))
  } catch (error) {
    db.close()
    throw error
  }
  return speak(db, path, guard)
}

/** Runs one call of SQLite: waits while the database is busy, and says the rest as OpsErrors. */
type Guard = <T>(work: () => T) => T

function speak(db: DatabaseSync, place: string, guard: Guard): Database {
  const takeTurn = createTurns()
  const statements = new Map<string, StatementSync>()
  const prepared = (text: string) => {
    const known = statements.get(text)
    if (known) return known
    if (statements.size >= MAX_STATEMENTS) statements.clear()
    const statement = db.prepare(text)
    statements.set(text, statement)
    return statement
  }
  return {
    place,
    run: (text, ...values) =>
      guard(() => {
        const { changes, lastInsertRowid } = prepared(text).run(...values)
        return { changes: Number(changes), lastId: Number(lastInsertRowid) }
      }),
    get: (text, ...values) => guard(() => prepared(text).get(...values)),
    all: (text, ...values) => guard(() => prepared(text).all(...values)),
    script: (text) => guard(() => db.exec(text)),
    transaction: (work) => (db.isTransaction ? nested(db, guard, work) : takeTurn(() => outermost(db, guard, work))),
    inTransaction: () => db.isTransaction,
    close: () => {
      if (db.isOpen) db.close()
    },
  }
}

function outermost<T>(db: DatabaseSync, guard: Guard, work: () => T): T {
  guard(() => db.exec('BEGIN IMMEDIATE'))
  try {
    const result = synchronous(work)
    guard(() => db.exec('COMMIT'))
    return result
  } catch (error) {
    // SQLite has already rolled back after some failures (a full disk, for one).
    if (db.isTransaction) db.exec('ROLLBACK')
    throw error
  }
}

function nested<T>(db: DatabaseSync, guard: Guard, work: () => T): T {
  guard(() => db.exec('SAVEPOINT inner_work'))
  try {
    const result = synchronous(work)
    guard(() => db.exec('RELEASE inner_work'))
    return result
  } catch (error) {
    if (db.isTransaction) db.exec('ROLLBACK TO inner_work; RELEASE inner_work')
    throw error
  }
}

function synchronous<T>(work: () => T): T {
  const result = work()
  if (result instanceof Promise) throw new TypeError('a journal transaction cannot wait for a promise')
  return result
}

/** SQLite gives the -wal and -shm files the mode of the database, so the mode is settled before SQLite sees it. */
function createFile(path: string): void {
  try {
    mkdirSync(dirname(path), { recursive: true, mode: 0o700 })
    closeSync(openSync(path, 'a', 0o600))
  } catch (error) {
    throw openingError(error, path)
  }
}

function patiently<T>(work: () => T, busyTimeoutMs: number): T {
  const deadline = performance.now() + busyTimeoutMs
  for (;;) {
    try {
      return work()
    } catch (error) {
      if (!isBusy(error) || performance.now() > deadline) throw error
      pause(ASK_EVERY_MS.least + Math.random() * (ASK_EVERY_MS.most - ASK_EVERY_MS.least))
    }
  }
}

/** @returns a wrapper of transactions that pauses before one when those before it have left no gap for too long */
function createTurns(): Guard {
  let heldMs = 0
  let releasedAt = Number.NEGATIVE_INFINITY
  return (work) => {
    const gapMs = performance.now() - releasedAt
    if (gapMs < GAP_MS && heldMs >= TURN_MS) pause(GAP_MS - gapMs)
    if (gapMs >= GAP_MS || heldMs >= TURN_MS) heldMs = 0
    const startedAt = performance.now()
    try {
      return work()
    } finally {
      releasedAt = performance.now()
      heldMs += releasedAt - startedAt
    }
  }
}

function pause(ms: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms)
}

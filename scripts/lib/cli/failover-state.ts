/**
 * What `failover` knows from earlier runs: one row in an SQLite file, so that a breaker that one shell opened holds in the
 * next. A run looks at it before its call and puts what it saw on top of whatever is there afterwards: shells that run side
 * by side lose nothing of each other's.
 */
import { join } from 'node:path'
import { openDatabase, type Database } from '../journal/database.ts'
import { defaultStateDir } from '../journal/index.ts'
import { readMachine } from '../journal/machine.ts'
import type { SavedFailover } from '../resilience/index.ts'

export interface StoredState {
  readonly state: unknown
  /** Time since it was stored: by the clock of the boot, and only across boots by the wall clock. Never negative. */
  readonly elapsedMs: number
}

export interface StateFile {
  /** Undefined when nothing was stored yet. */
  read(): StoredState | undefined
  /** One transaction: what `change` returns takes the place of what it was given. */
  update(change: (stored: StoredState | undefined) => SavedFailover): void
  close(): void
}

export function defaultStateFile(): string {
  return join(defaultStateDir(process.env, process.getuid?.()), 'failover.db')
}

/** @throws OpsError NOT_PERMITTED, CANNOT_WRITE, DATA_MISMATCH (not a database), LOCKED */
export function openStateFile(path: string): StateFile {
  const db = openDatabase(path)
  db.script(
    `CREATE TABLE IF NOT EXISTS failover (
       id INTEGER PRIMARY KEY CHECK (id = 1), state TEXT NOT NULL,
       wall_ms REAL NOT NULL, uptime_ms REAL NOT NULL, boot_id TEXT NOT NULL) STRICT`,
  )
  return {
    read: () => read(db),
    update: (change) => db.transaction(() => write(db, change(read(db)))),
    close: () => db.close(),
  }
}

function read(db: Database): StoredState | undefined {
  const row = db.get('SELECT state, wall_ms, uptime_ms, boot_id FROM failover')
  if (!row) return undefined
  const machine = readMachine()
  const isThisBoot = machine.bootId !== '' && row['boot_id'] === machine.bootId
  const elapsedMs = isThisBoot ? machine.uptimeMs() - Number(row['uptime_ms']) : Date.now() - Number(row['wall_ms'])
  return { state: parse(String(row['state'])), elapsedMs: Math.max(0, elapsedMs) }
}

function write(db: Database, state: SavedFailover): void {
  const machine = readMachine()
  db.run(
    'INSERT OR REPLACE INTO failover (id, state, wall_ms, uptime_ms, boot_id) VALUES (1, ?, ?, ?, ?)',
    JSON.stringify(state),
    Date.now(),
    machine.uptimeMs(),
    machine.bootId,
  )
}

/** Text that is no JSON is refused by whoever restores it, with everything else that is not a saved state. */
function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

/**
 * The journal's own tables, and how any room's tables move forward from version to version.
 *
 * A version is the number of scripts that have run. The journal's own is SQLite's user_version; each other room's is
 * a row of `room_schemas`. Forward only, all or nothing, and safe when many processes open at once: whoever gets the
 * write lock first does the work, the others find it done.
 */
import { messageOf, OpsError } from '../core/errors.ts'
import type { Database } from './database.ts'
import { newerSchemaError } from './failures.ts'

const JOURNAL_SCHEMA: readonly string[] = [
  `CREATE TABLE events (
     id INTEGER PRIMARY KEY AUTOINCREMENT,
     at INTEGER NOT NULL,
     run_id TEXT NOT NULL,
     actor TEXT NOT NULL,
     kind TEXT NOT NULL,
     action TEXT,
     host TEXT,
     result TEXT,
     message TEXT NOT NULL,
     details TEXT
   ) STRICT;
   CREATE INDEX events_by_run ON events (run_id);
   CREATE INDEX events_by_kind ON events (kind);
   CREATE INDEX events_by_action ON events (action) WHERE action IS NOT NULL;
   CREATE INDEX events_by_host ON events (host) WHERE host IS NOT NULL;

   CREATE TABLE leases (
     name TEXT PRIMARY KEY,
     fencing_token INTEGER NOT NULL,
     owner TEXT NOT NULL,
     reason TEXT NOT NULL,
     run_id TEXT NOT NULL,
     pid INTEGER NOT NULL,
     process_start TEXT NOT NULL,
     pid_space TEXT NOT NULL,
     boot_id TEXT NOT NULL,
     acquired_at INTEGER NOT NULL,
     expires_at INTEGER NOT NULL,
     expires_uptime_ms REAL NOT NULL,
     ttl_ms REAL NOT NULL
   ) STRICT, WITHOUT ROWID;

   CREATE TABLE counters (name TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT, WITHOUT ROWID;
   CREATE TABLE state (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;
   CREATE TABLE room_schemas (room TEXT PRIMARY KEY, version INTEGER NOT NULL) STRICT, WITHOUT ROWID;`,
]

/** @throws OpsError CANNOT_WRITE when a newer opskit has written the database */
export function migrateJournal(db: Database): void {
  migrate(db, {
    room: 'journal',
    migrations: JOURNAL_SCHEMA,
    readVersion: () => Number(db.get('PRAGMA user_version')?.['user_version'] ?? 0),
    writeVersion: (version) => db.script(`PRAGMA user_version = ${version}`),
  })
}

/** @throws OpsError CANNOT_WRITE when a newer opskit has written this room's tables */
export function migrateRoom(db: Database, room: string, migrations: readonly string[]): void {
  migrate(db, {
    room,
    migrations,
    readVersion: () => Number(db.get('SELECT version FROM room_schemas WHERE room = ?', room)?.['version'] ?? 0),
    writeVersion: (version) =>
      void db.run('INSERT OR REPLACE INTO room_schemas (room, version) VALUES (?, ?)', room, version),
  })
}

interface Schema {
  readonly room: string
  readonly migrations: readonly string[]
  readonly readVersion: () => number
  readonly writeVersion: (version: number) => void
}

function migrate(db: Database, schema: Schema): void {
  if (isCurrent(db, schema)) return
  db.transaction(() => {
    if (isCurrent(db, schema)) return
    schema.migrations.slice(schema.readVersion()).forEach((script) => runScript(db, schema, script))
    schema.writeVersion(schema.migrations.length)
  })
}

function isCurrent(db: Database, { room, migrations, readVersion }: Schema): boolean {
  const found = readVersion()
  if (found > migrations.length) throw newerSchemaError(db.place, room, { found, known: migrations.length })
  return found === migrations.length
}

function runScript(db: Database, { room, migrations }: Schema, script: string): void {
  try {
    db.script(script)
  } catch (error) {
    if (error instanceof OpsError) throw error
    const number = migrations.indexOf(script) + 1
    throw new OpsError('FAILED', `Migration ${number} of ${room} failed, nothing was changed: ${messageOf(error)}`, {
      place: db.place,
      cause: error,
    })
  }
}

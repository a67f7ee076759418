/**
 * Where incidents lie: `<state dir>/incidents/ID.jsonl` and beside it the directory `ID` with the copy of the runbook and
 * attached files. A small table in the journal's database knows how long each chain was when a command last ended, so that
 * lines that are missing at its end are noticed too.
 */
import { closeSync, existsSync, fsyncSync, mkdirSync, openSync, readdirSync, writeSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { OpsError, systemCode } from '../../core/errors.ts'
import { nearestName } from '../../core/nearest.ts'
import type { Journal } from '../../journal/types.ts'
import { isTicking } from './timers.ts'
import type { Head } from './chain.ts'
import type { Incident } from './types.ts'

const MIGRATIONS = [
  `CREATE TABLE runbook_incidents (
     id TEXT PRIMARY KEY,
     lines INTEGER NOT NULL,
     hash TEXT NOT NULL,
     runbook TEXT NOT NULL,
     subject TEXT NOT NULL,
     started_at INTEGER NOT NULL,
     is_open INTEGER NOT NULL,
     is_ticking INTEGER NOT NULL
   ) STRICT`,
  `CREATE TABLE runbook_told (
     incident TEXT NOT NULL,
     what TEXT NOT NULL,
     PRIMARY KEY (incident, what)
   ) STRICT`,
] as const

/** Beyond it an operator types the name of no incident any more. */
const MAX_TWINS = 99

export interface Store {
  /** `<state dir>/incidents` */
  readonly dir: string
  /** Ids, newest first. */
  ids(): string[]
  /** Known to be over, so that its file need not be read. */
  isOver(id: string): boolean
  /** What a command leaves behind at its end. */
  saveHead(incident: Incident, head: Head): void
  savedHead(id: string): Head | undefined
  /**
   * Takes an id that is free, and keeps the runbook's text under it.
   * @returns the id
   */
  reserve(request: {
    readonly runbook: string
    readonly at: number
    readonly copy: string
    readonly text: string
  }): string
  /** Makes the file of a reserved id, empty. */
  create(id: string): string
  /** True for the first who asks, in this or any other process. */
  isFirst(id: string, what: string): boolean
  pathOf(id: string): string
  dirOf(id: string): string
}

/** @throws OpsError CANNOT_WRITE for a journal in memory */
export function openStore(journal: Journal): Store {
  if (!journal.durable) {
    throw new OpsError('CANNOT_WRITE', 'there is no place to keep an incident in', {
      hint: 'Mend the state directory, or set state.dir to one that can be written.',
    })
  }
  journal.migrate('runbook', MIGRATIONS)
  const dir = join(dirname(journal.place), 'incidents')
  const pathOf = (id: string) => join(dir, `${id}.jsonl`)
  const dirOf = (id: string) => join(dir, id)
  return {
    dir,
    pathOf,
    dirOf,
    ids: () => readIds(dir),
    isOver: (id) => {
      const row = journal.sql.get('SELECT is_open, is_ticking FROM runbook_incidents WHERE id = ?', id)
      return row !== undefined && row['is_open'] === 0 && row['is_ticking'] === 0
    },
    saveHead: (incident, head) => saveHead(journal, incident, head),
    savedHead(id) {
      const row = journal.sql.get('SELECT lines, hash FROM runbook_incidents WHERE id = ?', id)
      return row && { seq: Number(row['lines']), hash: String(row['hash']) }
    },
    reserve({ runbook, at, copy, text }) {
      const id = reserveId(dir, `${runbook}-${stamp(at)}`)
      writeDurably(join(dirOf(id), copy), text)
      return id
    },
    isFirst: (id, what) =>
      journal.sql.run('INSERT OR IGNORE INTO runbook_told (incident, what) VALUES (?, ?)', id, what).changes === 1,
    create(id) {
      const path = pathOf(id)
      writeDurably(path, '')
      syncDir(dir)
      return path
    },
  }
}

/** @throws OpsError USAGE with the nearest id */
export function requireIncident(store: Store, id: string): string {
  if (store.ids().includes(id)) return id
  const near = nearestName(id, store.ids())
  throw new OpsError('USAGE', `there is no incident "${id}"`, {
    hint: near === undefined ? 'npx zx scripts/runbook.ts status lists them.' : `Did you mean ${near}?`,
  })
}

function saveHead(journal: Journal, incident: Incident, { seq, hash }: Head): void {
  const { id, runbook, subject, startedAt, closed } = incident
  const known = journal.sql.get('SELECT hash FROM runbook_incidents WHERE id = ?', id)
  if (known?.['hash'] === hash) return
  journal.sql.run(
    `INSERT INTO runbook_incidents (id, lines, hash, runbook, subject, started_at, is_open, is_ticking)
     VALUES (?, ?, ?, ?, ?, ?, ?, ?)
     ON CONFLICT (id) DO UPDATE SET lines = excluded.lines, hash = excluded.hash, is_open = excluded.is_open,
       is_ticking = excluded.is_ticking WHERE excluded.lines >= runbook_incidents.lines`,
    ...[id, seq, hash, runbook.id, subject, startedAt, closed ? 0 : 1, isTicking(incident) ? 1 : 0],
  )
}

/** Newest first: by the time in the name, which is when it was started. */
function readIds(dir: string): string[] {
  if (!existsSync(dir)) return []
  return readdirSync(dir)
    .filter((name) => name.endsWith('.jsonl'))
    .map((name) => basename(name, '.jsonl'))
    .map((id) => ({ id, ...timeIn(id) }))
    .sort((a, b) => compareText(b.time, a.time) || b.twin - a.twin || compareText(b.id, a.id))
    .map(({ id }) => id)
}

/** `disk-full-20261121-0314-2` is the second of its minute. */
function timeIn(id: string): { time: string; twin: number } {
  const [, time = id, twin = '1'] = /-(\d{8}-\d{4})(?:-(\d+))?$/.exec(id) ?? []
  return { time, twin: Number(twin) }
}

/** By code units: what `localeCompare` needs is loaded for 20 ms. */
function compareText(a: string, b: string): number {
  return a < b ? -1 : Number(a > b)
}

/** `20261121-0314`, UTC. */
function stamp(at: number): string {
  const digits = new Date(at).toISOString().replace(/[-:]/g, '')
  return `${digits.slice(0, 8)}-${digits.slice(9, 13)}`
}

function reserveId(dir: string, name: string): string {
  try {
    mkdirSync(dir, { recursive: true, mode: 0o700 })
    for (let twin = 1; twin <= MAX_TWINS; twin += 1) {
      const id = twin === 1 ? name : `${name}-${twin}`
      // Who makes the directory has the name.
      if (makeDirectory(join(dir, id))) return id
    }
  } catch (error) {
    throw cannotWrite(dir, error)
  }
  throw new OpsError('FAILED', `${MAX_TWINS} incidents of ${name} began within this minute`, { hint: 'Wait a minute.' })
}

function makeDirectory(path: string): boolean {
  try {
    mkdirSync(path, { mode: 0o700 })
    return true
  } catch (error) {
    if (systemCode(error) === 'EEXIST') return false
    throw error
  }
}

/** A new file, on the disk when this returns. @throws OpsError CANNOT_WRITE, NOT_PERMITTED */
export function writeDurably(path: string, data: string | Uint8Array): void {
  try {
    const file = openSync(path, 'wx', 0o600)
    try {
      const bytes = typeof data === 'string' ? Buffer.from(data) : data
      for (let done = 0; done < bytes.length;) done += writeSync(file, bytes, done)
      fsyncSync(file)
    } finally {
      closeSync(file)
    }
    syncDir(dirname(path))
  } catch (error) {
    throw cannotWrite(path, error)
  }
}

function syncDir(path: string): void {
  const dir = openSync(path, 'r')
  try {
    fsyncSync(dir)
  } finally {
    closeSync(dir)
  }
}

function cannotWrite(path: string, error: unknown): OpsError {
  const code = systemCode(error)
  const refused = code === 'EACCES' || code === 'EPERM'
  return new OpsError(refused ? 'NOT_PERMITTED' : 'CANNOT_WRITE', `cannot write ${path}: ${code ?? 'failed'}`, {
    hint: refused ? 'Run it as the user who owns the state directory.' : 'Make room there.',
    cause: error,
  })
}

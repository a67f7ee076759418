/** The memory of the scheduler: tables of the journal, so that daemons, restarts and manual runs all see the same. */
import { messageOf, OpsError } from '../core/errors.ts'
import type { Journal, SqlRow } from '../journal/types.ts'
import type { Slot, SlotKind, SlotResult } from './types.ts'

const MIGRATIONS = [
  `CREATE TABLE schedule_jobs (
     name TEXT PRIMARY KEY, schedule TEXT NOT NULL, first_seen INTEGER NOT NULL, seen_until INTEGER NOT NULL) STRICT;
   CREATE TABLE schedule_slots (
     id TEXT PRIMARY KEY, job TEXT NOT NULL, due_at INTEGER NOT NULL, kind TEXT NOT NULL, state TEXT NOT NULL,
     result TEXT, attempt INTEGER NOT NULL, not_before INTEGER NOT NULL, started_at INTEGER, finished_at INTEGER,
     exit_code INTEGER, message TEXT NOT NULL, supervisor TEXT NOT NULL) STRICT;
   CREATE INDEX schedule_slots_state ON schedule_slots (state, not_before);
   CREATE INDEX schedule_slots_job ON schedule_slots (job, due_at);`,
]

export interface NewSlot {
  readonly id: string
  readonly job: string
  readonly dueAt: number
  readonly kind: SlotKind
  readonly notBefore: number
}

export interface Seen {
  readonly schedule: string
  readonly firstSeen: number
  /** Everything due up to here has been decided. */
  readonly seenUntil: number
}

export interface HistoryQuery {
  readonly job?: string | undefined
  readonly limit: number
}

export type Store = ReturnType<typeof openStore>

export function openStore(journal: Journal) {
  journal.migrate('schedule', MIGRATIONS)
  const { sql } = journal
  const rows = (found: SqlRow[]) => found.map(toSlot)
  return {
    /** @returns false when the slot is known already */
    add: ({ id, job, dueAt, kind, notBefore }: NewSlot): boolean =>
      sql.run(
        `INSERT OR IGNORE INTO schedule_slots (id, job, due_at, kind, state, attempt, not_before, message, supervisor)
         VALUES (?, ?, ?, ?, 'waiting', 0, ?, '', '')`,
        ...[id, job, dueAt, kind, Math.round(notBefore)],
      ).changes === 1,
    find: (id: string): Slot | undefined => rows(sql.all('SELECT * FROM schedule_slots WHERE id = ?', id))[0],
    waiting: (now: number, limit: number): Slot[] =>
      rows(
        sql.all(
          `SELECT * FROM schedule_slots WHERE state = 'waiting' AND not_before <= ? ORDER BY due_at, id LIMIT ?`,
          ...[now, limit],
        ),
      ),
    countWaiting: (job: string): number =>
      Number(sql.get(`SELECT count(*) AS n FROM schedule_slots WHERE state = 'waiting' AND job = ?`, job)?.['n']),
    nextWaitingAt: (): number | undefined => {
      const at = sql.get(`SELECT min(not_before) AS at FROM schedule_slots WHERE state = 'waiting'`)?.['at']
      return at === null || at === undefined ? undefined : Number(at)
    },
    running: (): Slot[] => rows(sql.all(`SELECT * FROM schedule_slots WHERE state = 'running'`)),
    runningOf: (job: string): Slot | undefined =>
      rows(sql.all(`SELECT * FROM schedule_slots WHERE state = 'running' AND job = ?`, job))[0],
    /** One supervisor gets it, and only while no other run of the job is on; what is caught up runs one after the other. */
    claim: (id: string, supervisor: string, now: number): boolean =>
      sql.run(
        `UPDATE schedule_slots SET state = 'running', attempt = attempt + 1, started_at = ?, supervisor = ?,
           exit_code = NULL, message = ''
         WHERE id = ? AND state = 'waiting'
           AND NOT EXISTS (SELECT 1 FROM schedule_slots r WHERE r.state = 'running' AND r.job = schedule_slots.job)
           AND (kind <> 'catchup' OR NOT EXISTS
             (SELECT 1 FROM schedule_slots r WHERE r.state = 'running' AND r.kind = 'catchup'))`,
        ...[Math.round(now), supervisor, id],
      ).changes === 1,
    /** What the process of a run says of its own end, for whoever closes the slot. */
    report: (id: string, exitCode: number, message: string): void =>
      void sql.run(
        `UPDATE schedule_slots SET exit_code = ?, message = ? WHERE id = ? AND state = 'running'`,
        ...[exitCode, message, id],
      ),
    /** @returns false when somebody else has closed it */
    finish: (id: string, end: { result: SlotResult; message: string; now: number; exitCode?: number }): boolean =>
      sql.run(
        `UPDATE schedule_slots SET state = 'done', result = ?, message = ?, finished_at = ?, exit_code = ?
         WHERE id = ? AND state <> 'done'`,
        ...[end.result, end.message, Math.round(end.now), end.exitCode ?? null, id],
      ).changes === 1,
    retry: (id: string, notBefore: number, message: string): boolean =>
      sql.run(
        `UPDATE schedule_slots SET state = 'waiting', not_before = ?, message = ? WHERE id = ? AND state = 'running'`,
        ...[Math.round(notBefore), message, id],
      ).changes === 1,
    /** The last run of a job that came to an end; skipped ones do not count. */
    lastEnded: (job: string): Slot | undefined =>
      rows(
        sql.all(
          `SELECT * FROM schedule_slots WHERE job = ? AND state = 'done' AND result <> 'skipped'
           ORDER BY finished_at DESC LIMIT 1`,
          job,
        ),
      )[0],
    history: ({ job, limit }: HistoryQuery): Slot[] =>
      rows(
        sql.all(
          `SELECT * FROM schedule_slots WHERE ? IS NULL OR job = ? ORDER BY coalesce(started_at, due_at) DESC, id LIMIT ?`,
          ...[job ?? null, job ?? null, limit],
        ),
      ),
    prune: (before: number): void =>
      void sql.run(`DELETE FROM schedule_slots WHERE state = 'done' AND due_at < ?`, Math.round(before)),
    seen: (job: string): Seen | undefined => {
      const row = sql.get('SELECT * FROM schedule_jobs WHERE name = ?', job)
      if (!row) return undefined
      const [firstSeen, seenUntil] = [Number(row['first_seen']), Number(row['seen_until'])]
      return { schedule: String(row['schedule']), firstSeen, seenUntil }
    },
    saveSeen: (job: string, seen: Seen): void =>
      void sql.run(
        'INSERT OR REPLACE INTO schedule_jobs (name, schedule, first_seen, seen_until) VALUES (?, ?, ?, ?)',
        ...[job, seen.schedule, Math.round(seen.firstSeen), Math.round(seen.seenUntil)],
      ),
    /** Jobs that are no longer configured begin anew when they come back. */
    forgetOthers: (names: readonly string[]): void => {
      const known = new Set(names)
      for (const { name } of sql.all('SELECT name FROM schedule_jobs'))
        if (!known.has(String(name))) sql.run('DELETE FROM schedule_jobs WHERE name = ?', String(name))
    },
  }
}

/** `NAME@2026-01-01T02:00:00Z` */
export function slotId(job: string, dueAt: number): string {
  return `${job}@${new Date(dueAt).toISOString().replace(/\.\d+/, '')}`
}

/** The failure a run reports, short enough to keep. */
export function shortMessage(error: unknown): string {
  const hint = error instanceof OpsError && error.details.hint ? ` (${error.details.hint})` : ''
  return `${messageOf(error)}${hint}`.slice(0, 2_000)
}

function toSlot(row: SqlRow): Slot {
  const optional = (key: string) => (row[key] === null || row[key] === undefined ? undefined : Number(row[key]))
  return {
    id: String(row['id']),
    job: String(row['job']),
    dueAt: Number(row['due_at']),
    kind: String(row['kind']) as SlotKind,
    state: String(row['state']) as Slot['state'],
    result: row['result'] === null ? undefined : (String(row['result']) as SlotResult),
    attempt: Number(row['attempt']),
    notBefore: Number(row['not_before']),
    startedAt: optional('started_at'),
    finishedAt: optional('finished_at'),
    exitCode: optional('exit_code'),
    message: String(row['message']),
    supervisor: String(row['supervisor']),
  }
}

/**
 * Writing and reading what happened. Bounded: the oldest events go, a few with each new one, so no run ever pays for
 * a large clean-up.
 */
import { messageOf } from '../core/errors.ts'
import { printableLine } from '../core/printable.ts'
import type { Database } from './database.ts'
import type { EventQuery, JournalEvent, SqlRow, SqlValue, StoredEvent } from './types.ts'

export interface Retention {
  readonly maxAgeMs: number
  readonly maxEvents: number
  /** Kept whatever their age, so that a clock that jumps years ahead does not empty the history. */
  readonly minEvents: number
}

export const RETENTION: Retention = {
  /** A year and a month: the same week of last year can still be compared. */
  maxAgeMs: 400 * 86_400_000,
  /** About 100 MB at 500 bytes an event. */
  maxEvents: 200_000,
  minEvents: 5_000,
}

/** Deleted with each new event at most: keeps every write short, and still catches up. */
const PRUNE_BATCH = 50
const MAX_DETAILS_CHARS = 64 * 1024
const MAX_MESSAGE_CHARS = 2_000
const DEFAULT_LIMIT = 100
const MAX_LIMIT = 10_000

/** What every event of one open journal has in common. */
export interface Writer {
  readonly runId: string
  readonly actor: string
  readonly retention: Retention
  readonly now: () => number
  readonly redact: (value: unknown) => unknown
}

export function recordEvent(db: Database, writer: Writer, event: JournalEvent): void {
  const at = writer.now()
  db.transaction(() => {
    db.run(
      `INSERT INTO events (at, run_id, actor, kind, action, host, result, message, details)
       VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`,
      Math.round(at),
      writer.runId,
      writer.actor,
      event.kind,
      event.action ?? null,
      event.host ?? null,
      event.result ?? null,
      printableLine(String(writer.redact(event.message)), MAX_MESSAGE_CHARS),
      event.details === undefined ? null : formatDetails(event.details, writer.redact),
    )
    prune(db, writer.retention, at)
  })
}

export function readEvents(db: Database, query: EventQuery = {}): StoredEvent[] {
  const conditions: [sql: string, ...values: SqlValue[]][] = []
  const { kind } = query
  // `/` is the character after `.`, so this is every name that begins with `kind.`, found by the index.
  if (kind !== undefined) conditions.push(['(kind = ? OR (kind > ? AND kind < ?))', kind, `${kind}.`, `${kind}/`])
  if (query.action !== undefined) conditions.push(['action = ?', query.action])
  if (query.host !== undefined) conditions.push(['host = ?', query.host])
  if (query.runId !== undefined) conditions.push(['run_id = ?', query.runId])
  if (query.since !== undefined) conditions.push(['at >= ?', query.since])
  if (query.afterId !== undefined) conditions.push(['id > ?', query.afterId])
  const where = conditions.length === 0 ? '' : `WHERE ${conditions.map(([sql]) => sql).join(' AND ')}`
  const order = query.order === 'oldest' ? 'ASC' : 'DESC'
  const values = conditions.flatMap(([, ...rest]) => rest)
  const limit = Math.max(0, Math.min(Math.trunc(query.limit ?? DEFAULT_LIMIT), MAX_LIMIT))
  return db.all(`SELECT * FROM events ${where} ORDER BY id ${order} LIMIT ?`, ...values, limit).map(toEvent)
}

/** Ids have no gaps but those of undone transactions, so the distance from oldest to newest is the count, at least. */
function prune(db: Database, { maxAgeMs, maxEvents, minEvents }: Retention, now: number): void {
  const span = db.get('SELECT (SELECT min(id) FROM events) AS oldest, (SELECT max(id) FROM events) AS newest')
  const [oldest, newest] = [Number(span?.['oldest']), Number(span?.['newest'])]
  const tooMany = newest - maxEvents
  db.run(`DELETE FROM events WHERE id BETWEEN ? AND ?`, oldest, Math.min(tooMany, oldest + PRUNE_BATCH - 1))
  db.run(
    `DELETE FROM events WHERE id IN (SELECT id FROM events WHERE id <= ? ORDER BY id LIMIT ?) AND at < ?`,
    newest - minEvents,
    PRUNE_BATCH,
    now - maxAgeMs,
  )
}

/** JSON of anything: an entry about a failure must not fail on what it describes. */
function formatDetails(details: unknown, redact: (value: unknown) => unknown): string {
  let text: string
  try {
    text = JSON.stringify(redact(JSON.parse(JSON.stringify(details, plainValue))))
  } catch (error) {
    text = JSON.stringify({ unreadable: messageOf(error).split('\n')[0] })
  }
  return text.length <= MAX_DETAILS_CHARS
    ? text
    : JSON.stringify({ truncated: text.slice(0, MAX_DETAILS_CHARS / 4), chars: text.length })
}

function plainValue(_key: string, value: unknown): unknown {
  if (typeof value === 'bigint') return value.toString()
  return value instanceof Error ? messageOf(value) : value
}

function toEvent(row: SqlRow): StoredEvent {
  const text = (column: string) => (row[column] === null ? undefined : String(row[column]))
  const optional = {
    action: text('action'),
    host: text('host'),
    result: text('result') as StoredEvent['result'],
    details: row['details'] === null ? undefined : (JSON.parse(String(row['details'])) as StoredEvent['details']),
  }
  return {
    id: Number(row['id']),
    at: Number(row['at']),
    runId: String(row['run_id']),
    actor: String(row['actor']),
    kind: String(row['kind']),
    message: String(row['message']),
    ...Object.fromEntries(Object.entries(optional).filter(([, value]) => value !== undefined)),
  }
}

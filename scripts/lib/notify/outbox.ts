/**
 * Messages from the moment they are written to the moment they are dropped: writing, listing and bounding. Who may send one
 * now is claim.ts, what came of it settle.ts.
 */
import { randomBytes } from 'node:crypto'
import type { Journal, SqlRow, SqlValue } from '../journal/types.ts'
import { rankOf, severityOf } from './severity.ts'
import { prepareTables } from './tables.ts'
import type { Content, Message, MessageKind, Severity } from './types.ts'

export type MessageState = 'waiting' | 'sent' | 'dead' | 'closed'

export interface StoredMessage extends Message {
  /** Ascending. */
  readonly row: number
  readonly alertId: number
  readonly channel: string
  readonly state: MessageState
  readonly createdAt: number
  readonly dueAt: number
  /** When it was sent, given up or closed. */
  readonly finishedAt?: number
  /** What the far side said last. */
  readonly answer?: string
}

export interface NewMessage {
  readonly notice: string
  readonly alertId: number
  readonly channel: string
  readonly kind: MessageKind
  readonly severity: Severity
  readonly content: Content
  readonly count: number
  readonly firstAt: number
  readonly now: number
  readonly dueAt: number
}

/** More than anybody will ever read: beyond it the oldest give way. */
const MAX_WAITING_PER_CHANNEL = 5_000
const KEEP_FINISHED_MS = 30 * 86_400_000
const KEEP_FINISHED_ROWS = 20_000
/** Dropped with each new message at most, so that no write is ever long. */
const PRUNE_BATCH = 20

/** Names one notification for all its channels. */
export function createNotice(now: number): string {
  return `${new Date(now).toISOString().replace(/[-:]|\..*/g, '')}-${randomBytes(6).toString('hex')}`
}

/** @returns the id of the message */
export function addMessage({ sql }: Journal, message: NewMessage): string {
  const { notice, alertId, channel, kind, severity, content, count } = message
  const id = `${notice}.${channel}`
  const [firstAt, now, dueAt] = [message.firstAt, message.now, message.dueAt].map(Math.round) as [
    number,
    number,
    number,
  ]
  sql.run(
    `INSERT INTO notify_outbox (message_id, notice, alert_id, channel, kind, severity, content, count, first_at, last_at,
       state, created_at, due_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 'waiting', ?, ?)`,
    ...[id, notice, alertId, channel, kind, rankOf(severity), JSON.stringify(content), count, firstAt, now, now, dueAt],
  )
  return id
}

/** The newest message to a channel about an alert, closed ones aside. */
export function readLastMessage({ sql }: Journal, alertId: number, channel: string) {
  const row = sql.get(
    `SELECT * FROM notify_outbox WHERE alert_id = ? AND channel = ? AND state <> 'closed' ORDER BY id DESC LIMIT 1`,
    ...[alertId, channel],
  )
  if (!row) return undefined
  return { ...toMessage(row), waiting: row['state'] === 'waiting' && row['claim_slot'] === null }
}

/** One more of the same in a message that still waits. */
export function countInMessage(
  { sql }: Journal,
  {
    row,
    content,
    severity,
    now,
    dueAt,
  }: { row: number; content: Content; severity: Severity; now: number; dueAt: number },
): void {
  sql.run(
    `UPDATE notify_outbox SET count = count + 1, last_at = ?, content = ?, severity = max(severity, ?), due_at = ?
     WHERE id = ? AND state = 'waiting'`,
    ...[Math.round(now), JSON.stringify(content), rankOf(severity), Math.round(dueAt), row],
  )
}

/** The channels that were told, or were to be told, of an alert. */
export function readChannelsOf({ sql }: Journal, alertId: number): string[] {
  return sql
    .all(`SELECT DISTINCT channel FROM notify_outbox WHERE alert_id = ? ORDER BY channel`, alertId)
    .map((row) => String(row['channel']))
}

/** What nobody has been told of an alert need not be told any more. Messages under way stay. @returns what was left out */
export function closeWaiting({ sql }: Journal, alertId: number, now: number): number {
  const row = sql.get(
    `SELECT coalesce(sum(count), 0) AS left_out FROM notify_outbox
     WHERE alert_id = ? AND state = 'waiting' AND claim_slot IS NULL`,
    alertId,
  )
  sql.run(
    `UPDATE notify_outbox SET state = 'closed', finished_at = ?
     WHERE alert_id = ? AND state = 'waiting' AND claim_slot IS NULL`,
    ...[Math.round(now), alertId],
  )
  return Number(row?.['left_out'] ?? 0)
}

/** Keeps the outbox bounded. @returns how many waiting messages of the channel had to give way */
export function pruneOutbox({ sql }: Journal, channel: string, now: number): number {
  sql.run(
    `DELETE FROM notify_outbox WHERE id IN (
       SELECT id FROM notify_outbox WHERE finished_at IS NOT NULL AND finished_at < ? ORDER BY finished_at LIMIT ?)`,
    ...[Math.round(now - KEEP_FINISHED_MS), PRUNE_BATCH],
  )
  sql.run(
    `DELETE FROM notify_outbox WHERE state <> 'waiting' AND id IN (
       SELECT id FROM notify_outbox WHERE id <= (SELECT max(id) FROM notify_outbox) - ? ORDER BY id LIMIT ?)`,
    ...[KEEP_FINISHED_ROWS, PRUNE_BATCH],
  )
  const waiting = Number(
    sql.get(`SELECT count(*) AS n FROM notify_outbox WHERE state = 'waiting' AND channel = ?`, channel)?.['n'],
  )
  if (waiting <= MAX_WAITING_PER_CHANNEL) return 0
  return sql.run(
    `UPDATE notify_outbox SET state = 'dead', finished_at = ?, answer = 'given up: too many were waiting' WHERE id IN (
       SELECT id FROM notify_outbox WHERE state = 'waiting' AND channel = ? AND claim_slot IS NULL
       ORDER BY severity, id LIMIT ?)`,
    ...[Math.round(now), channel, waiting - MAX_WAITING_PER_CHANNEL],
  ).changes
}

export interface OutboxQuery {
  readonly states?: readonly MessageState[]
  readonly channels?: readonly string[]
  readonly ids?: readonly string[]
  /** Default 200, at most 10,000. */
  readonly limit?: number
}

/** What is in the outbox, newest first; of those that wait no more about the last 30 days. */
export function readOutbox(journal: Journal, query: OutboxQuery = {}): StoredMessage[] {
  prepareTables(journal)
  const list = (values: readonly string[] | undefined): SqlValue => (values ? JSON.stringify(values) : null)
  const [states, channels, ids] = [list(query.states), list(query.channels), list(query.ids)]
  return journal.sql
    .all(
      `SELECT * FROM notify_outbox
       WHERE (? IS NULL OR state IN (SELECT value FROM json_each(?)))
         AND (? IS NULL OR channel IN (SELECT value FROM json_each(?)))
         AND (? IS NULL OR message_id IN (SELECT value FROM json_each(?)))
       ORDER BY id DESC LIMIT ?`,
      ...[states, states ?? '[]', channels, channels ?? '[]', ids, ids ?? '[]'],
      Math.max(0, Math.min(query.limit ?? 200, 10_000)),
    )
    .map(toMessage)
}

/** How many messages there are of each channel and state. */
export function countOutbox(journal: Journal): { channel: string; state: MessageState; count: number }[] {
  prepareTables(journal)
  return journal.sql
    .all('SELECT channel, state, count(*) AS n FROM notify_outbox GROUP BY channel, state ORDER BY channel, state')
    .map((row) => {
      return { channel: String(row['channel']), state: String(row['state']) as MessageState, count: Number(row['n']) }
    })
}

/** Gives what was given up another chance. @returns how many */
export function reviveDead(journal: Journal, now: number): number {
  prepareTables(journal)
  return journal.sql.run(
    `UPDATE notify_outbox SET state = 'waiting', finished_at = NULL, attempts = 0, created_at = ?, due_at = ?
     WHERE state = 'dead'`,
    ...[Math.round(now), Math.round(now)],
  ).changes
}

export function toMessage(row: SqlRow): StoredMessage {
  const content = JSON.parse(String(row['content'])) as Content
  const [finishedAt, answer, recipients] = [row['finished_at'], row['answer'], row['recipients']]
  return {
    ...content,
    id: String(row['message_id']),
    thread: `alert-${Number(row['alert_id'])}`,
    row: Number(row['id']),
    alertId: Number(row['alert_id']),
    channel: String(row['channel']),
    kind: String(row['kind']) as MessageKind,
    severity: severityOf(Number(row['severity'])),
    count: Number(row['count']),
    firstAt: Number(row['first_at']),
    lastAt: Number(row['last_at']),
    attempt: Number(row['attempts']),
    state: String(row['state']) as MessageState,
    createdAt: Number(row['created_at']),
    dueAt: Number(row['due_at']),
    ...(finishedAt == null ? {} : { finishedAt: Number(finishedAt) }),
    ...(answer == null ? {} : { answer: String(answer) }),
    ...(recipients == null ? {} : { recipients: JSON.parse(String(recipients)) as string[] }),
  }
}

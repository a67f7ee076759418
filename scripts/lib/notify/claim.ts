/**
 * Takes messages of one channel for this process: what is due, in the rate of the channel, not in its quiet hours, and never
 * one about an alert of which an earlier one still waits. One transaction, so no message is taken twice.
 */
import type { ChannelConfig, NotifyConfig } from '../config/types.ts'
import type { Journal, SqlRow } from '../journal/types.ts'
import { toMessage, type StoredMessage } from './outbox.ts'
import { decideQuiet } from './quiet-hours.ts'
import { nextTokenAt, rateOf, refill, type Bucket } from './rate.ts'
import { severityOf } from './severity.ts'
import { readLiveSlots, type Slot } from './slot.ts'
import { prepareTables } from './tables.ts'

/** Nothing is ever made to wait for longer: a message that seems to be due later met a clock that was put back. */
const LONGEST_WAIT_MS = 49 * 3_600_000

export interface ClaimRequest {
  readonly name: string
  readonly channel: ChannelConfig
  readonly slot: Slot
  readonly now: number
  readonly limit: number
}

export interface Claimed {
  readonly messages: readonly StoredMessage[]
  /** Why there are fewer than there could be; undefined when nothing else is due. */
  readonly because?: string
}

export function claimMessages(journal: Journal, request: ClaimRequest): Claimed {
  const now = Math.round(request.now)
  return journal.transaction(() => {
    const { bucket, heldUntil } = readBucket(journal, request.name)
    if (heldUntil > now && heldUntil < now + LONGEST_WAIT_MS) {
      return { messages: [], because: `the far side wants to be left alone until ${new Date(heldUntil).toISOString()}` }
    }
    const rate = rateOf(request.channel)
    const filled = rate && refill(bucket, rate, now)
    const limit = Math.min(request.limit, filled ? Math.floor(filled.tokens) : request.limit)
    const due = readDue(journal, { ...request, now, limit: request.limit })
    const { awake, because } = postponeQuiet(journal, due, { ...request, now })
    const messages = claim(journal, awake.slice(0, limit), request.slot)
    if (filled) saveBucket(journal, request.name, { ...filled, tokens: filled.tokens - messages.length })
    if (rate && filled && messages.length < awake.length) {
      postpone(journal, { ...request, now }, nextTokenAt({ ...filled, tokens: filled.tokens - messages.length }, rate))
      return { messages, because: `its rate is ${rate.messages} in ${rate.perMs / 1_000} s` }
    }
    return { messages, ...(because !== undefined && { because }) }
  })
}

/** What was claimed and not tried does not count against the rate. */
export function giveBackTokens({ sql }: Journal, channel: string, count: number): void {
  if (count > 0) sql.run('UPDATE notify_channels SET tokens = tokens + ? WHERE channel = ?', count, channel)
}

/** The far side said how long it wants to be left alone. */
export function holdChannel({ sql }: Journal, channel: string, until: number): void {
  sql.run(
    `INSERT INTO notify_channels (channel, tokens, refilled_at, held_until) VALUES (?, 0, ?, ?)
     ON CONFLICT (channel) DO UPDATE SET held_until = max(held_until, excluded.held_until)`,
    ...[channel, Math.round(until), Math.round(until)],
  )
}

/**
 * When there is something to do: a time that has passed, or one to come. Messages under way count as nothing to do.
 * @returns wall clock, milliseconds; undefined when nothing waits
 */
export function readNextDue(journal: Journal, { enabled, channels }: NotifyConfig): number | undefined {
  prepareTables(journal)
  if (!enabled) return undefined
  const off = Object.keys(channels).filter((name) => !channels[name]?.enabled)
  const row = journal.sql.get(
    `SELECT min(max(o.due_at, coalesce(c.held_until, 0))) AS next
     FROM notify_outbox o LEFT JOIN notify_channels c ON c.channel = o.channel
     WHERE o.state = 'waiting' AND o.channel NOT IN (SELECT value FROM json_each(?))
       AND (o.claim_slot IS NULL OR o.claim_slot NOT IN (SELECT value FROM json_each(?)))`,
    ...[JSON.stringify(off), readLiveSlots(journal)],
  )
  const next = row?.['next']
  return next == null ? undefined : Number(next)
}

function readDue(journal: Journal, { name, now, limit }: Pick<ClaimRequest, 'name' | 'now' | 'limit'>): SqlRow[] {
  return journal.sql.all(
    `SELECT * FROM notify_outbox o
     WHERE state = 'waiting' AND channel = ? AND (due_at <= ? OR due_at > ?)
       AND (claim_slot IS NULL OR claim_slot NOT IN (SELECT value FROM json_each(?)))
       AND NOT EXISTS (SELECT 1 FROM notify_outbox earlier WHERE earlier.alert_id = o.alert_id
         AND earlier.channel = o.channel AND earlier.id < o.id AND earlier.state = 'waiting')
     ORDER BY severity DESC, id LIMIT ?`,
    ...[name, now, now + LONGEST_WAIT_MS, readLiveSlots(journal), limit],
  )
}

function postponeQuiet(
  { sql }: Journal,
  rows: readonly SqlRow[],
  { channel, now }: Pick<ClaimRequest, 'channel' | 'now'>,
): { awake: SqlRow[]; because?: string } {
  const verdicts = rows.map((row) => ({
    row,
    verdict: decideQuiet(channel.quiet_hours, severityOf(Number(row['severity'])), now),
  }))
  for (const { row, verdict } of verdicts) {
    if (verdict.quiet)
      sql.run('UPDATE notify_outbox SET due_at = ? WHERE id = ?', Math.round(verdict.until), row['id'] ?? null)
  }
  const asleep = verdicts.find(({ verdict }) => verdict.quiet)
  return {
    awake: verdicts.flatMap(({ row, verdict }) => (verdict.quiet ? [] : [row])),
    ...(asleep && { because: asleep.verdict.because }),
  }
}

function claim({ sql }: Journal, rows: readonly SqlRow[], { name, token }: Slot): StoredMessage[] {
  if (rows.length === 0) return []
  sql.run(
    `UPDATE notify_outbox SET claim_slot = ?, claim_token = ?, attempts = attempts + 1
     WHERE id IN (SELECT value FROM json_each(?))`,
    ...[name, token, JSON.stringify(rows.map((row) => Number(row['id'])))],
  )
  return rows.map((row) => {
    const message = toMessage(row)
    return { ...message, attempt: message.attempt + 1 }
  })
}

/** What is due and over the rate waits, so that the time of the next look is known. */
function postpone(
  { sql }: Journal,
  { name, slot, now }: Pick<ClaimRequest, 'name' | 'slot' | 'now'>,
  until: number,
): void {
  sql.run(
    `UPDATE notify_outbox SET due_at = ? WHERE state = 'waiting' AND channel = ? AND due_at <= ?
       AND (claim_slot IS NULL OR claim_slot <> ?)`,
    ...[Math.round(until), name, now, slot.name],
  )
}

function readBucket({ sql }: Journal, channel: string): { bucket: Bucket | undefined; heldUntil: number } {
  const row = sql.get('SELECT * FROM notify_channels WHERE channel = ?', channel)
  if (!row) return { bucket: undefined, heldUntil: 0 }
  const bucket = { tokens: Number(row['tokens']), refilledAt: Number(row['refilled_at']) }
  return { bucket, heldUntil: Number(row['held_until']) }
}

function saveBucket({ sql }: Journal, channel: string, { tokens, refilledAt }: Bucket): void {
  sql.run(
    `INSERT INTO notify_channels (channel, tokens, refilled_at) VALUES (?, ?, ?)
     ON CONFLICT (channel) DO UPDATE SET tokens = excluded.tokens, refilled_at = excluded.refilled_at`,
    ...[channel, tokens, Math.round(refilledAt)],
  )
}

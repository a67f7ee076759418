/**
 * What came of an attempt: `decideNext` says what happens to a message (pure), a settler writes it. Results that arrive
 * together are written in one transaction; each counts only while the claim is still ours.
 */
import type { NotifyConfig } from '../config/types.ts'
import { formatDuration } from '../core/duration.ts'
import type { Journal } from '../journal/types.ts'
import { createRetryPolicy } from '../resilience/index.ts'
import { cutChars } from './bounds.ts'
import { giveBackTokens, holdChannel } from './claim.ts'
import type { DeliveryError } from './delivery-error.ts'
import type { StoredMessage } from './outbox.ts'
import type { Slot } from './slot.ts'
import type { Delivered } from './types.ts'

export type Attempted =
  | ({ readonly ok: true } & Delivered)
  | { readonly ok: false; readonly error: DeliveryError }
  /** Not tried: the channel had just failed, or there was no time. */
  | { readonly ok: 'untried'; readonly because: string; readonly delayMs: number }

export type Next =
  | { readonly state: 'sent'; readonly answer: string }
  | { readonly state: 'dead'; readonly answer: string }
  | {
      readonly state: 'waiting'
      readonly answer: string
      readonly dueAt: number
      readonly recipients?: readonly string[]
      /** False: it was not tried. */
      readonly isAttempt: boolean
      /** It waits for the channel to work again, not for its own sake. */
      readonly isChannelDown: boolean
    }

/** A far side cannot hold a message back for longer. */
const MAX_RETRY_AFTER_MS = 24 * 3_600_000
const MAX_ANSWER_CHARS = 1_000
/**
 * Between two writes: a part of the time it takes to send, however slow the disk, because a write stops everything else.
 * A process that is killed in between sends what it holds once more, under the same id.
 */
const PAUSE = { leastMs: 50, mostMs: 500, timesTheWrite: 20 } as const

export interface NextFacts {
  readonly now: number
  readonly retry: NotifyConfig['retry']
  /** From 0 to under 1. */
  readonly random?: () => number
}

export function decideNext(message: StoredMessage, attempted: Attempted, { now, retry, random }: NextFacts): Next {
  const backoffMs = retryDelayMs(message.attempt, retry, random)
  if (attempted.ok === 'untried') {
    const { because: answer, delayMs } = attempted
    return {
      state: 'waiting',
      answer: message.answer ?? answer,
      dueAt: now + delayMs,
      isAttempt: false,
      isChannelDown: true,
    }
  }
  const isLate = now - message.createdAt + backoffMs > retry.give_up
  if (attempted.ok) {
    const { answer, later = [] } = attempted
    if (later.length === 0) return { state: 'sent', answer }
    if (isLate) return { state: 'dead', answer: `${answer}; given up on ${later.join(', ')}` }
    const dueAt = now + backoffMs
    return { state: 'waiting', answer, dueAt, recipients: later, isAttempt: true, isChannelDown: false }
  }
  const { error } = attempted
  if (!error.transient) return { state: 'dead', answer: error.message }
  if (isLate) return { state: 'dead', answer: `given up after ${formatDuration(retry.give_up)}: ${error.message}` }
  const wantedMs = Math.min(error.retryAfterMs ?? 0, MAX_RETRY_AFTER_MS)
  const dueAt = now + Math.max(backoffMs, wantedMs)
  const isChannelDown = error.scope === 'channel' && error.retryAfterMs === undefined
  return { state: 'waiting', answer: error.message, dueAt, isAttempt: true, isChannelDown }
}

/** Milliseconds until the attempt after this one. @param attempt from 1 */
export function retryDelayMs(attempt: number, { first, max }: NotifyConfig['retry'], random?: () => number): number {
  const policy = createRetryPolicy({ retryIntervalMs: first, maxBackoffMs: max, ...(random && { random }) })
  return Math.round(policy.backoffMs(Math.max(1, attempt)))
}

export interface Settler {
  /** Kept in memory until `flush`, which comes by itself: at once, or after the pause between two writes. */
  settle(message: StoredMessage, attempted: Attempted): void
  /** Writes what is kept. */
  flush(): void
}

export interface SettlerOptions {
  readonly journal: Journal
  readonly slot: Slot
  readonly channel: string
  readonly retry: NotifyConfig['retry']
  readonly now: () => number
  readonly redact: (text: string) => string
  /** Told of each result that is written. */
  readonly onNext: (message: StoredMessage, next: Next) => void
  /** Told when a result could not be written. */
  readonly onError: (error: unknown) => void
}

export function createSettler(options: SettlerOptions): Settler {
  const { journal, channel, now } = options
  const clean = createCleaner(options.redact)
  let kept: Result[] = []
  let scheduled: NodeJS.Timeout | undefined
  let nextWriteAt = Number.NEGATIVE_INFINITY
  let others: 'perhaps waiting' | 'awake' = 'perhaps waiting'

  const flush = () => {
    clearTimeout(scheduled)
    scheduled = undefined
    if (kept.length === 0) return
    const results = kept
    kept = []
    const startedAt = performance.now()
    const works = results.some(({ attempted }) => attempted.ok === true)
    const written = journal.transaction(() => {
      if (works && others === 'perhaps waiting') wakeOthers(journal, channel, now())
      giveBackTokens(journal, channel, results.filter(({ attempted }) => attempted.ok === 'untried').length)
      return results.flatMap((result) => writeResult({ ...options, redact: clean }, result))
    })
    others = works ? 'awake' : 'perhaps waiting'
    const writtenAt = performance.now()
    const pauseMs = (writtenAt - startedAt) * PAUSE.timesTheWrite
    nextWriteAt = writtenAt + Math.min(Math.max(pauseMs, PAUSE.leastMs), PAUSE.mostMs)
    for (const { message, next } of written) options.onNext(message, next)
  }
  return {
    flush,
    settle(message, attempted) {
      kept.push({ message, attempted })
      scheduled ??= setTimeout(
        () => {
          try {
            flush()
          } catch (error) {
            options.onError(error)
          }
        },
        Math.max(0, nextWriteAt - performance.now()),
      )
    },
  }
}

interface Result {
  readonly message: StoredMessage
  readonly attempted: Attempted
}

/** @returns nothing when the claim was lost meanwhile: whoever has it now says what came of it */
function writeResult(
  options: SettlerOptions,
  { message, attempted }: Result,
): { message: StoredMessage; next: Next }[] {
  const { journal, channel, retry, now } = options
  const decided = decideNext(message, attempted, { now: now(), retry })
  const next = { ...decided, answer: options.redact(decided.answer) }
  if (attempted.ok === false && attempted.error.scope === 'channel' && attempted.error.retryAfterMs !== undefined) {
    holdChannel(journal, channel, now() + Math.min(attempted.error.retryAfterMs, MAX_RETRY_AFTER_MS))
  }
  return writeNext(options, message, next) ? [{ message, next }] : []
}

/** Without secrets, and bounded. Far sides say the same again and again, so the last is remembered. */
function createCleaner(redact: (text: string) => string): (answer: string) => string {
  let [said, cleaned] = ['', '']
  return (answer) => {
    if (answer !== said) [said, cleaned] = [answer, cutChars(redact(answer), MAX_ANSWER_CHARS)]
    return cleaned
  }
}

function writeNext({ journal, slot, now }: SettlerOptions, message: StoredMessage, next: Next): boolean {
  const { answer } = next
  if (next.state === 'waiting') {
    const recipients = next.recipients ?? message.recipients
    return (
      journal.sql.run(
        `UPDATE notify_outbox SET claim_slot = NULL, claim_token = NULL, due_at = ?, answer = ?, recipients = ?,
           attempts = attempts - ?, channel_down = ? WHERE id = ? AND claim_token = ?`,
        ...[Math.round(next.dueAt), answer, recipients ? JSON.stringify(recipients) : null],
        ...[next.isAttempt ? 0 : 1, next.isChannelDown ? 1 : 0, message.row, slot.token],
      ).changes > 0
    )
  }
  return (
    journal.sql.run(
      `UPDATE notify_outbox SET state = ?, finished_at = ?, answer = ?, claim_slot = NULL, claim_token = NULL
       WHERE id = ? AND claim_token = ?`,
      ...[next.state, Math.round(now()), answer, message.row, slot.token],
    ).changes > 0
  )
}

/** A channel that works again need not wait for the end of a backoff that grew while it did not. */
function wakeOthers({ sql }: Journal, channel: string, now: number): void {
  sql.run(
    `UPDATE notify_outbox SET due_at = ?, channel_down = 0
     WHERE state = 'waiting' AND channel = ? AND channel_down = 1 AND claim_slot IS NULL`,
    ...[Math.round(now), channel],
  )
}

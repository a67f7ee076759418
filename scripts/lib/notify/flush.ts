/**
 * Sends what is due. Channels work side by side, so that a dead one delays nothing else; within a channel the first failure of
 * the channel itself ends its turn. Any number of processes may flush at once.
 */
import type { ChannelConfig, SecretRef } from '../config/types.ts'
import type { Clock } from '../core/clock.ts'
import { isOpsError, messageOf, OpsError } from '../core/errors.ts'
import type { Secret } from '../core/secret.ts'
import type { Journal } from '../journal/types.ts'
import { claimMessages, readNextDue } from './claim.ts'
import { openChannel } from './channels/open.ts'
import { DeliveryError } from './delivery-error.ts'
import type { NotifyingConfig } from './enqueue.ts'
import type { StoredMessage } from './outbox.ts'
import { createSettler, retryDelayMs, type Next, type Settler } from './settle.ts'
import { openSlot, type Slot } from './slot.ts'
import { prepareTables } from './tables.ts'
import type { Channel } from './types.ts'
import { recordUndelivered, type Undelivered } from './undelivered.ts'

/** What sending needs; an ActionContext has it all. */
export interface FlushContext {
  readonly config: NotifyingConfig
  readonly journal: Journal
  readonly clock: Clock
  readonly signal: AbortSignal
  readonly resolveSecret: (ref: SecretRef) => Promise<Secret>
  readonly redact: (text: string) => string
}

export interface FlushOptions {
  /** Only these channels. */
  readonly channels?: readonly string[]
  /** Milliseconds for everything; what is left waits for the next flush. Default 60,000. */
  readonly deadlineMs?: number
  /** Where a log channel without a file writes. Default: standard output. */
  readonly print?: (line: string) => void
}

export interface ChannelResult {
  readonly channel: string
  readonly sent: number
  /** Attempts that failed and will be repeated. */
  readonly failed: number
  /** Given up. */
  readonly dead: number
  /** What the far side said last, or why nothing was tried; undefined when nothing was due. */
  readonly answer?: string
}

export interface FlushResult {
  readonly channels: readonly ChannelResult[]
  readonly sent: number
  readonly failed: number
  readonly dead: number
  /** Alerts that no channel has taken although each was tried. Never empty without a loud line in the journal. */
  readonly undelivered: readonly Undelivered[]
  /** When it is worth looking again: wall clock, milliseconds. Undefined when nothing waits. */
  readonly nextDueAt?: number
}

const DEADLINE_MS = 60_000
/** Taken at a time: between two of them a channel waits for its slowest message and for the disk. */
const BATCH = 500
/** For messages that are under way when it is time to stop. */
const GRACE_MS = 3_000

/**
 * @throws OpsError LOCKED (too many processes send, or this one was paused for too long), CANNOT_WRITE, USAGE for a channel that
 *   does not exist; never for a message that does not get through
 */
export async function flush(context: FlushContext, options: FlushOptions = {}): Promise<FlushResult> {
  const { journal, config } = context
  prepareTables(journal)
  const names = channelNames(config, options.channels)
  giveUpStrays(context)
  const slot = openSlot(journal)
  const stop = AbortSignal.any([context.signal, slot.lost, AbortSignal.timeout(options.deadlineMs ?? DEADLINE_MS)])
  const cut = cutAfterGrace(stop, slot.lost)
  const failed: StoredMessage[] = []
  try {
    const channels = await allOf(
      names.map((name) =>
        flushChannel({ ...context, name, slot, stop, cut, failed, print: options.print ?? printLine }),
      ),
    )
    slot.lost.throwIfAborted()
    const undelivered = recordUndelivered(journal, failed)
    return summarize(channels, undelivered, readNextDue(journal, config.notify))
  } finally {
    slot.release()
  }
}

/** Waits for all, also when one rejects: none may go on sending when the claims are given back. */
async function allOf<T>(work: readonly Promise<T>[]): Promise<T[]> {
  await Promise.allSettled(work)
  return Promise.all(work)
}

/** What is under way may be taken at this moment: to cut it off would be to send it twice. A lost claim cannot wait. */
function cutAfterGrace(stop: AbortSignal, lost: AbortSignal): AbortSignal {
  const cut = new AbortController()
  stop.addEventListener('abort', () => setTimeout(() => cut.abort(stop.reason), GRACE_MS).unref(), { once: true })
  return AbortSignal.any([lost, cut.signal])
}

function channelNames({ notify }: NotifyingConfig, wanted: readonly string[] | undefined): string[] {
  const known = Object.keys(notify.channels)
  const stranger = wanted?.find((name) => !known.includes(name))
  if (stranger !== undefined) {
    throw new OpsError('USAGE', `there is no channel "${stranger}"`, {
      hint: `Configured: ${known.join(', ') || 'none'}.`,
    })
  }
  if (!notify.enabled) return []
  return known.filter((name) => notify.channels[name]?.enabled && (wanted?.includes(name) ?? true))
}

interface ChannelFlush extends FlushContext {
  readonly name: string
  readonly slot: Slot
  /** Aborted when nothing more is to be begun. */
  readonly stop: AbortSignal
  /** Aborted when what is under way has to end, too. */
  readonly cut: AbortSignal
  /** Every message that was not taken is added. */
  readonly failed: StoredMessage[]
  readonly print: (line: string) => void
}

async function flushChannel(flushing: ChannelFlush): Promise<ChannelResult> {
  const { name, config, journal, clock, slot, stop } = flushing
  const channel = config.notify.channels[name] as ChannelConfig
  const tally = createTally(flushing)
  let opened: Channel | undefined
  try {
    while (!stop.aborted && !tally.isDown()) {
      const { messages, because } = claimMessages(journal, { name, channel, slot, now: clock.now(), limit: BATCH })
      if (messages.length === 0) {
        tally.note(because)
        break
      }
      opened ??= await openOrFail(channel, flushing)
      await sendBatch(opened, messages, { ...flushing, tally })
    }
  } finally {
    await opened?.close()
  }
  return tally.result()
}

/** A channel that cannot even be opened takes its messages and fails them, so that they are repeated and it is seen. */
async function openOrFail(
  channel: ChannelConfig,
  { name, clock, journal, resolveSecret, print }: ChannelFlush,
): Promise<Channel> {
  try {
    return await openChannel(channel, { name, clock, journal, resolveSecret, print })
  } catch (error) {
    const fail = async () => {
      throw error
    }
    return { concurrency: 1, send: fail, close: async () => undefined }
  }
}

/** As many at a time as the channel takes. After a failure of the channel itself the rest is put back untried. */
async function sendBatch(
  channel: Channel,
  messages: readonly StoredMessage[],
  { stop, cut, tally, failed, config }: ChannelFlush & { readonly tally: Tally },
): Promise<void> {
  let next = 0
  const work = async () => {
    for (let message = messages[next++]; message !== undefined; message = messages[next++]) {
      if (stop.aborted || tally.isDown()) {
        const delayMs = tally.isDown() ? retryDelayMs(message.attempt, config.notify.retry) : 0
        tally.settler.settle(message, {
          ok: 'untried',
          because: tally.isDown() ? 'the channel fails' : 'no time was left',
          delayMs,
        })
        continue
      }
      try {
        tally.settler.settle(message, { ok: true, ...(await channel.send(message, { signal: cut })) })
      } catch (error) {
        failed.push(message)
        tally.settler.settle(message, { ok: false, error: tally.met(error, cut) })
      }
    }
  }
  await Promise.all(Array.from({ length: Math.min(channel.concurrency, messages.length) }, work))
  tally.settler.flush()
  tally.throwIfBroken()
}

interface Tally {
  readonly settler: Settler
  /** The channel itself failed in this flush. */
  isDown(): boolean
  note(because: string | undefined): void
  met(error: unknown, cut: AbortSignal): DeliveryError
  throwIfBroken(): void
  result(): ChannelResult
}

function createTally({ name, journal, slot, config, clock, redact }: ChannelFlush): Tally {
  const counts = { sent: 0, failed: 0, dead: 0 }
  let down = false
  let answer: string | undefined
  let broken: Error | undefined
  const onNext = (message: StoredMessage, next: Next) => {
    if (next.state === 'waiting' && !next.isAttempt) return
    answer = next.answer
    if (next.state === 'sent') counts.sent += 1
    else if (next.state === 'waiting') counts.failed += 1
    else {
      counts.dead += 1
      recordDead(journal, message, answer)
    }
  }
  const settler = createSettler({
    ...{ journal, slot, channel: name, retry: config.notify.retry, redact, onNext },
    now: () => clock.now(),
    onError: (error) => {
      broken = error instanceof Error ? error : new Error(messageOf(error))
      down = true
    },
  })
  return {
    settler,
    isDown: () => down,
    note: (because) => {
      answer ??= because
    },
    met(error, cut) {
      const failure = deliveryErrorOf(error, cut)
      if (failure.scope === 'channel' && failure.transient) down = true
      return failure
    },
    throwIfBroken() {
      if (broken) throw broken
    },
    result: () => ({ channel: name, ...counts, ...(answer !== undefined && { answer }) }),
  }
}

/** A secret that is missing, a template that is gone: somebody can mend it, so the message waits. */
function deliveryErrorOf(error: unknown, cut: AbortSignal): DeliveryError {
  if (error instanceof DeliveryError) return error
  const text = cut.aborted ? `cut off: ${messageOf(cut.reason)}` : messageOf(error)
  const hint = isOpsError(error) ? error.details.hint : undefined
  return new DeliveryError(text, {
    transient: true,
    scope: 'channel',
    ...(hint !== undefined && { hint }),
    cause: error,
  })
}

function recordDead(journal: Journal, message: StoredMessage, answer: string): void {
  journal.record({
    kind: 'notify.given-up',
    result: 'failed',
    message: `Given up: ${message.channel} was not told "${message.title}": ${answer}`,
    details: { id: message.id, channel: message.channel, alert: message.key, attempts: message.attempt, answer },
  })
}

/** Messages to channels that the config knows no more. */
function giveUpStrays({ journal, config, clock }: FlushContext): void {
  const known = JSON.stringify(Object.keys(config.notify.channels))
  const where = `state = 'waiting' AND claim_slot IS NULL AND channel NOT IN (SELECT value FROM json_each(?))`
  const rows = journal.sql.all(
    `SELECT channel, count(*) AS n FROM notify_outbox WHERE ${where} GROUP BY channel`,
    known,
  )
  if (rows.length === 0) return
  journal.transaction(() => {
    journal.sql.run(
      `UPDATE notify_outbox SET state = 'dead', finished_at = ?, answer = 'the channel is not configured any more' WHERE ${where}`,
      ...[Math.round(clock.now()), known],
    )
    const channels = rows.map((row) => `${String(row['channel'])} (${Number(row['n'])})`)
    const message = `Given up: messages to channels that are not configured any more: ${channels.join(', ')}`
    journal.record({ kind: 'notify.given-up', result: 'failed', message, details: { channels } })
  })
}

function summarize(
  channels: readonly ChannelResult[],
  undelivered: readonly Undelivered[],
  nextDueAt: number | undefined,
): FlushResult {
  const sum = (key: 'sent' | 'failed' | 'dead') => channels.reduce((total, channel) => total + channel[key], 0)
  const totals = { sent: sum('sent'), failed: sum('failed'), dead: sum('dead') }
  return { channels, ...totals, undelivered, ...(nextDueAt !== undefined && { nextDueAt }) }
}

export function printLine(line: string): void {
  process.stdout.write(`${line}\n`)
}

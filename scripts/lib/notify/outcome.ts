/**
 * After a run: tell that it failed, that it works again, or that it is done. Called by the entry floor and by the scheduler; it
 * never throws and never takes long, because a notification must not break or delay what it is about.
 */
import { isOpsError, messageOf } from '../core/errors.ts'
import { readNextDue } from './claim.ts'
import { enqueue, enqueueRecovery, type Enqueued } from './enqueue.ts'
import { flush, type FlushContext, type FlushOptions, type FlushResult } from './flush.ts'
import type { Severity } from './types.ts'

/** When somebody is told of the end of a run. */
export type NotifyWhen = 'failure' | 'recovery' | 'always'

export interface Outcome {
  /** What ran, with what it ran on: `backup.database orders`. The same run always has the same subject. */
  readonly subject: string
  readonly action?: string
  readonly host?: string
  readonly tags?: readonly string[]
  /** Default: failure and recovery. */
  readonly when?: readonly NotifyWhen[]
  /** Of a failure; default critical. */
  readonly severity?: Severity
  readonly details?: readonly (readonly [name: string, value: string])[]
  /** What went wrong; undefined when it went well. */
  readonly error?: unknown
  /** What to do about a failure; default: the hint of the error. */
  readonly next?: string
  /** One line about a success, for `always`. */
  readonly message?: string
  /** A failure that is over when it is told, because nothing with this subject will ever succeed: a name that does not exist. */
  readonly once?: boolean
}

export interface Notified {
  /** Undefined when nothing had to be sent. */
  readonly flushed?: FlushResult
  /** Why telling did not work, for a warning; undefined when it did, or nothing had to be told. */
  readonly problem?: string
  /** The journal could not take it, so the outbox does not hold it. */
  readonly unwritten?: boolean
}

/** The run is over; nobody wants to wait for a slow mail server. What is left goes with the next flush. */
const DEADLINE_MS = 15_000

export function notifyOutcome(context: FlushContext, outcome: Outcome, options?: FlushOptions): Promise<Notified> {
  return notifyOutcomes(context, [outcome], options)
}

/** Several at once, and what else is due. */
export async function notifyOutcomes(
  context: FlushContext,
  outcomes: readonly Outcome[],
  { deadlineMs = DEADLINE_MS, ...options }: FlushOptions = {},
): Promise<Notified> {
  let isWritten = false
  try {
    for (const outcome of outcomes) enqueueOutcome(context, outcome)
    isWritten = true
    const dueAt = readNextDue(context.journal, context.config.notify)
    if (dueAt === undefined || dueAt > context.clock.now()) return {}
    // A run that was interrupted is told all the same.
    const signal = context.signal.aborted ? new AbortController().signal : context.signal
    const flushed = await flush({ ...context, signal }, { deadlineMs, print: toStderr, ...options })
    return { flushed, ...problemOf(flushed) }
  } catch (error) {
    return { problem: `nobody was told: ${context.redact(messageOf(error))}`, ...(!isWritten && { unwritten: true }) }
  }
}

/** Only writes; for callers that have a transaction open, and send later. */
export function enqueueOutcome({ journal, config, clock, redact }: FlushContext, outcome: Outcome): Enqueued {
  const { subject, error, when = ['failure', 'recovery'], host, action, tags, details, message } = outcome
  const key = `run:${subject}`
  const options = { now: clock.now(), redact }
  const about = { ...(host && { host }), ...(action && { action }), ...(tags && { tags }), ...(details && { details }) }
  if (error !== undefined) {
    if (!when.includes('failure') && !when.includes('always')) return none('failures are not told')
    const next = outcome.next ?? (isOpsError(error) ? error.details.hint : undefined)
    const { severity = 'critical', once = false } = outcome
    const alert = { key, severity, once, title: `${subject} failed`, text: messageOf(error) }
    return enqueue(journal, config, { ...alert, ...about, ...(next && { next }) }, options)
  }
  const over = enqueueRecovery(journal, config, { key, title: `${subject} works again` }, options)
  if (over.messages.length > 0 || !when.includes('always')) return over
  const news = {
    key,
    severity: 'info',
    title: `${subject} is done`,
    once: true,
    ...(message && { text: message }),
  } as const
  return enqueue(journal, config, { ...news, ...about }, options)
}

/** Standard output belongs to the command whose run this is about. */
function toStderr(line: string): void {
  process.stderr.write(`${line}\n`)
}

function problemOf({ undelivered, failed, dead, channels }: FlushResult): Pick<Notified, 'problem'> {
  if (failed + dead === 0) return {}
  const failing = channels.filter((channel) => channel.failed + channel.dead > 0)
  const said = failing.map(({ channel, answer }) => `${channel} (${answer ?? 'no answer'})`).join(', ')
  return { problem: `${undelivered.length > 0 ? 'NOBODY HAS BEEN TOLD' : 'not everybody has been told'}: ${said}` }
}

function none(because: string): Enqueued {
  return { messages: [], counted: [], because }
}

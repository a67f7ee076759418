/**
 * Several servers of one channel: the first that works takes the message, and one that failed is passed over for a while, also by
 * the next process. Rules of the failover library; what it learned is kept in the journal.
 *
 * A message may go to a second server although the first may have taken it without saying so: one that arrives twice, with the
 * same id, is better than one that does not arrive.
 */
import type { Clock } from '../../core/clock.ts'
import { formatDuration } from '../../core/duration.ts'
import { messageOf, OpsError } from '../../core/errors.ts'
import type { Journal } from '../../journal/types.ts'
import { createFailover, type Failover, type Instance, type MetricsCollector } from '../../resilience/index.ts'
import { DeliveryError } from '../delivery-error.ts'

export interface FallbackOptions<S extends Instance> {
  /** The name of the channel. */
  readonly name: string
  /** In the order of preference. */
  readonly servers: readonly S[]
  readonly attemptTimeoutMs: number
  readonly clock: Clock
  /** Where what was learned is kept; undefined: it is forgotten. */
  readonly journal: Journal | undefined
}

export interface Fallback<S extends Instance> {
  /** @throws DeliveryError of the last server that was tried, naming those before it */
  send<T>(send: (server: S, signal: AbortSignal) => Promise<T>, signal: AbortSignal): Promise<T>
  /** Keeps what was learned. */
  close(): Promise<void>
}

export function openFallback<S extends Instance>(options: FallbackOptions<S>): Fallback<S> {
  const [only, second] = options.servers
  return only && !second ? openAlone(only, options) : openSeveral(options)
}

/** The only server is always worth a try: the outbox decides when. */
function openAlone<S extends Instance>(server: S, { attemptTimeoutMs }: FallbackOptions<S>): Fallback<S> {
  return {
    async send(send, signal) {
      const limit = new AbortController()
      const stop = () => limit.abort(signal.reason)
      const expire = () => limit.abort(noAnswer(attemptTimeoutMs))
      const timer = setTimeout(expire, attemptTimeoutMs)
      signal.addEventListener('abort', stop, { once: true })
      try {
        signal.throwIfAborted()
        return await send(server, limit.signal)
      } catch (error) {
        throw explain(error, [])
      } finally {
        clearTimeout(timer)
        signal.removeEventListener('abort', stop)
      }
    },
    close: async () => undefined,
  }
}

function noAnswer(timeoutMs: number): DeliveryError {
  return new DeliveryError(`no answer within ${formatDuration(timeoutMs)}`, { transient: true, scope: 'channel' })
}

function openSeveral<S extends Instance>(options: FallbackOptions<S>): Fallback<S> {
  const { servers, clock, journal } = options
  const failover = createFailover({
    service: options.name,
    clock,
    attemptTimeoutMs: options.attemptTimeoutMs,
    totalTimeoutMs: options.attemptTimeoutMs * servers.length,
    // Each server once; the outbox does the rest, with its own patience.
    maxRetries: servers.length - 1,
    retryBudget: false,
    failureThreshold: 1,
    successThreshold: 1,
    // When all are out, all are tried.
    maxEjectedRatio: (servers.length - 1) / servers.length,
    collector: NOTHING_COUNTED,
    classify: (error) => (isAboutMessage(error) ? 'answer' : 'transient'),
  })
  restore(failover, options)
  return {
    async send(send, signal) {
      const result = await failover.execute(servers, (server, attempt) => send(server, attempt.signal), {
        signal,
        idempotent: true,
      })
      if (result.success) return result.value
      throw explain(result.error, result.attempts)
    },
    async close() {
      await failover.close()
      journal?.setState(stateKey(options.name), { at: clock.now(), saved: failover.save() })
    },
  }
}

/** The server works, and another would say the same. */
function isAboutMessage(error: unknown): boolean {
  return error instanceof DeliveryError && error.scope === 'message' && !error.transient
}

function explain(
  error: unknown,
  attempts: readonly { readonly instance: string; readonly error?: unknown }[],
): DeliveryError {
  const before = attempts.slice(0, -1).flatMap(({ instance, error: cause }) => {
    return cause === undefined ? [] : [`${instance}: ${messageOf(cause)}`]
  })
  const last = attempts.at(-1)?.instance
  const text =
    before.length === 0 ? messageOf(error) : `${last ?? 'last'}: ${messageOf(error)} (before: ${before.join('; ')})`
  if (error instanceof DeliveryError) {
    const others = attempts.slice(0, -1).some(({ error: cause }) => cause instanceof DeliveryError && cause.transient)
    return error.withMessage(text, { transient: error.transient || others })
  }
  const isKnown = error instanceof OpsError
  const hint = isKnown ? error.details.hint : undefined
  return new DeliveryError(text, {
    transient: true,
    scope: 'channel',
    ...(hint !== undefined && { hint }),
    cause: error,
  })
}

function restore(failover: Failover, { name, journal, clock }: FallbackOptions<Instance>): void {
  const kept = journal?.getState(stateKey(name))
  if (typeof kept !== 'object' || kept === null || !('saved' in kept) || !('at' in kept)) return
  try {
    failover.restore(kept.saved, Math.max(0, clock.now() - Number(kept.at)))
  } catch {
    // Written by another version: start without it.
    journal?.setState(stateKey(name), undefined)
  }
}

function stateKey(name: string): string {
  return `notify.servers.${name}`
}

const ignore = () => undefined

const NOTHING_COUNTED: MetricsCollector = {
  incrementRetries: ignore,
  incrementFailovers: ignore,
  incrementHedges: ignore,
  recordDetection: ignore,
  recordBreaker: ignore,
  recordLatency: ignore,
  recordAttempt: ignore,
  recordCall: ignore,
  recordPanic: ignore,
  recordListenerError: ignore,
  forget: ignore,
}

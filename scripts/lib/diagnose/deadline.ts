/**
 * A deadline around one look: it ends the wait on time even when the work ignores its signal, and leaves no timer behind.
 */
import { OpsError } from '../core/errors.ts'
import { formatDuration } from '../core/duration.ts'
import type { CheckContext } from './types.ts'

/** Milliseconds kept back so that a check's own answer ("no answer in 3 s") is there before the engine's deadline. */
const ANSWER_MARGIN_MS = 100

/** The time a look may take: what the config gives it, or what the engine has left, whichever is less. */
export function budgetOf(context: Pick<CheckContext, 'timeoutMs'>, wantedMs = Number.POSITIVE_INFINITY): number {
  return Math.max(1, Math.min(wantedMs, context.timeoutMs - ANSWER_MARGIN_MS))
}

export interface Deadline {
  readonly timeoutMs: number
  /** Ends the wait early: the operator interrupts, or the engine's deadline passes. */
  readonly signal?: AbortSignal
}

/**
 * Runs `work` with a signal that aborts at the deadline.
 * @throws OpsError TIMEOUT at the deadline; the reason of `signal` when that aborts first
 */
export async function within<T>(
  { timeoutMs, signal }: Deadline,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  signal?.throwIfAborted()
  const controller = new AbortController()
  const aborted = Promise.withResolvers<never>()
  const stop = (reason: unknown) => {
    controller.abort(reason)
    aborted.reject(reason)
  }
  const timer = setTimeout(() => stop(new OpsError('TIMEOUT', `no answer in ${formatDuration(timeoutMs)}`)), timeoutMs)
  const forward = () => stop(signal?.reason)
  signal?.addEventListener('abort', forward, { once: true })
  try {
    const result = work(controller.signal)
    // The loser of the race settles later, unheard.
    result.catch(() => {})
    return await Promise.race([result, aborted.promise])
  } finally {
    clearTimeout(timer)
    signal?.removeEventListener('abort', forward)
    controller.abort(new OpsError('INTERRUPTED', 'the look is over'))
  }
}

/**
 * One deadline over a call that has several parts: an AbortSignal that fires at a time or when the caller aborts.
 * What it leaves to others: stopping the work itself.
 */
import { formatDuration } from '../core/duration.ts'
import { isOpsError, messageOf, OpsError } from '../core/errors.ts'

export interface Deadline {
  readonly signal: AbortSignal
  /** Frees the timer. Call it in `finally`. */
  clear(): void
}

export interface DeadlineOptions {
  /** Milliseconds; Infinity for none. */
  readonly timeoutMs: number
  /** The caller's own reason to stop. */
  readonly signal?: AbortSignal | undefined
  /** The error that the deadline itself gives. */
  readonly expired: () => OpsError
}

/** The longest a Node timer can wait; above it fires at once. */
const MAX_TIMER_MS = 2 ** 31 - 1

export function openDeadline({ timeoutMs, signal, expired }: DeadlineOptions): Deadline {
  const controller = new AbortController()
  const timer =
    timeoutMs > MAX_TIMER_MS ? undefined : setTimeout(() => controller.abort(expired()), Math.max(0, timeoutMs))
  const onAbort = () => controller.abort(abortError(signal))
  if (signal?.aborted) onAbort()
  else signal?.addEventListener('abort', onAbort, { once: true })
  return {
    signal: controller.signal,
    clear: () => {
      clearTimeout(timer)
      signal?.removeEventListener('abort', onAbort)
    },
  }
}

/** Why a signal was aborted, as an error for operators. An OpsError reason is passed on as it is. */
export function abortError(signal: AbortSignal | undefined): OpsError {
  const reason: unknown = signal?.reason
  if (isOpsError(reason)) return reason
  if (reason instanceof DOMException && reason.name === 'TimeoutError') {
    return new OpsError('TIMEOUT', 'not done in the time it was given', { cause: reason, transient: true })
  }
  const why = reason instanceof DOMException || reason === undefined ? '' : `: ${messageOf(reason)}`
  return new OpsError('INTERRUPTED', `interrupted${why}`, { cause: reason })
}

/**
 * The promise, or the signal's error as soon as it is aborted.
 * @param onLate gets a value that came after the abort, to release what it holds
 */
export async function raceAbort<T>(promise: Promise<T>, signal: AbortSignal, onLate?: (value: T) => void): Promise<T> {
  let stop: (() => void) | undefined
  const aborted = new Promise<never>((_, reject) => {
    stop = () => reject(abortError(signal))
    if (signal.aborted) stop()
    else signal.addEventListener('abort', stop, { once: true })
  })
  try {
    return await Promise.race([promise, aborted])
  } catch (error) {
    promise.then(onLate, () => undefined)
    throw error
  } finally {
    if (stop) signal.removeEventListener('abort', stop)
  }
}

/** The usual error of a deadline: `"nginx -t" on web-1 took longer than 3 s`. */
export function timeoutError(what: string, host: string, timeoutMs: number): OpsError {
  return new OpsError('TIMEOUT', `${what} took longer than ${formatDuration(timeoutMs)}`, {
    host,
    transient: true,
  })
}

/**
 * The words of a call with failover: who can be called, how a call is made, and what came of it.
 * Moments and durations are milliseconds of the monotonic clock that was passed in.
 */

/** One of several that can do the same work. */
export interface Instance {
  /** Names it in results, metrics and saved state. */
  readonly id: string
  /** `host:port`, a URL, or whatever the operation understands. */
  readonly address: string
  /** `false`: never called. Default true. */
  readonly enabled?: boolean
}

/** What an operation is given beside its instance. */
export interface Attempt {
  /** Aborts when this attempt is over: its time is up, the caller gave up, or another attempt won. Made when first read. */
  readonly signal: AbortSignal
  /** 1 for the first attempt of a call. */
  readonly number: number
}

export type Operation<T, I extends Instance = Instance> = (instance: I, attempt: Attempt) => T | PromiseLike<T>

/**
 * What an error says of the instance and of trying again.
 *   transient  the instance failed; another try may work
 *   permanent  the instance failed; another try will not help
 *   answer     the instance works, and its answer is no: handed to the caller, counted as a success
 *   cancelled  nobody failed: the caller gave up
 */
export type ErrorClass = 'transient' | 'permanent' | 'answer' | 'cancelled'

export interface CallOptions {
  /** The caller's own wish to stop. Stops backoff and attempt at once and is no instance's failure. */
  readonly signal?: AbortSignal | undefined
  /**
   * True: doing it twice does no harm. False (the default): a failed attempt is repeated only when its error shows that it
   * never reached the server, and it is never hedged.
   */
  readonly idempotent?: boolean
  readonly attemptTimeoutMs?: number
  /** For the whole call: all attempts and the waits between them. */
  readonly totalTimeoutMs?: number
}

/** One attempt; in a result they stand in the order in which they ended. */
export interface AttemptRecord {
  readonly instance: string
  /** `overtaken`: a hedge answered first. `cancelled`: the caller gave up. */
  readonly outcome: 'success' | 'failure' | 'answer' | 'overtaken' | 'cancelled'
  readonly durationMs: number
  readonly error?: unknown
}

interface ResultFacts<I extends Instance> {
  /** Attempts after the first, on whichever instance; hedges too. */
  readonly retryCount: number
  readonly durationMs: number
  /** Ids of the instances that failed, in order; twice when one failed twice. */
  readonly failedNodes: readonly string[]
  readonly attempts: readonly AttemptRecord[]
  /** True when so many instances were out that health was set aside and all were used. */
  readonly panic: boolean
  /** The instance whose answer this is, or the last one tried; undefined when none could be. */
  readonly instance: I | undefined
}

/** What a call came to. `because` says why no further attempt was made. */
export type FailoverResult<T, I extends Instance = Instance> =
  | (ResultFacts<I> & { readonly success: true; readonly value: T; readonly instance: I })
  | (ResultFacts<I> & { readonly success: false; readonly error: unknown; readonly because: string })

/** How an attempt counts for a breaker. `slow` is a success that took longer than it should. */
export type CallOutcome = 'success' | 'slow' | 'failure'

export type BreakerStateName = 'closed' | 'open' | 'half-open'

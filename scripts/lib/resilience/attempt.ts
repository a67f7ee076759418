/**
 * One attempt at an operation under a time limit: it ends once, with an answer, an error, a time-out or an abort, and what
 * comes later is ignored. The AbortController is made only when the operation reads `signal`: most never do.
 */
import { formatDuration } from '../core/duration.ts'
import type { Deadlines, Expiring } from './deadline.ts'
import { FailoverError } from './errors.ts'
import type { Attempt } from './types.ts'

export interface AttemptLimits {
  readonly deadlines: Deadlines
  /** Infinity: no limit. */
  readonly timeoutMs: number
  readonly startedMs: number
  readonly signal?: AbortSignal | undefined
}

/** An attempt that nothing limits: its signal never aborts. */
export class FreeAttempt implements Attempt {
  readonly number = 1
  #signal: AbortSignal | undefined = undefined

  get signal(): AbortSignal {
    return (this.#signal ??= new AbortController().signal)
  }
}

/** A class because its instances must share one hidden shape and a lazy getter on the path of every call. */
export class RunningAttempt<T> implements Attempt, Expiring {
  readonly number: number
  dueMs = 0
  previous: Expiring | undefined = undefined
  next: Expiring | undefined = undefined
  /** Ended from outside, for `#reason`, before the operation gave an answer. */
  #cut: 'timeout' | 'abort' | undefined = undefined
  #reason: unknown = undefined
  #controller: AbortController | undefined = undefined
  #limits: AttemptLimits | undefined = undefined
  #resolve: ((value: T) => void) | undefined = undefined
  #reject: ((error: unknown) => void) | undefined = undefined

  constructor(number: number) {
    this.number = number
  }

  get signal(): AbortSignal {
    if (this.#controller === undefined) {
      this.#controller = new AbortController()
      if (this.#cut !== undefined) this.#controller.abort(this.#reason)
    }
    return this.#controller.signal
  }

  /** Starts `operation`; the promise settles when the attempt ends, whatever the operation does. Call it once. */
  start(operation: (attempt: Attempt) => T | PromiseLike<T>, limits: AttemptLimits): Promise<T> {
    return new Promise((resolve, reject) => {
      this.#resolve = resolve
      this.#reject = reject
      this.#limits = limits
      const { signal } = limits
      if (signal?.aborted) return this.abort(signal.reason)
      signal?.addEventListener('abort', this, { once: true })
      if (limits.timeoutMs !== Infinity) limits.deadlines.add(this, limits.timeoutMs, limits.startedMs)
      try {
        const answer = operation(this)
        if (isThenable(answer)) {
          answer.then(
            (value) => this.#onAnswer(value),
            (error: unknown) => this.#onError(error),
          )
        } else this.#onAnswer(answer)
      } catch (error) {
        this.#onError(error)
      }
    })
  }

  /** True when it was ended by `abort` (the caller's signal does that too) and not by the operation or its time limit. */
  get wasAborted(): boolean {
    return this.#cut === 'abort'
  }

  /** Ends it: rejects with `reason` and aborts the operation. Without effect once it has ended. */
  abort(reason: unknown): void {
    this.#cutOff('abort', reason)
  }

  /** EventListener of the caller's signal. */
  handleEvent(): void {
    this.#cutOff('abort', this.#limits?.signal?.reason)
  }

  expire(): void {
    this.#cutOff(
      'timeout',
      new FailoverError('timeout', `no answer within ${formatDuration(this.#limits?.timeoutMs ?? 0)}`),
    )
  }

  #cutOff(how: 'timeout' | 'abort', reason: unknown): void {
    const reject = this.#reject
    if (reject === undefined) return
    this.#cut = how
    this.#reason = reason
    this.#end()
    this.#controller?.abort(reason)
    reject(reason)
  }

  #onAnswer(value: T): void {
    const resolve = this.#resolve
    if (resolve === undefined) return
    this.#end()
    resolve(value)
  }

  #onError(error: unknown): void {
    const reject = this.#reject
    if (reject === undefined) return
    this.#end()
    reject(error)
  }

  #end(): void {
    this.#limits?.deadlines.remove(this)
    this.#limits?.signal?.removeEventListener('abort', this)
    this.#resolve = this.#reject = undefined
  }
}

function isThenable<T>(value: T | PromiseLike<T>): value is PromiseLike<T> {
  return typeof value === 'object' && value !== null && 'then' in value && typeof value.then === 'function'
}

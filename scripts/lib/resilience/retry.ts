/** Whether and when to try again: the retry policies, and the decision with its reason. */
import { OpsError } from '../core/errors.ts'
import { classifyError, type ClassifyOptions } from './errors.ts'
import type { ErrorClass } from './types.ts'

/** `simple`: always the same wait. `exponential`: grows by a factor. `jittered`: that, spread so that clients do not return in step. */
export type RetryStrategy = 'simple' | 'exponential' | 'jittered'

export interface RetryOptions extends ClassifyOptions {
  readonly strategy?: RetryStrategy
  /** Attempts after the first of a call, over all instances together; default 3. */
  readonly maxRetries?: number
  /** The first wait; default 100 ms. */
  readonly retryIntervalMs?: number
  /** Growth of each further wait; default 2. */
  readonly backoffFactor?: number
  /** No wait is longer; default 10 s. */
  readonly maxBackoffMs?: number
  /** Share by which a wait may be shorter or longer; default 0.2. */
  readonly jitterRatio?: number
  /** A number from 0 to under 1; default Math.random. */
  readonly random?: () => number
}

export interface RetryPolicy {
  readonly maxRetries: number
  /** @param attempt the number of the attempt that failed, from 1 */
  shouldRetry(attempt: number, error: unknown): boolean
  /** Milliseconds to wait after the failed attempt of this number, from 1. */
  backoffMs(attempt: number): number
}

/** @throws OpsError USAGE naming the option and what it may be */
export function createRetryPolicy(options: RetryOptions = {}): RetryPolicy {
  const { strategy = 'jittered', maxRetries = 3, retryIntervalMs = 100, random = Math.random } = options
  const { backoffFactor = 2, maxBackoffMs = 10_000, jitterRatio = 0.2 } = options
  if (!Number.isSafeInteger(maxRetries) || maxRetries < 0) refuse('maxRetries', maxRetries, 'a whole number from 0')
  if (!(retryIntervalMs >= 0)) refuse('retryIntervalMs', retryIntervalMs, 'at least 0')
  if (!(backoffFactor >= 1)) refuse('backoffFactor', backoffFactor, 'at least 1')
  if (!(maxBackoffMs >= retryIntervalMs))
    refuse('maxBackoffMs', maxBackoffMs, `at least retryIntervalMs (${retryIntervalMs})`)
  if (!(jitterRatio >= 0 && jitterRatio <= 1)) refuse('jitterRatio', jitterRatio, 'from 0 to 1')

  const grown = (attempt: number) => Math.min(maxBackoffMs, retryIntervalMs * backoffFactor ** (attempt - 1))
  const backoffMs: Readonly<Record<RetryStrategy, (attempt: number) => number>> = {
    simple: () => retryIntervalMs,
    exponential: grown,
    jittered: (attempt) => Math.min(maxBackoffMs, grown(attempt) * (1 + jitterRatio * (2 * random() - 1))),
  }
  return {
    maxRetries,
    shouldRetry: (attempt, error) => attempt <= maxRetries && classifyError(error, options) === 'transient',
    backoffMs: backoffMs[strategy],
  }
}

export interface RetryFacts {
  readonly policy: RetryPolicy
  /** Attempts started so far in this call, hedges too. */
  readonly attempts: number
  readonly error: unknown
  readonly errorClass: ErrorClass
  readonly idempotent: boolean
  /** The error shows that the server never saw the request. */
  readonly neverSent: boolean
  readonly budgetLeft: boolean
}

/** May the call be tried again? `because` is told to whoever gets the error. */
export function decideRetry(facts: RetryFacts): { readonly retry: boolean; readonly because: string } {
  const no = (because: string) => ({ retry: false, because })
  const { policy, attempts, error, errorClass } = facts
  if (errorClass === 'cancelled') return no('the caller gave up')
  if (errorClass === 'answer') return no('it is an answer, not a failure')
  if (errorClass === 'permanent') return no('the error is not one that another try can mend')
  if (attempts > policy.maxRetries) {
    return no(policy.maxRetries === 0 ? 'no retries are allowed' : `all ${policy.maxRetries} retries are used`)
  }
  if (!policy.shouldRetry(attempts, error)) return no('the retry policy says no')
  if (!facts.idempotent && !facts.neverSent) return no('it may have reached the server and is not idempotent')
  if (!facts.budgetLeft) return no('the retry budget is used up: too many calls are being retried')
  return { retry: true, because: 'a transient failure' }
}

function refuse(name: string, value: unknown, allowed: string): never {
  throw new OpsError('USAGE', `retry: ${name} is ${String(value)}`, { hint: `It must be ${allowed}.` })
}

/** The options of a failover: what each means, what it is when left out, and what makes no sense. */
import { systemClock, type Clock } from '../core/clock.ts'
import { OpsError } from '../core/errors.ts'
import type { FlapRule, LossRule } from '../health/index.ts'
import type { BreakerOptions } from './breaker-options.ts'
import type { RetryBudgetOptions } from './budget.ts'
import type { Detector } from './detectors.ts'
import type { ErrorMatcher } from './errors.ts'
import type { MetricsCollector } from './metrics.ts'
import type { RecoveryName, RecoveryStrategy } from './recovery.ts'
import type { RetryPolicy, RetryStrategy } from './retry.ts'
import type { Selection } from './select.ts'
import type { ErrorClass } from './types.ts'

export interface HedgeOptions {
  /** How long an attempt may stay without an answer before another is started beside it. */
  readonly delayMs: number
  /** How many may be started beside the first; default 1. */
  readonly max?: number
}

export interface FailoverOptions {
  /** Names the calls in metrics; default `default`. */
  readonly service?: string

  // Time. Infinity turns a limit off.
  /** Limit of one attempt; default 5 s. */
  readonly attemptTimeoutMs?: number
  /** Limit of a whole call: attempts and waits; default 30 s. */
  readonly totalTimeoutMs?: number

  // Retries.
  /** Attempts after the first, over all instances together; default 3. */
  readonly maxRetries?: number
  /** The first wait; default 100 ms. */
  readonly retryIntervalMs?: number
  /** Default `jittered`. */
  readonly retryStrategy?: RetryStrategy
  /** Growth of each further wait; default 2. */
  readonly backoffFactor?: number
  /** Default 10 s. */
  readonly maxBackoffMs?: number
  /** Default 0.2. */
  readonly jitterRatio?: number
  /** Wait before a retry on an instance that this call has not tried yet; default false: go on at once. */
  readonly waitBeforeFailover?: boolean
  /** Only errors that match one of these are retried; default: all but those that `classify` or `neverRetry` rules exclude. */
  readonly retryableErrors?: readonly ErrorMatcher[]
  /** Says whose failure an error is; undefined leaves it to the rules. */
  readonly classify?: (error: unknown) => ErrorClass | undefined
  /** True when an error shows that the server never saw the request; asked beside the known codes. */
  readonly neverSent?: (error: unknown) => boolean
  /** Says what is wrong with a returned value (a response with status 503); undefined when nothing is. */
  readonly judge?: (value: unknown) => string | undefined
  /** `false`: no limit over all calls. */
  readonly retryBudget?: RetryBudgetOptions | false
  /** Default off. Applies to idempotent calls only. */
  readonly hedge?: HedgeOptions
  /** Replaces the policy that the fields above make. */
  readonly retryPolicy?: RetryPolicy

  // Breakers.
  /** Failures in a row; default 5. */
  readonly breakerThreshold?: number
  /** How long a breaker stays open; default 30 s. Also the base of the recovery delays. */
  readonly breakerTimeoutMs?: number
  /** Everything else of a breaker: rates, windows, probes. */
  readonly breaker?: Omit<BreakerOptions, 'name' | 'failureThreshold' | 'openMs' | 'timeoutMs'>

  // Detection.
  /** Failures further apart than this are not in a row; default 60 s. */
  readonly detectionWindowMs?: number
  /** Failures in a row that make an instance unhealthy; default 3. */
  readonly failureThreshold?: number
  /** Passes in a row that bring it back; default 2. */
  readonly successThreshold?: number
  readonly loss?: LossRule
  readonly flap?: Partial<FlapRule> | false
  /** `error-rate` (default) counts calls, `timeout` also connects, or one that you made. */
  readonly detector?: 'error-rate' | 'timeout' | { readonly healthCheck: string } | Detector
  readonly probeTimeoutMs?: number

  // Recovery.
  /** Default `gradual`. */
  readonly recovery?: RecoveryName | RecoveryStrategy
  /** Probes in a row of the probing recovery; default 3. */
  readonly recoveryProbes?: number
  /** Longest delay of the gradual recovery; default 5 min. */
  readonly maxRecoveryMs?: number

  // Selection.
  /** Default `next`. */
  readonly selection?: Selection
  /** Share of instances that may be out for their health; when more are, all are used again (panic). Default 0.5. */
  readonly maxEjectedRatio?: number

  // Housekeeping.
  readonly clock?: Clock
  /** A number from 0 to under 1; default Math.random. */
  readonly random?: () => number
  /** In place of the collector in memory; then `metrics` cannot be read. */
  readonly collector?: MetricsCollector
  /** Newest latencies kept per instance; default 100. */
  readonly latencySamples?: number
  /** Instances not called for so long are forgotten when new ones come; default 1 h. */
  readonly forgetMs?: number
  /** Default 1,000. */
  readonly maxInstances?: number
  /** Told of what an event listener threw; by default it is only counted. */
  readonly onListenerError?: (error: unknown) => void
}

/** What the executor needs on each call, with defaults. */
export interface CallSettings {
  readonly service: string
  readonly attemptTimeoutMs: number
  readonly totalTimeoutMs: number
  readonly waitBeforeFailover: boolean
  readonly selection: Selection
  readonly maxEjectedRatio: number
  readonly hedge: Required<HedgeOptions> | undefined
  readonly clock: Clock
  readonly random: () => number
}

/** @throws OpsError USAGE naming the option and what it may be */
export function readCallSettings(options: FailoverOptions): CallSettings {
  const settings = {
    service: options.service ?? 'default',
    attemptTimeoutMs: options.attemptTimeoutMs ?? 5_000,
    totalTimeoutMs: options.totalTimeoutMs ?? 30_000,
    waitBeforeFailover: options.waitBeforeFailover ?? false,
    selection: options.selection ?? 'next',
    maxEjectedRatio: options.maxEjectedRatio ?? 0.5,
    hedge: options.hedge && { max: 1, ...options.hedge },
    clock: options.clock ?? systemClock,
    random: options.random ?? Math.random,
  }
  requireTimeout('attemptTimeoutMs', settings.attemptTimeoutMs)
  requireTimeout('totalTimeoutMs', settings.totalTimeoutMs)
  if (settings.hedge) {
    const { delayMs, max } = settings.hedge
    if (!(delayMs >= 0 && Number.isFinite(delayMs))) refuse('hedge.delayMs', delayMs, 'a number from 0')
    if (!Number.isSafeInteger(max) || max < 1) refuse('hedge.max', max, 'a whole number from 1')
  }
  if (!(settings.maxEjectedRatio >= 0 && settings.maxEjectedRatio <= 1)) {
    refuse('maxEjectedRatio', settings.maxEjectedRatio, 'from 0 to 1')
  }
  if (!['next', 'random', 'best', 'two-choices'].includes(settings.selection)) {
    refuse('selection', settings.selection, 'next, random, best or two-choices')
  }
  return settings
}

/** @throws OpsError USAGE for a time limit that is not over 0 */
export function requireTimeout(name: string, value: number): void {
  if (!(value > 0)) refuse(name, value, 'over 0 (Infinity for no limit)')
}

function refuse(name: string, value: unknown, allowed: string): never {
  throw new OpsError('USAGE', `failover: ${name} is ${String(value)}`, { hint: `It must be ${allowed}.` })
}

/** One attempt of a call: started on an instance, and what its end means for the call and for the instance. */
import type { Breaker } from './breaker.ts'
import { RunningAttempt } from './attempt.ts'
import type { Deadlines } from './deadline.ts'
import type { Detector } from './detectors.ts'
import { classifyError, FailoverError, isFailoverError, type ClassifyOptions } from './errors.ts'
import type { Events } from './events.ts'
import type { MetricsCollector } from './metrics.ts'
import type { CallSettings } from './options.ts'
import type { Pool, Usable } from './pool.ts'
import type { AttemptRecord, ErrorClass, Instance, Operation } from './types.ts'

export interface AttemptParts {
  readonly settings: CallSettings
  readonly pool: Pool
  readonly detector: Detector
  readonly deadlines: Deadlines
  readonly metrics: MetricsCollector
  readonly events: Events
  readonly rules: ClassifyOptions
  readonly judge: ((value: unknown) => string | undefined) | undefined
}

/** A call under way. */
export interface Call {
  readonly instances: readonly Instance[]
  readonly operation: Operation<unknown>
  readonly startedMs: number
  readonly deadlineMs: number
  readonly totalTimeoutMs: number
  readonly attemptTimeoutMs: number
  readonly idempotent: boolean
  readonly signal: AbortSignal | undefined
  /** Attempts started. */
  started: number
  /** Index of the last instance tried; -1 before the first. */
  lastIndex: number
  /** Indexes of the instances tried. */
  readonly tried: number[]
  readonly failedNodes: string[]
  readonly attempts: AttemptRecord[]
  panic: boolean
  lastError: unknown
}

export type End<T> =
  | { readonly ok: true; readonly value: T; readonly index: number }
  | { readonly ok: false; readonly error: unknown; readonly errorClass: ErrorClass; readonly index: number }

export interface Started<T> {
  /** Never rejects. Does not settle after `overtake`. */
  readonly end: Promise<End<T>>
  /** Ends it because another attempt answered first. */
  overtake(): void
}

/** True while there is time for an attempt that starts at `atMs`, and the caller still wants one. */
export function isHopeful({ deadlineMs, signal }: Call, atMs: number): boolean {
  return atMs < deadlineMs && signal?.aborted !== true
}

/** Starts an attempt; the breaker of the target must be ready. */
export function startAttempt<T>(parts: AttemptParts, call: Call, target: Usable): Started<T> {
  const { pool, settings, metrics, events } = parts
  const { index, record } = target
  const instance = call.instances[index] as Instance
  const permit = (record.breaker satisfies Breaker).tryAcquire()
  const startedMs = settings.clock.monotonic()
  const leftMs = call.deadlineMs - startedMs
  call.started += 1
  call.lastIndex = index
  call.tried.push(index)
  record.inFlight += 1
  const running = new RunningAttempt<T>(call.started)
  const isFirst = call.started === 1
  let overtaken = false

  const finish = (outcome: AttemptRecord['outcome'], durationMs: number, error?: unknown) => {
    record.inFlight -= 1
    metrics.recordAttempt(instance.id, outcome)
    const entry =
      error === undefined
        ? { instance: instance.id, outcome, durationMs }
        : { instance: instance.id, outcome, durationMs, error }
    call.attempts.push(entry)
    if (outcome === 'failure' || outcome === 'overtaken') call.failedNodes.push(instance.id)
    if (events.watched) events.emit({ type: 'attempt', number: running.number, ...entry })
  }
  const fail = (error: unknown, errorClass: ErrorClass): End<T> => {
    const nowMs = settings.clock.monotonic()
    const durationMs = nowMs - startedMs
    const ended = { permit, record, durationMs, nowMs }
    if (errorClass === 'cancelled') {
      record.breaker.cancel(permit)
      finish('cancelled', durationMs, error)
    } else if (errorClass === 'answer') {
      pool.succeed(instance, ended)
      finish('answer', durationMs, error)
    } else {
      // Cut short because earlier attempts had used up the call's time: that is not this instance's fault.
      const wasCutShort = isFailoverError(error, 'timeout') && !isFirst && leftMs < call.attemptTimeoutMs
      if (wasCutShort) record.breaker.cancel(permit)
      else pool.fail(instance, { ...ended, error })
      finish('failure', durationMs, error)
    }
    return { ok: false, error, errorClass, index }
  }
  const run = async (): Promise<End<T>> => {
    try {
      const value = await running.start((attempt) => call.operation(instance, attempt) as T | PromiseLike<T>, {
        deadlines: parts.deadlines,
        timeoutMs: Math.min(call.attemptTimeoutMs, leftMs),
        startedMs,
        signal: call.signal,
      })
      const fault = parts.judge?.(value)
      if (fault !== undefined) return fail(new FailoverError('bad-answer', fault, { cause: value }), 'transient')
      const nowMs = settings.clock.monotonic()
      const durationMs = nowMs - startedMs
      pool.succeed(instance, { permit, record, durationMs, nowMs })
      finish('success', durationMs)
      return { ok: true, value, index }
    } catch (error) {
      if (overtaken) return new Promise(() => {})
      return fail(error, running.wasAborted ? 'cancelled' : classifyError(error, parts.rules))
    }
  }

  return {
    end: run(),
    overtake() {
      overtaken = true
      const nowMs = settings.clock.monotonic()
      const durationMs = nowMs - startedMs
      pool.overtake(instance, { permit, record, durationMs, nowMs })
      finish('overtaken', durationMs)
      running.abort(new DOMException('another attempt answered first', 'AbortError'))
    },
  }
}

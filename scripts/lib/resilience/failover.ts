/** A failover: puts detector, breakers, retries, recovery, selection, monitor and metrics together around one executor. */
import type { HealthState } from '../health/index.ts'
import { createBreakerFor, createDetectorFor, createRecoveryFor, createRetryPolicyFor } from './assemble.ts'
import type { Breaker } from './breaker.ts'
import { createRetryBudget } from './budget.ts'
import { createDeadlines } from './deadline.ts'
import type { Detector } from './detectors.ts'
import { createEmitter, type FailoverEvent, type Listener } from './events.ts'
import { createExecute, type Execute } from './execute.ts'
import { createMetrics, type Metrics, type MetricsCollector } from './metrics.ts'
import { createMonitor, type InstanceMonitor } from './monitor.ts'
import { readCallSettings, type FailoverOptions } from './options.ts'
import { createPool, type Pool } from './pool.ts'
import { formatPrometheus } from './prometheus.ts'
import type { RecoveryStrategy } from './recovery.ts'
import { createRegistry, type Registry } from './registry.ts'
import type { RetryPolicy } from './retry.ts'
import { restoreState, saveState, type SavedFailover } from './saved.ts'
import type { BreakerStateName, CallOptions, Instance, Operation } from './types.ts'

/** The breakers of all instances, each made when its instance is first seen. */
export interface InstanceBreakers {
  of(id: string): Breaker
  state(id: string): BreakerStateName
  /** Closes it by hand. */
  reset(id: string): void
}

/** How work on an instance went that was not done by `execute`. */
export type Evidence =
  | { readonly outcome: 'success'; readonly durationMs: number }
  | { readonly outcome: 'failure'; readonly durationMs: number; readonly error: unknown }

export interface Failover {
  /** Calls `operation` on the instances until one answers. Bad news is in the result; rejects for wrong options only. */
  readonly execute: Execute
  /** As `execute`, but returns the value or throws the last error. */
  call<T, I extends Instance>(instances: readonly I[], operation: Operation<T, I>, options?: CallOptions): Promise<T>
  readonly detector: Detector
  readonly breakers: InstanceBreakers
  readonly retryPolicy: RetryPolicy
  readonly recovery: RecoveryStrategy
  readonly monitor: InstanceMonitor
  /** Counters in memory; undefined when `collector` takes them. */
  readonly metrics: Metrics | undefined
  /** Counts work done elsewhere: in-band evidence from a connection, another process, a replayed log. */
  report(instance: Instance, evidence: Evidence): void
  /** @returns a function that ends the subscription */
  on(listener: Listener): () => void
  /** Metrics and states in the Prometheus text format. */
  prometheus(): string
  save(): SavedFailover
  /**
   * @param elapsedMs time since it was saved; take it from a clock that ran on, else from the wall clock
   * @throws OpsError DATA_MISMATCH for data that `save` did not write; nothing is restored then
   */
  restore(saved: unknown, elapsedMs: number): void
  /** Stops the monitor and listens no longer to a detector that others may use too. Calls under way end by themselves. */
  close(): Promise<void>
}

/** @throws OpsError USAGE naming the option and what it may be */
export function createFailover(options: FailoverOptions = {}): Failover {
  const settings = readCallSettings(options)
  const { clock } = settings
  const own = options.collector ? undefined : createMetrics(options.latencySamples)
  const metrics: MetricsCollector = options.collector ?? (own as Metrics)
  const events = createEmitter<FailoverEvent>((error) => {
    metrics.recordListenerError()
    options.onListenerError?.(error)
  })
  const detector = createDetectorFor(options)
  const stopHearing = detector.on((detection) => {
    metrics.recordDetection(detection.instance, detection.to)
    events.emit({ type: 'detection', ...detection })
  })
  const recovery = createRecoveryFor(options, detector)
  const deadlines = createDeadlines(clock)
  const registry = createRegistry({
    createBreaker: (id) => createBreakerFor(id, { options, recovery, deadlines, metrics, events }),
    onForget: (id) => {
      detector.forget(id)
      metrics.forget(id)
    },
    forgetMs: options.forgetMs ?? 3_600_000,
    maxInstances: options.maxInstances ?? 1_000,
  })
  const pool = createPool({ registry, detector, recovery, metrics, clock, maxEjectedRatio: settings.maxEjectedRatio })
  const retryPolicy = options.retryPolicy ?? createRetryPolicyFor(options)
  const monitor = createMonitor(detector, clock)
  const execute = createExecute({
    settings,
    pool,
    detector,
    deadlines,
    metrics,
    events,
    retryPolicy,
    rules: { classify: options.classify, retryableErrors: options.retryableErrors },
    judge: options.judge,
    neverSent: options.neverSent,
    budget: options.retryBudget === false ? undefined : createRetryBudget(options.retryBudget),
  })

  return {
    execute,
    async call(instances, operation, callOptions) {
      const result = await execute(instances, operation, callOptions)
      if (result.success) return result.value
      throw result.error
    },
    detector,
    breakers: {
      of: (id) => registry.see(id, clock.monotonic()).breaker,
      state: (id) => registry.find(id)?.breaker.state.state ?? 'closed',
      reset: (id) => registry.find(id)?.breaker.reset(),
    },
    retryPolicy,
    recovery,
    monitor,
    metrics: own,
    report: (instance, evidence) => report(instance, evidence, { pool, registry, metrics, nowMs: clock.monotonic() }),
    on: (listener) => events.on(listener),
    prometheus: () => formatPrometheus(own?.data() ?? { counters: [], latencies: [] }, gaugesOf(registry, detector)),
    save: () => saveState({ registry, detector, own, nowMs: clock.monotonic() }),
    restore: (saved, elapsedMs) =>
      restoreState(saved, elapsedMs, { registry, detector, own, nowMs: clock.monotonic() }),
    close() {
      stopHearing()
      return monitor.stop()
    },
  }
}

function report(
  instance: Instance,
  evidence: Evidence,
  { pool, registry, metrics, nowMs }: { pool: Pool; registry: Registry; metrics: MetricsCollector; nowMs: number },
): void {
  const record = registry.see(instance.id, nowMs)
  const ended = { permit: record.breaker.tryAcquire(), record, durationMs: evidence.durationMs, nowMs }
  metrics.recordAttempt(instance.id, evidence.outcome)
  if (evidence.outcome === 'success') pool.succeed(instance, ended)
  else pool.fail(instance, { ...ended, error: evidence.error })
}

function gaugesOf(registry: Registry, detector: Detector) {
  return [...registry.all()].map(({ id, breaker, inFlight }) => ({
    instance: id,
    breaker: breaker.state.state,
    health: detector.status(id) satisfies HealthState,
    inFlight,
  }))
}

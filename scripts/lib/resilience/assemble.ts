/** From the options of a failover to the parts it is made of. */
import { createBreaker, type Breaker } from './breaker.ts'
import type { Deadlines } from './deadline.ts'
import {
  createErrorRateDetector,
  createHealthCheckDetector,
  createTimeoutDetector,
  type Detector,
  type DetectorOptions,
} from './detectors.ts'
import type { Events } from './events.ts'
import type { MetricsCollector } from './metrics.ts'
import type { FailoverOptions } from './options.ts'
import { createRecoveryStrategy, type RecoveryStrategy } from './recovery.ts'
import { createRetryPolicy, type RetryPolicy } from './retry.ts'

export function createDetectorFor(options: FailoverOptions): Detector {
  const { detector = 'error-rate', clock, probeTimeoutMs } = options
  const detectorOptions: DetectorOptions = {
    ...(clock && { clock }),
    ...(probeTimeoutMs !== undefined && { probeTimeoutMs }),
    policy: {
      ...(options.failureThreshold !== undefined && { fall: options.failureThreshold }),
      ...(options.successThreshold !== undefined && { rise: options.successThreshold }),
      ...(options.detectionWindowMs !== undefined && { windowMs: options.detectionWindowMs }),
      ...(options.loss && { loss: options.loss }),
      ...(options.flap !== undefined && { flap: options.flap }),
    },
  }
  if (detector === 'error-rate') return createErrorRateDetector(detectorOptions)
  if (detector === 'timeout') return createTimeoutDetector(detectorOptions)
  return 'healthCheck' in detector ? createHealthCheckDetector(detector.healthCheck, detectorOptions) : detector
}

export function createRecoveryFor(options: FailoverOptions, detector: Detector): RecoveryStrategy {
  const { recovery = 'gradual' } = options
  if (typeof recovery !== 'string') return recovery
  return createRecoveryStrategy({
    strategy: recovery,
    detector,
    ...(options.breakerTimeoutMs !== undefined && { intervalMs: options.breakerTimeoutMs }),
    ...(options.maxRecoveryMs !== undefined && { maxIntervalMs: options.maxRecoveryMs }),
    ...(options.recoveryProbes !== undefined && { probes: options.recoveryProbes }),
  })
}

export function createRetryPolicyFor(options: FailoverOptions): RetryPolicy {
  const { retryStrategy, maxRetries, retryIntervalMs, backoffFactor, maxBackoffMs, jitterRatio, random } = options
  return createRetryPolicy({
    classify: options.classify,
    retryableErrors: options.retryableErrors,
    ...(retryStrategy !== undefined && { strategy: retryStrategy }),
    ...(maxRetries !== undefined && { maxRetries }),
    ...(retryIntervalMs !== undefined && { retryIntervalMs }),
    ...(backoffFactor !== undefined && { backoffFactor }),
    ...(maxBackoffMs !== undefined && { maxBackoffMs }),
    ...(jitterRatio !== undefined && { jitterRatio }),
    ...(random !== undefined && { random }),
  })
}

interface BreakerParts {
  readonly options: FailoverOptions
  readonly recovery: RecoveryStrategy
  readonly deadlines: Deadlines
  readonly metrics: MetricsCollector
  readonly events: Events
}

export function createBreakerFor(id: string, { options, recovery, deadlines, metrics, events }: BreakerParts): Breaker {
  const openMs = options.breakerTimeoutMs ?? 30_000
  return createBreaker(
    {
      ...options.breaker,
      name: id,
      ...(options.breakerThreshold !== undefined && { failureThreshold: options.breakerThreshold }),
      // The first opening lasts the breaker's own time; how it goes on is up to the recovery strategy.
      openMs: (opens) => Math.max(openMs, recovery.recoveryDelayMs(opens - 1)),
    },
    {
      ...(options.clock && { clock: options.clock }),
      deadlines,
      onChange: ({ from, to, because }) => {
        metrics.recordBreaker(id, to)
        events.emit({ type: 'breaker', instance: id, from, to, because })
      },
    },
  )
}

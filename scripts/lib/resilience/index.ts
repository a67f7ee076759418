/** Failover for calls: `import { createFailover } from 'opskit/failover'`. Stands on its own; see docs/how-to/failover-library.md. */
export * from './types.ts'
export { createFailover, type Evidence, type Failover, type InstanceBreakers } from './failover.ts'
export type { FailoverOptions, HedgeOptions } from './options.ts'
export { createBreaker, type Breaker, type BreakerChange, type BreakerWiring } from './breaker.ts'
export type { BreakerState } from './breaker-state.ts'
export type { CallFacts, Permit, RunOptions } from './breaker.ts'
export type { BreakerOptions } from './breaker-options.ts'
export type { SavedBreaker } from './breaker-saved.ts'
export { createRetryBudget, type RetryBudget, type RetryBudgetOptions } from './budget.ts'
export { createErrorRateDetector, createHealthCheckDetector, createTimeoutDetector } from './detectors.ts'
export type { Detection, Detector, DetectorOptions, Look } from './detectors.ts'
export { classifyError, FailoverError, isFailoverError, matchesError, wasNeverSent } from './errors.ts'
export type { ErrorMatcher, FailoverErrorKind } from './errors.ts'
export type { FailoverEvent, Listener } from './events.ts'
export { hostPortOf, parseInstance, readHost, type HostPort } from './instance.ts'
export { createMetrics, type Metrics, type MetricsCollector, type MetricsData, type MetricsReader } from './metrics.ts'
export type { InstanceMonitor, InstanceStatus, MonitorOptions } from './monitor.ts'
export { formatPrometheus, type InstanceGauges } from './prometheus.ts'
export { createRecoveryStrategy, type RecoveryName, type RecoveryOptions, type RecoveryStrategy } from './recovery.ts'
export {
  createRetryPolicy,
  decideRetry,
  type RetryFacts,
  type RetryOptions,
  type RetryPolicy,
  type RetryStrategy,
} from './retry.ts'
export type { SavedFailover } from './saved.ts'
export { expectedWaitMs, selectInstance, type Selection } from './select.ts'
export { systemClock, type Clock } from '../core/clock.ts'
export { isOpsError, OpsError, type ErrorCode, type ErrorDetails } from '../core/errors.ts'

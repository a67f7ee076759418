/**
 * The words of health: what a probe saw, what is believed of a target, and what it takes to change that belief.
 * Moments are milliseconds of a monotonic clock (`Clock.monotonic`), whatever its origin.
 */

/**
 * What one look at a target found. `unknown` is a look that failed for reasons of the looker (own link down, aborted):
 * it is evidence for nothing and changes nothing. A `decisive` failure (carrier lost, operator's word) needs no repetition.
 */
export type ProbeResult =
  | { readonly outcome: 'pass'; readonly latencyMs?: number }
  | { readonly outcome: 'fail'; readonly because: string; readonly decisive?: boolean }
  | { readonly outcome: 'unknown'; readonly because: string }

export type HealthState = 'healthy' | 'suspect' | 'unhealthy' | 'isolated'

/** What made a target unhealthy, which decides what it must show to come back. */
export type Cause = 'failures' | 'loss' | 'decisive'

/** What is believed of a target; each state holds what only it needs. */
export type Health =
  | { readonly state: 'healthy'; readonly sinceMs: number }
  | { readonly state: 'suspect'; readonly sinceMs: number; readonly failures: number; readonly lastFailureMs: number }
  | {
      readonly state: 'unhealthy'
      readonly sinceMs: number
      readonly cause: Cause
      /** Passes in a row so far. */
      readonly passes: number
      /** Passes do not bring it back before this moment. */
      readonly heldUntilMs: number
    }
  | {
      readonly state: 'isolated'
      readonly by: 'flapping'
      readonly sinceMs: number
      readonly cause: Cause
      readonly passes: number
      readonly heldUntilMs: number
    }
  | { readonly state: 'isolated'; readonly by: 'hand'; readonly sinceMs: number }

/** Results of the last `windowMs` in constant space: this window and the one before it. */
export interface ResultWindow {
  readonly startedMs: number
  readonly total: number
  readonly failed: number
  readonly totalBefore: number
  readonly failedBefore: number
}

/** Everything known of one target: plain data, replaced and never changed. */
export interface TargetHealth {
  readonly health: Health
  readonly window: ResultWindow
  /** Smoothed latency of the passes; absent until one was measured. */
  readonly latencyMs: number | undefined
  /** How often it went out, halved every `flap.halfLifeMs`; as of `flapAtMs`. */
  readonly flaps: number
  readonly flapAtMs: number
}

/** Loss that is too much although no `fall` failures came in a row. Two edges, so that it does not swing between them. */
export interface LossRule {
  /** Share of failures in the window from which a target is unhealthy. */
  readonly unhealthyRatio: number
  /** Share it must be at or under to come back. */
  readonly healthyRatio: number
  /** Fewer results than this decide nothing. */
  readonly minimumResults: number
}

/** What a target that keeps going out has to wait for. The penalty that halves with time is that of RFC 2439. */
export interface FlapRule {
  /** Outages remembered at which it is isolated rather than unhealthy. */
  readonly limit: number
  /** Time in which half of the outages are forgotten. */
  readonly halfLifeMs: number
  /** Hold of the second outage; doubles with each further one. The first has none. */
  readonly holdMs: number
  readonly maxHoldMs: number
}

export interface HealthPolicy {
  /** Failures in a row that make a target unhealthy. */
  readonly fall: number
  /** Passes in a row that bring it back. */
  readonly rise: number
  /** Failures further apart than this are not in a row; also the span of the loss ratio. */
  readonly windowMs: number
  /** Absent: only failures in a row count. */
  readonly loss?: LossRule
  /** Absent: no damping. */
  readonly flap?: FlapRule
}

/** What a result led to. `because` is a clause for logs and screens; `changed` is set when the state changed. */
export interface Observation {
  readonly target: TargetHealth
  readonly because: string
  readonly changed?: { readonly from: HealthState; readonly to: HealthState }
}

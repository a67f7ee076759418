/** The states of a breaker with the data of each, why a closed one opens, and what an open one tells its callers. */
import { formatDuration } from '../core/duration.ts'
import type { BreakerRules } from './breaker-options.ts'
import { FailoverError } from './errors.ts'
import type { CallOutcome } from './types.ts'
import type { CallWindow } from './window.ts'

export type BreakerState =
  | { readonly state: 'closed'; readonly sinceMs: number }
  | {
      readonly state: 'open'
      readonly sinceMs: number
      /** Infinity when opened by hand. */
      readonly untilMs: number
      /** How often in a row it opened without closing in between. */
      readonly opens: number
      readonly because: string
    }
  | Readonly<HalfOpen>

/** Changed in place: it is on the path of each probe. */
export interface HalfOpen {
  readonly state: 'half-open'
  readonly sinceMs: number
  readonly opens: number
  /** Probes let through and not given back. */
  issued: number
  successes: number
  failures: number
  lastIssuedMs: number
}

interface TripFacts {
  readonly outcome: CallOutcome
  readonly failuresInARow: number
  readonly window: CallWindow | undefined
  readonly rules: BreakerRules
}

/** @returns why a closed breaker must open now; undefined when it stays closed */
export function decideTrip({ outcome, failuresInARow, window, rules }: TripFacts): string | undefined {
  if (outcome === 'failure' && failuresInARow >= rules.failureThreshold) return `${failuresInARow} failures in a row`
  if (window === undefined || window.total < rules.minimumCalls) return undefined
  const { total, failures, slow } = window
  if (failures / total >= rules.failureRate) return `${percent(failures / total)} of ${total} calls failed`
  if ((slow + failures) / total >= rules.slowRate)
    return `${percent((slow + failures) / total)} of ${total} calls were slow or failed`
  return undefined
}

/** Made once for a whole stretch of refusals, so it says nothing that changes meanwhile. */
export function createRejection(name: string, state: BreakerState): FailoverError {
  const why = state.state === 'open' ? state.because : 'its probes have not ended yet'
  const hint = state.state === 'open' ? untilHint(state.untilMs - state.sinceMs) : 'Their outcome decides.'
  const error = new FailoverError('open', `${name} is not called: ${why}`, { hint })
  // Thrown to many callers: the stack of whoever came first would mislead the others.
  error.stack = `OpsError: ${error.message}`
  return error
}

function untilHint(openMs: number): string {
  if (openMs === Infinity) return 'It was opened by hand: reset its breaker.'
  return `It is tried again ${formatDuration(openMs)} after it opened.`
}

function percent(ratio: number): string {
  return `${Math.round(ratio * 1000) / 10} %`
}

/**
 * Stops calling what keeps failing, and finds out carefully when it works again.
 *
 *   closed     calls pass and are counted. Too many failures in a row, too high a share of failed or of slow calls: open.
 *   open       calls are refused at once. After `openMs` the next call makes it half-open. By hand: until `reset`.
 *   half-open  at most `probes` calls pass. `probeSuccesses` of them succeed: closed. So many fail that this cannot be
 *              reached any more (by default: one), or a probe never ends: open again. With `slowRate`, a slow probe failed.
 *
 * Only `tryAcquire`, `record`, `trip` and `reset` move it. A result belongs to the stretch of state in which its call began:
 * a call let through before the breaker opened says nothing about the half-open one that followed.
 */
import { systemClock, type Clock } from '../core/clock.ts'
import { formatDuration } from '../core/duration.ts'
import { messageOf } from '../core/errors.ts'
import { FreeAttempt, RunningAttempt } from './attempt.ts'
import { createRejection, decideTrip, type BreakerState, type HalfOpen } from './breaker-state.ts'
import { readBreakerOptions, type BreakerOptions, type BreakerRules } from './breaker-options.ts'
import { restoreBreaker, saveBreaker, type SavedBreaker } from './breaker-saved.ts'
import { createDeadlines, type Deadlines } from './deadline.ts'
import type { FailoverError } from './errors.ts'
import type { Attempt, CallOutcome } from './types.ts'
import { createCountWindow, createTimeWindow, type CallWindow } from './window.ts'

export interface BreakerChange {
  readonly name: string
  readonly from: BreakerState['state']
  readonly to: BreakerState['state']
  readonly because: string
}

/** A number that lets a call through and ties its result to it; 0 lets nothing through. */
export type Permit = number

export interface RunOptions {
  readonly signal?: AbortSignal | undefined
  /** Overrides the breaker's own; Infinity turns it off. */
  readonly timeoutMs?: number
}

export interface Breaker {
  readonly name: string
  readonly state: BreakerState
  /** True when `tryAcquire` would let a call through now. Changes nothing. */
  isReady(): boolean
  /** @returns a permit for one call, to be ended by `record` or `cancel`; 0 when the call must not be made */
  tryAcquire(): Permit
  /** How the call went. `durationMs` makes a success slow when it reaches `slowCallMs`. */
  record(permit: Permit, outcome: CallOutcome, facts?: CallFacts): void
  /** Gives a permit back with no verdict: the caller gave up. */
  cancel(permit: Permit): void
  /** Calls `operation` if it may; rejects with a FailoverError of kind `open` or `timeout`, or with its own error. */
  run<T>(operation: (attempt: Attempt) => T | PromiseLike<T>, options?: RunOptions): Promise<T>
  /** The error that `run` rejects with while open: one object for all, without a stack. */
  rejection(): FailoverError
  /** Opens it by hand until `reset`. */
  trip(because: string): void
  /** Closes it by hand and forgets what it counted. */
  reset(): void
  /** JSON data with its moments relative to now. */
  save(): SavedBreaker
  /** @param elapsedMs time since it was saved @throws OpsError DATA_MISMATCH */
  restore(saved: unknown, elapsedMs: number): void
}

export interface CallFacts {
  readonly durationMs?: number
  readonly error?: unknown
}

export interface BreakerWiring {
  readonly clock?: Clock
  /** Shared with other breakers; its own when absent. */
  readonly deadlines?: Deadlines
  readonly onChange?: (change: BreakerChange) => void
  /** Told of what `onChange` threw; the call goes on. */
  readonly onListenerError?: (error: unknown) => void
}

export function createBreaker(options: BreakerOptions = {}, wiring: BreakerWiring = {}): Breaker {
  const rules = readBreakerOptions(options)
  const { clock = systemClock, onChange } = wiring
  const deadlines = wiring.deadlines ?? createDeadlines(clock)
  const window = createWindow(rules)
  const { name, slowCallMs, timeoutMs: ownTimeoutMs } = rules
  const timesCalls = slowCallMs !== Infinity

  let state: Exclude<BreakerState, { state: 'half-open' }> | HalfOpen = { state: 'closed', sinceMs: clock.monotonic() }
  let generation = 1
  let failuresInARow = 0
  let rejected: FailoverError | undefined

  const enter = (next: typeof state) => {
    state = next
    generation += 1
    failuresInARow = 0
    rejected = undefined
    window?.clear()
  }
  const turn = (next: typeof state, because: string) => {
    const from = state.state
    enter(next)
    if (from === next.state) return
    try {
      onChange?.({ name, from, to: next.state, because })
    } catch (error) {
      wiring.onListenerError?.(error)
    }
  }
  const open = (because: string, opens: number) => {
    const sinceMs = clock.monotonic()
    turn({ state: 'open', sinceMs, untilMs: sinceMs + rules.openMs(opens), opens, because }, because)
  }
  const close = (because: string) => turn({ state: 'closed', sinceMs: clock.monotonic() }, because)

  const recordClosed = (outcome: CallOutcome, error: unknown) => {
    if (outcome === 'failure') failuresInARow += 1
    else failuresInARow = 0
    window?.add(outcome, clock.monotonic())
    if (outcome === 'success') return
    const because = decideTrip({ outcome, failuresInARow, window, rules })
    if (because !== undefined) open(error === undefined ? because : `${because}: ${messageOf(error)}`, 1)
  }
  const recordProbe = (outcome: CallOutcome, half: HalfOpen, error: unknown) => {
    if (outcome === 'failure' || (outcome === 'slow' && rules.slowRate !== Infinity)) half.failures += 1
    else half.successes += 1
    if (half.successes >= rules.probeSuccesses) return close(`${half.successes} of ${rules.probes} probes succeeded`)
    if (half.failures <= rules.probes - rules.probeSuccesses) return
    const cause = error === undefined ? '' : `: ${messageOf(error)}`
    open(`${half.failures} of ${rules.probes} probes failed${cause}`, half.opens + 1)
  }

  /** Half-open with no probe left: refused, unless a probe was lost on the way. */
  const acquireProbe = (half: HalfOpen): Permit => {
    const nowMs = clock.monotonic()
    if (half.issued >= rules.probes) {
      if (nowMs - half.lastIssuedMs >= rules.probeTimeoutMs) {
        open(`a probe did not end within ${formatDuration(rules.probeTimeoutMs)}`, half.opens + 1)
      }
      return 0
    }
    half.issued += 1
    half.lastIssuedMs = nowMs
    return generation
  }
  const tryAcquire = (): Permit => {
    if (state.state === 'closed') return generation
    if (state.state === 'half-open') return acquireProbe(state)
    const nowMs = clock.monotonic()
    if (nowMs < state.untilMs) return 0
    const { opens } = state
    turn(
      { state: 'half-open', sinceMs: nowMs, opens, issued: 1, successes: 0, failures: 0, lastIssuedMs: nowMs },
      `was open for ${formatDuration(nowMs - state.sinceMs)}`,
    )
    return generation
  }
  const record = (permit: Permit, outcome: CallOutcome, facts?: CallFacts) => {
    if (permit !== generation) return
    const slow = outcome === 'success' && facts?.durationMs !== undefined && facts.durationMs >= slowCallMs
    const counted = slow ? 'slow' : outcome
    if (state.state === 'closed') recordClosed(counted, facts?.error)
    else if (state.state === 'half-open') recordProbe(counted, state, facts?.error)
  }
  const cancel = (permit: Permit) => {
    if (permit === generation && state.state === 'half-open') state.issued -= 1
  }
  const rejection = () => (rejected ??= createRejection(name, state))

  const begin = () => (timesCalls ? clock.monotonic() : 0)
  const succeed = (permit: Permit, startedMs: number) =>
    record(permit, 'success', timesCalls ? { durationMs: clock.monotonic() - startedMs } : undefined)

  const runFreely = async <T>(permit: Permit, operation: (attempt: Attempt) => T | PromiseLike<T>): Promise<T> => {
    const startedMs = begin()
    try {
      const value = await operation(new FreeAttempt())
      succeed(permit, startedMs)
      return value
    } catch (error) {
      record(permit, 'failure', { error })
      throw error
    }
  }
  const runLimited = async <T>(
    permit: Permit,
    operation: (attempt: Attempt) => T | PromiseLike<T>,
    { signal, timeoutMs = ownTimeoutMs }: RunOptions,
  ): Promise<T> => {
    const startedMs = clock.monotonic()
    const attempt = new RunningAttempt<T>(1)
    try {
      const value = await attempt.start(operation, { deadlines, timeoutMs, startedMs, signal })
      succeed(permit, startedMs)
      return value
    } catch (error) {
      if (attempt.wasAborted) cancel(permit)
      else record(permit, 'failure', { error })
      throw error
    }
  }

  return {
    name,
    get state() {
      return state
    },
    isReady() {
      if (state.state === 'closed') return true
      if (state.state === 'half-open') return state.issued < rules.probes
      return clock.monotonic() >= state.untilMs
    },
    tryAcquire,
    record,
    cancel,
    rejection,
    run(operation, runOptions) {
      const permit = tryAcquire()
      if (permit === 0) return rejectSoon(rejection())
      const limited = ownTimeoutMs !== Infinity || runOptions !== undefined
      return limited ? runLimited(permit, operation, runOptions ?? {}) : runFreely(permit, operation)
    },
    trip(reason) {
      const because = `by hand: ${reason}`
      turn({ state: 'open', sinceMs: clock.monotonic(), untilMs: Infinity, opens: 1, because }, because)
    },
    reset: () => close('reset by hand'),
    save: () => saveBreaker({ state, failuresInARow, window, nowMs: clock.monotonic() }),
    restore(saved, elapsedMs) {
      const nowMs = clock.monotonic()
      const restored = restoreBreaker(saved, { nowMs, elapsedMs, hasWindow: window !== undefined })
      enter(restored.state)
      failuresInARow = restored.failuresInARow
      window?.load(restored.slots, nowMs)
    },
  }
}

function createWindow(rules: BreakerRules): CallWindow | undefined {
  if (rules.failureRate === Infinity && rules.slowRate === Infinity) return undefined
  return rules.windowCalls === undefined ? createTimeWindow(rules.windowMs) : createCountWindow(rules.windowCalls)
}

/** Rejects once the caller has had time to listen: a rejection that is unhandled for a moment costs 1 µs more. */
function rejectSoon(error: Error): Promise<never> {
  return new Promise((_, reject) => void Promise.resolve().then(() => reject(error)))
}

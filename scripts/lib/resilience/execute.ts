/**
 * One call with failover, from its first attempt to its result. The story is `execute`; what one attempt's end means is
 * `attempt-end`, who may be called is `pool`, whether to go on is `retry`, a second attempt beside the first is `hedge`.
 */
import { formatDuration } from '../core/duration.ts'
import { messageOf } from '../core/errors.ts'
import { isHopeful, startAttempt, type AttemptParts, type Call, type End, type Started } from './attempt-end.ts'
import type { RetryBudget } from './budget.ts'
import { FailoverError, wasNeverSent } from './errors.ts'
import { runHedged } from './hedge.ts'
import { requireTimeout } from './options.ts'
import type { Usable, View } from './pool.ts'
import { decideRetry, type RetryPolicy } from './retry.ts'
import { selectInstance } from './select.ts'
import type { CallOptions, FailoverResult, Instance, Operation } from './types.ts'

export interface ExecuteParts extends AttemptParts {
  readonly retryPolicy: RetryPolicy
  /** Undefined: no limit. */
  readonly budget: RetryBudget | undefined
  readonly neverSent: ((error: unknown) => boolean) | undefined
}

export type Execute = <T, I extends Instance>(
  instances: readonly I[],
  operation: Operation<T, I>,
  options?: CallOptions,
) => Promise<FailoverResult<T, I>>

export function createExecute(parts: ExecuteParts): Execute {
  const { settings, pool, budget, metrics, events } = parts
  const { clock, service } = settings
  let panicking = false

  const look = (call: Call, nowMs: number): View => {
    const view = pool.view(call.instances, nowMs)
    if (view.panic !== panicking) {
      panicking = view.panic
      if (panicking) metrics.recordPanic(service)
      events.emit({ type: 'panic', active: panicking, out: view.out, total: view.total })
    }
    if (view.panic) call.panic = true
    return view
  }
  /** The next instance, one that this call has not tried if there is any. */
  const choose = (call: Call, nowMs = clock.monotonic()): Usable | undefined => {
    const { usable } = look(call, nowMs)
    const fresh = call.tried.length === 0 ? usable : usable.filter(({ index }) => !call.tried.includes(index))
    const options = fresh.length > 0 ? fresh : usable
    if (options.length === 0) return undefined
    const facts = { options, lastIndex: call.lastIndex, nowMs, random: settings.random }
    return options[selectInstance(settings.selection, facts)]
  }
  const chooseFresh = (call: Call): Usable | undefined => {
    const next = choose(call)
    return next && !call.tried.includes(next.index) ? next : undefined
  }
  const withdraw = () => budget === undefined || budget.withdraw(clock.monotonic())

  const round = <T>(call: Call, target: Usable): Promise<End<T>> => {
    const first = startAttempt<T>(parts, call, target)
    if (settings.hedge === undefined || !call.idempotent) return first.end
    return runHedged(first, {
      ...settings.hedge,
      deadlines: parts.deadlines,
      nowMs: clock.monotonic(),
      startNext: (): Started<T> | undefined => {
        const mayStart = call.started <= parts.retryPolicy.maxRetries && isHopeful(call, clock.monotonic())
        const next = mayStart ? chooseFresh(call) : undefined
        if (!next || !withdraw()) return undefined
        const [from, to] = [idAt(call, call.lastIndex), idAt(call, next.index)]
        metrics.incrementHedges(service)
        events.emit({ type: 'hedge', from, to, afterMs: settings.hedge?.delayMs ?? 0 })
        return startAttempt<T>(parts, call, next)
      },
    })
  }

  /** Why the call must end now; undefined when another attempt may follow. */
  const decideStop = (call: Call, end: Extract<End<unknown>, { ok: false }>): string | undefined => {
    const { retry, because } = decideRetry({
      policy: parts.retryPolicy,
      attempts: call.started,
      error: end.error,
      errorClass: end.errorClass,
      idempotent: call.idempotent,
      neverSent: wasNeverSent(end.error) || (parts.neverSent?.(end.error) ?? false),
      budgetLeft: budget === undefined || budget.hasLeft(clock.monotonic()),
    })
    if (!retry) return because
    return isHopeful(call, clock.monotonic()) ? undefined : timeIsUp(call)
  }

  /** Finds where to go next and waits if need be. @returns why there is nowhere to go, as text */
  const prepareRetry = async (call: Call): Promise<Usable | string> => {
    const target = choose(call)
    if (!target) return `no other instance can be used: ${describeOut(call, parts)}`
    const isRevisit = call.tried.includes(target.index)
    const waitMs = isRevisit || settings.waitBeforeFailover ? parts.retryPolicy.backoffMs(call.started) : 0
    if (!isHopeful(call, clock.monotonic() + waitMs)) return timeIsUp(call)
    if (!withdraw()) return 'the retry budget is used up: too many calls are being retried'
    metrics.incrementRetries(service)
    events.emit({ type: 'retry', instance: idAt(call, call.lastIndex), waitMs, because: messageOf(call.lastError) })
    if (waitMs === 0) return target
    await clock.sleep(waitMs, call.signal)
    return choose(call) ?? `no other instance can be used: ${describeOut(call, parts)}`
  }

  const execute = async <T, I extends Instance>(
    instances: readonly I[],
    operation: Operation<T, I>,
    options: CallOptions = {},
  ): Promise<FailoverResult<T, I>> => {
    const call = beginCall(parts, { instances, operation: operation as Operation<unknown>, options })
    budget?.deposit()
    const fail = (error: unknown, because: string) =>
      finish(call, { success: false, error, because, instance: instances[call.lastIndex] }) as FailoverResult<T, I>

    if (call.signal?.aborted) return fail(call.signal.reason, 'the caller gave up')
    let target = choose(call, call.startedMs)
    if (!target) {
      const because = describeOut(call, parts)
      return fail(new FailoverError('unavailable', `no instance can be called: ${because}`), because)
    }
    for (;;) {
      const end: End<T> = await round<T>(call, target)
      if (end.ok) {
        return finish(call, { success: true, value: end.value, instance: instances[end.index] }) as FailoverResult<T, I>
      }
      call.lastError = end.error
      const stop = decideStop(call, end)
      if (stop !== undefined) return fail(end.error, stop)
      try {
        const next = await prepareRetry(call)
        if (typeof next === 'string') return fail(end.error, next)
        noteFailover(call, next.index)
        target = next
      } catch (error) {
        // Only the wait rejects, and only when the caller gave up.
        return fail(error, 'the caller gave up')
      }
    }
  }

  const noteFailover = (call: Call, toIndex: number) => {
    if (toIndex === call.lastIndex) return
    const [from, to] = [idAt(call, call.lastIndex), idAt(call, toIndex)]
    metrics.incrementFailovers(service, from, to)
    events.emit({ type: 'failover', from, to })
  }
  const finish = (call: Call, how: Ending) => {
    const durationMs = clock.monotonic() - call.startedMs
    const retryCount = Math.max(0, call.started - 1)
    metrics.recordCall(service, how.success)
    if (events.watched) events.emit({ type: 'call', success: how.success, retryCount, durationMs })
    const { failedNodes, attempts, panic } = call
    return { ...how, retryCount, durationMs, failedNodes, attempts, panic }
  }
  return execute
}

type Ending =
  | { readonly success: true; readonly value: unknown; readonly instance: Instance | undefined }
  | {
      readonly success: false
      readonly error: unknown
      readonly because: string
      readonly instance: Instance | undefined
    }

interface Begin {
  readonly instances: readonly Instance[]
  readonly operation: Operation<unknown>
  readonly options: CallOptions
}

function beginCall({ settings }: ExecuteParts, { instances, operation, options }: Begin): Call {
  const { attemptTimeoutMs = settings.attemptTimeoutMs, totalTimeoutMs = settings.totalTimeoutMs } = options
  if (options.attemptTimeoutMs !== undefined) requireTimeout('attemptTimeoutMs', attemptTimeoutMs)
  if (options.totalTimeoutMs !== undefined) requireTimeout('totalTimeoutMs', totalTimeoutMs)
  const startedMs = settings.clock.monotonic()
  return {
    instances,
    operation,
    startedMs,
    deadlineMs: startedMs + totalTimeoutMs,
    totalTimeoutMs,
    attemptTimeoutMs,
    idempotent: options.idempotent ?? false,
    signal: options.signal,
    started: 0,
    lastIndex: -1,
    tried: [],
    failedNodes: [],
    attempts: [],
    panic: false,
    lastError: undefined,
  }
}

function idAt(call: Call, index: number): string {
  return call.instances[index]?.id ?? ''
}

function timeIsUp({ totalTimeoutMs }: Call): string {
  return `the ${formatDuration(totalTimeoutMs)} of the call are up`
}

// A longer list would not be read.
const MAX_NAMED = 5

/** Why nothing can be used: each instance with its state. */
function describeOut({ instances }: Call, { pool, detector }: ExecuteParts): string {
  if (instances.length === 0) return 'no instances were given'
  const named = instances.slice(0, MAX_NAMED).map(({ id, enabled }) => {
    if (enabled === false) return `${id} is disabled`
    const breaker = pool.breakerState(id)
    return breaker === 'closed' ? `${id} is ${detector.status(id)}` : `${id} has its breaker ${breaker}`
  })
  const more = instances.length - named.length
  return more > 0 ? `${named.join(', ')} and ${more} more` : named.join(', ')
}

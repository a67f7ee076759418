import { getEventListeners } from 'node:events'
import { describe, expect, it } from 'vitest'
import { createManualClock, type ManualClock } from '../../scripts/lib/core/clock.ts'
import {
  createFailover,
  createHealthCheckDetector,
  parseInstance,
  type CallOptions,
  type Failover,
  type FailoverEvent,
  type FailoverOptions,
  type Instance,
} from '../../scripts/lib/resilience/index.ts'

const A = parseInstance('a:80')
const B = parseInstance('b:80')
const C = parseInstance('c:80')
const all = [A, B, C]

const refused = () => Object.assign(new Error('connect ECONNREFUSED'), { code: 'ECONNREFUSED' })
const reset = () => Object.assign(new Error('read ECONNRESET'), { code: 'ECONNRESET' })
const never = () => new Promise<never>(() => undefined)

interface Bench {
  readonly clock: ManualClock
  readonly failover: Failover
  readonly events: FailoverEvent[]
}

function setUp(options: FailoverOptions = {}): Bench {
  const clock = createManualClock()
  const failover = createFailover({ clock, random: () => 0.5, ...options })
  const events: FailoverEvent[] = []
  failover.on((event) => events.push(event))
  return { clock, failover, events }
}

/** An operation that fails on the named instances, and answers with the id of the others. */
function failingOn(ids: readonly string[], makeError: () => Error = refused) {
  const calls: string[] = []
  const operation = async (instance: Instance) => {
    calls.push(instance.id)
    if (ids.includes(instance.id)) throw makeError()
    return instance.id
  }
  return { operation, calls }
}

/** Lets time pass until the promise is settled. */
async function settle<T>(clock: ManualClock, promise: Promise<T>, stepMs = 50): Promise<T> {
  let isSettled = false
  void promise.then(
    () => (isSettled = true),
    () => (isSettled = true),
  )
  for (let i = 0; i < 10_000 && !isSettled; i += 1) await clock.advance(stepMs)
  return promise
}

async function failTimes({ failover, clock }: Bench, instance: Instance, times: number) {
  for (let i = 0; i < times; i += 1) {
    failover.report(instance, { outcome: 'failure', durationMs: 1, error: refused() })
    await clock.advance(1)
  }
}

describe('a call with failover', () => {
  it('goes to the first instance and says so', async () => {
    const { failover } = setUp()
    const { operation, calls } = failingOn([])
    expect(await failover.execute(all, operation)).toEqual({
      success: true,
      value: 'a:80',
      instance: A,
      retryCount: 0,
      durationMs: 0,
      failedNodes: [],
      attempts: [{ instance: 'a:80', outcome: 'success', durationMs: 0 }],
      panic: false,
    })
    expect(calls).toEqual(['a:80'])
  })

  it('goes on to the next instances at once, and names those that failed in order', async () => {
    const { failover, clock } = setUp()
    const { operation } = failingOn(['a:80', 'b:80'])
    const result = await failover.execute(all, operation)
    expect(result).toMatchObject({ success: true, value: 'c:80', retryCount: 2, failedNodes: ['a:80', 'b:80'] })
    expect(clock.monotonic()).toBe(0)
  })

  it('waits only before it comes back to one that it has tried, longer each time', async () => {
    const { failover, clock, events } = setUp({ maxRetries: 4, retryStrategy: 'exponential', retryIntervalMs: 100 })
    const { operation, calls } = failingOn(['a:80', 'b:80'])
    const result = await settle(clock, failover.execute([A, B], operation))
    expect(result).toMatchObject({ success: false, retryCount: 4, because: 'all 4 retries are used' })
    expect(calls).toEqual(['a:80', 'b:80', 'a:80', 'b:80', 'a:80'])
    expect(events.flatMap((event) => (event.type === 'retry' ? [event.waitMs] : []))).toEqual([0, 200, 400, 800])
  })

  it('waits before each retry when told to', async () => {
    const { failover, clock, events } = setUp({ waitBeforeFailover: true, retryStrategy: 'simple' })
    await settle(clock, failover.execute(all, failingOn(['a:80']).operation))
    expect(events.flatMap((event) => (event.type === 'retry' ? [event.waitMs] : []))).toEqual([100])
  })

  it('counts retries over all instances together', async () => {
    const { failover } = setUp({ maxRetries: 1 })
    const { operation, calls } = failingOn(['a:80', 'b:80', 'c:80'])
    expect(await failover.execute(all, operation)).toMatchObject({ success: false, retryCount: 1, instance: B })
    expect(calls).toEqual(['a:80', 'b:80'])
  })

  it('never calls a disabled instance', async () => {
    const { failover } = setUp()
    expect(await failover.execute([{ ...A, enabled: false }, B], failingOn([]).operation)).toMatchObject({
      value: 'b:80',
    })
  })

  it.each<[string, Instance[], string]>([
    ['an empty list', [], 'no instance can be called: no instances were given'],
    ['a list of disabled ones', [{ ...A, enabled: false }], 'no instance can be called: a:80 is disabled'],
  ])('has an answer for %s', async (...[, instances, message]) => {
    const result = await setUp().failover.execute(instances, failingOn([]).operation)
    expect(result).toMatchObject({
      success: false,
      retryCount: 0,
      instance: undefined,
      error: { kind: 'unavailable', message },
    })
  })

  it('as `call` gives the value, or throws the last error', async () => {
    const { failover } = setUp({ maxRetries: 0 })
    expect(await failover.call(all, failingOn([]).operation)).toBe('a:80')
    await expect(failover.call(all, failingOn(['a:80']).operation)).rejects.toThrow('ECONNREFUSED')
  })

  it('takes a value that the judge calls a failure for one', async () => {
    const { failover } = setUp({ judge: (value) => (value === 503 ? 'HTTP status 503' : undefined) })
    const result = await failover.execute(all, ({ id }) => (id === 'a:80' ? 503 : 200), { idempotent: true })
    expect(result).toMatchObject({ success: true, value: 200, failedNodes: ['a:80'] })
    const failed = await failover.execute([A], () => 503)
    expect(failed).toMatchObject({
      success: false,
      error: { kind: 'bad-answer', message: 'HTTP status 503', cause: 503 },
    })
  })
})

describe('an operation that is not idempotent', () => {
  it('is not repeated when it may have reached the server', async () => {
    const { failover } = setUp()
    const { operation, calls } = failingOn(['a:80'], reset)
    expect(await failover.execute(all, operation)).toMatchObject({
      success: false,
      because: 'it may have reached the server and is not idempotent',
    })
    expect(calls).toEqual(['a:80'])
  })

  it('is not repeated after a time-out', async () => {
    const { failover, clock } = setUp({ attemptTimeoutMs: 100 })
    expect(await settle(clock, failover.execute(all, never))).toMatchObject({ success: false, retryCount: 0 })
  })

  it.each<[string, () => Error, FailoverOptions]>([
    ['refused', refused, {}],
    ['declared unsent by the error', () => Object.assign(new Error('pool is full'), { notSent: true }), {}],
    ['declared unsent by the caller', () => new Error('queue is full'), { neverSent: () => true }],
  ])('is repeated when it was %s', async (...[, makeError, options]) => {
    const { operation } = failingOn(['a:80'], makeError)
    expect(await setUp(options).failover.execute(all, operation)).toMatchObject({ success: true, value: 'b:80' })
  })

  it('is repeated whatever happened when the caller says that it may be', async () => {
    const { operation } = failingOn(['a:80'], reset)
    expect(await setUp().failover.execute(all, operation, { idempotent: true })).toMatchObject({ value: 'b:80' })
  })
})

describe('errors', () => {
  it('that are an answer end the call and count for the instance', async () => {
    const bench = setUp({ classify: () => 'answer', breakerThreshold: 1, failureThreshold: 1 })
    const { operation, calls } = failingOn(['a:80'], () => new Error('HTTP 404'))
    const result = await bench.failover.execute(all, operation, { idempotent: true })
    expect(result).toMatchObject({ success: false, because: 'it is an answer, not a failure', failedNodes: [] })
    expect([calls, bench.failover.breakers.state('a:80'), bench.failover.detector.status('a:80')]).toEqual([
      ['a:80'],
      'closed',
      'healthy',
    ])
  })

  it('that are not in the list are not retried, but count against the instance', async () => {
    const { failover } = setUp({ retryableErrors: ['timeout'], breakerThreshold: 1 })
    const result = await failover.execute(all, failingOn(['a:80']).operation, { idempotent: true })
    expect(result).toMatchObject({ success: false, because: 'the error is not one that another try can mend' })
    expect(failover.breakers.state('a:80')).toBe('open')
  })
})

describe('time', () => {
  it('of an attempt is up: its signal aborts and the next instance is tried', async () => {
    const { failover, clock } = setUp({ attemptTimeoutMs: 1_000 })
    let hung: AbortSignal | undefined
    const result = await settle(
      clock,
      failover.execute(
        all,
        (instance, attempt) => {
          if (instance.id !== 'a:80') return instance.id
          hung = attempt.signal
          return never()
        },
        { idempotent: true },
      ),
    )
    expect(result).toMatchObject({ success: true, value: 'b:80', durationMs: 1_000 })
    expect(hung?.reason).toMatchObject({ kind: 'timeout', message: 'no answer within 1 s' })
  })

  it('of the call is up: no attempt outlives it', async () => {
    const { failover, clock } = setUp({ attemptTimeoutMs: 1_000, totalTimeoutMs: 2_500, maxRetries: 10 })
    const result = await settle(clock, failover.execute(all, never, { idempotent: true }))
    expect(result).toMatchObject({
      success: false,
      durationMs: 2_500,
      because: 'the 2.5 s of the call are up',
      retryCount: 2,
    })
  })

  it('of the call is up: the instance whose attempt was cut short is not blamed', async () => {
    const { failover, clock } = setUp({ attemptTimeoutMs: 1_000, totalTimeoutMs: 1_100, breakerThreshold: 1 })
    await settle(clock, failover.execute(all, never, { idempotent: true }))
    expect([A, B].map(({ id }) => failover.breakers.state(id))).toEqual(['open', 'closed'])
  })

  it('of the call, shorter than that of an attempt, does not hide a hung instance', async () => {
    const { failover, clock } = setUp({ totalTimeoutMs: 500, breakerThreshold: 1 })
    await settle(clock, failover.execute(all, never, { idempotent: true }))
    expect(failover.breakers.state('a:80')).toBe('open')
  })

  it('is not waited for when it would be over before the wait is', async () => {
    const { failover } = setUp({ totalTimeoutMs: 500, retryIntervalMs: 600, retryStrategy: 'simple' })
    const result = await failover.execute([A], failingOn(['a:80']).operation)
    expect(result).toMatchObject({ success: false, durationMs: 0, because: 'the 500 ms of the call are up' })
  })

  it('limits of one call take the place of the general ones', async () => {
    const { failover, clock } = setUp()
    const result = await settle(clock, failover.execute([A], never, { attemptTimeoutMs: 50, totalTimeoutMs: 60 }), 10)
    expect(result).toMatchObject({ success: false, durationMs: 50 })
  })

  it.each([-3_600_000, 3_600_000])('stepped by %i ms on the wall clock changes nothing', async (stepMs) => {
    const { failover, clock } = setUp({ attemptTimeoutMs: 1_000, breakerThreshold: 1, breakerTimeoutMs: 10_000 })
    const call = failover.execute([A], never)
    clock.step(stepMs)
    expect(await settle(clock, call)).toMatchObject({ durationMs: 1_000 })
    clock.step(stepMs)
    expect(failover.breakers.of('a:80').isReady()).toBe(false)
    await clock.advance(10_000)
    expect(failover.breakers.of('a:80').isReady()).toBe(true)
  })
})

describe('a caller who gives up', () => {
  const giveUp = async (bench: Bench, operation: () => Promise<unknown>, options: CallOptions = {}) => {
    const controller = new AbortController()
    const call = bench.failover.execute(all, operation, { ...options, signal: controller.signal })
    await bench.clock.advance(10)
    controller.abort(new Error('enough'))
    const result = await call
    expect(getEventListeners(controller.signal, 'abort')).toEqual([])
    return result
  }

  it('ends the attempt at once, and no instance is blamed', async () => {
    const bench = setUp({ breakerThreshold: 1, failureThreshold: 1 })
    expect(await giveUp(bench, never, { idempotent: true })).toMatchObject({
      success: false,
      error: { message: 'enough' },
      because: 'the caller gave up',
      attempts: [{ outcome: 'cancelled' }],
      failedNodes: [],
    })
    expect([bench.failover.breakers.state('a:80'), bench.failover.detector.status('a:80')]).toEqual([
      'closed',
      'healthy',
    ])
  })

  it('ends the wait before a retry at once', async () => {
    const bench = setUp({ waitBeforeFailover: true, retryIntervalMs: 5_000 })
    const result = await giveUp(bench, () => Promise.reject(refused()))
    expect(result).toMatchObject({ success: false, durationMs: 10, because: 'the caller gave up' })
  })

  it('before the call is called nothing', async () => {
    const { operation, calls } = failingOn([])
    const result = await setUp().failover.execute(all, operation, { signal: AbortSignal.abort('no') })
    expect(result).toMatchObject({ success: false, error: 'no', retryCount: 0 })
    expect(calls).toEqual([])
  })

  it('leaves no listener behind after a call that went well or badly', async () => {
    const { failover } = setUp()
    const { signal } = new AbortController()
    await failover.execute(all, failingOn(['a:80']).operation, { signal })
    await failover.execute([A], failingOn(['a:80']).operation, { signal, idempotent: true, totalTimeoutMs: 1 })
    expect(getEventListeners(signal, 'abort')).toEqual([])
  })
})

describe('hedging', () => {
  const hedge = { delayMs: 250 }

  it('starts a second attempt when the first does not answer, and takes the first answer', async () => {
    const { failover, clock, events } = setUp({ hedge })
    const signals: Record<string, AbortSignal> = {}
    const result = await settle(
      clock,
      failover.execute(
        all,
        (instance, attempt) => {
          signals[instance.id] = attempt.signal
          return instance.id === 'a:80' ? never() : instance.id
        },
        { idempotent: true },
      ),
    )
    expect(result).toMatchObject({
      success: true,
      value: 'b:80',
      durationMs: 250,
      retryCount: 1,
      failedNodes: ['a:80'],
    })
    expect(result.attempts.map(({ instance, outcome }) => [instance, outcome])).toEqual([
      ['b:80', 'success'],
      ['a:80', 'overtaken'],
    ])
    expect(signals['a:80']?.aborted).toBe(true)
    expect(signals['b:80']?.aborted).toBe(false)
    expect(events.find(({ type }) => type === 'hedge')).toEqual({
      type: 'hedge',
      from: 'a:80',
      to: 'b:80',
      afterMs: 250,
    })
  })

  it('is not done for what is not idempotent', async () => {
    const { failover, clock } = setUp({ hedge, attemptTimeoutMs: 1_000 })
    const { operation, calls } = failingOn([])
    await settle(
      clock,
      failover.execute(all, (instance) => operation(instance).then(never)),
    )
    expect(calls).toEqual(['a:80'])
  })

  it('starts nothing when the first attempt answers in time', async () => {
    const { failover, clock } = setUp({ hedge })
    const { operation, calls } = failingOn([])
    await failover.execute(all, operation, { idempotent: true })
    await clock.advance(10_000)
    expect(calls).toEqual(['a:80'])
  })

  it('goes on to a retry when all of the attempts failed', async () => {
    const { failover, clock } = setUp({ hedge, attemptTimeoutMs: 1_000 })
    const operation = ({ id }: Instance) => (id === 'c:80' ? 'fine' : never())
    const result = await settle(clock, failover.execute(all, operation, { idempotent: true }))
    expect(result).toMatchObject({ success: true, value: 'fine', failedNodes: ['a:80', 'b:80'], retryCount: 2 })
  })

  it('starts as many as it may, one delay apart', async () => {
    const { failover, clock } = setUp({ hedge: { delayMs: 100, max: 2 } })
    const operation = ({ id }: Instance) => (id === 'c:80' ? 'fine' : never())
    const result = await settle(clock, failover.execute(all, operation, { idempotent: true }), 10)
    expect(result).toMatchObject({ success: true, durationMs: 200, failedNodes: ['a:80', 'b:80'] })
  })

  it('starts no more attempts than a call may have', async () => {
    const { failover, clock } = setUp({ hedge, maxRetries: 0, attemptTimeoutMs: 1_000 })
    const result = await settle(clock, failover.execute(all, never, { idempotent: true }))
    expect(result).toMatchObject({ success: false, retryCount: 0, failedNodes: ['a:80'] })
  })

  it('puts an instance out that is overtaken again and again', async () => {
    const { failover, clock } = setUp({ hedge })
    const operation = ({ id }: Instance) => (id === 'a:80' ? never() : id)
    for (let i = 0; i < 3; i += 1) await settle(clock, failover.execute(all, operation, { idempotent: true }))
    expect(failover.detector.status('a:80')).toBe('unhealthy')
    expect(await failover.execute(all, operation, { idempotent: true })).toMatchObject({ value: 'b:80', durationMs: 0 })
  })

  it('takes the failure of one for no verdict while another is under way', async () => {
    const { failover, clock } = setUp({ hedge })
    const operation = ({ id }: Instance) =>
      id === 'a:80' ? clock.sleep(1_000).then(() => 'late but fine') : Promise.reject(refused())
    const result = await settle(clock, failover.execute(all, operation, { idempotent: true }))
    expect(result).toMatchObject({ success: true, value: 'late but fine', durationMs: 1_000 })
  })
})

describe('instances that are out', () => {
  it('are passed over once they failed often enough, and the call costs nothing more', async () => {
    const bench = setUp({ failureThreshold: 3 })
    await failTimes(bench, A, 3)
    const { operation, calls } = failingOn(['a:80'])
    expect(await bench.failover.execute(all, operation)).toMatchObject({ value: 'b:80', retryCount: 0 })
    expect(calls).toEqual(['b:80'])
  })

  it('are refused by their breakers when all of them keep failing', async () => {
    const bench = setUp({ breakerThreshold: 2, breakerTimeoutMs: 10_000 })
    for (const instance of all) await failTimes(bench, instance, 2)
    const { operation, calls } = failingOn([])
    expect(await bench.failover.execute(all, operation)).toMatchObject({
      success: false,
      retryCount: 0,
      because: 'a:80 has its breaker open, b:80 has its breaker open, c:80 has its breaker open',
    })
    expect(calls).toEqual([])
  })

  it('are all used again when too many are out for their health, and the result says so', async () => {
    const bench = setUp({ failureThreshold: 1, maxEjectedRatio: 0.5 })
    await failTimes(bench, A, 1)
    const { operation } = failingOn([])
    expect(await bench.failover.execute(all, operation)).toMatchObject({ value: 'b:80', panic: false })
    await failTimes(bench, B, 1)
    expect(await bench.failover.execute(all, operation)).toMatchObject({ value: 'a:80', panic: true })
    expect(bench.events.filter(({ type }) => type === 'panic')).toEqual([
      { type: 'panic', active: true, out: 2, total: 3 },
    ])
  })

  it('stay out in a panic when they were isolated by hand', async () => {
    const { failover } = setUp({ maxEjectedRatio: 0 })
    failover.detector.isolate('a:80', 'maintenance')
    expect(await failover.execute([A, B], failingOn([]).operation)).toMatchObject({ value: 'b:80' })
    expect(await failover.execute([A], failingOn([]).operation)).toMatchObject({
      success: false,
      because: 'a:80 is isolated',
    })
    failover.detector.release('a:80')
    expect(await failover.execute([A], failingOn([]).operation)).toMatchObject({ value: 'a:80' })
  })
})

describe('recovery', () => {
  const out = async (options: FailoverOptions) => {
    const bench = setUp({ failureThreshold: 1, breakerTimeoutMs: 1_000, ...options })
    await failTimes(bench, A, 1)
    return bench
  }
  const callOnce = ({ failover, clock }: Bench, operation: (instance: Instance) => Promise<string>) =>
    settle(clock, failover.execute(all, operation), 1)

  it('gradual tries with one live call after a wait that doubles', async () => {
    const bench = await out({ recovery: 'gradual' })
    const { operation, calls } = failingOn(['a:80'])
    const triesAfter = async (ms: number) => {
      const before = calls.filter((id) => id === 'a:80').length
      await bench.clock.advance(ms)
      await callOnce(bench, operation)
      await callOnce(bench, operation)
      return calls.filter((id) => id === 'a:80').length - before
    }
    expect(await triesAfter(900)).toBe(0)
    expect(await triesAfter(200)).toBe(1)
    expect(await triesAfter(1_900)).toBe(0)
    expect(await triesAfter(200)).toBe(1)
    expect(await triesAfter(3_900)).toBe(0)
    expect(await triesAfter(200)).toBe(1)
  })

  it('tries with one live call at a time, however many are made', async () => {
    const bench = await out({ recovery: 'gradual', attemptTimeoutMs: 500 })
    await bench.clock.advance(1_000)
    const calls: string[] = []
    const operation = (instance: Instance) => {
      calls.push(instance.id)
      return instance.id === 'a:80' ? never() : instance.id
    }
    const many = Array.from({ length: 10 }, () => bench.failover.execute(all, operation, { idempotent: true }))
    await settle(bench.clock, Promise.all(many))
    expect(calls.filter((id) => id === 'a:80')).toHaveLength(1)
  })

  it('immediate tries at the next call', async () => {
    const bench = await out({ recovery: 'immediate' })
    const { operation, calls } = failingOn([])
    await callOnce(bench, operation)
    await callOnce(bench, operation)
    expect([calls, bench.failover.detector.status('a:80')]).toEqual([['a:80', 'a:80'], 'healthy'])
  })

  it('probing lets no live call reach the instance before its probes have passed', async () => {
    let answers = false
    let probes = 0
    const clock = createManualClock()
    const failover = createFailover({
      clock,
      recovery: 'probing',
      recoveryProbes: 4,
      breakerTimeoutMs: 1_000,
      detector: createHealthCheckDetector(
        async () => {
          probes += 1
          return answers ? { outcome: 'pass' } : { outcome: 'fail', because: 'not yet' }
        },
        { clock, policy: { fall: 1 } },
      ),
    })
    const bench = { clock, failover, events: [] }
    await failTimes(bench, A, 1)
    const { operation, calls } = failingOn([])
    await callOnce(bench, operation)
    expect(probes).toBe(0)
    await clock.advance(1_000)
    await callOnce(bench, operation)
    expect([probes, calls]).toEqual([1, ['b:80', 'b:80']])
    answers = true
    await clock.advance(1_000)
    await callOnce(bench, operation)
    expect([probes, failover.detector.status('a:80')]).toEqual([5, 'healthy'])
    await callOnce(bench, operation)
    expect(calls.at(-1)).toBe('a:80')
  })
})

describe('the retry budget', () => {
  it('stops retries when everything fails, and not the calls', async () => {
    const { failover } = setUp({
      maxRetries: 2,
      retryBudget: { ratio: 0.1, perSecond: 0, burst: 5 },
      breakerThreshold: 1e6,
      failureThreshold: 1e6,
      loss: { unhealthyRatio: 1, healthyRatio: 0, minimumResults: 1e6 },
    })
    const { operation, calls } = failingOn(['a:80', 'b:80', 'c:80'])
    let last
    for (let i = 0; i < 100; i += 1) last = await failover.execute(all, operation)
    // 100 calls, 5 saved retries and a tenth of 100.
    expect(calls.length).toBeGreaterThanOrEqual(100 + 14)
    expect(calls.length).toBeLessThanOrEqual(100 + 15)
    expect(last).toMatchObject({ because: 'the retry budget is used up: too many calls are being retried' })
  })
})

describe('events and metrics', () => {
  it('tell what happened, in order', async () => {
    const { failover, events } = setUp({ service: 'users', breakerThreshold: 1 })
    await failover.execute(all, failingOn(['a:80']).operation)
    expect(events.map(({ type }) => type)).toEqual([
      'breaker',
      'detection',
      'attempt',
      'retry',
      'failover',
      'attempt',
      'call',
    ])
    const { metrics } = failover
    expect([metrics?.retryCount('users'), metrics?.failoverCount('users')]).toEqual([1, 1])
    expect(metrics?.failovers('users')).toEqual([{ from: 'a:80', to: 'b:80', count: 1 }])
    expect(metrics?.breakerStats('a:80')).toEqual({ open: 1 })
    expect(metrics?.detectionStats('a:80')).toEqual({ suspect: 1 })
    expect(metrics?.averageLatencyMs('b:80')).toBe(0)
  })

  it('are not disturbed by a listener that throws, and it is counted', async () => {
    const errors: unknown[] = []
    const { failover } = setUp({ onListenerError: (error) => errors.push(error) })
    failover.on(() => {
      throw new Error('listener is broken')
    })
    expect(await failover.execute(all, failingOn(['a:80']).operation)).toMatchObject({ success: true })
    expect(errors).toHaveLength(6)
    expect(failover.prometheus()).toContain('opskit_failover_listener_errors_total 6\n')
  })

  it('are told of a detector that the caller made, until the failover is closed', async () => {
    const clock = createManualClock()
    const detector = createHealthCheckDetector(async () => ({ outcome: 'pass' }), { clock })
    const { failover, events } = setUp({ clock, detector })
    detector.isolate('a:80', 'maintenance')
    expect(events).toEqual([
      {
        type: 'detection',
        instance: 'a:80',
        from: 'healthy',
        to: 'isolated',
        because: 'isolated by hand: maintenance',
      },
    ])
    await failover.close()
    detector.release('a:80')
    expect(events).toHaveLength(1)
  })

  it('end with the subscription, one subscription at a time', async () => {
    const { failover } = setUp()
    let heard = 0
    const listener = () => void (heard += 1)
    const stops = [failover.on(listener), failover.on(listener)]
    await failover.execute(all, failingOn([]).operation)
    expect(heard).toBe(4)
    stops[0]?.()
    stops[0]?.()
    await failover.execute(all, failingOn([]).operation)
    expect(heard).toBe(6)
    stops[1]?.()
    await failover.execute(all, failingOn([]).operation)
    expect(heard).toBe(6)
  })
})

describe('saved state', () => {
  it('keeps an instance out in the next process, for the rest of the time', async () => {
    const bench = setUp({ breakerThreshold: 2, breakerTimeoutMs: 10_000 })
    await failTimes(bench, A, 2)
    const text = JSON.stringify(bench.failover.save())
    const second = setUp({ breakerThreshold: 2, breakerTimeoutMs: 10_000 })
    second.failover.restore(JSON.parse(text), 4_000)
    const { operation } = failingOn([])
    expect(await second.failover.execute(all, operation)).toMatchObject({ value: 'b:80' })
    await second.clock.advance(6_000)
    expect(await second.failover.execute(all, operation)).toMatchObject({ value: 'a:80' })
    expect(second.failover.metrics?.breakerStats('a:80')).toMatchObject({ open: 1 })
  })

  it('lets an instance that is out be tried in time, although each process lives only for a moment', async () => {
    const options = { failureThreshold: 1, breakerTimeoutMs: 1_000, recovery: 'gradual' } as const
    const first = setUp(options)
    await failTimes(first, A, 1)
    let saved: unknown = JSON.parse(JSON.stringify(first.failover.save()))
    const nextProcess = async (elapsedMs: number) => {
      const { failover } = setUp(options)
      failover.restore(saved, elapsedMs)
      const { operation, calls } = failingOn(['a:80'])
      await failover.execute(all, operation)
      saved = JSON.parse(JSON.stringify(failover.save()))
      return calls[0]
    }
    expect(await nextProcess(600)).toBe('b:80')
    expect(await nextProcess(600)).toBe('a:80')
    expect(await nextProcess(1_200)).toBe('b:80')
    expect(await nextProcess(1_200)).toBe('a:80')
  })

  it('is refused as a whole when a part of it is wrong', async () => {
    const bench = setUp({ breakerThreshold: 1 })
    await failTimes(bench, A, 1)
    const saved = { ...bench.failover.save(), health: { 'a:80': { health: 'bad' } } }
    const second = setUp()
    expect(() => second.failover.restore(saved, 0)).toThrow('saved health: health is not an object')
    expect(second.failover.breakers.state('a:80')).toBe('closed')
    expect(() => second.failover.restore({ version: 2 }, 0)).toThrow('saved failover: version is not')
  })
})

describe('memory', () => {
  it('forgets instances that nobody calls any more, with their health and metrics', async () => {
    const { failover, clock } = setUp({ maxInstances: 10, forgetMs: 60_000 })
    const { operation } = failingOn([])
    for (let i = 0; i < 200; i += 1) {
      await failover.execute([{ id: `pod-${i}`, address: 'x:1' }], operation)
      await clock.advance(1)
    }
    expect(failover.detector.read('pod-0')).toBeUndefined()
    expect(failover.prometheus()).not.toContain('pod-0')
    const saved = failover.save()
    expect(Object.keys(saved.breakers).length).toBeLessThanOrEqual(11)
    expect(Object.keys(saved.health).length).toBeLessThanOrEqual(11)
    expect(saved.metrics?.latencies.length).toBeLessThanOrEqual(11)

    await clock.advance(60_001)
    await failover.execute([A], operation)
    expect(Object.keys(failover.save().breakers)).toEqual(['a:80'])
  })
})

describe('options that make no sense', () => {
  it.each<[FailoverOptions, string]>([
    [{ attemptTimeoutMs: 0 }, 'attemptTimeoutMs is 0'],
    [{ totalTimeoutMs: Number.NaN }, 'totalTimeoutMs is NaN'],
    [{ maxEjectedRatio: 2 }, 'maxEjectedRatio is 2'],
    [{ hedge: { delayMs: -1 } }, 'hedge.delayMs is -1'],
    [{ selection: 'worst' as never }, 'selection is worst'],
    [{ maxRetries: 0.5 }, 'maxRetries is 0.5'],
    [{ failureThreshold: 0 }, 'fall is 0'],
  ])('%j is refused by name', (options, message) => {
    expect(() => createFailover(options)).toThrow(message)
  })

  it('of one call are refused too', async () => {
    await expect(setUp().failover.execute(all, failingOn([]).operation, { attemptTimeoutMs: -1 })).rejects.toThrow(
      'attemptTimeoutMs is -1',
    )
  })
})

import { getEventListeners } from 'node:events'
import { describe, expect, it } from 'vitest'
import { createManualClock } from '../../scripts/lib/core/clock.ts'
import {
  createBreaker,
  isFailoverError,
  type Breaker,
  type BreakerChange,
  type BreakerOptions,
} from '../../scripts/lib/resilience/index.ts'

function setUp(options: BreakerOptions = {}) {
  const clock = createManualClock()
  const changes: BreakerChange[] = []
  const breaker = createBreaker({ name: 'db-1', ...options }, { clock, onChange: (change) => changes.push(change) })
  return { clock, breaker, changes }
}

function fail(breaker: Breaker, times = 1) {
  for (let i = 0; i < times; i += 1) breaker.record(breaker.tryAcquire(), 'failure', { error: new Error('refused') })
}

function succeed(breaker: Breaker, times = 1) {
  for (let i = 0; i < times; i += 1) breaker.record(breaker.tryAcquire(), 'success')
}

describe('a closed breaker', () => {
  it('opens at the threshold of failures in a row, and says why and for how long', async () => {
    const { breaker, changes } = setUp({ failureThreshold: 3, openMs: 10_000 })
    fail(breaker, 2)
    expect(breaker.state.state).toBe('closed')
    fail(breaker)
    expect(breaker.state).toMatchObject({ state: 'open', opens: 1, because: '3 failures in a row: refused' })
    expect(changes).toEqual([{ name: 'db-1', from: 'closed', to: 'open', because: '3 failures in a row: refused' }])
    await expect(breaker.run(() => 1)).rejects.toMatchObject({
      kind: 'open',
      message: 'db-1 is not called: 3 failures in a row: refused',
      details: { hint: 'It is tried again 10 s after it opened.', transient: true },
    })
  })

  it('starts counting again after a success', () => {
    const { breaker } = setUp({ failureThreshold: 3 })
    for (let i = 0; i < 10; i += 1) {
      fail(breaker, 2)
      succeed(breaker)
    }
    expect(breaker.state.state).toBe('closed')
  })

  it('does not open by a share of failures before it has seen enough calls', () => {
    const { breaker } = setUp({ failureThreshold: Infinity, failureRate: 0.5, minimumCalls: 10 })
    fail(breaker, 9)
    expect(breaker.state.state).toBe('closed')
    fail(breaker)
    expect(breaker.state).toMatchObject({ state: 'open', because: '100 % of 10 calls failed: refused' })
  })

  it('forgets failures that are older than the window', async () => {
    const { breaker, clock } = setUp({ failureThreshold: Infinity, failureRate: 0.5, minimumCalls: 4, windowMs: 1_000 })
    fail(breaker, 3)
    await clock.advance(1_100)
    fail(breaker, 3)
    expect(breaker.state.state).toBe('closed')
    fail(breaker)
    expect(breaker.state.state).toBe('open')
  })

  it('counts the last calls where the window is in calls', () => {
    const { breaker } = setUp({ failureThreshold: Infinity, failureRate: 0.5, windowCalls: 4 })
    fail(breaker)
    succeed(breaker, 4)
    fail(breaker)
    expect(breaker.state.state).toBe('closed')
    fail(breaker)
    expect(breaker.state.state).toBe('open')
  })

  it('opens by a share of slow calls although none failed', () => {
    const { breaker } = setUp({ slowRate: 0.5, slowCallMs: 100, minimumCalls: 4 })
    for (const durationMs of [10, 100, 99, 250]) {
      breaker.record(breaker.tryAcquire(), 'success', { durationMs })
    }
    expect(breaker.state).toMatchObject({ state: 'open', because: '50 % of 4 calls were slow or failed' })
  })
})

describe('an open breaker', () => {
  it('lets nothing through until its time is over, whatever the wall clock does', async () => {
    const { breaker, clock } = setUp({ failureThreshold: 1, openMs: 60_000 })
    fail(breaker)
    clock.step(86_400_000)
    expect([breaker.isReady(), breaker.tryAcquire()]).toEqual([false, 0])
    clock.step(-2 * 86_400_000)
    await clock.advance(59_999)
    expect(breaker.tryAcquire()).toBe(0)
    await clock.advance(1)
    expect(breaker.isReady()).toBe(true)
    expect(breaker.tryAcquire()).toBeGreaterThan(0)
    expect(breaker.state.state).toBe('half-open')
  })

  it('gives all callers the same error, without a stack', async () => {
    const { breaker } = setUp({ failureThreshold: 1 })
    fail(breaker)
    const [a, b] = await Promise.allSettled([breaker.run(() => 1), breaker.run(() => 1)])
    const [first, second] = [a, b].map((result) =>
      result.status === 'rejected' ? (result.reason as Error) : undefined,
    )
    expect(first).toBe(second)
    expect(first?.stack?.split('\n')).toHaveLength(1)
  })

  it('is not disturbed by a listener that throws', async () => {
    const heard: unknown[] = []
    const breaker = createBreaker(
      { failureThreshold: 1 },
      {
        onChange: () => {
          throw new Error('listener is broken')
        },
        onListenerError: (error) => heard.push(error),
      },
    )
    await expect(breaker.run(() => Promise.reject(new Error('refused')))).rejects.toThrow('refused')
    expect([breaker.state.state, heard.length]).toEqual(['open', 1])
  })

  it('opened by hand stays open until it is reset by hand', async () => {
    const { breaker, clock } = setUp()
    breaker.trip('maintenance')
    await clock.advance(1e12)
    expect(breaker.tryAcquire()).toBe(0)
    await expect(breaker.run(() => 1)).rejects.toThrow('db-1 is not called: by hand: maintenance')
    breaker.reset()
    await expect(breaker.run(() => 1)).resolves.toBe(1)
  })
})

describe('a half-open breaker', () => {
  async function halfOpen(options: BreakerOptions) {
    const parts = setUp({ failureThreshold: 1, openMs: 1_000, ...options })
    fail(parts.breaker)
    await parts.clock.advance(1_000)
    return parts
  }

  it('lets only its quota of probes through at once', async () => {
    const { breaker } = await halfOpen({ probes: 3 })
    const permits = Array.from({ length: 20 }, () => breaker.tryAcquire())
    expect(permits.filter((permit) => permit > 0)).toHaveLength(3)
    await expect(breaker.run(() => 1)).rejects.toThrow('its probes have not ended yet')
  })

  it('closes when its probes succeed', async () => {
    const { breaker, changes } = await halfOpen({ probes: 2 })
    succeed(breaker)
    expect(breaker.state.state).toBe('half-open')
    succeed(breaker)
    expect(changes.at(-1)).toMatchObject({ from: 'half-open', to: 'closed', because: '2 of 2 probes succeeded' })
  })

  it('opens again at any failure when all probes must succeed, for longer each time', async () => {
    const { breaker, clock } = await halfOpen({ probes: 3, openMs: (opens) => opens * 1_000 })
    succeed(breaker)
    fail(breaker)
    expect(breaker.state).toMatchObject({ state: 'open', opens: 2, because: '1 of 3 probes failed: refused' })
    await clock.advance(1_999)
    expect(breaker.isReady()).toBe(false)
    await clock.advance(1)
    expect(breaker.isReady()).toBe(true)
  })

  it('bears as many failures as its quota of successes allows', async () => {
    const { breaker } = await halfOpen({ probes: 3, probeSuccesses: 2 })
    fail(breaker)
    expect(breaker.state.state).toBe('half-open')
    succeed(breaker, 2)
    expect(breaker.state.state).toBe('closed')
  })

  it('gives the probe of a caller who gave up to the next one', async () => {
    const { breaker } = await halfOpen({ probes: 1 })
    const permit = breaker.tryAcquire()
    expect(breaker.isReady()).toBe(false)
    breaker.cancel(permit)
    expect(breaker.isReady()).toBe(true)
  })

  it('opens again when a probe never ends', async () => {
    const { breaker, clock } = await halfOpen({ probes: 1, probeTimeoutMs: 5_000 })
    breaker.tryAcquire()
    await clock.advance(5_000)
    expect(breaker.tryAcquire()).toBe(0)
    expect(breaker.state).toMatchObject({ state: 'open', because: 'a probe did not end within 5 s', opens: 2 })
  })

  it('takes no notice of calls that began before it opened', async () => {
    const { breaker, clock } = setUp({ failureThreshold: 1, openMs: 1_000, probes: 1 })
    const [early, late] = [breaker.tryAcquire(), breaker.tryAcquire()]
    fail(breaker)
    await clock.advance(1_000)
    const probe = breaker.tryAcquire()
    breaker.record(early, 'failure')
    breaker.record(late, 'success')
    expect(breaker.state.state).toBe('half-open')
    breaker.record(probe, 'success')
    expect(breaker.state.state).toBe('closed')
  })

  it('takes a slow probe for a failed one where slow calls count', async () => {
    const { breaker } = await halfOpen({ probes: 1, slowRate: 0.5, slowCallMs: 100 })
    breaker.record(breaker.tryAcquire(), 'success', { durationMs: 500 })
    expect(breaker.state.state).toBe('open')
  })
})

describe('a call through a breaker', () => {
  it('ends at its limit with a timeout that counts as a failure, and its signal aborts', async () => {
    const { breaker, clock } = setUp({ failureThreshold: 1, timeoutMs: 500 })
    let signal: AbortSignal | undefined
    const call = breaker.run((attempt) => {
      signal = attempt.signal
      return new Promise(() => undefined)
    })
    const outcome = expect(call).rejects.toMatchObject({ kind: 'timeout', message: 'no answer within 500 ms' })
    await clock.advance(499)
    expect(signal?.aborted).toBe(false)
    await clock.advance(1)
    await outcome
    expect(isFailoverError(signal?.reason, 'timeout')).toBe(true)
    expect(breaker.state.state).toBe('open')
  })

  it('aborts a signal that is read only after the end', async () => {
    const { breaker, clock } = setUp({ timeoutMs: 500 })
    let read: () => AbortSignal = () => new AbortController().signal
    const call = breaker.run((attempt) => {
      read = () => attempt.signal
      return new Promise(() => undefined)
    })
    const outcome = expect(call).rejects.toThrow()
    await clock.advance(500)
    await outcome
    expect(read().aborted).toBe(true)
  })

  it.each([new Error('enough'), null, 0, 'text'])(
    'given up by its caller with %s is nobody’s failure',
    async (reason) => {
      const { breaker } = setUp({ failureThreshold: 1 })
      const controller = new AbortController()
      const call = breaker.run(() => new Promise(() => undefined), { signal: controller.signal })
      const outcome = call.then(
        () => 'resolved',
        (error: unknown) => error,
      )
      controller.abort(reason)
      expect(await outcome).toBe(reason)
      expect(breaker.state.state).toBe('closed')
      expect(getEventListeners(controller.signal, 'abort')).toEqual([])
    },
  )

  it('leaves no listener on the caller’s signal, however it ends', async () => {
    const { breaker } = setUp()
    const { signal } = new AbortController()
    await breaker.run(() => 1, { signal })
    await breaker.run(async () => 1, { signal })
    await expect(breaker.run(() => Promise.reject(new Error('no')), { signal })).rejects.toThrow('no')
    expect(getEventListeners(signal, 'abort')).toEqual([])
  })

  it('counts an operation that throws before it returns a promise', async () => {
    const { breaker } = setUp({ failureThreshold: 2, timeoutMs: 1_000 })
    const broken = () => {
      throw new Error('at once')
    }
    await expect(breaker.run(broken)).rejects.toThrow('at once')
    await expect(breaker.run(broken)).rejects.toThrow('at once')
    expect(breaker.state.state).toBe('open')
  })

  it('ignores what comes after the end', async () => {
    const { breaker, clock } = setUp({ failureThreshold: 2, timeoutMs: 100 })
    let finish: (value: number) => void = () => undefined
    const call = breaker.run(() => new Promise<number>((resolve) => (finish = resolve)))
    const outcome = expect(call).rejects.toThrow('no answer')
    await clock.advance(100)
    await outcome
    finish(1)
    await clock.advance(1)
    fail(breaker)
    expect(breaker.state.state).toBe('open')
  })
})

describe('a saved breaker', () => {
  const copy = (breaker: Breaker, options: BreakerOptions, elapsedMs: number) => {
    const parts = setUp(options)
    parts.breaker.restore(JSON.parse(JSON.stringify(breaker.save())), elapsedMs)
    return parts
  }

  it('stays open for the rest of its time', async () => {
    const { breaker, clock } = setUp({ failureThreshold: 1, openMs: 10_000 })
    fail(breaker)
    await clock.advance(2_000)
    const second = copy(breaker, {}, 3_000)
    await second.clock.advance(4_999)
    expect(second.breaker.isReady()).toBe(false)
    await second.clock.advance(1)
    expect(second.breaker.isReady()).toBe(true)
    expect(second.changes).toEqual([])
  })

  it('remembers failures in a row and the window', () => {
    const options: BreakerOptions = { failureThreshold: 3, failureRate: 0.9, minimumCalls: 6 }
    const { breaker } = setUp(options)
    fail(breaker, 2)
    const second = copy(breaker, options, 0)
    fail(second.breaker)
    expect(second.breaker.state.state).toBe('open')

    const third = copy(breaker, { ...options, failureThreshold: Infinity }, 0)
    fail(third.breaker, 3)
    expect(third.breaker.state.state).toBe('closed')
    fail(third.breaker)
    expect(third.breaker.state.state).toBe('open')
  })

  it('stays open by hand', async () => {
    const { breaker } = setUp()
    breaker.trip('by hand')
    const second = copy(breaker, {}, 1e12)
    expect(second.breaker.isReady()).toBe(false)
  })

  it('that was half-open is probed again', async () => {
    const { breaker, clock } = setUp({ failureThreshold: 1, openMs: 1_000 })
    fail(breaker)
    await clock.advance(1_000)
    breaker.tryAcquire()
    expect(copy(breaker, {}, 0).breaker.tryAcquire()).toBeGreaterThan(0)
  })

  it.each<[string, unknown]>([
    ['breaker is not an object', 'closed'],
    ['state is not one of', { ageMs: 0, state: 'ajar' }],
    ['leftMs is not a number', { ageMs: 0, state: 'open', leftMs: 'soon', because: '', opens: 1 }],
    ['slots is not a list', { ageMs: 0, state: 'closed', failuresInARow: 0 }],
  ])('is refused where %s', (message, value) => {
    const { breaker } = setUp({ failureRate: 0.5 })
    expect(() => breaker.restore(value, 0)).toThrow(message)
  })
})

describe('breaker options that make no sense', () => {
  it.each<[BreakerOptions, string]>([
    [{ failureThreshold: 0 }, 'failureThreshold is 0'],
    [{ failureRate: 1.1 }, 'failureRate is 1.1'],
    [{ slowRate: 0.5 }, 'slowCallMs is undefined'],
    [{ probes: 2, probeSuccesses: 3 }, 'probeSuccesses is 3'],
    [{ windowCalls: 5, minimumCalls: 6 }, 'minimumCalls is 6'],
    [{ openMs: 0 }, 'openMs is 0'],
    [{ timeoutMs: Number.NaN }, 'timeoutMs is NaN'],
  ])('%j is refused by name', (options, message) => {
    expect(() => createBreaker(options)).toThrow(message)
  })
})

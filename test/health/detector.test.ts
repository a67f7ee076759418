import { describe, expect, it } from 'vitest'
import {
  createHealthPolicy,
  isolate,
  isUsable,
  observe,
  release,
  startHealth,
  type HealthPolicy,
  type HealthPolicyOptions,
  type ProbeResult,
  type TargetHealth,
} from '../../scripts/lib/health/index.ts'

const pass: ProbeResult = { outcome: 'pass', latencyMs: 10 }
const fail: ProbeResult = { outcome: 'fail', because: 'refused' }

/** Feeds results one `everyMs` apart and tells state and reason after each. */
function run(results: readonly ProbeResult[], options: HealthPolicyOptions = {}, everyMs = 1_000) {
  const policy = createHealthPolicy(options)
  let target = startHealth(0)
  return results.map((result, i) => {
    const observation = observe(target, result, (i + 1) * everyMs, policy)
    target = observation.target
    return [target.health.state, observation.because]
  })
}

/** Takes a target out `times` times, bringing it back in between, and returns the last record and the time. */
function flap(times: number, policy: HealthPolicy): { target: TargetHealth; nowMs: number } {
  let target = startHealth(0)
  let nowMs = 0
  const feed = (result: ProbeResult, stepMs: number) => {
    nowMs += stepMs
    target = observe(target, result, nowMs, policy).target
  }
  for (let i = 0; i < times; i += 1) {
    while (!isUsable(target)) feed(pass, 1_000)
    for (let f = 0; f < policy.fall; f += 1) feed(fail, 100)
  }
  return { target, nowMs }
}

describe('the failure detector', () => {
  it('goes from healthy over suspect to unhealthy and back, and says why at each step', () => {
    expect(run([pass, fail, fail, fail, pass, pass])).toEqual([
      ['healthy', 'passes'],
      ['suspect', '1 of 3 failures in a row: refused'],
      ['suspect', '2 of 3 failures in a row: refused'],
      ['unhealthy', '3 failures in a row: refused'],
      ['unhealthy', '1 of 2 passes in a row'],
      ['healthy', '2 passes in a row, was out for 2 s'],
    ])
  })

  it('clears a suspicion with one pass', () => {
    expect(run([fail, fail, pass]).at(-1)).toEqual(['healthy', 'passes again after 2 failures in a row'])
  })

  it('starts the count of passes again at each failure', () => {
    expect(run([fail, fail, fail, pass, fail, pass, pass]).map(([state]) => state)).toEqual([
      'suspect',
      'suspect',
      'unhealthy',
      'unhealthy',
      'unhealthy',
      'unhealthy',
      'healthy',
    ])
  })

  it('does not add up failures that are further apart than the window', () => {
    expect(run([fail, fail, fail, fail], { windowMs: 500 }).map(([state]) => state)).toEqual(Array(4).fill('suspect'))
  })

  it('takes one decisive failure for enough', () => {
    expect(run([{ outcome: 'fail', because: 'carrier lost', decisive: true }])).toEqual([['unhealthy', 'carrier lost']])
  })

  it('draws no conclusion from a look that could not be made', () => {
    const policy = createHealthPolicy()
    const before = observe(startHealth(0), fail, 1, policy).target
    const after = observe(before, { outcome: 'unknown', because: 'own link is down' }, 2, policy)
    expect(after).toEqual({ target: before, because: 'no evidence: own link is down' })
  })

  it('reports a change of state only when there is one', () => {
    const policy = createHealthPolicy()
    const first = observe(startHealth(0), fail, 1, policy)
    expect(first.changed).toEqual({ from: 'healthy', to: 'suspect' })
    expect(observe(first.target, fail, 2, policy).changed).toBeUndefined()
  })

  it('makes a target that nobody has seen pass before it is used, when told to', () => {
    const policy = createHealthPolicy({ rise: 1 })
    const target = startHealth(0, 'unhealthy')
    expect(isUsable(target)).toBe(false)
    expect(isUsable(observe(target, pass, 1, policy).target)).toBe(true)
  })

  it('smooths the latency of passes', () => {
    const policy = createHealthPolicy()
    const first = observe(startHealth(0), pass, 1, policy).target
    expect(first.latencyMs).toBe(10)
    expect(observe(first, { outcome: 'pass', latencyMs: 50 }, 2, policy).target.latencyMs).toBe(20)
  })
})

describe('loss', () => {
  const loss = { unhealthyRatio: 0.4, healthyRatio: 0.1, minimumResults: 10 }

  it('puts out a target that loses half of everything although no three failures come in a row', () => {
    const halves = Array.from({ length: 12 }, (_, i) => (i % 2 ? fail : pass))
    const seen = run(halves, { loss })
    expect(seen[8]?.[0]).toBe('healthy')
    expect(seen[9]).toEqual(['unhealthy', '50 % of 10 results failed, limit 40 %'])
  })

  it('does not decide on fewer results than the minimum', () => {
    const seen = run([fail, pass, fail, pass, fail, pass, fail, pass, fail], { loss })
    expect(seen.every(([state]) => state === 'suspect' || state === 'healthy')).toBe(true)
  })

  it('brings it back only when loss is low, not at the edge where it went out', () => {
    const lossy = Array.from({ length: 10 }, (_, i) => (i % 2 ? fail : pass))
    const seen = run([...lossy, ...Array<ProbeResult>(10).fill(pass)], { loss })
    expect(seen[12]).toEqual(['unhealthy', 'passes, loss is 0 %, back at 10 %'])
    expect(seen.at(-1)?.[0]).toBe('healthy')
  })

  it('does not make an outage of failures in a row wait for the loss to fade', () => {
    const seen = run([...Array<ProbeResult>(20).fill(fail), pass, pass], { loss })
    expect(seen.at(-1)?.[0]).toBe('healthy')
  })
})

describe('flapping', () => {
  const policy = createHealthPolicy({
    fall: 1,
    rise: 1,
    flap: { limit: 4, halfLifeMs: 3_600_000, holdMs: 5_000, maxHoldMs: 60_000 },
  })

  it('lets the first outage end at once and holds each further one twice as long', () => {
    const holds = [1, 2, 3].map((times) => {
      const { target, nowMs } = flap(times, policy)
      return target.health.state === 'unhealthy' ? target.health.heldUntilMs - nowMs : target.health.state
    })
    expect(holds).toEqual([0, 5_000, 10_000])
  })

  it('isolates a target that went out too often, and says so', () => {
    const { target, nowMs } = flap(4, policy)
    expect(target.health).toMatchObject({ state: 'isolated', by: 'flapping', heldUntilMs: nowMs + 20_000 })
    expect(observe(target, pass, nowMs + 1_000, policy).because).toBe(
      'passes, held for 19 s more: it went out 4 times lately',
    )
    expect(observe(target, pass, nowMs + 20_000, policy).target.health.state).toBe('healthy')
  })

  it('forgets old outages', () => {
    const { target, nowMs } = flap(3, policy)
    const back = observe(target, pass, nowMs + 3_600_000 * 3, policy).target
    const again = observe(back, fail, nowMs + 3_600_000 * 3 + 1, policy).target.health
    expect(again).toMatchObject({ state: 'unhealthy', heldUntilMs: nowMs + 3_600_000 * 3 + 1 })
  })

  it('never holds longer than the longest hold', () => {
    const { target, nowMs } = flap(20, policy)
    expect(target.health).toMatchObject({ state: 'isolated', heldUntilMs: nowMs + 60_000 })
  })
})

describe('isolation by hand', () => {
  const policy = createHealthPolicy()

  it('keeps a target out whatever it answers, until it is released on probation', () => {
    const isolated = isolate(startHealth(0), 5, 'disk is being replaced')
    expect(isolated.because).toBe('isolated by hand: disk is being replaced')
    const passing = observe(isolated.target, pass, 1e9, policy)
    expect([passing.target.health.state, passing.because]).toEqual(['isolated', 'passes, but is isolated by hand'])

    const released = release(passing.target, 1e9, policy)
    expect(released.target.health.state).toBe('suspect')
    expect(observe(released.target, fail, 1e9 + 1, policy).target.health.state).toBe('unhealthy')
    expect(observe(released.target, pass, 1e9 + 1, policy).target.health.state).toBe('healthy')
  })

  it('releases nothing that is not out', () => {
    const target = startHealth(0)
    expect(release(target, 5, policy)).toEqual({ target, because: 'was not out' })
  })
})

describe('a policy that makes no sense', () => {
  it.each<[HealthPolicyOptions, string]>([
    [{ fall: 0 }, 'fall is 0'],
    [{ rise: 1.5 }, 'rise is 1.5'],
    [{ windowMs: Number.NaN }, 'windowMs is NaN'],
    [{ loss: { unhealthyRatio: 0.1, healthyRatio: 0.2, minimumResults: 1 } }, 'loss.healthyRatio is 0.2'],
    [{ loss: { unhealthyRatio: 2, healthyRatio: 0.2, minimumResults: 1 } }, 'loss.unhealthyRatio is 2'],
    [{ flap: { limit: 1 } }, 'flap.limit is 1'],
    [{ flap: { holdMs: 10, maxHoldMs: 5 } }, 'flap.maxHoldMs is 5'],
  ])('%j is refused by name', (options, message) => {
    expect(() => createHealthPolicy(options)).toThrow(message)
  })
})

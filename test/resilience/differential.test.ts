/**
 * Against cockatiel, where both mean the same. Where they do not, the difference is on purpose: cockatiel opens above its
 * ratio and ours at it (so the ratios here are ones that no count can hit), and it decides by the wall clock, which is
 * therefore moved along here.
 */
import {
  BrokenCircuitError,
  circuitBreaker,
  ConsecutiveBreaker,
  CountBreaker,
  ExponentialBackoff,
  handleAll,
  noJitterGenerator,
  SamplingBreaker,
  type IBackoff,
  type IBreaker,
} from 'cockatiel'
import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { createManualClock } from '../../scripts/lib/core/clock.ts'
import {
  createBreaker,
  createRetryPolicy,
  isFailoverError,
  type BreakerOptions,
} from '../../scripts/lib/resilience/index.ts'

interface Step {
  readonly fails: boolean
  readonly afterMs: number
}

const steps = (maxGapMs: number, maxLength = 60) =>
  fc.array(fc.record<Step>({ fails: fc.boolean(), afterMs: fc.integer({ min: 0, max: maxGapMs }) }), { maxLength })

const OPEN_MS = 1_000

/** What each of the two did with each call: made it, or refused it. */
async function playBoth(theirs: IBreaker, ours: BreakerOptions, sequence: readonly Step[], untilOpen = false) {
  const clock = createManualClock(Date.now())
  const policy = circuitBreaker(handleAll, { halfOpenAfter: OPEN_MS, breaker: theirs })
  const breaker = createBreaker({ ...ours, openMs: OPEN_MS, probes: 1 }, { clock })
  const seen: [theirs: string, ours: string][] = []
  for (const { fails, afterMs } of sequence) {
    vi.setSystemTime(Date.now() + afterMs)
    await clock.advance(afterMs)
    const operation = () => (fails ? Promise.reject(new Error('refused')) : Promise.resolve('fine'))
    const [a, b] = await Promise.all([
      policy.execute(operation).catch((error: unknown) => (error instanceof BrokenCircuitError ? 'open' : 'failed')),
      breaker.run(operation).catch((error: unknown) => (isFailoverError(error, 'open') ? 'open' : 'failed')),
    ])
    seen.push([a, b])
    if (untilOpen && (a === 'open' || b === 'open')) break
  }
  return seen
}

const same = (seen: [string, string][]) => expect(seen.map(([, ours]) => ours)).toEqual(seen.map(([theirs]) => theirs))

beforeEach(() => void vi.useFakeTimers({ toFake: ['Date'], now: Date.UTC(2026, 0, 1) }))
afterEach(() => void vi.useRealTimers())

describe('the same calls are made and refused as by cockatiel', () => {
  it('with a breaker of failures in a row, over any number of openings', async () => {
    await fc.assert(
      fc.asyncProperty(steps(700), fc.integer({ min: 1, max: 5 }), async (sequence, threshold) => {
        same(await playBoth(new ConsecutiveBreaker(threshold), { failureThreshold: threshold }, sequence))
      }),
      { numRuns: 60 },
    )
  })

  it('with a breaker that looks at the last calls, up to its first opening', async () => {
    await fc.assert(
      fc.asyncProperty(steps(700), fc.integer({ min: 1, max: 12 }), async (sequence, minimumCalls) => {
        const theirs = new CountBreaker({ threshold: 0.51, size: 12, minimumNumberOfCalls: minimumCalls })
        const ours = { failureThreshold: Infinity, failureRate: 0.51, windowCalls: 12, minimumCalls }
        same(await playBoth(theirs, ours, sequence, true))
      }),
      { numRuns: 60 },
    )
  })

  it('with a breaker that looks at a span of time, while nothing is old enough to be forgotten', async () => {
    await fc.assert(
      fc.asyncProperty(steps(150), async (sequence) => {
        const theirs = new SamplingBreaker({ threshold: 0.51, duration: 10_000, minimumRps: 1 })
        const ours = { failureThreshold: Infinity, failureRate: 0.51, windowMs: 10_000, minimumCalls: 10 }
        same(await playBoth(theirs, ours, sequence, true))
      }),
      { numRuns: 60 },
    )
  })
})

describe('the same waits as cockatiel', () => {
  it('with exponential backoff and no jitter', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 5_000 }), fc.integer({ min: 5_000, max: 60_000 }), (first, cap) => {
        const policy = createRetryPolicy({
          strategy: 'exponential',
          retryIntervalMs: first,
          maxBackoffMs: cap,
          maxRetries: 20,
        })
        let theirs: IBackoff<unknown> = new ExponentialBackoff({
          generator: noJitterGenerator,
          initialDelay: first,
          maxDelay: cap,
        }).next()
        for (let attempt = 1; attempt <= 12; attempt += 1) {
          expect(policy.backoffMs(attempt)).toBe(theirs.duration)
          theirs = theirs.next(undefined)
        }
      }),
    )
  })
})

describe('where cockatiel is mistaken', () => {
  it('a wall clock that steps back keeps its breaker open and not ours', async () => {
    const clock = createManualClock(Date.now())
    const policy = circuitBreaker(handleAll, { halfOpenAfter: 200, breaker: new ConsecutiveBreaker(1) })
    const breaker = createBreaker({ failureThreshold: 1, openMs: 200, probes: 1 }, { clock })
    const refuse = () => Promise.reject(new Error('refused'))
    await Promise.allSettled([policy.execute(refuse), breaker.run(refuse)])
    clock.step(-3_600_000)
    await clock.advance(200)
    vi.setSystemTime(clock.now())
    await expect(policy.execute(() => 'fine')).rejects.toBeInstanceOf(BrokenCircuitError)
    await expect(breaker.run(() => 'fine')).resolves.toBe('fine')
  })
})

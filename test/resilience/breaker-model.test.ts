/**
 * The breaker against a small model of its documentation, for any order of calls begun, ended well or badly, given up, time
 * passing and clocks stepping, with many calls under way at once.
 */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { Clock } from '../../scripts/lib/core/clock.ts'
import { createBreaker, type Breaker } from '../../scripts/lib/resilience/index.ts'

const THRESHOLD = 3
const OPEN_MS = 100
const PROBES = 3
const PROBE_SUCCESSES = 2

/** A call under way: its permit, and the stretch of the model in which it began. */
interface Running {
  readonly permit: number
  readonly stretch: number
}

interface Model {
  nowMs: number
  state: 'closed' | 'open' | 'half-open'
  /** Counts changes of state: results of an earlier stretch do not count. */
  stretch: number
  failures: number
  successes: number
  issued: number
  openedMs: number
  running: Running[]
}

interface Real {
  readonly breaker: Breaker
  readonly clock: TestClock
}

type Command = fc.Command<Model, Real>

const enter = (model: Model, state: Model['state']) => {
  Object.assign(model, {
    state,
    stretch: model.stretch + 1,
    failures: 0,
    successes: 0,
    issued: 0,
    openedMs: model.nowMs,
  })
}

const compare = (model: Model, { breaker }: Real) => {
  expect(breaker.state.state).toBe(model.state)
  const isReady =
    model.state === 'closed' ||
    (model.state === 'open' && model.nowMs - model.openedMs >= OPEN_MS) ||
    (model.state === 'half-open' && model.issued < PROBES)
  expect(breaker.isReady()).toBe(isReady)
}

const begin: Command = {
  check: () => true,
  toString: () => 'begin',
  run(model, real) {
    const permit = real.breaker.tryAcquire()
    if (model.state === 'open' && model.nowMs - model.openedMs >= OPEN_MS) enter(model, 'half-open')
    const isLetThrough = model.state === 'closed' || (model.state === 'half-open' && model.issued < PROBES)
    expect(permit > 0).toBe(isLetThrough)
    if (isLetThrough) {
      model.issued += 1
      model.running.push({ permit, stretch: model.stretch })
    }
    compare(model, real)
  },
}

const end = (which: number, how: 'success' | 'failure' | 'cancel'): Command => ({
  check: (model) => model.running.length > 0,
  toString: () => `${how} #${which}`,
  run(model, real) {
    const [call] = model.running.splice(which % model.running.length, 1)
    if (!call) return
    if (how === 'cancel') real.breaker.cancel(call.permit)
    else real.breaker.record(call.permit, how)
    if (call.stretch === model.stretch) note(model, how)
    compare(model, real)
  },
})

function note(model: Model, how: 'success' | 'failure' | 'cancel'): void {
  if (how === 'cancel') model.issued -= 1
  else if (model.state === 'closed') {
    model.failures = how === 'failure' ? model.failures + 1 : 0
    if (model.failures === THRESHOLD) enter(model, 'open')
  } else {
    if (how === 'failure') model.failures += 1
    else model.successes += 1
    if (model.successes === PROBE_SUCCESSES) enter(model, 'closed')
    else if (model.failures > PROBES - PROBE_SUCCESSES) enter(model, 'open')
  }
}

const pass = (ms: number): Command => ({
  check: () => true,
  toString: () => `${ms} ms pass`,
  run(model, real) {
    model.nowMs += ms
    real.clock.pass(ms)
    compare(model, real)
  },
})

const byHand = (what: 'reset' | 'step', ms = 0): Command => ({
  check: () => true,
  toString: () => `${what} ${ms}`,
  run(model, real) {
    if (what === 'reset') {
      real.breaker.reset()
      enter(model, 'closed')
    } else real.clock.step(ms)
    compare(model, real)
  },
})

interface TestClock extends Clock {
  pass(ms: number): void
  step(ms: number): void
}

/** A breaker sleeps never: time that moves at once is enough. */
function createTestClock(): TestClock {
  let monotonicMs = 0
  let wallMs = 0
  return {
    now: () => wallMs,
    monotonic: () => monotonicMs,
    sleep: () => Promise.reject(new Error('a breaker does not sleep')),
    pass(ms) {
      monotonicMs += ms
      wallMs += ms
    },
    step(ms) {
      wallMs += ms
    },
  }
}

describe('the breaker, for any order of events', () => {
  it('is in the state of the model and lets through what the model lets through', () => {
    const commands = fc.commands(
      [
        fc.constant(begin),
        fc.constant(begin),
        fc
          .tuple(fc.nat(9), fc.constantFrom('success', 'failure', 'failure', 'cancel'))
          .map(([which, how]) => end(which, how)),
        fc.integer({ min: 1, max: 150 }).map(pass),
        fc.constant(byHand('reset')),
        fc.integer({ min: -1e9, max: 1e9 }).map((ms) => byHand('step', ms)),
      ],
      { maxCommands: 80 },
    )
    fc.assert(
      fc.property(commands, (run) => {
        fc.modelRun(() => {
          const clock = createTestClock()
          const breaker = createBreaker(
            { failureThreshold: THRESHOLD, openMs: OPEN_MS, probes: PROBES, probeSuccesses: PROBE_SUCCESSES },
            { clock },
          )
          const model: Model = {
            nowMs: 0,
            state: 'closed',
            stretch: 0,
            failures: 0,
            successes: 0,
            issued: 0,
            openedMs: 0,
            running: [],
          }
          return { model, real: { breaker, clock } }
        }, run)
      }),
      { numRuns: 400 },
    )
  })
})

/**
 * The detector against a model that is nothing but the list of results: what it says of any sequence of results must follow
 * from the sentences of its documentation, applied to the whole list.
 */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  createHealthPolicy,
  observe,
  restoreHealth,
  saveHealth,
  startHealth,
  type ProbeResult,
  type TargetHealth,
} from '../../scripts/lib/health/index.ts'

interface Step {
  readonly kind: 'pass' | 'fail' | 'unknown'
  readonly afterMs: number
}

const step = fc.record<Step>({
  kind: fc.constantFrom('pass', 'fail', 'unknown'),
  afterMs: fc.integer({ min: 1, max: 400 }),
})
const scenario = fc.record({
  steps: fc.array(step, { maxLength: 60 }),
  fall: fc.integer({ min: 1, max: 4 }),
  rise: fc.integer({ min: 1, max: 4 }),
})
const WINDOW_MS = 300

function resultOf({ kind }: Step): ProbeResult {
  if (kind === 'pass') return { outcome: 'pass', latencyMs: 5 }
  return kind === 'fail' ? { outcome: 'fail', because: 'refused' } : { outcome: 'unknown', because: 'own link' }
}

/** No memory but the run of equal results at the end of the list. */
function model(steps: readonly Step[], { fall, rise }: { fall: number; rise: number }): string {
  let state = 'healthy'
  let run = 0
  let lastFailureMs = Number.NEGATIVE_INFINITY
  let nowMs = 0
  for (const { kind, afterMs } of steps) {
    nowMs += afterMs
    if (kind === 'unknown') continue
    if (state === 'unhealthy') {
      run = kind === 'pass' ? run + 1 : 0
      if (run >= rise) [state, run] = ['healthy', 0]
    } else if (kind === 'pass') {
      ;[state, run] = ['healthy', 0]
    } else {
      run = state === 'suspect' && nowMs - lastFailureMs <= WINDOW_MS ? run + 1 : 1
      lastFailureMs = nowMs
      state = run >= fall ? 'unhealthy' : 'suspect'
      if (state === 'unhealthy') run = 0
    }
  }
  return state
}

describe('the detector, for any sequence of results', () => {
  it('is in the state that the model is in after each of them', () => {
    fc.assert(
      fc.property(scenario, ({ steps, fall, rise }) => {
        const policy = createHealthPolicy({ fall, rise, windowMs: WINDOW_MS, flap: false })
        let target = startHealth(0)
        let nowMs = 0
        for (const [i, one] of steps.entries()) {
          nowMs += one.afterMs
          target = observe(target, resultOf(one), nowMs, policy).target
          expect(target.health.state).toBe(model(steps.slice(0, i + 1), { fall, rise }))
        }
      }),
    )
  })

  it('goes on after a save and a restore as if nothing had happened, whatever the new clock starts at', () => {
    fc.assert(
      fc.property(scenario, fc.nat(60), fc.integer({ min: -1e6, max: 1e9 }), ({ steps, fall, rise }, cut, origin) => {
        const policy = createHealthPolicy({
          fall,
          rise,
          windowMs: WINDOW_MS,
          flap: { limit: 3, holdMs: 500, halfLifeMs: 2_000 },
        })
        const play = (from: TargetHealth, part: readonly Step[], startMs: number) => {
          let nowMs = startMs
          let target = from
          for (const one of part) {
            nowMs += one.afterMs
            target = observe(target, resultOf(one), nowMs, policy).target
          }
          return { target, nowMs }
        }
        const whole = play(startHealth(0), steps, 0)
        const first = play(startHealth(0), steps.slice(0, cut), 0)
        const text = JSON.stringify(saveHealth(first.target, first.nowMs))
        const second = play(restoreHealth(JSON.parse(text), origin, 0), steps.slice(cut), origin)
        expect(second.target.health.state).toBe(whole.target.health.state)
        expect(second.target.window.total).toBe(whole.target.window.total)
      }),
    )
  })

  it('never changes a record that it was given', () => {
    fc.assert(
      fc.property(scenario, ({ steps, fall, rise }) => {
        const policy = createHealthPolicy({ fall, rise })
        let target: TargetHealth = startHealth(0)
        for (const [i, one] of steps.entries()) {
          const frozen = deepFreeze(target)
          target = observe(frozen, resultOf(one), i, policy).target
        }
      }),
    )
  })
})

function deepFreeze(target: TargetHealth): TargetHealth {
  Object.freeze(target.health)
  Object.freeze(target.window)
  return Object.freeze(target)
}

import { describe, expect, it } from 'vitest'
import {
  createHealthPolicy,
  isolate,
  observe,
  restoreHealth,
  saveHealth,
  startHealth,
} from '../../scripts/lib/health/index.ts'

const policy = createHealthPolicy({ fall: 1, flap: { limit: 2, holdMs: 10_000 } })
const fail = { outcome: 'fail', because: 'refused' } as const
const once = observe(startHealth(1_000), fail, 2_000, policy).target

describe('saved health', () => {
  it('keeps the rest of a hold, less the time that has passed', () => {
    const back = observe(
      observe(once, { outcome: 'pass' }, 3_000, policy).target,
      { outcome: 'pass' },
      4_000,
      policy,
    ).target
    const held = observe(back, fail, 5_000, policy).target
    const restored = restoreHealth(JSON.parse(JSON.stringify(saveHealth(held, 6_000))), 100, 4_000)
    expect(restored.health).toMatchObject({ state: 'isolated', heldUntilMs: 100 + 5_000 })
  })

  it('treats a wall clock that went backwards as no time at all', () => {
    const restored = restoreHealth(saveHealth(once, 2_500), 100, -86_400_000)
    expect(restored.health.sinceMs).toBe(-400)
  })

  it('keeps an isolation by hand', () => {
    const saved: unknown = JSON.parse(JSON.stringify(saveHealth(isolate(once, 9, 'by hand').target, 10)))
    expect(restoreHealth(saved, 0, 5).health).toEqual({ state: 'isolated', by: 'hand', sinceMs: -6 })
  })

  it.each<[string, unknown]>([
    ['health record is not an object', null],
    ['health record is not an object', []],
    ['sinceMs is not a number', { ...saveHealth(once, 0), health: { state: 'fine' } }],
    ['state is not one of', { ...saveHealth(once, 0), health: { state: 'fine', sinceMs: 0 } }],
    ['flaps is not a number', { ...saveHealth(once, 0), flaps: 'many' }],
    ['window is not an object', { ...saveHealth(once, 0), window: undefined }],
  ])('is refused where %s', (message, value) => {
    expect(() => restoreHealth(value, 0, 0)).toThrow(message)
  })
})

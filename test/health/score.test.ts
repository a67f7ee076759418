import { describe, expect, it } from 'vitest'
import {
  createHealthPolicy,
  decidePreferred,
  observe,
  scoreOf,
  scoreTarget,
  startHealth,
  type Candidate,
} from '../../scripts/lib/health/index.ts'

describe('the score of a line', () => {
  it.each([
    { lossRatio: 0, latencyMs: 15.3, score: 96.94 },
    { lossRatio: 0.05, latencyMs: 80.5, score: 80.9 },
    { lossRatio: 0.8, latencyMs: 500, score: 12 },
    { lossRatio: 0, latencyMs: 0, score: 100 },
    { lossRatio: 0, latencyMs: undefined, score: 60 },
    { lossRatio: 1, latencyMs: 0, score: 0 },
    { lossRatio: Number.NaN, latencyMs: 1, score: 0 },
  ])('$lossRatio lost at $latencyMs ms is worth $score', ({ score, ...facts }) => {
    expect(scoreOf(facts)).toBeCloseTo(score, 6)
  })

  it('is unknown of a target that nothing was seen of, and of one whose results are too old', () => {
    const policy = createHealthPolicy({ windowMs: 1_000 })
    expect(scoreTarget(startHealth(0), 0, policy)).toBeUndefined()
    const seen = observe(startHealth(0), { outcome: 'pass', latencyMs: 100 }, 10, policy).target
    expect(scoreTarget(seen, 20, policy)).toBe(80)
    expect(scoreTarget(seen, 5_000, policy)).toBeUndefined()
  })
})

const candidate = (id: string, facts: Partial<Candidate> = {}): Candidate => ({
  id,
  priority: 1,
  score: 50,
  usable: true,
  ...facts,
})

describe('the preferred one', () => {
  it.each<[string, Candidate[], string | undefined, string | undefined, string]>([
    ['none at all', [], undefined, undefined, 'there are no candidates'],
    ['none usable', [candidate('a', { usable: false })], 'a', undefined, 'none is usable'],
    ['no current one', [candidate('a'), candidate('b', { score: 60 })], undefined, 'b', 'b is the best of 2'],
    [
      'the current one is out',
      [candidate('a', { usable: false }), candidate('b')],
      'a',
      'b',
      'a is out, b is the best left',
    ],
    [
      'a little better',
      [candidate('a'), candidate('b', { score: 65 })],
      'a',
      'a',
      'a stays: b is better only by 15 points, margin 20',
    ],
    [
      'much better',
      [candidate('a'), candidate('b', { score: 71 })],
      'a',
      'b',
      'b is better than a by 21 points, margin 20',
    ],
    [
      'a lower priority number',
      [candidate('a', { priority: 0, score: 1 }), candidate('b')],
      'b',
      'a',
      'a comes before b (priority 0) and is usable',
    ],
    [
      'a higher score of a later priority',
      [candidate('a'), candidate('b', { priority: 2, score: 99 })],
      'a',
      'a',
      'a is still the best',
    ],
  ])('%s', (...[, candidates, current, id, because]) => {
    expect(decidePreferred(candidates, current, 20)).toEqual({ id, because })
  })

  it('never takes turns between two that are alike', () => {
    let current: string | undefined = 'a'
    for (let i = 0; i < 100; i += 1) {
      current = decidePreferred(
        [candidate('a', { score: 50 + (i % 7) }), candidate('b', { score: 50 + (i % 5) })],
        current,
        10,
      ).id
      expect(current).toBe('a')
    }
  })
})

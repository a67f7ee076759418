import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  decideRange,
  decideThreshold,
  limitOf,
  measureOf,
  parseRange,
  type Threshold,
} from '../../scripts/lib/report/measure.ts'

describe('a number against a threshold', () => {
  const more: Threshold = { warning: 85, critical: 95 }
  const less: Threshold = { warning: 21, critical: 7 }
  it.each<[number, Threshold, string]>([
    [84.9, more, 'ok'],
    [85, more, 'warning'],
    [94.9, more, 'warning'],
    [95, more, 'critical'],
    [Number.POSITIVE_INFINITY, more, 'critical'],
    [22, less, 'ok'],
    [21, less, 'warning'],
    [7, less, 'critical'],
    [-3, less, 'critical'],
    [Number.NaN, more, 'unknown'],
    [5, { warning: 5, critical: 5 }, 'critical'],
  ])('%d against %j is %s', (value, threshold, severity) => {
    expect(decideThreshold(value, threshold)).toBe(severity)
  })

  it('becomes the range that says the same', () => {
    expect(measureOf({ label: 'used', value: 1, unit: '%' }, more)).toEqual({
      label: 'used',
      value: 1,
      unit: '%',
      warn: '~:85',
      crit: '~:95',
    })
    expect(measureOf({ label: 'days', value: 1 }, less)).toMatchObject({ warn: '21:', crit: '7:' })
    expect(measureOf({ label: 'days', value: 1 })).toEqual({ label: 'days', value: 1 })
  })

  it('never says ok where its range would alert', () => {
    const limit = fc.integer({ min: -1_000, max: 1_000 })
    fc.assert(
      fc.property(limit, limit, fc.integer({ min: -2_000, max: 2_000 }), (warning, critical, value) => {
        const { warn = '' } = measureOf({ label: 'x', value }, { warning, critical })
        const range = parseRange(warn)
        expect(range).toBeDefined()
        if (range && decideRange(value, range)) {
          expect(decideThreshold(value, { warning, critical })).not.toBe('ok')
        }
      }),
    )
  })
})

describe('a monitoring-plugin range', () => {
  it.each<[string, number[], number[]]>([
    ['10', [-1, 10.1], [0, 10]],
    ['10:', [9.9, -5], [10, 1e9]],
    ['~:10', [10.1], [-1e9, 10]],
    ['10:20', [9, 21], [10, 20]],
    ['@10:20', [10, 15, 20], [9, 21]],
    ['-5.5:-1', [-6, 0], [-5.5, -1]],
    [':10', [-1, 11], [0, 10]],
  ])('%s alerts at %j and not at %j', (text, alerts, quiet) => {
    const range = parseRange(text)
    expect(range).toBeDefined()
    if (!range) return
    expect(alerts.filter((value) => !decideRange(value, range))).toEqual([])
    expect(quiet.filter((value) => decideRange(value, range))).toEqual([])
  })

  it.each(['', ':', '~', '~:', '@', '20:10', 'ten', '10;20', '1e3', '10:20:30', '~10', '|'])('refuses "%s"', (text) => {
    expect(parseRange(text)).toBeUndefined()
  })

  it.each<[string | undefined, number | undefined]>([
    ['~:85', 85],
    ['85', 85],
    ['21:', 21],
    ['10:20', undefined],
    ['nonsense', undefined],
    [undefined, undefined],
  ])('%s has the one limit %s', (range, limit) => {
    expect(limitOf(range)).toBe(limit)
  })
})

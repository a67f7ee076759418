import { Cron } from 'croner'
import { describe, expect, it } from 'vitest'
import { parseCron } from '../../scripts/lib/core/cron.ts'
import { lastRuns, nextRun, runsBetween } from '../../scripts/lib/schedule/next-run.ts'
import { openZone } from '../../scripts/lib/schedule/zone.ts'
import { readWallClock, simulateVixie, vixieEntry } from './vixie.ts'

const YEAR = { from: Date.UTC(2026, 0, 1), until: Date.UTC(2027, 0, 1) }
const ZONES = ['America/New_York', 'Europe/Vienna', 'Australia/Lord_Howe', 'Asia/Shanghai', 'UTC']
const LINES = [
  '0 2 * * *',
  '0 3 * * *',
  '0 4 * * 0',
  '30 1 * * *',
  '30 2 * * *',
  '15,45 1 * * *',
  '0 * * * *',
  '*/30 * * * *',
  '*/20 2 * * *',
  '10 */2 * * *',
  '59 23 28-31 * *',
  '0 0 15 * 1',
  '0 12 */2 * 1-5',
  '0 1 1 */3 *',
  '45 1 * 3-4,10-11 0',
  '5 0,2,4 29 2,4 *',
]

const runsOf = (line: string, zone: string, { from, until } = YEAR) =>
  runsBetween(parseCron(line), openZone(zone), { after: from - 1, until: until - 1, limit: 1e6 })
const iso = (times: readonly number[]) => times.map((at) => new Date(at).toISOString())
const only = (line: string, zone: string, day: string) =>
  iso(runsOf(line, zone, { from: Date.parse(day) - 43_200_000, until: Date.parse(day) + 129_600_000 }))

describe('the next run over one year', () => {
  it.each(ZONES)(
    'is what Vixie cron does, minute by minute, in %s',
    (zone) => {
      const local = readWallClock(zone, YEAR)
      for (const line of LINES) {
        expect(iso(runsOf(line, zone)), line).toEqual(iso(simulateVixie(vixieEntry(line), local, YEAR)))
      }
    },
    120_000,
  )

  // Where they differ, croner repeats lists of fixed minutes in the fold; what is right is Vixie's model above.
  it.each(ZONES)(
    'is what croner says where both follow crontab(5), in %s',
    (zone) => {
      for (const line of ['0 2 * * *', '0 4 * * 0', '30 1 * * *', '30 2 * * *', '0 * * * *', '0 0 15 * 1']) {
        const theirs = new Cron(line, { timezone: zone })
        const got = theirs.nextRuns(9_000, new Date(YEAR.from - 1_000)).map((at) => at.getTime())
        expect(iso(runsOf(line, zone)), line).toEqual(iso(got.filter((at) => at < YEAR.until)))
      }
    },
    120_000,
  )
})

describe('where clocks change', () => {
  it.each([
    [
      'a fixed time in the gap runs right after it',
      '30 2 * * *',
      'America/New_York',
      '2026-03-08',
      '2026-03-08T07:00:00.000Z',
    ],
    [
      'a fixed time in a gap of half an hour too',
      '15 2 * * *',
      'Australia/Lord_Howe',
      '2026-10-03',
      '2026-10-03T15:30:00.000Z',
    ],
    ['a gap at midnight moves midnight', '0 0 * * *', 'America/Havana', '2026-03-08', '2026-03-08T05:00:00.000Z'],
    [
      'a fixed time in the fold runs the first time',
      '30 1 * * *',
      'America/New_York',
      '2026-11-01',
      '2026-11-01T05:30:00.000Z',
    ],
    [
      'a fixed time in a fold of half an hour too',
      '45 1 * * *',
      'Australia/Lord_Howe',
      '2026-04-04',
      '2026-04-04T14:45:00.000Z',
    ],
  ])('%s', (...[, line, zone, day, expected]) => {
    expect(only(line, zone, day).filter((at) => at.startsWith(expected.slice(0, 10)))).toEqual([expected])
  })

  it('runs wildcard hours at every real interval in spring and autumn', () => {
    for (const [from, until] of [
      ['2026-10-24T20:00Z', '2026-10-25T06:00Z'],
      ['2026-03-28T20:00Z', '2026-03-29T06:00Z'],
    ] as const) {
      const runs = runsOf('*/30 * * * *', 'Europe/Vienna', { from: Date.parse(from), until: Date.parse(until) })
      expect(runs).toHaveLength(20)
    }
  })

  it('goes on from any moment within the repeated hour without a second run', () => {
    const [spec, zone] = [parseCron('30 1 * * *'), openZone('America/New_York')]
    for (const after of ['2026-11-01T05:30Z', '2026-11-01T06:00Z', '2026-11-01T06:15Z', '2026-11-01T06:30Z'])
      expect(iso([nextRun(spec, zone, Date.parse(after))])).toEqual(['2026-11-02T06:30:00.000Z'])
  })
})

describe('sparse and dense schedules', () => {
  it.each([
    ['0 0 29 2 *', '2096-03-01', '2104-02-29T00:00:00.000Z'],
    ['0 0 29 2 */7', '2026-01-01', '2032-02-29T00:00:00.000Z'],
    ['0 0 30 2 1', '2026-01-01', '2026-02-02T00:00:00.000Z'],
    ['*/7 * * * * *', '2026-01-01T00:00:55Z', '2026-01-01T00:00:56.000Z'],
    ['@yearly', '2026-06-01', '2027-01-01T00:00:00.000Z'],
    ['0 0 1 JAN-mar/2 *', '2026-01-02', '2026-03-01T00:00:00.000Z'],
    ['0 0 * * 7', '2026-01-01', '2026-01-04T00:00:00.000Z'],
  ])('%s after %s is %s', (line, after, expected) => {
    expect(iso([nextRun(parseCron(line), openZone('UTC'), Date.parse(after))])).toEqual([expected])
  })

  it('finds the last ones without walking through all of them', () => {
    const span = { after: Date.UTC(2016, 0, 1), until: Date.UTC(2026, 0, 1), limit: 2 }
    expect(iso(lastRuns(parseCron('* * * * * *'), openZone('UTC'), span))).toEqual([
      '2025-12-31T23:59:59.000Z',
      '2026-01-01T00:00:00.000Z',
    ])
    expect(lastRuns(parseCron('0 0 29 2 *'), openZone('UTC'), span)).toHaveLength(2)
  })
})

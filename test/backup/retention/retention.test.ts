import { execFileSync } from 'node:child_process'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { createCalendar, PERIODS, type Period } from '../../../scripts/lib/backup/retention/calendar.ts'
import { decideRetention, type RetentionEntry } from '../../../scripts/lib/backup/retention/decide.ts'
import type { RetentionPolicy } from '../../../scripts/lib/config/types.ts'

const HOUR = 3_600_000
const DAY = 24 * HOUR
const NOW = Date.UTC(2026, 10, 20, 12)

function entry(at: number, change: Partial<RetentionEntry> = {}): RetentionEntry {
  const name = change.name ?? 'app'
  return { id: `database/${name}/${new Date(at).toISOString()}`, kind: 'database', name, at, pinned: false, ...change }
}

const policy = (rules: Partial<RetentionPolicy>): RetentionPolicy => ({ timezone: 'UTC', ...rules })
const kept = (entries: readonly RetentionEntry[], rules: Partial<RetentionPolicy>, now = NOW) =>
  decideRetention(entries, policy(rules), now).flatMap(({ id, keep }) => (keep ? [id.split('/')[2]] : []))
const reasonOf = (entries: readonly RetentionEntry[], rules: Partial<RetentionPolicy>, index: number) =>
  decideRetention(entries, policy(rules), NOW)[index]?.because
/** One backup a day at 02:00 UTC, newest first. */
const daily = (count: number) => Array.from({ length: count }, (_, day) => entry(NOW - 10 * HOUR - day * DAY))

describe('the rules', () => {
  it('last keeps the newest, and counts', () => {
    expect(kept(daily(10), { last: 3 })).toHaveLength(3)
    expect(reasonOf(daily(10), { last: 3 }, 2)).toBe('3 of last 3')
    expect(reasonOf(daily(10), { last: 3 }, 3)).toBe('no rule keeps it (last 3)')
  })

  it('days keeps what is younger, to the millisecond', () => {
    const entries = [entry(NOW - 30 * DAY + 1), entry(NOW - 30 * DAY)]
    expect(kept(entries, { days: 30 })).toHaveLength(1)
  })

  it('daily keeps the newest of each day', () => {
    const entries = [entry(NOW - HOUR), entry(NOW - 2 * HOUR), entry(NOW - DAY), entry(NOW - 3 * DAY)]
    expect(kept(entries, { daily: 2 })).toEqual(['2026-11-20T11:00:00.000Z', '2026-11-19T12:00:00.000Z'])
    expect(reasonOf(entries, { daily: 2 }, 2)).toBe('the newest of 2026-11-19 (daily 2 of 2)')
  })

  it('periods without a backup do not count: what is left after a long absence stays', () => {
    const old = [entry(NOW - 400 * DAY), entry(NOW - 401 * DAY)]
    expect(kept(old, { daily: 7 })).toHaveLength(2)
  })

  it('a rule of years, months, weeks and days keeps what each of them asks for', () => {
    const rules = { daily: 7, weekly: 4, monthly: 12, yearly: 3 }
    expect(kept(daily(1_000), rules)).toHaveLength(7 + 2 + 11 + 1)
  })

  it('a day is one of the configured zone', () => {
    const entries = [entry(Date.UTC(2026, 10, 19, 23, 30)), entry(Date.UTC(2026, 10, 19, 22, 30))]
    expect(kept(entries, { daily: 5 })).toHaveLength(1)
    expect(kept(entries, { daily: 5, timezone: 'Europe/Berlin' })).toHaveLength(2)
  })

  it('the hour that autumn repeats is two hours', () => {
    const entries = [entry(Date.UTC(2026, 9, 25, 1, 30)), entry(Date.UTC(2026, 9, 25, 0, 30))]
    expect(kept(entries, { hourly: 9, timezone: 'Europe/Berlin' })).toHaveLength(2)
  })
})

describe('what stays whatever the policy says', () => {
  const old = (days: number, change: Partial<RetentionEntry> = {}) => entry(NOW - days * DAY, change)

  it.each<[string, RetentionEntry[], number, string]>([
    ['the newest good one', [old(100), old(200)], 0, 'the newest good one'],
    [
      'the newest good one behind bad ones',
      [old(100, { failedBecause: 'x' }), old(200), old(300)],
      1,
      'the newest good one',
    ],
    ['the newest verified one', [old(100), old(200), old(300, { verifiedAt: 1 })], 2, 'the newest verified one'],
    ['a pinned one', [old(100), old(200, { pinned: true })], 1, 'pinned'],
    ['one in use', [old(100), old(200, { inUse: 'a restore' })], 1, 'in use: a restore'],
    ['one dated in the future', [old(100), entry(NOW + DAY)], 1, 'its time is in the future'],
    ['the last one, good or not', [old(100, { failedBecause: 'x' })], 0, 'the newest one, and none is good'],
  ])('%s', (_what, entries, index, because) => {
    const verdict = decideRetention(entries, policy({ days: 1 }), NOW)[index]
    expect(verdict).toMatchObject({ keep: true, because: expect.stringContaining(because) as string })
  })

  it('the full backup that a kept incremental builds on', () => {
    const full = old(100)
    const entries = [old(1, { parent: full.id }), old(50), full]
    expect(decideRetention(entries, policy({ last: 1 }), NOW).map(({ keep }) => keep)).toEqual([true, false, true])
    expect(reasonOf(entries, { last: 1 }, 2)).toBe('2026-11-19T12:00:00.000Z builds on it')
  })

  it('a backup dated in the future is not counted as one of the last', () => {
    expect(kept([entry(NOW + DAY), entry(NOW - DAY), entry(NOW - 2 * DAY)], { last: 2 })).toHaveLength(3)
  })

  it('backups that failed a check do not push out good ones', () => {
    const bad = { failedBecause: 'files.tar.zst does not match its checksum' }
    const entries = [old(1, bad), old(2, bad), old(3, bad), old(4), old(5)]
    const verdicts = decideRetention(entries, policy({ last: 2 }), NOW)
    expect(verdicts.map(({ keep }) => keep)).toEqual([false, false, false, true, true])
    expect(verdicts[0]?.because).toContain('did not pass its last check')
  })

  it('one name never pushes out another', () => {
    const entries = [...daily(3), old(300, { name: 'other' })]
    expect(kept(entries, { last: 1 })).toHaveLength(2)
  })
})

it.each([{}, { timezone: 'UTC' }])('a policy without a rule is refused: %j', (rules) => {
  expect(() => decideRetention([], policy(rules), NOW)).toThrow(/no rule/)
})

it('a time zone that does not exist is refused by name', () => {
  expect(() => decideRetention([], policy({ last: 1, timezone: 'Mars/Olympus' }), NOW)).toThrow(/Mars\/Olympus/)
})

const zones = fc.constantFrom(
  'UTC',
  'Europe/Berlin',
  'America/St_Johns',
  'Asia/Shanghai',
  'Pacific/Apia',
  'Asia/Kathmandu',
)
const count = fc.option(fc.integer({ min: 1, max: 9 }), { nil: undefined })
const policies = fc
  .record({
    last: count,
    hourly: count,
    daily: count,
    weekly: count,
    monthly: count,
    yearly: count,
    days: count,
    timezone: zones,
  })
  .filter(({ timezone: _zone, ...rules }) => Object.values(rules).some((rule) => rule !== undefined))
const histories = fc
  .uniqueArray(fc.integer({ min: -900 * 24, max: 20 }), { maxLength: 60 })
  .chain((hours) => fc.tuple(...hours.map(makeEntry)))
  .map((entries) => linkParents(entries))

function makeEntry(hours: number) {
  return fc
    .record({
      pinned: fc.integer({ max: 12, min: 0 }).map((n) => n === 0),
      verified: fc.boolean(),
      bad: fc.integer({ max: 5, min: 0 }).map((n) => n === 0),
      incremental: fc.boolean(),
    })
    .map(({ pinned, verified, bad, incremental }) => {
      const verdict = bad ? { failedBecause: 'damaged' } : verified ? { verifiedAt: 1 } : {}
      return { ...entry(NOW + hours * HOUR, { pinned, ...verdict }), incremental }
    })
}

/** Each incremental builds on the newest full one before it. */
function linkParents(entries: readonly (RetentionEntry & { incremental: boolean })[]): RetentionEntry[] {
  return entries.map(({ incremental, ...one }) => {
    const fulls = entries.filter((other) => !other.incremental && other.at < one.at)
    const parent = fulls.sort((a, b) => b.at - a.at)[0]?.id
    return incremental && parent !== undefined ? { ...one, parent } : one
  })
}

describe('for every history and every policy', () => {
  const holds = (check: (entries: RetentionEntry[], rules: RetentionPolicy, keeps: RetentionEntry[]) => void) =>
    fc.assert(
      fc.property(histories, policies, (entries, rules) => {
        const verdicts = decideRetention(entries, rules, NOW)
        check(
          entries,
          rules,
          entries.filter((_, index) => verdicts[index]?.keep),
        )
      }),
    )

  it('the newest good one and the newest verified one stay', () => {
    holds((entries, _rules, keeps) => {
      const good = entries.filter((one) => one.at <= NOW && !one.failedBecause).sort((a, b) => b.at - a.at)
      if (good[0]) expect(keeps).toContain(good[0])
      const verified = good.find((one) => one.verifiedAt !== undefined)
      if (verified) expect(keeps).toContain(verified)
      if (entries.length > 0) expect(keeps.length).toBeGreaterThan(0)
    })
  })

  it('no kept incremental loses its full backup', () => {
    holds((_entries, _rules, keeps) => {
      const ids = new Set(keeps.map(({ id }) => id))
      expect(keeps.filter(({ parent }) => parent !== undefined && !ids.has(parent))).toEqual([])
    })
  })

  it('a second prune right after the first removes nothing', () => {
    holds((_entries, rules, keeps) => {
      expect(decideRetention(keeps, rules, NOW).filter(({ keep }) => !keep)).toEqual([])
    })
  })

  it('the order of the entries does not matter, and every verdict has a reason', () => {
    holds((entries, rules, keeps) => {
      const turned = decideRetention([...entries].reverse(), rules, NOW)
      expect(new Set(turned.flatMap(({ id, keep }) => (keep ? [id] : [])))).toEqual(new Set(keeps.map(({ id }) => id)))
      expect(turned.every(({ because }) => because.length > 0)).toBe(true)
    })
  })

  it('a calendar rule alone keeps exactly one of each of the newest periods', () => {
    const periods = fc.constantFrom(...PERIODS)
    fc.assert(
      fc.property(histories, periods, zones, fc.integer({ min: 1, max: 9 }), (entries, period, timezone, limit) => {
        const plain = entries.map(({ id, at }) => ({ ...entry(at), id }))
        const keeps = kept(plain, { [period]: limit, timezone })
        const bucket = createCalendar(timezone)
        const buckets = new Set(plain.filter(({ at }) => at <= NOW).map(({ at }) => bucket.bucketOf(at, period)))
        const future = plain.filter(({ at }) => at > NOW).length
        expect(keeps).toHaveLength(Math.min(limit, buckets.size) + future)
      }),
    )
  })
})

describe('the calendar', () => {
  const FORMATS: Record<Period, string> = {
    hourly: '%Y-%m-%d %H %z',
    daily: '%Y-%m-%d',
    weekly: '%G-W%V',
    monthly: '%Y-%m',
    yearly: '%Y',
  }
  const moments = fc
    .sample(fc.integer({ min: Date.UTC(1999, 0, 1), max: Date.UTC(2037, 0, 1) }), { numRuns: 300, seed: 7 })
    // The hours around the changes of the clocks, where mistakes live.
    .concat(Array.from({ length: 96 }, (_, step) => Date.UTC(2026, 9, 24, 20) + (step * HOUR) / 4))
    .concat(Array.from({ length: 96 }, (_, step) => Date.UTC(2026, 2, 28, 20) + (step * HOUR) / 4))

  it.each(['UTC', 'Europe/Berlin', 'America/St_Johns', 'Pacific/Apia', 'Asia/Kathmandu', 'Australia/Lord_Howe'])(
    'agrees with date(1) in %s',
    (zone) => {
      const calendar = createCalendar(zone)
      for (const period of PERIODS) {
        const said = execFileSync('date', ['-f', '-', `+${FORMATS[period]}`], {
          input: moments.map((at) => `@${Math.floor(at / 1000)}\n`).join(''),
          env: { ...process.env, TZ: zone, LC_ALL: 'C' },
          encoding: 'utf8',
        })
          .trimEnd()
          .split('\n')
        const ours = moments.map((at) => calendar.bucketOf(Math.floor(at / 1000) * 1000, period))
        if (period !== 'hourly') expect(ours).toEqual(said)
        // Written differently, they must still tell the same hours apart.
        else expect(new Set(ours.map((text, index) => `${text}|${said[index]}`)).size).toBe(new Set(said).size)
      }
    },
  )
})

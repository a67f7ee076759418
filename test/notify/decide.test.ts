import { describe, expect, it } from 'vitest'
import type { QuietHours } from '../../scripts/lib/config/types.ts'
import { byteLength, cutBytes, cutChars } from '../../scripts/lib/notify/bounds.ts'
import type { StoredMessage } from '../../scripts/lib/notify/index.ts'
import { DeliveryError } from '../../scripts/lib/notify/delivery-error.ts'
import { nextTokenAt, refill } from '../../scripts/lib/notify/rate.ts'
import { decideQuiet } from '../../scripts/lib/notify/quiet-hours.ts'
import { decideRepeat } from '../../scripts/lib/notify/repeat.ts'
import { decideRoutes } from '../../scripts/lib/notify/route.ts'
import { decideNext } from '../../scripts/lib/notify/settle.ts'
import { setUp } from './setup.ts'

const hours = (from: string, to: string, timezone = 'UTC'): QuietHours => ({ from, to, timezone, except: 'critical' })

describe('quiet hours', () => {
  it.each<[name: string, QuietHours, now: string, until: string | undefined]>([
    ['by day, before them', hours('12:00', '14:00'), '2026-01-01T11:59:59Z', undefined],
    ['their first moment', hours('12:00', '14:00'), '2026-01-01T12:00:00Z', '2026-01-01T14:00:00Z'],
    ['their last moment', hours('12:00', '14:00'), '2026-01-01T13:59:59Z', '2026-01-01T14:00:00Z'],
    ['their end', hours('12:00', '14:00'), '2026-01-01T14:00:00Z', undefined],
    ['over midnight, in the evening', hours('22:00', '07:00'), '2026-01-01T23:30:00Z', '2026-01-02T07:00:00Z'],
    ['over midnight, in the morning', hours('22:00', '07:00'), '2026-01-02T06:30:00Z', '2026-01-02T07:00:00Z'],
    ['over midnight, by day', hours('22:00', '07:00'), '2026-01-01T12:00:00Z', undefined],
    ['in another zone', hours('22:00', '07:00', 'Asia/Shanghai'), '2026-01-01T14:00:00Z', '2026-01-01T23:00:00Z'],
    ['half an hour off', hours('22:00', '07:00', 'Asia/Kolkata'), '2026-01-01T17:00:00Z', '2026-01-02T01:30:00Z'],
    [
      'the clock is put forward',
      hours('22:00', '07:00', 'Europe/Vienna'),
      '2026-03-28T22:00:00Z',
      '2026-03-29T05:00:00Z',
    ],
    ['the clock is put back', hours('22:00', '07:00', 'Europe/Vienna'), '2026-10-24T21:00:00Z', '2026-10-25T06:00:00Z'],
    // 02:30 does not exist that night: 03:00 comes after 01:59.
    [
      'an end that is skipped',
      hours('22:00', '02:30', 'Europe/Vienna'),
      '2026-03-28T23:00:00Z',
      '2026-03-29T01:30:00Z',
    ],
    [
      'half an hour of summer',
      hours('22:00', '07:00', 'Australia/Lord_Howe'),
      '2026-04-04T12:00:00Z',
      '2026-04-04T20:30:00Z',
    ],
  ])('%s', (_name, quiet, now, until) => {
    const verdict = decideQuiet(quiet, 'warning', Date.parse(now))
    expect(verdict.quiet ? new Date(verdict.until).toISOString() : undefined).toBe(until?.replace('Z', '.000Z'))
  })

  it('let through what is bad enough', () => {
    const night = Date.parse('2026-01-01T23:30:00Z')
    expect(decideQuiet(hours('22:00', '07:00'), 'critical', night)).toEqual({
      quiet: false,
      because: 'critical is sent in quiet hours too',
    })
  })
})

describe('a repeated alert', () => {
  const [now, windowMs] = [1_000_000, 300_000]
  const last = { severity: 'warning', waiting: false, at: now - 100_000, dueAt: now } as const
  it.each([
    ['is told when it is new', undefined, 'warning', { do: 'tell', kind: 'problem', dueAt: now }],
    [
      'is counted in a message that waits',
      { ...last, waiting: true, dueAt: now + 5 },
      'warning',
      { do: 'count', dueAt: now + 5 },
    ],
    [
      'that is worse hurries a message that waits',
      { ...last, waiting: true, dueAt: now + 5 },
      'critical',
      { do: 'count', dueAt: now },
    ],
    ['waits for the end of the window', last, 'warning', { do: 'tell', kind: 'repeat', dueAt: now + 200_000 }],
    ['that is worse does not wait', last, 'critical', { do: 'tell', kind: 'problem', dueAt: now }],
    [
      'that is milder waits',
      { ...last, severity: 'critical' },
      'warning',
      { do: 'tell', kind: 'repeat', dueAt: now + 200_000 },
    ],
    ['is told after the window', { ...last, at: now - 300_000 }, 'warning', { do: 'tell', kind: 'repeat', dueAt: now }],
    [
      'waits for one window at most when the clock was put back',
      { ...last, at: now + 9e9 },
      'warning',
      { do: 'tell', kind: 'repeat', dueAt: now + windowMs },
    ],
  ] as const)('%s', (_name, before, severity, verdict) => {
    expect(decideRepeat(before, { severity, now, windowMs })).toMatchObject(verdict)
  })
})

describe('routes', () => {
  const { notify } = setUp(`
min_severity: warning
default: [mail]
channels:
  mail: { type: log }
  dba: { type: log, min_severity: info }
  pager: { type: log, min_severity: critical }
  off: { type: log, enabled: false }
routes:
  - { tags: [database], channels: [dba, pager, off] }
  - { tags: [backup], min_severity: critical, channels: [mail] }`).config
  it.each([
    ['no tag: the default channels', [], 'warning', ['mail'], 'notify.default'],
    ['a tag: the channels of its route', ['database'], 'critical', ['dba', 'pager'], 'a route for its tags'],
    ['two tags: both routes', ['database', 'backup'], 'critical', ['mail', 'dba', 'pager'], 'a route for its tags'],
    ['below what a channel takes: not there', ['database'], 'warning', ['dba'], 'a route for its tags'],
    ['below what a route takes: another way', ['backup'], 'warning', ['mail'], 'notify.default'],
    ['below what all take: nobody', [], 'info', [], 'info is below what the channels take, or they are off'],
  ] as const)('%s', (...[, tags, severity, channels, because]) => {
    const decided = decideRoutes(notify, { tags, severity })
    expect(decided.routed.map(({ channel }) => channel)).toEqual(channels)
    expect(decided.because).toBe(because)
  })

  it('lead nowhere when notifications are off, or there is no channel', () => {
    expect(decideRoutes({ ...notify, enabled: false }, { tags: [], severity: 'critical' })).toEqual({
      routed: [],
      because: 'notify.enabled is false',
    })
    expect(setUp('enabled: true').raise()).toMatchObject({ messages: [], because: 'no channel is configured' })
  })
})

describe('what comes of an attempt', () => {
  const now = 10_000_000
  const retry = { first: 30_000, max: 600_000, give_up: 3_600_000 }
  const bench = setUp('channels: { console: { type: log } }', { startMs: now })
  bench.raise()
  const message = { ...(bench.outbox()[0] as StoredMessage), attempt: 3 }
  const facts = { now, retry, random: () => 0.5 }
  const failed = (transient: boolean, more: object = {}) =>
    ({ ok: false, error: new DeliveryError('451 later', { transient, scope: 'message', ...more }) }) as const

  it.each([
    ['sent when it was taken', { ok: true, answer: '250 OK' }, { state: 'sent', answer: '250 OK' }],
    [
      'waiting, twice as long each time, when it may be taken later',
      failed(true),
      { state: 'waiting', dueAt: now + 120_000 },
    ],
    [
      'waiting as long as the far side asked',
      failed(true, { retryAfterMs: 300_000 }),
      { state: 'waiting', dueAt: now + 300_000 },
    ],
    ['waiting a day at most', failed(true, { retryAfterMs: 1e12 }), { state: 'waiting', dueAt: now + 86_400_000 }],
    ['dead when it never will be taken', failed(false), { state: 'dead', answer: '451 later' }],
    [
      'waiting for some of the recipients',
      { ok: true, answer: 'x', later: ['a@b'] },
      { state: 'waiting', recipients: ['a@b'] },
    ],
    [
      'waiting and not an attempt when it was not tried',
      { ok: 'untried', because: 'x', delayMs: 7 },
      { state: 'waiting', isAttempt: false, dueAt: now + 7 },
    ],
  ] as const)('%s', (_name, attempted, next) => {
    expect(decideNext(message, attempted, facts)).toMatchObject(next)
  })

  it('dead when it has taken too long', () => {
    const late = { ...facts, now: now + 3_500_000 }
    expect(decideNext(message, failed(true), late)).toEqual({ state: 'dead', answer: 'given up after 1 h: 451 later' })
  })
})

describe('a rate', () => {
  const rate = { messages: 20, perMs: 60_000 }
  it('starts full, fills evenly, and never over the brim', () => {
    expect(refill(undefined, rate, 1_000)).toEqual({ tokens: 20, refilledAt: 1_000 })
    expect(refill({ tokens: 0, refilledAt: 1_000 }, rate, 4_000).tokens).toBe(1)
    expect(refill({ tokens: 5, refilledAt: 1_000 }, rate, 9e9).tokens).toBe(20)
    expect(refill({ tokens: 5, refilledAt: 9e9 }, rate, 1_000).tokens).toBe(5)
    expect(nextTokenAt({ tokens: 0.5, refilledAt: 1_000 }, rate)).toBe(2_500)
  })
})

describe('cutting text', () => {
  it.each([
    ['fits', 'abc', 3, 'abc'],
    ['by bytes', 'abcdefgh', 6, 'abc…'],
    ['not through a character of three bytes', '备份失败', 8, '备…'],
    ['not through a surrogate pair', 'ab😀cd', 7, 'ab…'],
    ['not through an accent', 'abe\u0301xyz', 7, 'ab…'],
    ['not through a family', '👨‍👩‍👧x'.repeat(2), 24, '👨‍👩‍👧x…'],
    ['no room for anything', 'abcd', 2, ''],
  ])('%s', (_name, text, bytes, cut) => {
    expect(cutBytes(text, bytes)).toBe(cut)
    expect(byteLength(cutBytes(text, bytes))).toBeLessThanOrEqual(bytes)
  })

  it('by characters leaves no half of one', () => {
    expect(cutChars('ab😀cd', 4)).toBe('ab…')
    expect(cutChars('ab😀cd', 6)).toBe('ab😀cd')
  })
})

import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { formatDuration, formatSize, parseDuration, parseSize } from '../../scripts/lib/core/duration.ts'
import { isOpsError } from '../../scripts/lib/core/errors.ts'

function thrownBy(run: () => unknown): unknown {
  try {
    run()
  } catch (error) {
    return error
  }
  return undefined
}

describe('parseDuration', () => {
  it.each([
    ['500ms', 500],
    ['30s', 30_000],
    ['5m', 300_000],
    ['5min', 300_000],
    ['1h30m', 5_400_000],
    ['1.5h', 5_400_000],
    ['2d', 172_800_000],
    ['1w', 604_800_000],
    [' 2H ', 7_200_000],
    ['3 min 5 s', 185_000],
    ['0s', 0],
  ])('reads %s', (text, ms) => {
    expect(parseDuration(text)).toBe(ms)
  })

  it.each(['', '5', 's', '-5s', '5 parsecs', '5s!', '1e3s', '5s,', '٥s', '9'.repeat(400) + 'd'])(
    'refuses %j',
    (text) => {
      const error = thrownBy(() => parseDuration(text))
      expect(isOpsError(error, 'USAGE') && error.details.hint).toContain('30s')
    },
  )

  it('keeps what was typed inert and short in its message', () => {
    expect(thrownBy(() => parseDuration('\u001b[2J' + 'x'.repeat(1_000)))).toHaveProperty(
      'message',
      expect.stringMatching(/^"\\x1b\[2J.{0,60}$/),
    )
  })

  it('adds up any list of parts', () => {
    const unit = fc.constantFrom(
      ['ms', 1],
      ['s', 1e3],
      ['m', 6e4],
      ['min', 6e4],
      ['h', 36e5],
      ['d', 864e5],
      ['w', 6048e5],
    )
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.nat(9999), unit), { minLength: 1, maxLength: 5 }), (parts) => {
        const text = parts.map(([amount, [name]]) => `${amount}${name}`).join('')
        expect(parseDuration(text)).toBe(parts.reduce((sum, [amount, [, ms]]) => sum + amount * Number(ms), 0))
      }),
    )
  })

  it('answers a hostile text at once', () => {
    expect(
      isOpsError(
        thrownBy(() => parseDuration('1s '.repeat(300_000) + '!')),
        'USAGE',
      ),
    ).toBe(true)
  })
})

describe('formatDuration', () => {
  it.each([
    [0, '0 ms'],
    [340.4, '340 ms'],
    [999.6, '1 s'],
    [4_200, '4.2 s'],
    [59_949, '59.9 s'],
    [59_999, '1 min'],
    [185_000, '3 min 5 s'],
    [3_599_600, '1 h'],
    [7_800_000, '2 h 10 min'],
    [86_399_999, '1 d'],
    [1_051_200_000, '12 d 4 h'],
    [-30_000, '-30 s'],
    [Number.NaN, 'unknown'],
    [Number.POSITIVE_INFINITY, 'unknown'],
  ])('writes %d as %s', (ms, text) => {
    expect(formatDuration(ms)).toBe(text)
  })

  it('can be read back, to within what it leaves out', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 1e12 }), (ms) => {
        const off = Math.abs(parseDuration(formatDuration(ms)) - ms)
        expect(off).toBeLessThanOrEqual(
          ms < 999.5 ? 0.5 : ms < 60_000 ? 50 : ms < 3_600_000 ? 500 : ms < 86_400_000 ? 60_000 : 3_600_500,
        )
      }),
    )
  })
})

describe('sizes', () => {
  it.each([
    ['0', 0],
    ['512', 512],
    ['512B', 512],
    ['1.5KiB', 1_536],
    ['10MB', 1e7],
    ['2 GiB', 2_147_483_648],
    ['1tb', 1e12],
    ['2PiB', 2 * 1024 ** 5],
  ])('reads %s', (text, bytes) => {
    expect(parseSize(text)).toBe(bytes)
  })

  it.each(['', 'GiB', '-1', '1XB', '1 ib', '1,5GB', '1e9', '9'.repeat(40) + 'TB'])('refuses %j', (text) => {
    expect(
      isOpsError(
        thrownBy(() => parseSize(text)),
        'USAGE',
      ),
    ).toBe(true)
  })

  it.each([
    [0, '0 B'],
    [1_023, '1023 B'],
    [1_024, '1 KiB'],
    [1_536, '1.5 KiB'],
    [1_048_575, '1 MiB'],
    [2_147_483_648, '2 GiB'],
    [Number.NaN, 'unknown'],
  ])('writes %d as %s', (bytes, text) => {
    expect(formatSize(bytes)).toBe(text)
  })

  it('can be read back to within a twentieth of the unit', () => {
    fc.assert(
      fc.property(fc.nat(2 ** 52), (bytes) => {
        const back = parseSize(formatSize(bytes))
        expect(Math.abs(back - bytes)).toBeLessThanOrEqual(Math.max(0.5, bytes * 0.051))
      }),
    )
  })
})

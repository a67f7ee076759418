import { describe, expect, it } from 'vitest'
import { parseCron, parseTimezone } from '../../scripts/lib/core/cron.ts'

describe('a wrong cron expression', () => {
  it.each([
    ['60 2 * * *', 'minute, column 1: expected 0-59, *, a list or a range, got "60"'],
    ['0 25 * * *', 'hour, column 3: expected 0-23, *, a list or a range, got "25"'],
    ['0 2 0 * *', 'day of month, column 5: expected 1-31, *, a list or a range, got "0"'],
    ['0 2 * 1,13 *', 'month, column 9: expected 1-12 or jan-dec, *, a list or a range, got "13"'],
    [
      '0 2 * * mun',
      'day of week, column 9: expected 0-7 or sun-sat, *, a list or a range, got "mun"; did you mean "sun"?',
    ],
    ['0  2 * * 1-', 'day of week, column 12: expected 0-7 or sun-sat, *, a list or a range, got nothing'],
    ['0 5-2 * * *', 'hour, column 3: the range 5-2 runs backwards'],
    ['*/0 * * * *', 'minute, column 3: expected a step from 1 to 59, got "0"'],
    ['5/10 * * * *', 'minute, column 1: a step needs a range, e.g. */5 or 5-59/5'],
    ['99 0 2 * * *', 'second, column 1: expected 0-59, *, a list or a range, got "99"'],
    ['0 2 * *', 'expected five fields (minute hour day month weekday), or six with seconds first, got 4'],
    ['@dayly', 'column 1: did you mean "@daily"?'],
    ['@reboot', 'column 1: there is no @reboot here'],
    ['0 0 30 2 *', 'day of month, column 5: it never comes, because feb has no day 30'],
    ['0 0 31 4,6,9,11 *', 'it never comes, because apr, jun, sep, nov has no day 31'],
  ])('%s names the field, the column and what was expected', (text, message) => {
    expect(() => parseCron(text)).toThrow(message)
  })

  it('takes no long time to refuse a long one', () => {
    expect(() => parseCron('*,'.repeat(1_000_000))).toThrow('got a longer text')
  })
})

describe('a time zone', () => {
  it('that is unknown is refused with the nearest', () => {
    expect(() => parseTimezone('Europe/Viena')).toThrow(
      'there is no time zone "Europe/Viena"; did you mean "Europe/Vienna"?',
    )
  })
})

import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { createLog, silentLog } from '../../scripts/lib/core/log.ts'
import { nearestName } from '../../scripts/lib/core/nearest.ts'
import { printable, printableLine } from '../../scripts/lib/core/printable.ts'

describe('printable', () => {
  it.each([
    ['\u001b[31mred\u001b[0m', '\\x1b[31mred\\x1b[0m'],
    ['\u001b]0;title\u0007', '\\x1b]0;title\\x07'],
    ['a\u009bb', 'a\\x9bb'],
    ['bell\u0007 back\b', 'bell\\x07 back\\x08'],
    ['over\rwritten', 'over\\x0dwritten'],
    ['user\u202egnp.exe', 'user\\u202egnp.exe'],
    ['zero\u200bwidth\ufeff', 'zero\\u200bwidth\\ufeff'],
    ['line\u2028separator', 'line\\u2028separator'],
    ['tag\u{e0041}', 'tag\\u{e0041}'],
    ['keeps\ttab and\nnewline, é 日本 😀', 'keeps\ttab and\nnewline, é 日本 😀'],
  ])('shows %j as text', (text, shown) => {
    expect(printable(text)).toBe(shown)
  })

  it('leaves nothing that a terminal would obey', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 200 }), (text) => {
        expect(printable(text)).not.toMatch(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]/)
        expect(printableLine(text)).not.toMatch(/[\n\r\t\u0000-\u001f]/)
      }),
    )
  })

  it.each<[string, number, string]>([
    ['a\r\n\tb', 10, 'a b'],
    ['abcdef', 6, 'abcdef'],
    ['abcdefg', 6, 'abcde…'],
    ['😀😀😀', 2, '😀…'],
    ['abc', 1, '…'],
    ['abc', 0, '…'],
    ['  x  ', 10, 'x'],
  ])('puts %j on one line of %d', (text, maxLength, line) => {
    expect(printableLine(text, maxLength)).toBe(line)
  })
})

describe('nearestName', () => {
  const known = ['hosts', 'diagnose', 'password', 'port', 'proxy_jump', 'identity_file']
  it.each([
    ['host', 'hosts'],
    ['diagnos', 'diagnose'],
    ['daignose', 'diagnose'],
    ['HOSTS', 'hosts'],
    ['pasword', 'password'],
    ['pass', 'password'],
    ['proxyjump', 'proxy_jump'],
    ['proxy', 'proxy_jump'],
  ])('takes %s for %s', (typed, name) => {
    expect(nearestName(typed, known)).toBe(name)
  })

  it.each(['zzz', 'backup', '', 'x'.repeat(1_000_000)])('has no guess for %.20s', (typed) => {
    expect(nearestName(typed, known)).toBeUndefined()
  })

  it('has no guess when nothing is known', () => {
    expect(nearestName('host', [])).toBeUndefined()
  })
})

describe('the log', () => {
  it('writes one inert line per message, and debug only when verbose', () => {
    const lines: string[] = []
    const write = (line: string) => void lines.push(line)
    const quiet = createLog({ write })
    quiet.debug('hidden')
    quiet.info('two\nlines \u001b[31m')
    quiet.warn('careful')
    createLog({ verbose: true, write }).debug('shown')
    expect(lines).toEqual(['two lines \\x1b[31m', 'warning: careful', 'shown'])
  })

  it('can be silent', () => {
    expect(() => {
      silentLog.debug('x')
      silentLog.info('x')
      silentLog.warn('x')
    }).not.toThrow()
  })
})

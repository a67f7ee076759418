import { describe, expect, expectTypeOf, it } from 'vitest'
import { isOpsError, messageOf, OpsError, systemCode, type ErrorCode } from '../../scripts/lib/core/errors.ts'
import { EXIT_CODE_OF, EXIT_TABLE, exitCodeOf } from '../../scripts/lib/core/exit.ts'

describe('OpsError', () => {
  it('carries code, message, facts and its cause', () => {
    const cause = new Error('ECONNREFUSED')
    const error = new OpsError('UNREACHABLE', 'cannot reach web-1', {
      hint: 'Start it.',
      host: 'web-1',
      transient: true,
      cause,
    })
    expect(error).toBeInstanceOf(Error)
    expect(error.name).toBe('OpsError')
    expect(error).toMatchObject({ code: 'UNREACHABLE', message: 'cannot reach web-1', cause })
    expect(error.details).toMatchObject({ hint: 'Start it.', host: 'web-1', transient: true })
  })

  it('has no cause property when there was none', () => {
    expect('cause' in new OpsError('FAILED', 'x')).toBe(false)
  })

  it('is recognised by code, never by text', () => {
    const error: unknown = new OpsError('LOCKED', 'held by 42')
    expect(isOpsError(error)).toBe(true)
    expect(isOpsError(error, 'LOCKED')).toBe(true)
    expect(isOpsError(error, 'FAILED')).toBe(false)
    expect(isOpsError(new Error('LOCKED'))).toBe(false)
  })
})

describe('messageOf', () => {
  it.each<[string, unknown, string]>([
    ['an error', new Error('boom'), 'boom'],
    ['an error without a message', new TypeError(), 'TypeError'],
    ['a string', 'boom', 'boom'],
    ['an empty string', '', 'unknown error'],
    ['undefined', undefined, 'unknown error'],
    ['an object', { message: 'x' }, 'unknown error'],
    ['several errors', new AggregateError([new Error('a'), 'b']), 'a; b'],
    ['several errors with a message', new AggregateError([new Error('a')], 'all failed'), 'all failed'],
    ['no errors at all', new AggregateError([]), 'several attempts failed'],
  ])('says what %s was', (_what, thrown, message) => {
    expect(messageOf(thrown)).toBe(message)
  })
})

describe('systemCode', () => {
  it('reads the code of a system error and of nothing else', () => {
    expect(systemCode(Object.assign(new Error('x'), { code: 'ENOENT' }))).toBe('ENOENT')
    for (const other of [new Error('x'), null, 'ENOENT', { code: 2 }]) expect(systemCode(other)).toBeUndefined()
  })
})

describe('the exit codes', () => {
  it('have a row for every code that an error can give', () => {
    expectTypeOf(EXIT_CODE_OF).toEqualTypeOf<Readonly<Record<ErrorCode, number>>>()
    const rows = new Set(EXIT_TABLE.map(([code]) => Number(code)))
    expect(Object.entries(EXIT_CODE_OF).filter(([, exit]) => !rows.has(exit))).toEqual([])
  })

  it('list each code once, ascending, with a meaning', () => {
    const codes = EXIT_TABLE.map(([code]) => Number(code))
    expect(codes).toEqual([...new Set(codes)].sort((a, b) => a - b))
    expect(EXIT_TABLE.every(([, meaning]) => meaning.length > 3)).toBe(true)
  })

  it.each<[ErrorCode, number]>([
    ['FAILED', 1],
    ['NEEDS_HUMAN', 10],
    ['ROLLED_BACK', 11],
    ['STUCK', 12],
    ['USAGE', 64],
    ['UNREACHABLE', 69],
    ['CANNOT_WRITE', 73],
    ['DATA_MISMATCH', 74],
    ['LOCKED', 75],
    ['NOT_PERMITTED', 77],
    ['CONFIG_INVALID', 78],
    ['INTERRUPTED', 130],
    ['TERMINATED', 143],
  ])('%s ends with %d', (code, exit) => {
    expect(exitCodeOf(new OpsError(code, 'x'))).toBe(exit)
  })

  it('is 1 for a thrown value nobody expected', () => {
    expect(exitCodeOf(new Error('x'))).toBe(1)
    expect(exitCodeOf(undefined)).toBe(1)
  })
})

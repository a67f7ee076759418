import { describe, expect, it } from 'vitest'
import type { ErrorCode, OpsError } from '../../scripts/lib/core/errors.ts'
import { decideResult, lastLines, type Ended } from '../../scripts/lib/host/outcome.ts'
import type { Exit } from '../../scripts/lib/host/running.ts'

const redact = (text: string) => text.replaceAll('s3cret', '[REDACTED]')
const ended = (exit: Exit, stderr = '', argv: Ended['argv'] = ['nginx', '-t']): Ended => ({
  ...{ argv, exit, stdout: 'out', stderr, stderrTail: stderr, durationMs: 5, truncated: false },
})
const decide = (value: Ended, okCodes: readonly number[] | 'any' = [0]) =>
  decideResult(value, { host: 'web-1', okCodes, redact, cwd: '/srv' })
const errorOf = (value: Ended): OpsError => {
  try {
    decide(value)
  } catch (error) {
    return error as OpsError
  }
  throw new Error('it should have failed')
}

describe('how a command ended', () => {
  it('is a result when its status is accepted', () => {
    expect(decide(ended({ kind: 'code', code: 3 }), 'any')).toMatchObject({ exitCode: 3, stdout: 'out' })
    expect(decide(ended({ kind: 'code', code: 3 }), [0, 3])).toMatchObject({ exitCode: 3 })
  })

  it.each<[string, Exit, ErrorCode, RegExp]>([
    ['a refused status', { kind: 'code', code: 1 }, 'FAILED', /^"nginx -t" on web-1 ended with status 1: a \| b \| c$/],
    ['a signal', { kind: 'signal', signal: 'SIGKILL' }, 'FAILED', /was killed by SIGKILL/],
    ['a missing program', { kind: 'missing' }, 'MISSING_TOOL', /^nginx is not installed on web-1$/],
    ['a program without permission', { kind: 'denied' }, 'NOT_PERMITTED', /^nginx may not be executed on web-1$/],
    ['a missing directory', { kind: 'no-cwd' }, 'FAILED', /cannot enter the directory \/srv on web-1/],
    [
      'sudo that wants a password',
      { kind: 'sudo' },
      'NOT_PERMITTED',
      /sudo on web-1 does not run nginx without a password/,
    ],
    ['no shell in a container', { kind: 'no-shell', code: 127 }, 'MISSING_TOOL', /there is no sh to run commands with/],
    ['an account that refuses', { kind: 'no-shell', code: 1 }, 'NOT_PERMITTED', /does not run commands \(status 1\)/],
  ])('is %s', (_, exit, code, message) => {
    const error = errorOf(ended(exit, 'a\nb\n\nc\n'))
    expect(error.code).toBe(code)
    expect(error.message).toMatch(message)
    expect(error.details.host).toBe('web-1')
  })

  it('shows no secret, neither from stderr nor from the arguments', () => {
    const error = errorOf(ended({ kind: 'code', code: 1 }, 'bad password s3cret', ['mysql', '-ps3cret']))
    expect(error.message).not.toContain('s3cret')
    expect(error.message).toContain('[REDACTED]')
  })

  it('shows hostile output inert and short', () => {
    const error = errorOf(ended({ kind: 'code', code: 1 }, `\x1b[31m\u202e${'x'.repeat(5000)}`))
    expect(error.message).not.toMatch(/[\x1b\u202e]/)
    expect(error.message.length).toBeLessThan(500)
  })

  it('keeps the last lines only', () => {
    expect(lastLines('1\n2\n3\n4\n', redact)).toBe(': 2 | 3 | 4')
    expect(lastLines('\n \n', redact)).toBe('')
  })
})

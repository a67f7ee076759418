import { execFileSync } from 'node:child_process'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { quoteArgv, quoteWord, type Argv } from '../../scripts/lib/core/quote.ts'

const NASTY = [
  ...[
    '',
    ' ',
    'a b',
    "'",
    "''",
    "it's",
    '"',
    '\\',
    '\\\\',
    "\\'",
    '$HOME',
    '${HOME}',
    '$(id)',
    '`id`',
    '!',
    '!!',
    '#',
    '#x',
  ],
  ...[
    '*',
    '?',
    '[a-z]',
    '{a,b}',
    '~',
    '~root',
    '-n',
    '--',
    '-',
    ';',
    '&',
    '|',
    '<',
    '>',
    '(',
    ')',
    '=',
    '=ls',
    'a=b',
    'A=$B',
  ],
  ...[
    '\n',
    'a\nb',
    'trailing\n',
    '\t',
    '\r\n',
    '\u001b[31m',
    '\u0001',
    '%s',
    '%',
    '^',
    'é',
    '日本',
    '\ud83d\ude00',
    "$'x'",
    '\\n',
  ],
  ...['if', 'while', 'x'.repeat(5_000)],
]

/** Every shell an operator may have behind `sh -c` or an SSH exec on Debian. */
const SHELLS: readonly (readonly [name: string, ...argv: string[]])[] = [
  ['dash', '/bin/dash'],
  ['busybox sh', '/bin/busybox', 'sh'],
  ['bash', '/bin/bash'],
]

/** The words as the shell hands them to a program. */
function readBack([, program = '', ...args]: (typeof SHELLS)[number], words: readonly string[]): string[] {
  const command = quoteArgv([
    process.execPath,
    '-e',
    'process.stdout.write(JSON.stringify(process.argv.slice(1)))',
    '--',
    ...words,
  ])
  return JSON.parse(execFileSync(program, [...args, '-c', command], { encoding: 'utf8' })) as string[]
}

describe('quoting for POSIX shells', () => {
  it.each(SHELLS)('%s reads nasty words back unchanged', (name, ...argv) => {
    expect(readBack([name, ...argv], NASTY)).toEqual(NASTY)
  })

  it('any words come back unchanged through dash', () => {
    const word = fc.string({ unit: 'binary' }).filter((text) => !text.includes('\0') && text.isWellFormed())
    fc.assert(
      fc.property(fc.array(word, { maxLength: 50 }), (words) => {
        expect(readBack(['dash', '/bin/dash'], words)).toEqual(words)
      }),
      { numRuns: 8 },
    )
  })

  it.each(SHELLS)(
    '%s takes a program named as a keyword or an assignment for a program',
    (_name, program = '', ...args) => {
      for (const name of ['if', 'while', 'A=b']) {
        const run = () => execFileSync(program, [...args, '-c', quoteArgv([name])], { stdio: 'pipe' })
        expect(run).toThrow(expect.objectContaining({ status: 127 }))
      }
    },
  )

  it.each<[Argv, string]>([
    [['ls', '-la', '/var/log'], 'ls -la /var/log'],
    [['echo', "it's", ''], `echo 'it'\\''s' ''`],
    [['env', 'A=b', '--x=y'], "env 'A=b' --x=y"],
    [['curl', 'http://192.0.2.1:80/?a'], "curl 'http://192.0.2.1:80/?a'"],
  ])('writes %j plainly where it can', (argv, line) => {
    expect(quoteArgv(argv)).toBe(line)
  })

  it('refuses a NUL byte, which no argument can hold', () => {
    expect(() => quoteWord('a\0b')).toThrow(TypeError)
  })
})

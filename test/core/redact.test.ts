import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { quoteWord } from '../../scripts/lib/core/quote.ts'
import { redactText, redactValue } from '../../scripts/lib/core/redact.ts'
import { REDACTED, Secret } from '../../scripts/lib/core/secret.ts'
import { INNOCENT, LEAKS } from './redact.corpus.ts'

describe('redactText', () => {
  it.each(LEAKS)('masks the secret of: %s', (_from, text, masked) => {
    expect(redactText(text)).toBe(masked)
  })

  it.each(INNOCENT)('leaves alone: %s', (line) => {
    expect(redactText(line)).toBe(line)
  })

  it('masks each of many lines as it masks one', () => {
    const rows = LEAKS.filter(([, text]) => !text.includes('\n'))
    const text = rows.map(([, leak], index) => `${leak}\n${INNOCENT[index % INNOCENT.length] ?? ''}`).join('\n\n')
    for (const [from, , masked] of rows) expect(redactText(text), from).toContain(masked)
    expect(redactText(text)).not.toMatch(/S3cr3t/)
  })

  it('masks known secrets by value in every form they travel in', () => {
    const value = 'pa ss"wo/rd\'é'
    const known = [new Secret(value, 'env:X')]
    const forms = [
      value,
      encodeURIComponent(value),
      encodeURIComponent(value).replaceAll('%20', '+'),
      JSON.stringify(value).slice(1, -1),
      quoteWord(value),
      Buffer.from(value).toString('base64'),
    ]
    for (const form of forms) expect(redactText(`a ${form} b`, known), form).toMatch(/^a '?\[REDACTED\]'? b$/)
  })

  it('finds a known secret of several lines line by line, and ignores one too short to search for', () => {
    const known = [new Secret('first line of the key\nsecond line of the key\n', 'file:k'), new Secret('abc', 'env:Y')]
    expect(redactText('log: second line of the key abc', known)).toBe('log: [REDACTED] abc')
  })

  it('does not tear its own marker apart for a known secret that is part of it', () => {
    expect(redactText('x [REDACTED] y', [new Secret('REDACTED', 'env:X')])).toBe('x [REDACTED] y')
  })
})

/** How a secret gets into text; each writes it the way its own syntax demands. */
const CARRIERS: Readonly<Record<string, (secret: string) => string>> = {
  env: (s) => `DB_PASSWORD=${s}`,
  'env quoted': (s) => `DB_PASSWORD=${JSON.stringify(s)}`,
  exported: (s) => `export API_TOKEN=${quoteWord(s)}`,
  flag: (s) => `tool --password=${quoteWord(s)} --verbose`,
  'flag word': (s) => `tool --password ${quoteWord(s)} --verbose`,
  'mysql -p': (s) => `mysql -u root -p${quoteWord(s)} db`,
  curl: (s) => `curl -u ${quoteWord(`joe:${s}`)} https://example.com/`,
  JSON: (s) => JSON.stringify({ user: 'joe', password: s, n: 1 }),
  'pretty JSON': (s) => JSON.stringify({ user: 'joe', password: s, n: 1 }, null, 2),
  'JSON in JSON': (s) => JSON.stringify({ log: `${JSON.stringify({ password: s, n: 1 })}\n` }),
  'JSON in JSON in JSON': (s) => JSON.stringify({ a: JSON.stringify({ log: JSON.stringify({ password: s }) }) }),
  'JSON list': (s) => JSON.stringify({ tokens: ['', s, s] }),
  'argv in JSON': (s) => JSON.stringify({ Cmd: ['app', '--password', s, '--port', '1'] }),
  'Env in JSON': (s) => JSON.stringify({ Env: [`DB_PASSWORD=${s}`, 'PATH=/bin'] }),
  'name and value': (s) => JSON.stringify({ env: [{ name: 'DB_PASSWORD', value: s }] }),
  YAML: (s) => `db:\n  password: ${s}\n  user: joe`,
  'YAML double': (s) => `db:\n  password: ${JSON.stringify(s)}\n  user: joe`,
  'YAML single': (s) => `db:\n  password: '${s.replaceAll("'", "''")}'\n  user: joe`,
  'YAML block': (s) => `db:\n  password: |\n    ${s}\n  user: joe`,
  'YAML list': (s) => `tokens:\n  - ${JSON.stringify(s)}\nuser: joe`,
  ini: (s) => `[client]\npassword = ${s}\nuser = joe`,
  URL: (s) => `connecting to postgres://joe:${encodeURIComponent(s)}@db.example.com:5432/app?x=1`,
  query: (s) => `GET /api?page=1&token=${encodeURIComponent(s)}&x=1 HTTP/1.1`,
  bearer: (s) => `> Authorization: Bearer ${s}`,
  basic: (s) => `> Authorization: Basic ${Buffer.from(`joe:${s}`).toString('base64')}`,
  cookie: (s) => `Cookie: sid=${encodeURIComponent(s)}; x=1`,
  'connection string': (s) => `Server=db;User Id=sa;Password=${s.replace(/[;"'=]/g, '_')};Encrypt=true`,
  XML: (s) => `<password>${s.replaceAll('<', '&lt;')}</password>`,
  log: (s) => `2026-11-20T12:00:00Z web-1 app[7]: password: ${s}`,
}

/**
 * At least 8 characters with a letter and a digit. Not with blanks at its ends, which most carriers cannot hold, and not
 * beginning with `--`, which every tool reads as its next flag.
 */
const anySecret = fc
  .stringMatching(/^[!-~][ -~]{6,30}[!-~]$/)
  .filter((s) => /[A-Za-z]/.test(s) && /\d/.test(s) && !s.startsWith('--') && !s.includes(REDACTED))

/** A plain value cannot begin with what means something else to YAML, nor hold a comment or a quote at its start. */
const isPlain = (s: string) => /^[A-Za-z0-9]/.test(s)

const NEEDS_PLAIN = new Set(['env', 'YAML', 'YAML block', 'ini', 'log', 'bearer', 'connection string', 'XML'])

describe('a planted secret', () => {
  it.each(Object.keys(CARRIERS))('never survives in: %s', (carrier) => {
    const carry = CARRIERS[carrier] ?? String
    fc.assert(
      fc.property(anySecret, fc.constantFrom('', 'first line\n', '{"a":1}\n'), (secret, lead) => {
        fc.pre(!NEEDS_PLAIN.has(carrier) || isPlain(secret))
        const text = `${lead}${carry(secret)}\nlast line`
        const masked = redactText(text)
        expect(masked).not.toContain(secret)
        expect(masked).not.toContain(encodeURIComponent(secret))
        expect(masked).not.toContain(JSON.stringify(secret).slice(1, -1))
        expect(masked).toContain(REDACTED)
        expect(masked).toMatch(/\nlast line$/)
        expect(redactText(masked), 'masking again').toBe(masked)
      }),
      { numRuns: 150 },
    )
  })

  it('leaves JSON that still parses', () => {
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 3 }), anySecret, (value, secret) => {
        const text = JSON.stringify({
          value,
          password: secret,
          pin: { token: 12345678 },
          list: [value, { api_key: secret }],
        })
        expect(() => void JSON.parse(redactText(text))).not.toThrow()
      }),
      { numRuns: 150 },
    )
  })

  it('is masked by value whatever surrounds it', () => {
    fc.assert(
      fc.property(anySecret, fc.string(), fc.string(), (secret, before, after) => {
        const masked = redactText(`${before}${secret}${after}`, [new Secret(secret, 'env:X')])
        expect(masked.split(REDACTED).join('\n')).not.toContain(secret)
      }),
    )
  })
})

describe('redaction of hostile input', () => {
  const pieces = fc.constantFrom(
    ...[
      'password',
      'token',
      '"',
      "'",
      '\\',
      '\\"',
      ':',
      '=',
      ': ',
      ' = ',
      '|',
      '\n',
      '\n  ',
      '- ',
      '{',
      '}',
      '[',
      ']',
      ',',
    ],
    ...[
      '://',
      '@',
      'joe',
      'a1b2c3d4',
      ' ',
      ';',
      '&',
      '?',
      '--',
      '-p',
      'mysql ',
      'Bearer ',
      'Authorization',
      '<',
      '>',
      '</',
      REDACTED,
    ],
    ...[
      '-----BEGIN A KEY-----',
      '-----END A KEY-----',
      'name',
      'value',
      'curl -u ',
      '$',
      '`',
      'AKIAIOSFODNN7EXAMPLE',
      '=>',
      '#',
    ],
  )

  it('masks twice as it masks once, whatever the text', () => {
    fc.assert(
      fc.property(fc.array(pieces, { maxLength: 30 }), (parts) => {
        const once = redactText(parts.join(''))
        expect(redactText(once)).toBe(once)
      }),
      { numRuns: 3000, examples: [[['curl -u ', 'Authorization', ':', ':', '-----BEGIN A KEY-----']]] },
    )
  })

  it.each([
    ...[
      'a',
      ' ',
      '\\',
      '\n',
      'password=',
      'password: "',
      "token: 'x\n  ",
      'password: |\n',
      'password:\n',
      '"\\',
      '://a',
      'a:b@',
    ],
    ...[
      '-----BEGIN A KEY-----\n',
      'eyJaaaaa.',
      'mysql ',
      'curl -u ',
      '-p',
      ' -pa!',
      'Bearer ',
      'token: [',
      '$6$',
      '<password>',
    ],
    ...[
      'name: password value: ',
      'token=a;',
      'password=\'"',
      `${'A'.repeat(63)}\n`,
      '://a:b/',
      'Authorization: Basic ',
    ],
  ])(
    'ends soon on a megabyte of %j',
    (piece) => {
      const repeat = (bytes: number) => piece.repeat(Math.ceil(bytes / piece.length))
      // Linear work takes well under a second; quadratic work would meet the deadline of the test.
      expect(typeof redactText(repeat(1_000_000))).toBe('string')
      expect(typeof redactText(`password=${repeat(500_000)}`)).toBe('string')
    },
    30_000,
  )
})

describe('redactValue', () => {
  it('masks by name, by shape and Secret instances, and keeps the rest', () => {
    const at = new Date(0)
    expect(
      redactValue({
        user: 'joe',
        password: 'hunter2',
        n: 1,
        at,
        url: 'redis://:hunter2@cache',
        nested: { apiKey: 12345678, tokens: 128, list: [{ secret: 'a' }] },
        held: new Secret('hunter2', 'env:X'),
      }),
    ).toEqual({
      user: 'joe',
      password: REDACTED,
      n: 1,
      at,
      url: `redis://:${REDACTED}@cache`,
      nested: { apiKey: REDACTED, tokens: 128, list: [{ secret: REDACTED }] },
      held: REDACTED,
    })
  })

  it('masks everything under a secret name, but not a reference', () => {
    expect(
      redactValue({ secrets: { a: 'x', b: ['y', 1234] }, password: { env: 'DB' }, token: { file: '/t' } }),
    ).toEqual({
      secrets: { a: REDACTED, b: [REDACTED, REDACTED] },
      password: { env: 'DB' },
      token: { file: '/t' },
    })
  })

  it('masks argument lists and name/value pairs', () => {
    expect(redactValue(['mysql', '-uroot', '-phunter2', '--password', 'x y', '-h', 'db'])).toEqual([
      ...['mysql', '-uroot', `-p${REDACTED}`, '--password', REDACTED, '-h', 'db'],
    ])
    expect(redactValue(['ssh', '-p', '8080', 'web'])).toEqual(['ssh', '-p', '8080', 'web'])
    expect(redactValue([{ name: 'DB_PASSWORD', value: 'x' }])).toEqual([{ name: 'DB_PASSWORD', value: REDACTED }])
  })

  it('reads errors, maps, sets and bytes', () => {
    const error = Object.assign(new Error('bad --password=hunter2'), { cause: new Error('token=hunter2') })
    expect(redactValue(error)).toMatchObject({
      name: 'Error',
      message: `bad --password=${REDACTED}`,
      cause: { message: `token=${REDACTED}` },
    })
    expect(redactValue(new Map([['password', 'x']]))).toEqual({ password: REDACTED })
    expect(redactValue(new Set(['a']))).toEqual(['a'])
    expect(redactValue(Buffer.from('hunter2'))).toBe('[7 bytes]')
  })

  it('is bounded in cycles, depth and size', () => {
    const cycle: Record<string, unknown> = { name: 'a' }
    cycle.self = cycle
    expect(redactValue(cycle)).toEqual({ name: 'a', self: '[circular]' })
    const shared = { a: 1 }
    expect(redactValue([shared, shared])).toEqual([{ a: 1 }, { a: 1 }])
    let deep: unknown = 'hunter2'
    for (let level = 0; level < 1000; level += 1) deep = { deep }
    expect(JSON.stringify(redactValue(deep))).toContain('[too deep]')
    const wide = redactValue(Array.from({ length: 150_000 }, (_, index) => ({ index }))) as unknown[]
    expect(wide.at(-1)).toBe('[too large]')
  })

  it('is not tricked by getters that throw or by __proto__', () => {
    const hostile = JSON.parse('{"__proto__":{"password":"x"}}') as object
    Object.defineProperty(hostile, 'boom', {
      enumerable: true,
      get: () => {
        throw new Error('no')
      },
    })
    expect(JSON.stringify(redactValue(hostile))).toBe(`{"__proto__":{"password":"${REDACTED}"},"boom":"[unreadable]"}`)
  })
})

/** The error log: entries, grouping, judgement. */
import { describe, expect, it } from 'vitest'
import {
  decideNginxErrors,
  groupErrors,
  normalizeMessage,
  parseErrorLine,
  type ErrorEntry,
} from '../../../scripts/lib/diagnose/service/nginx/errors.ts'

const REFUSED =
  '2026/11/20 23:29:58 [error] 12#12: *45 connect() failed (111: Connection refused) while connecting to upstream, client: 192.0.2.9, server: api.example.com, request: "GET /x?token=s3cret HTTP/1.1", upstream: "http://127.0.0.1:8090/x?token=s3cret", host: "api.example.com"'

describe('an entry of the error log', () => {
  it('is taken apart, without the request and its query', () => {
    expect(parseErrorLine(REFUSED, 0)).toEqual({
      atMs: Date.UTC(2026, 10, 20, 23, 29, 58),
      level: 'error',
      message: 'connect() failed (111: Connection refused) while connecting to upstream',
      upstream: '127.0.0.1:8090',
      server: 'api.example.com',
    })
  })

  it.each([
    [undefined, new Date(2026, 10, 20, 23, 29, 58).getTime()],
    [480, Date.UTC(2026, 10, 20, 15, 29, 58)],
    [-210, Date.UTC(2026, 10, 21, 2, 59, 58)],
  ])('is dated in the zone of the machine (offset %s)', (zone, expected) => {
    expect(parseErrorLine(REFUSED, zone)?.atMs).toBe(expected)
  })

  it.each([
    ['unix:/run/app.sock', 'upstream: "http://unix:/run/app.sock:/x"'],
    ['[2001:db8::1]:80', 'upstream: "http://[2001:db8::1]:80/"'],
    ['127.0.0.1:9000', 'upstream: "fastcgi://127.0.0.1:9000"'],
  ])('names the upstream %s', (upstream, detail) => {
    const line = `2026/11/20 23:29:58 [error] 1#1: *1 upstream timed out (110: x) while y, client: 192.0.2.1, server: a, ${detail}, host: "h"`
    expect(parseErrorLine(line)?.upstream).toBe(upstream)
  })

  it.each(['', 'PHP message: at line 5', '2026/11/20 [error] x', '\x1b[31m2026/11/20 23:29:58 [error] 1#1: x'])(
    'is none: %j',
    (line) => {
      expect(parseErrorLine(line)).toBeUndefined()
    },
  )
})

describe('messages', () => {
  it.each([
    [
      'open() "/var/www/a.ico" failed (2: No such file or directory)',
      'open() "…" failed (2: No such file or directory)',
    ],
    [
      'bind() to 0.0.0.0:80 failed (98: Address already in use)',
      'bind() to <address> failed (98: Address already in use)',
    ],
    [
      'bind() to [::]:80 failed (98: Address already in use)',
      'bind() to <address> failed (98: Address already in use)',
    ],
    ['worker process 4711 exited on signal 11', 'worker process N exited on signal 11'],
    ['limiting requests, excess: 20.540 by zone "one"', 'limiting requests, excess: N.N by zone "…"'],
    ['session 5f3c2a1b9d8e7f60 expired', 'session <id> expired'],
  ])('are normalised: %s', (message, expected) => {
    expect(normalizeMessage(message)).toBe(expected)
  })

  it('are grouped by level, message and upstream, most first', () => {
    const entry = { atMs: 0, level: 'error', message: 'timed out (110: x) 1', upstream: 'u1', server: 'a' }
    const groups = groupErrors([
      entry,
      { ...entry, upstream: 'u2' },
      { ...entry, upstream: 'u2', server: 'b', message: 'timed out (110: x) 2' },
    ])
    expect(groups).toMatchObject([
      { upstream: 'u2', count: 2, servers: ['a', 'b'], example: 'timed out (110: x) 2' },
      { upstream: 'u1', count: 1, servers: ['a'] },
    ])
  })
})

function decide(entries: readonly (readonly [count: number, level: string, message: string, upstream?: string])[]) {
  const all = entries.flatMap(([count, level, message, upstream]) =>
    Array.from({ length: count }, (): ErrorEntry => ({ atMs: 0, level, message, ...(upstream && { upstream }) })),
  )
  return decideNginxErrors(
    { path: '/e.log', groups: groupErrors(all), recentMs: 900_000, complete: true },
    { warning: 10, critical: 500 },
  )[0]
}

describe('the error log', () => {
  it.each([
    ['nothing', [], 'ok', 'the nginx error log is quiet'],
    [
      'notices only',
      [
        [50, 'notice', 'signal process started'],
        [50, 'warn', 'x'],
      ],
      'ok',
      'the nginx error log is quiet',
    ],
    ['a few errors', [[9, 'error', 'x failed (5: EIO)']], 'ok', 'the nginx error log holds few errors'],
    ['ten errors', [[10, 'error', 'x failed (5: EIO)']], 'warning', 'nginx logged 10 errors'],
    ['one alert', [[1, 'alert', 'worker process 7 exited on signal 11']], 'warning', 'nginx logged 1 error'],
    ['one emergency', [[1, 'emerg', 'still could not bind()']], 'critical', 'nginx could not do what it was told'],
    ['very many errors', [[500, 'error', 'x']], 'critical', 'nginx logged 500 errors'],
    [
      'a failing upstream',
      [[10, 'error', 'connect() failed (111: Connection refused) while connecting to upstream', '127.0.0.1:8090']],
      'warning',
      'nginx cannot use the upstream 127.0.0.1:8090',
    ],
    [
      'what clients cause',
      [
        [900, 'error', 'open() "/x" failed (2: No such file or directory)'],
        [50, 'error', 'access forbidden by rule'],
      ],
      'ok',
      'the nginx error log is quiet',
    ],
  ] as const)('with %s is judged', (_, entries, severity, title) => {
    expect(decide(entries as Parameters<typeof decide>[0])).toMatchObject({ severity, title })
  })

  it('names cause, upstream and counts', () => {
    const message = 'connect() failed (111: Connection refused) while connecting to upstream'
    expect(
      decide([
        [12, 'error', message, '127.0.0.1:8090'],
        [3, 'error', 'access forbidden by rule'],
      ]),
    ).toMatchObject({
      evidence: '12 errors in 15 min, warning from 10, critical from 500; 3 more that clients caused',
      cause: 'the upstream is not running, or listens on another address or port',
      next: 'tail -n 50 /e.log',
      lines: [`12× [error] ${message} (upstream 127.0.0.1:8090)`],
    })
  })
})

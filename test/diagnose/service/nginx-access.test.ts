/** Access logs: lines of every format that is known, what is counted, and how it is judged. */
import { describe, expect, it } from 'vitest'
import { configSchema } from '../../../scripts/lib/config/schema/index.ts'
import { decideTraffic, type Traffic } from '../../../scripts/lib/diagnose/service/nginx/access.ts'
import { createAccessParser, pathOf } from '../../../scripts/lib/diagnose/service/nginx/access-format.ts'

const { thresholds } = configSchema.parse({}).diagnose
const AT = Date.UTC(2026, 10, 20, 23, 29, 58)
const TIME = '20/Nov/2026:23:29:58 +0000'
const COMBINED = `192.0.2.1 - - [${TIME}] "GET /a?token=secret HTTP/1.1" 502 157 "-" "curl/8"`

describe('a line of an access log', () => {
  it.each([
    ['combined', undefined, COMBINED, { atMs: AT, status: 502, path: '/a' }],
    ['common', undefined, `192.0.2.1 - bob [${TIME}] "GET /a HTTP/1.1" 200 -`, { atMs: AT, status: 200, path: '/a' }],
    [
      'another zone',
      undefined,
      COMBINED.replace('23:29:58 +0000', '18:59:58 -0430'),
      { atMs: AT, status: 502, path: '/a' },
    ],
    [
      'rt= at the end',
      undefined,
      `${COMBINED} rt=0.123 uct="0.000"`,
      { atMs: AT, status: 502, path: '/a', seconds: 0.123 },
    ],
    [
      'request_time= quoted',
      undefined,
      `${COMBINED} request_time="1.5"`,
      { atMs: AT, status: 502, path: '/a', seconds: 1.5 },
    ],
    [
      'only the upstream’s time',
      undefined,
      `${COMBINED} urt=0.250`,
      { atMs: AT, status: 502, path: '/a', seconds: 0.25 },
    ],
    ['a last numeric field', undefined, `${COMBINED} 0.042`, { atMs: AT, status: 502, path: '/a', seconds: 0.042 }],
    [
      'an agent that pretends to be slow',
      undefined,
      `${COMBINED.slice(0, -8)}"x rt=99.0 9.999"`,
      { atMs: AT, status: 502, path: '/a' },
    ],
    [
      'a quote in the agent',
      undefined,
      `${COMBINED.slice(0, -8)}"a\\" rt=9.0" 0.001`,
      { atMs: AT, status: 502, path: '/a', seconds: 0.001 },
    ],
    [
      'TLS sent to a plain port',
      undefined,
      `192.0.2.1 - - [${TIME}] "\\x16\\x03\\x01" 400 157 "-" "-"`,
      { atMs: AT, status: 400, path: '(no valid request line)' },
    ],
    [
      'a log_format',
      '$host $time_iso8601 $status "$request" "$http_user_agent" $request_time $upstream_response_time',
      'example.com 2026-11-20T23:29:58+00:00 504 "POST /b?x=1 HTTP/2.0" "a b" 60.001 30.000, 30.001',
      { atMs: AT, status: 504, path: '/b', seconds: 60.001 },
    ],
    [
      'a log_format with the upstream’s time only, several tried',
      '[$time_local] $upstream_addr $upstream_response_time $status $uri',
      `[${TIME}] 127.0.0.1:1 0.100, 0.200 : 0.300 200 /c`,
      { atMs: AT, status: 200, path: '/c', seconds: 0.6 },
    ],
    [
      'a log_format with a time in seconds',
      '$msec|$status|$request_uri',
      '1795217398.000|200|/d?q',
      { atMs: AT, status: 200, path: '/d' },
    ],
    [
      'JSON',
      '{"t":"$time_iso8601"}',
      '{"time":"2026-11-20T23:29:58Z","status":"200","request":"GET /e?x HTTP/1.1","request_time":"0.010"}',
      { atMs: AT, status: 200, path: '/e', seconds: 0.01 },
    ],
    [
      'JSON with numbers',
      undefined,
      '{"msec":1795217398.0,"status":500,"uri":"/f","upstream_response_time":"-"}',
      { atMs: AT, status: 500, path: '/f' },
    ],
    ['a log_format that the line does not have', '$foo', COMBINED, { atMs: AT, status: 502, path: '/a' }],
  ])('is read: %s', (_, format, line, expected) => {
    const entry = createAccessParser(format)(line)
    const { atMs, status, target = '', seconds } = entry ?? {}
    const rounded = seconds === undefined ? {} : { seconds: Number(seconds.toFixed(6)) }
    expect({ atMs, status, path: pathOf(target), ...rounded }).toEqual(expected)
  })

  it.each([
    '',
    'garbage',
    '{"status":200}',
    '{not json',
    '[20/Nov/2026:23:29:58] "GET / HTTP/1.1" 200 1',
    COMBINED.replace('Nov', 'Foo'),
    'x'.repeat(1_000_000),
    `${'"'.repeat(60_000)}`,
    ` [${TIME}] "${'\\"'.repeat(30_000)}`,
  ])('is refused, quickly, when it is %.30j', (line) => {
    expect(createAccessParser()(line)).toBeUndefined()
    expect(createAccessParser('$http_a $http_b "$http_c" [$time_local] "$request" $status')(line)).toBeUndefined()
  })
})

function traffic(statuses: Readonly<Record<number, number>>, more: Partial<Traffic> = {}): Traffic {
  const byStatus = new Map(Object.entries(statuses).map(([status, count]) => [Number(status), count]))
  const requests = [...byStatus.values()].reduce((sum, count) => sum + count, 0)
  const base = {
    log: '/var/log/nginx/access.log',
    requests,
    byStatus,
    failing: new Map(),
    durationsMs: [],
    coveredMs: 900_000,
  }
  return { ...base, complete: true, unreadableLines: 0, bytesRead: 1000, ...more }
}

describe('traffic', () => {
  it.each([
    ['no request at all', {}, 'ok', 'no requests lately'],
    ['no failures', { 200: 100 }, 'ok', 'requests are answered'],
    ['2 failures of 100', { 200: 98, 502: 2 }, 'ok', 'requests are answered'],
    ['3 failures of 100', { 200: 97, 502: 3 }, 'warning', '3 % of the requests fail'],
    ['3 failures of 1000', { 200: 997, 502: 3 }, 'ok', 'requests are answered'],
    ['5 % failures', { 200: 95, 502: 5 }, 'critical', '5 % of the requests fail'],
    ['few requests, all failing', { 502: 5 }, 'warning', '100 % of the requests fail'],
  ])('with %s is judged', (_, statuses, severity, title) => {
    expect(decideTraffic(traffic(statuses), thresholds)).toMatchObject([{ severity, title }])
  })

  it('names the cause by the most frequent status, and the worst paths', () => {
    const failing = new Map([
      ['504 /slow', 9],
      ['500 /x', 1],
    ])
    const [finding] = decideTraffic(traffic({ 200: 90, 504: 9, 500: 1 }, { failing }), thresholds)
    expect(finding).toMatchObject({
      evidence:
        '10 of 100 requests in 15 min (10 %) answered 5xx; warning from 1 %, critical from 5 %; 9× 504, 1× 500; the log format has no $request_time',
      cause: 'an upstream does not answer in time: nginx.errors names it',
      lines: ['9× 504 /slow', '1× 500 /x'],
    })
  })

  it('tells rates and percentiles as measures', () => {
    const durationsMs = Array.from({ length: 100 }, (_, index) => index + 1)
    const [finding] = decideTraffic(traffic({ 200: 90, 404: 10 }, { durationsMs, coveredMs: 100_000 }), thresholds)
    expect(finding?.measures?.map(({ label, value }) => [label, value])).toEqual([
      ['nginx requests/s', 1],
      ['nginx 5xx', 0],
      ['nginx 4xx', 10],
      ['nginx p50', 50],
      ['nginx p95', 95],
      ['nginx p99', 99],
    ])
  })

  it('warns about refusals and slowness beside failures', () => {
    const durationsMs = Array.from({ length: 30 }, () => 12_000)
    const findings = decideTraffic(traffic({ 200: 20, 403: 10 }, { durationsMs }), thresholds)
    expect(findings.map(({ severity, title }) => [severity, title])).toEqual([
      ['ok', 'requests are answered'],
      ['warning', '33.3 % of the requests are refused (4xx)'],
      ['critical', 'requests are slow'],
    ])
  })

  it('is unknown, not fine, when no line can be read', () => {
    expect(decideTraffic(traffic({}, { unreadableLines: 7 }), thresholds)).toMatchObject([{ severity: 'unknown' }])
  })
})

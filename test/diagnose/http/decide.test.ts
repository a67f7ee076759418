/** What cannot be made with a server at hand: names without an address, hostile text, long text. */
import { describe, expect, it } from 'vitest'
import { matchBody, parsePattern } from '../../../scripts/lib/diagnose/http/body.ts'
import { decideHttp } from '../../../scripts/lib/diagnose/http/decide.ts'
import type { HttpFacts } from '../../../scripts/lib/diagnose/http/check.ts'
import { configOf } from '../../support/check-context.ts'

const limits = { certificateDays: { warning: 21, critical: 7 }, now: Date.UTC(2026, 0, 1) }

function judge(facts: HttpFacts, settings: object = {}) {
  const http = [{ name: 'api', url: 'https://user:planted@api.example.com/health', ...settings }]
  const [check] = configOf({ diagnose: { http } }).diagnose.http
  if (!check) throw new Error('no check')
  return decideHttp(check, facts, limits)
}

describe('a health check', () => {
  it('of a name without an address is critical', () => {
    const unresolved = { ok: false, because: 'not-found', code: 'ENOTFOUND', durationMs: 3 } as const
    expect(judge({ unresolved })).toMatchObject([
      {
        severity: 'critical',
        title: 'The host of the health check has no address',
        evidence: 'api.example.com does not exist (NXDOMAIN)',
      },
    ])
  })

  it('shows neither the user and password of its URL nor an endless Location', () => {
    const answer = { kind: 'answer', status: 307, body: new Uint8Array(), end: 'complete', timings: {} } as const
    const [finding] = judge({ outcome: { ...answer, location: `https://evil.example/${'x'.repeat(5_000)}` } })
    expect(JSON.stringify(finding)).not.toContain('planted')
    expect(finding?.evidence?.length).toBeLessThan(400)
  })

  it('says which phase was never answered, and what the phases before it took', () => {
    const outcome = {
      kind: 'silent',
      phase: 'answer',
      waitedMs: 3_000,
      timings: { dnsMs: 2, connectMs: 8, tlsMs: 21 },
    } as const
    expect(judge({ outcome })[0]).toMatchObject({ evidence: 'no answer in 3 s (DNS 2 ms, TCP 8 ms, TLS 21 ms)' })
  })
})

describe('the expected text', () => {
  const bytes = (text: string) => new TextEncoder().encode(text)
  it.each([
    ['plain', 'a.c', 'xa.cx', 'found'],
    ['plain, not a pattern', 'a.c', 'abc', 'absent'],
    ['in Chinese', '正常', '状态：正常', 'found'],
    ['a pattern', '/a.c/', 'abc', 'found'],
    ['a pattern over lines', '/^ready$/m', 'not yet\nready\n', 'found'],
    ['a lone slash', '/health', 'GET /health', 'found'],
  ])('%s', (_name, expected, body, result) => {
    expect(matchBody(expected, bytes(body))).toBe(result)
  })

  it('that is no pattern is refused by the config', () => {
    expect(() => configOf({ diagnose: { http: [{ name: 'a', url: 'http://a/', body: '/(/' }] } })).toThrow(
      'not a regular expression',
    )
    expect(parsePattern('/a/i')).toEqual({ source: 'a', flags: 'i' })
  })
})

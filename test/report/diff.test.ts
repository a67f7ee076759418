import { describe, expect, it } from 'vitest'
import { diffReports } from '../../scripts/lib/report/diff.ts'
import type { Finding, Severity } from '../../scripts/lib/report/types.ts'

const finding = (check: string, severity: Severity, more: Partial<Finding> = {}): Finding => ({
  check,
  host: 'web-1',
  severity,
  title: `${check} is ${severity}`,
  ...more,
})
const changes = (before: Finding[], after: Finding[]) =>
  diffReports({ findings: before }, { findings: after }).map(
    ({ host, check, subject, was, is, title }) =>
      `${host} ${check}${subject === undefined ? '' : ` ${subject}`}: ${was} -> ${is} (${title})`,
  )

describe('what changed since a baseline', () => {
  it('is nothing when the severities are the same, whatever the numbers say', () => {
    expect(
      changes([finding('a', 'warning', { evidence: '86 %' })], [finding('a', 'warning', { evidence: '91 %' })]),
    ).toEqual([])
  })

  it('is what moved, appeared and disappeared, the worst now first', () => {
    expect(
      changes(
        [finding('a', 'ok'), finding('b', 'critical'), finding('c', 'warning'), finding('same', 'ok')],
        [finding('d', 'ok'), finding('b', 'ok'), finding('a', 'critical'), finding('same', 'ok')],
      ),
    ).toEqual([
      'web-1 a: ok -> critical (a is critical)',
      'web-1 b: critical -> ok (b is ok)',
      'web-1 d: absent -> ok (d is ok)',
      'web-1 c: warning -> absent (c is warning)',
    ])
  })

  it('tells hosts and subjects apart', () => {
    expect(
      changes(
        [finding('a', 'ok', { subject: '/' }), finding('a', 'ok', { subject: '/var' }), finding('a', 'ok')],
        [
          finding('a', 'ok', { subject: '/' }),
          finding('a', 'warning', { subject: '/var' }),
          finding('a', 'ok'),
          finding('a', 'ok', { host: 'web-2' }),
        ],
      ),
    ).toEqual(['web-1 a /var: ok -> warning (a is warning)', 'web-2 a: absent -> ok (a is ok)'])
  })

  it('lets the worst stand for all that share a key, in any order', () => {
    const several = [finding('a', 'ok'), finding('a', 'critical'), finding('a', 'warning')]
    expect(changes(several, several.toReversed())).toEqual([])
    expect(changes(several, several.slice(0, 1))).toEqual(['web-1 a: critical -> ok (a is ok)'])
  })
})

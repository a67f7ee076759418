import { describe, expect, it } from 'vitest'
import type { Finding, Severity } from '../../scripts/lib/report/types.ts'
import { decideVerdict } from '../../scripts/lib/report/verdict.ts'

const finding = (severity: Severity, more: Partial<Finding> = {}): Finding => ({
  check: 'host.disk',
  host: 'web-1',
  severity,
  title: `something ${severity}`,
  ...more,
})

describe('the verdict', () => {
  it.each<[Severity[], string, number]>([
    [['ok', 'ok'], 'ok', 0],
    [['ok', 'warning'], 'warning', 1],
    [['critical', 'ok', 'warning'], 'critical', 2],
    [['unknown', 'ok'], 'unknown', 3],
    [['unknown', 'warning'], 'warning', 1],
    [['unknown', 'critical'], 'critical', 2],
    [['skipped', 'ok'], 'ok', 0],
    [['skipped', 'warning'], 'warning', 1],
    [['skipped'], 'unknown', 3],
    [[], 'unknown', 3],
  ])('of %j is %s, exit %i', (severities, severity, exitCode) => {
    expect(decideVerdict(severities.map((each) => finding(each)))).toMatchObject({ severity, exitCode })
  })

  it.each<[string, Finding[], string]>([
    [
      'counts, host and the first of the worst',
      [
        finding('ok'),
        finding('critical', { title: '/var is almost full', evidence: '97 % used, critical from 95 %' }),
        finding('critical', { title: 'another' }),
        finding('skipped'),
      ],
      'CRITICAL: 2 critical, 1 ok, 1 skipped on web-1 — /var is almost full (97 % used)',
    ],
    [
      'the host of the headline when there are several',
      [finding('warning', { host: 'db-1', title: 'swapping' }), finding('ok')],
      'WARNING: 1 warning, 1 ok on 2 hosts — db-1: swapping',
    ],
    ['no headline when all is well', [finding('ok'), finding('ok')], 'OK: 2 ok on web-1'],
    ['that nothing could be checked', [finding('skipped')], 'UNKNOWN: nothing could be checked: 1 skipped on web-1'],
    ['that nothing was checked', [], 'UNKNOWN: nothing was checked'],
    [
      'a number with a comma in it whole',
      [finding('warning', { title: 'many files', evidence: '1,024 open, warning from 1,000' })],
      'WARNING: 1 warning on web-1 — many files (1,024 open)',
    ],
  ])('says %s', (_, findings, sentence) => {
    expect(decideVerdict(findings).sentence).toBe(sentence)
  })
})

import { describe, expect, it } from 'vitest'
import { buildReport } from '../../scripts/lib/report/build.ts'
import type { Finding, Report, Severity } from '../../scripts/lib/report/types.ts'
import { HOSTILE_TEXTS } from './hostile.ts'
import { fleetReport, troubledReport } from './samples.ts'

const finding = (more: Partial<Finding>): Finding => ({
  check: 'host.disk',
  host: 'web-1',
  severity: 'ok',
  title: 'fine',
  ...more,
})
const report = (...findings: Finding[]): Report => ({ title: 'Test', findings, startedAt: 0, durationMs: 1 })

/** A report in which every text is `text`. */
function everywhere(text: string): Report {
  return {
    title: text,
    findings: [
      {
        check: text,
        subject: text,
        host: text,
        severity: 'critical',
        title: text,
        evidence: text,
        cause: text,
        next: text,
        runbook: { id: text, params: { [text]: text } },
        lines: [text],
        measures: [{ label: text, value: 1 }],
      },
    ],
    facts: { [text]: [[text, text]] },
    tables: [{ title: text, columns: [text], rows: [[text]] }],
    changes: {
      since: text,
      list: [{ host: text, check: text, subject: text, was: 'ok', is: 'critical', title: text }],
    },
    startedAt: 0,
    durationMs: 1,
  }
}

describe('the gate that every report passes', () => {
  it('puts the worst first and keeps the order among equals', () => {
    const order: Severity[] = ['ok', 'unknown', 'critical', 'skipped', 'warning', 'critical']
    const built = buildReport(report(...order.map((severity, index) => finding({ severity, title: `${index}` }))))
    expect(built.findings.map(({ severity, title }) => `${severity} ${title}`)).toEqual([
      'critical 2',
      'critical 5',
      'warning 4',
      'unknown 1',
      'ok 0',
      'skipped 3',
    ])
  })

  it('redacts every text there is', () => {
    const built = buildReport(everywhere('the password is hunter2, really'), {
      redact: (text) => text.replaceAll('hunter2', '[REDACTED]'),
    })
    const document = JSON.stringify(built)
    expect(document).not.toContain('hunter2')
    expect(document.match(/\[REDACTED\]/g)?.length).toBeGreaterThan(18)
  })

  it('redacts a secret that a colour code splits in two', () => {
    const built = buildReport(everywhere('password=\u001b[33mhun\u001b[1mter2\u001b[0m'), {
      redact: (text) => text.replaceAll('hunter2', '[REDACTED]'),
    })
    expect(built.findings[0]?.lines).toEqual(['password=[REDACTED]'])
  })

  it('redacts a secret that spans several lines', () => {
    const lines = ['-----BEGIN KEY-----', 'MIIEow', '-----END KEY-----', 'after']
    const redact = (text: string) => text.replace(/-----BEGIN KEY-----[^]*-----END KEY-----/, '[REDACTED]')
    expect(buildReport(report(finding({ lines })), { redact }).findings[0]?.lines).toEqual(['[REDACTED]', 'after'])
  })

  it.each(HOSTILE_TEXTS)('leaves no control character of %s', (_, text) => {
    const built = buildReport(everywhere(text))
    const strings: string[] = []
    JSON.stringify(built, (key, value: unknown) => {
      strings.push(key, ...(typeof value === 'string' ? [value] : []))
      return value
    })
    for (const string of strings) {
      expect(string).not.toMatch(/[\p{Cc}\u2028\u2029\u202a-\u202e\u2066-\u2069\u{e0000}-\u{e007f}]/u)
      expect(string.isWellFormed()).toBe(true)
      expect([...string].length).toBeLessThanOrEqual(1_300)
    }
  })

  it('is a fixed point: what has passed passes unchanged', () => {
    for (const input of [troubledReport(), fleetReport(), ...HOSTILE_TEXTS.map(([, text]) => everywhere(text))]) {
      const once = buildReport(input)
      expect(buildReport(once)).toEqual(once)
    }
  })

  it('leaves the report it was given as it was', () => {
    const input = everywhere('\u001b[31mx')
    const copy = structuredClone(input)
    buildReport(input)
    expect(input).toEqual(copy)
  })

  it('keeps the last lines and their indentation, one line each', () => {
    const lines = [...Array.from({ length: 60 }, (_, index) => `line ${index}`), 'a\n\tat b\r\nc']
    const kept = buildReport(report(finding({ lines }))).findings[0]?.lines
    expect(kept).toHaveLength(50)
    expect(kept?.slice(-3)).toEqual(['a', '  at b', 'c'])
  })

  it('bounds a flood of findings but counts them all', () => {
    const flood = Array.from({ length: 10_020 }, () => finding({}))
    const built = buildReport(report(...flood, finding({ severity: 'critical' })))
    expect(built.findings).toHaveLength(10_000)
    expect(built.omitted).toBe(21)
    expect(built.findings[0]?.severity).toBe('critical')
    expect(built.verdict.counts.ok).toBe(10_020)
  })

  it('looks at no more than the beginning of a hostile megabyte', () => {
    const seen: number[] = []
    const redact = (text: string) => {
      seen.push(text.length)
      return text
    }
    buildReport(everywhere('x'.repeat(5_000_000)), { redact })
    expect(Math.max(...seen)).toBeLessThanOrEqual(65_536)
  })

  it('shows a finding that makes no sense as unknown, and drops numbers that are none', () => {
    const built = buildReport(
      report({
        check: '',
        host: '\u200b',
        severity: 'fatal' as Severity,
        title: ' \n ',
        durationMs: Number.NaN,
        measures: [
          { label: 'a', value: Number.NaN },
          { label: '', value: 3, unit: 'KB' as 'B', warn: '20:10', crit: '~:5', min: Number.NEGATIVE_INFINITY },
        ],
      }),
    )
    expect(built.findings).toEqual([
      {
        check: 'unnamed',
        host: '\\u200b',
        severity: 'unknown',
        title: 'unnamed gave no result',
        measures: [{ label: 'value', value: 3, crit: '~:5' }],
      },
    ])
  })

  it('survives a moment and a duration that are no numbers', () => {
    const built = buildReport({ ...report(), startedAt: Number.NaN, durationMs: Number.POSITIVE_INFINITY })
    expect([built.startedAt, built.durationMs]).toEqual([0, 0])
    expect(buildReport({ ...report(), startedAt: 1e300 }).startedAt).toBe(0)
  })

  it('gives every table row as many cells as there are columns', () => {
    const table = { title: 't', columns: ['a', 'b'], rows: [['1'], ['1', '2', '3']] }
    expect(buildReport({ ...report(), tables: [table] }).tables[0]?.rows).toEqual([
      ['1', ''],
      ['1', '2'],
    ])
  })

  it('lists hosts worst first, then by name as people count', () => {
    const built = buildReport({
      ...report(
        finding({ host: 'web-10' }),
        finding({ host: 'web-2' }),
        finding({ host: 'db', severity: 'warning' }),
        finding({ host: 'idle', severity: 'skipped' }),
      ),
      facts: { silent: [['uptime', '1 d']] },
    })
    expect(built.hosts.map(({ name, severity }) => `${name} ${severity}`)).toEqual([
      'db warning',
      'idle unknown',
      'silent unknown',
      'web-2 ok',
      'web-10 ok',
    ])
  })
})

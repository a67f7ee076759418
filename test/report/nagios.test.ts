import { describe, expect, it } from 'vitest'
import { buildReport } from '../../scripts/lib/report/build.ts'
import { parseRange } from '../../scripts/lib/report/measure.ts'
import { renderNagios } from '../../scripts/lib/report/nagios.ts'
import type { Finding, Measure, Report } from '../../scripts/lib/report/types.ts'
import { HOSTILE_TEXTS } from './hostile.ts'
import { emptyReport, fleetReport, quietReport, troubledReport } from './samples.ts'

interface Perfdatum {
  readonly label: string
  readonly value: number
  readonly unit: string
  readonly fields: readonly string[]
}

/** Reads plugin output as a monitoring system does: the status before the pipe, quoted labels, fields between semicolons. */
function readPlugin(output: string): { status: string; perfdata: Perfdatum[]; long: string[] } {
  const [first = '', ...long] = output.replace(/\n$/, '').split('\n')
  const pipe = first.indexOf('|')
  const status = pipe === -1 ? first : first.slice(0, pipe).trim()
  const perfdata: Perfdatum[] = []
  let rest = pipe === -1 ? '' : first.slice(pipe + 1).trim()
  while (rest !== '') {
    const match = /^'((?:[^'=]|'')+)'=(-?[\d.]+)(s|ms|%|B|c|)((?:;[^; ]*){0,4})(?: |$)/.exec(rest)
    if (!match) throw new Error(`not performance data: ${rest}`)
    const [whole, label = '', value, unit = '', fields = ''] = match
    perfdata.push({
      label: label.replaceAll("''", "'"),
      value: Number(value),
      unit,
      fields: fields.split(';').slice(1),
    })
    rest = rest.slice(whole.length)
  }
  return { status, perfdata, long }
}

const read = (report: Report) => readPlugin(renderNagios(buildReport(report)))
const measured = (measures: Measure[], more: Partial<Finding> = {}): Finding => ({
  check: 'host.disk',
  host: 'web-1',
  severity: 'ok',
  title: 'fine',
  measures,
  ...more,
})

describe('a report for a monitoring system', () => {
  it('begins with the service, the state and the sentence', () => {
    expect(read(troubledReport()).status).toBe(
      'OPSKIT CRITICAL - 2 critical, 1 warning, 1 unknown, 6 ok, 3 skipped on web-1 — /var is almost full (97 % used)',
    )
    expect(read(quietReport()).status).toBe('OPSKIT OK - 6 ok, 3 skipped on web-2')
    expect(renderNagios(buildReport(emptyReport()))).toBe('OPSKIT UNKNOWN - nothing was checked\n')
  })

  it('gives every measure with its unit, its ranges and its bounds', () => {
    const { perfdata } = read(troubledReport())
    expect(perfdata.find(({ label }) => label === 'host.disk /var used')).toEqual({
      label: 'host.disk /var used',
      value: 97,
      unit: '%',
      fields: ['~:85', '~:95', '0', '100'],
    })
    expect(perfdata).toHaveLength(6)
    for (const { fields } of perfdata) for (const range of fields.slice(0, 2)) expect(parseRange(range)).toBeDefined()
  })

  it('writes long output for problems only', () => {
    const { long } = read(troubledReport())
    expect(long[0]).toBe('[CRITICAL] web-1 host.disk /var: /var is almost full (97 % used, critical from 95 %)')
    expect(long).toContain('  next: ps -eo pid,rss,comm --sort=-rss ¦ head')
    expect(read(quietReport()).long).toEqual([])
  })

  it.each<[number, string]>([
    [0, '0'],
    [-3.25, '-3.25'],
    [1e21, '1000000000000000000000'],
    [1e-9, '0.000000'],
    [0.1 + 0.2, '0.3'],
    [100, '100'],
    [1234567.5, '1234567.5'],
  ])('writes %d without an exponent', (value, text) => {
    expect(renderNagios(buildReport({ ...emptyReport(), findings: [measured([{ label: 'x', value }])] }))).toContain(
      `'host.disk x'=${Number(text) === 0 ? '0' : text}\n`,
    )
  })

  it('makes labels unique and quotes them as the guidelines say', () => {
    const odd = { label: "a'b=c|d", value: 1 }
    const { perfdata } = read({ ...emptyReport(), findings: [measured([odd, odd]), measured([odd])] })
    expect(perfdata.map(({ label }) => label)).toEqual([
      "host.disk a'b:c¦d",
      "host.disk a'b:c¦d 2",
      "host.disk a'b:c¦d 3",
    ])
  })

  it('names the host in labels when there are several', () => {
    expect(read(fleetReport()).perfdata.map(({ label }) => label)).toContain('web-1 host.disk /var used')
  })

  it.each(HOSTILE_TEXTS)('has one pipe and no stray lines: %s', (_, text) => {
    const findings = [
      measured([{ label: text, value: 1 }], {
        severity: 'critical',
        title: text,
        subject: text,
        host: text,
        next: text,
      }),
    ]
    const output = renderNagios(buildReport({ ...emptyReport(), findings }))
    expect(output.match(/\|/g)).toHaveLength(1)
    expect(output).not.toMatch(/[<>]/)
    const { perfdata, long } = readPlugin(output)
    expect(perfdata).toHaveLength(1)
    expect(long.map((line) => /^(\[CRITICAL\] | {2}next: )/.test(line))).toEqual([true, true])
  })

  it('stays within what monitoring systems keep, in whole lines and whole measures', () => {
    const findings = Array.from({ length: 400 }, (_, index) =>
      measured([{ label: `磁盘 ${index}`, value: index, unit: '%' }], {
        severity: index % 2 ? 'critical' : 'ok',
        title: '数'.repeat(200),
        subject: `/mnt/${index}`,
      }),
    )
    const output = renderNagios(buildReport({ ...emptyReport(), findings }))
    expect(Buffer.byteLength(output)).toBeLessThanOrEqual(8_192)
    const { perfdata, long } = readPlugin(output)
    expect(perfdata.length).toBeGreaterThan(50)
    expect(perfdata[0]?.value).toBe(1)
    expect(long.at(-1)).toMatch(/^\(\d+ more lines left out\)$/)
  })
})

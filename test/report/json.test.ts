import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { buildReport } from '../../scripts/lib/report/build.ts'
import { formatReportSchema, jsonReportSchema } from '../../scripts/lib/report/json-schema.ts'
import { parseReport, renderJson } from '../../scripts/lib/report/json.ts'
import { emptyReport, fleetReport, quietReport, troubledReport } from './samples.ts'
import { HOSTILE_TEXTS } from './hostile.ts'

const json = (report = troubledReport()) => renderJson(buildReport(report))

/** Every path of a value, array indexes as `[]`. */
function pathsOf(value: unknown, path = ''): string[] {
  if (Array.isArray(value)) return value.flatMap((item) => pathsOf(item, `${path}[]`))
  if (typeof value !== 'object' || value === null) return [path]
  return Object.entries(value).flatMap(([key, item]) => pathsOf(item, path === '' ? key : `${path}.${key}`))
}

describe('a report as JSON', () => {
  it('keeps the keys it has promised', () => {
    expect([...new Set(pathsOf(JSON.parse(json())))].sort()).toEqual([
      'changes.list[].check',
      'changes.list[].host',
      'changes.list[].is',
      'changes.list[].subject',
      'changes.list[].title',
      'changes.list[].was',
      'changes.since',
      'durationMs',
      'findings[].cause',
      'findings[].check',
      'findings[].durationMs',
      'findings[].evidence',
      'findings[].host',
      'findings[].lines[]',
      'findings[].measures[].crit',
      'findings[].measures[].label',
      'findings[].measures[].max',
      'findings[].measures[].min',
      'findings[].measures[].unit',
      'findings[].measures[].value',
      'findings[].measures[].warn',
      'findings[].next',
      'findings[].runbook.id',
      'findings[].runbook.params.container',
      'findings[].runbook.params.host',
      'findings[].runbook.params.mount',
      'findings[].severity',
      'findings[].subject',
      'findings[].title',
      'hosts[].counts.critical',
      'hosts[].counts.ok',
      'hosts[].counts.skipped',
      'hosts[].counts.unknown',
      'hosts[].counts.warning',
      'hosts[].facts[].name',
      'hosts[].facts[].value',
      'hosts[].name',
      'hosts[].severity',
      'omitted',
      'schema',
      'startedAt',
      'tables[].columns[]',
      'tables[].rows[][]',
      'tables[].title',
      'title',
      'verdict.counts.critical',
      'verdict.counts.ok',
      'verdict.counts.skipped',
      'verdict.counts.unknown',
      'verdict.counts.warning',
      'verdict.exitCode',
      'verdict.sentence',
      'verdict.severity',
    ])
  })

  it('says what it is, when, and how bad', () => {
    expect(JSON.parse(json())).toMatchObject({
      schema: 'opskit.report/1',
      startedAt: '2026-11-20T23:25:03.000Z',
      durationMs: 612,
      verdict: { severity: 'critical', exitCode: 2, counts: { critical: 2, ok: 6 } },
      hosts: [{ name: 'web-1', severity: 'critical' }],
    })
    expect(JSON.parse(json(quietReport()))).toMatchObject({ changes: null, tables: [], omitted: 0 })
  })

  it.each([troubledReport(), fleetReport(), quietReport(), emptyReport()])('matches its schema: $title', (report) => {
    const document: unknown = JSON.parse(json(report))
    expect(jsonReportSchema().parse(document)).toEqual(document)
  })

  it('prints its schema as JSON Schema that names every field of a finding', () => {
    const schema = JSON.parse(formatReportSchema()) as {
      properties: Record<string, { items?: { properties: object } }>
    }
    expect(Object.keys(schema.properties.findings?.items?.properties ?? {})).toEqual([
      'check',
      'subject',
      'host',
      'severity',
      'title',
      'evidence',
      'cause',
      'next',
      'runbook',
      'lines',
      'measures',
      'durationMs',
    ])
  })

  it.each(HOSTILE_TEXTS)('is one document of printable characters: %s', (_, text) => {
    const hostile = json({ ...troubledReport(), title: text, facts: { [text]: [[text, text]] } })
    expect(hostile.replaceAll('\n', '')).not.toMatch(/\p{Cc}/u)
    expect(() => void JSON.parse(hostile)).not.toThrow()
  })
})

describe('a saved report', () => {
  it.each([troubledReport(), fleetReport(), quietReport(), emptyReport()])(
    'reads back whole: $title',
    async (report) => {
      expect(await parseReport(json(report), 'last.json')).toEqual(buildReport(report))
    },
  )

  it('reads back with a byte order mark and with fields of a later version', async () => {
    const document = { ...(JSON.parse(json()) as object), mood: 'good' }
    expect(await parseReport(`\ufeff${JSON.stringify(document)}`, 'last.json')).toEqual(buildReport(troubledReport()))
  })

  it('passes the gate again, because a file can be edited', async () => {
    const edited = json().replaceAll('is almost full', '\\u001b[2J hunter2')
    const read = await parseReport(edited, 'last.json', { redact: (text) => text.replaceAll('hunter2', '***') })
    expect(read.findings[0]?.title).toBe('/var \\x1b[2J ***')
  })

  it.each<[string, string, RegExp]>([
    ['no JSON', '{"schema":', /last\.json is not JSON/],
    ['nothing', '', /last\.json is not JSON/],
    ['other JSON', '{"a":1}', /last\.json is JSON, but not a report of opskit/],
    ['a list', '[]', /not a report of opskit/],
    ['null', 'null', /not a report of opskit/],
    ['a later schema', '{"schema":"opskit.report/2"}', /schema 2; this opskit reads schema 1/],
    ['an earlier schema', '{"schema":"opskit.report/0"}', /schema 0; this opskit reads schema 1/],
    ['another document of ours', '{"schema":"opskit.journal/1"}', /not a report of opskit/],
    ['half a report', '{"schema":"opskit.report/1"}', /not a whole report: title/],
    [
      'a severity that is none',
      json().replace('"severity": "ok"', '"severity": "fine"'),
      /findings\.4\.severity|hosts/,
    ],
  ])('is refused with a reason when it is %s', async (_, text, message) => {
    await expect(parseReport(text, 'last.json')).rejects.toMatchObject({
      code: 'CONFIG_INVALID',
      message: expect.stringMatching(message) as string,
      details: { place: 'last.json', hint: expect.stringContaining('new baseline') as string },
    })
  })

  it('never throws anything else, whatever the file holds', async () => {
    await fc.assert(
      fc.asyncProperty(fc.json(), async (text) => {
        await expect(parseReport(text, 'x')).rejects.toMatchObject({ code: 'CONFIG_INVALID' })
      }),
      { numRuns: 50 },
    )
  })
})

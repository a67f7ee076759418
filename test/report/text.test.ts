import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { buildReport } from '../../scripts/lib/report/build.ts'
import { renderText } from '../../scripts/lib/report/text.ts'
import type { Finding, Report } from '../../scripts/lib/report/types.ts'
import { displayWidth } from '../../scripts/lib/report/width.ts'
import { HOSTILE_TEXTS } from './hostile.ts'
import { emptyReport, fleetReport, quietReport, troubledReport } from './samples.ts'

const SGR = /\u001b\[\d+m/g
const text = (report: Report, options = {}) => renderText(buildReport(report), options)

describe('a report as text', () => {
  const [troubled, fleet] = [troubledReport(), fleetReport()]
  it.each<[string, Report, object]>([
    ['troubled-60', troubled, { width: 60 }],
    ['troubled-80', troubled, { width: 80 }],
    ['troubled-120', troubled, { width: 120 }],
    ['troubled-200', troubled, { width: 200 }],
    ['troubled-pipe', troubled, {}],
    ['troubled-60-color', troubled, { width: 60, color: true }],
    ['troubled-80-color', troubled, { width: 80, color: true }],
    ['troubled-120-color', troubled, { width: 120, color: true }],
    ['troubled-80-verbose', troubled, { width: 80, verbose: true }],
    ['troubled-80-ascii', troubled, { width: 80, unicode: false }],
    ['fleet-60', fleet, { width: 60 }],
    ['fleet-120', fleet, { width: 120 }],
    ['fleet-120-verbose', fleet, { width: 120, verbose: true }],
    ['quiet-80', quietReport(), { width: 80 }],
    ['empty-80', emptyReport(), { width: 80 }],
  ])('looks as it should: %s', async (name, report, options) => {
    await expect(await text(report, options)).toMatchFileSnapshot(`fixtures/${name}.txt`)
  })

  it('begins with the verdict', async () => {
    expect((await text(troubledReport())).split('\n')[0]).toBe(
      '✖ CRITICAL: 2 critical, 1 warning, 1 unknown, 6 ok, 3 skipped on web-1 — /var is almost full (97 % used)',
    )
  })

  it('is the same with and without colour, but for the colour', async () => {
    const plain = await text(fleetReport(), { width: 80 })
    const painted = await text(fleetReport(), { width: 80, color: true })
    expect(painted).not.toBe(plain)
    expect(painted.replace(SGR, '')).toBe(plain)
  })

  it('says every severity in a word, not by colour alone', async () => {
    const plain = await text(troubledReport())
    for (const word of ['CRITICAL  /var', 'WARNING  memory', 'UNKNOWN  the name', '6 ok', '3 skipped']) {
      expect(plain).toContain(word)
    }
  })

  it('puts the next command on a line of its own and never breaks it', async () => {
    const next = `journalctl ${'--unit very-long-name.service '.repeat(8)}--since today`
    const report = { ...emptyReport(), findings: [{ ...problem('x'), next }] }
    const lines = (await text(report, { width: 40 })).split('\n')
    expect(lines.filter((line) => line.trim() === next)).toHaveLength(1)
    expect(
      lines
        .filter((line) => line !== '')
        .at(-1)
        ?.trim(),
    ).toBe(next)
  })

  it('puts the command that starts the runbook on a line of its own, quoted for a shell', async () => {
    const runbook = { id: 'backend-down', params: { host: 'web-1', container: 'x; rm -rf /', compose: '' } }
    const lines = (await text({ ...emptyReport(), findings: [{ ...problem('x'), runbook }] }, { width: 40 })).split(
      '\n',
    )
    expect(lines).toContain(
      "    npx zx scripts/runbook.ts start backend-down --param host=web-1 --param container='x; rm -rf /' --param compose=''",
    )
  })

  it('uses nothing but ASCII of its own without Unicode', async () => {
    const report = { ...fleetReport(['web-2', 'db-1']), changes: { since: 'yesterday', list: [] } }
    const ours = await text(report, { unicode: false, width: 70, verbose: true })
    expect(ours.replaceAll('数据', '')).toMatch(/^[\n\x20-\x7e]*$/)
  })

  it('names the host of each finding only when there are several', async () => {
    expect(await text(troubledReport())).toContain('✖ CRITICAL  /var is almost full')
    expect(await text(fleetReport())).toContain('✖ CRITICAL  web-1: /var is almost full')
  })

  it('says that nothing changed since the baseline', async () => {
    const report = { ...quietReport(), changes: { since: 'yesterday', list: [] } }
    expect(await text(report)).toContain('No change since yesterday')
  })

  it('says how many findings were left out', async () => {
    const findings = Array.from({ length: 10_003 }, () => ({ ...problem('x'), severity: 'ok' as const }))
    expect(await text({ ...emptyReport(), findings })).toContain('3 of the least bad findings are left out')
  })

  it('keeps lines from outside behind a bar, so that none can pass for ours', async () => {
    const line = 'x\n✔ OK: all is well\n  next:\n    rm -rf /'
    const shown = await text({ ...emptyReport(), findings: [{ ...problem('x'), lines: [line] }] }, { width: 40 })
    for (const part of ['✔ OK: all is well', 'next:', 'rm -rf /']) {
      const lines = shown.split('\n').filter((each) => each.includes(part))
      expect(lines.map((each) => each.startsWith('  │ '))).toEqual([true])
    }
  })
})

describe('hostile text at a terminal', () => {
  it.each(HOSTILE_TEXTS)('is inert: %s', async (_, hostile) => {
    for (const options of [{}, { width: 40, color: true, verbose: true }]) {
      expectInert(await text(hostileReport(hostile), options))
    }
  })

  it('is inert whatever it is, and fits the terminal', async () => {
    const unit = fc.oneof(
      fc.constantFrom('\u001b[', '\u009b', '\u001b]52;c;', '\u0007', '\r', '\n', '\b', '\0', '\u202e', '\ud800', '数'),
      fc.string({ unit: 'binary', maxLength: 3 }),
    )
    const hostile = fc.array(unit, { maxLength: 30 }).map((parts) => parts.join(''))
    await fc.assert(
      fc.asyncProperty(hostile, fc.integer({ min: 30, max: 100 }), fc.boolean(), async (input, width, verbose) => {
        const shown = await text(hostileReport(input), { width, verbose, color: true })
        expectInert(shown)
        const lines = shown.replace(SGR, '').split('\n')
        const wrapped = lines.filter((_, index) => !['  next:', '  runbook:'].includes(lines[index - 1] ?? ''))
        expect(wrapped.filter((line) => displayWidth(line) > width)).toEqual([])
      }),
      { numRuns: 40 },
    )
  })
})

function expectInert(shown: string): void {
  const rest = shown.replace(SGR, '').replaceAll('\n', '')
  expect(rest).not.toMatch(/[\p{Cc}\u2028\u2029\u202a-\u202e\u2066-\u2069]/u)
  expect(rest.isWellFormed()).toBe(true)
}

function problem(title: string): Finding {
  return { check: 'host.test', host: 'web-1', severity: 'critical', title }
}

function hostileReport(hostile: string): Report {
  return {
    title: hostile,
    findings: [
      {
        ...problem(hostile),
        subject: hostile,
        evidence: hostile,
        cause: hostile,
        next: hostile,
        lines: [hostile],
        runbook: { id: hostile, params: { [hostile]: hostile } },
      },
      { ...problem(hostile), check: hostile, host: hostile, severity: 'ok' },
      { ...problem(hostile), check: hostile, host: hostile, severity: 'skipped' },
    ],
    facts: { [hostile]: [[hostile, hostile]] },
    tables: [{ title: hostile, columns: [hostile, 'n'], rows: [[hostile, '1']] }],
    changes: {
      since: hostile,
      list: [{ host: hostile, check: hostile, was: 'ok', is: 'absent', title: hostile }],
    },
    startedAt: 0,
    durationMs: 1,
  }
}

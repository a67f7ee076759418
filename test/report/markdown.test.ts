import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { buildReport } from '../../scripts/lib/report/build.ts'
import { escapeMarkdown, formatMarkdownTable, renderMarkdown } from '../../scripts/lib/report/markdown.ts'
import { emptyReport, fleetReport, quietReport, troubledReport } from './samples.ts'

describe('a report as Markdown', () => {
  it.each([
    ['troubled', troubledReport()],
    ['fleet', fleetReport()],
    ['quiet', quietReport()],
    ['empty', emptyReport()],
  ])('looks as it should: %s', async (name, report) => {
    await expect(renderMarkdown(buildReport(report))).toMatchFileSnapshot(`fixtures/${name}.md`)
  })

  it('fences lines with more backticks than they hold', () => {
    const lines = ['````', 'x ``` y']
    const findings = [{ check: 'a', host: 'b', severity: 'critical' as const, title: 'c', lines }]
    const markdown = renderMarkdown(buildReport({ ...emptyReport(), findings }))
    expect(markdown).toContain('`````text\n````\nx ``` y\n`````')
  })
})

describe('outside text in Markdown', () => {
  it.each<[string, string]>([
    ['plain words, (even) with punctuation: 97 % used.', 'plain words, (even) with punctuation: 97 % used.'],
    ['订单服务', '订单服务'],
    ['/var/log/*.log', '/var/log/\\*.log'],
    ['snake_case', 'snake\\_case'],
    ['[a](b)', '\\[a\\](b)'],
    ['![a](b)', '\\!\\[a\\](b)'],
    ['a | b', 'a &#124; b'],
    ['<b>&amp;', '&lt;b&gt;&amp;amp;'],
    ['`code`', '&#96;code&#96;'],
    ['# title', '\\# title'],
    ['- item', '\\- item'],
    ['1. item', '1\\. item'],
    ['1.5 GiB', '1.5 GiB'],
    ['see https://example.com/a_b', 'see `https://example.com/a_b`'],
    ['ask @ops', 'ask `@ops`'],
    ['issue #12', 'issue `#12`'],
    ['C\\path', 'C\\\\path'],
    ['', ''],
  ])('"%s" becomes "%s"', (text, markdown) => {
    expect(escapeMarkdown(text)).toBe(markdown)
  })

  it('never yields HTML, a cell border or an open code span', () => {
    const text = fc.string({
      unit: fc.oneof(fc.constantFrom(...'<>&|`\\[]()!*_#~@:/$ "\'=-+.1a'), fc.string({ minLength: 1, maxLength: 1 })),
      maxLength: 40,
    })
    fc.assert(
      fc.property(text, (input) => {
        const markdown = escapeMarkdown(input)
        expect(markdown).not.toMatch(/[<>|]/)
        expect(markdown.replace(/&(?:lt|gt|amp|#124|#96);/g, '')).not.toContain('&')
        expect((markdown.match(/`/g) ?? []).length % 2).toBe(0)
        expect(markdown).not.toContain('``')
      }),
    )
  })

  it('makes no table of nothing', () => {
    expect(formatMarkdownTable({ columns: [], rows: [] })).toBe('(none)')
    expect(formatMarkdownTable({ columns: ['a'], rows: [] })).toBe('(none)')
  })
})

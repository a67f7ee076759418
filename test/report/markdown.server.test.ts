/** What GitHub's own Markdown parser (cmark-gfm) makes of outside text: the text itself, and nothing else. */
import { execFileSync } from 'node:child_process'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { buildReport } from '../../scripts/lib/report/build.ts'
import { escapeMarkdown, formatMarkdownTable, renderMarkdown } from '../../scripts/lib/report/markdown.ts'
import type { Report } from '../../scripts/lib/report/types.ts'
import { HOSTILE_TEXTS } from './hostile.ts'
import { emptyReport, troubledReport } from './samples.ts'

const EXTENSIONS = ['table', 'strikethrough', 'autolink', 'tasklist'].flatMap((name) => ['-e', name])

/** Raw HTML is let through (`--unsafe`), so that nothing but our escaping protects. */
function toHtml(markdown: string): string {
  return execFileSync('cmark-gfm', ['--unsafe', ...EXTENSIONS], { input: markdown, encoding: 'utf8', timeout: 10_000 })
}

function decode(html: string): string {
  return html
    .replace(/<\/?code>/g, '')
    .replaceAll('&lt;', '<')
    .replaceAll('&gt;', '>')
    .replaceAll('&quot;', '"')
    .replaceAll('&amp;', '&')
}

/** Texts as they come out of the gate: one line, printable. */
const passed = (text: string) => buildReport({ ...emptyReport(), title: text }).title
const cellsOf = (html: string) => [...html.matchAll(/<td>([^]*?)<\/td>/g)].map(([, cell]) => cell ?? '')

const texts = HOSTILE_TEXTS.map(([, text]) => passed(text))
const anyText = fc
  .string({
    unit: fc.oneof(
      fc.constantFrom(...'<>&|`\\[]()!*_#~@:/$"\'=-+.1a '),
      fc.constantFrom('www.', 'http://', 'a@b.co', '</', '<!--', 'javascript:', '&lt;', '``', '](', '~~', '**', '数'),
    ),
    minLength: 1,
    maxLength: 25,
  })
  .map(passed)

describe('outside text that GitHub parses', () => {
  it('is shown as it is in a table cell, whatever it is', () => {
    fc.assert(
      fc.property(fc.array(anyText, { minLength: 150, maxLength: 150 }), (many) => {
        const all = [...texts, ...many]
        const html = toHtml(formatMarkdownTable({ columns: ['text', 'n'], rows: all.map((text) => [text, 'x']) }))
        const shown = cellsOf(html).filter((_, index) => index % 2 === 0)
        expect(shown.map(decode)).toEqual(all)
        expect([...new Set(html.match(/<\/?[a-z]+/g))].sort()).toEqual(
          [
            '<code',
            '</code',
            ...['table', 'thead', 'tbody', 'tr', 'th', 'td'].flatMap((tag) => [`<${tag}`, `</${tag}`]),
          ].sort(),
        )
      }),
      { numRuns: 20 },
    )
  })

  it('is shown as it is in a paragraph, a heading and bold, whatever it is', () => {
    fc.assert(
      fc.property(fc.array(anyText, { minLength: 100, maxLength: 100 }), (many) => {
        const all = [...texts, ...many].filter((text) => text !== '')
        const markdown = all.flatMap((text) => [escapeMarkdown(text), `## x: ${escapeMarkdown(text)}`]).join('\n\n')
        const html = toHtml(markdown)
        const shown = [...html.matchAll(/<(p|h2)>([^]*?)<\/\1>\n/g)].map(
          ([, tag, text]) => `${tag} ${decode(text ?? '')}`,
        )
        expect(shown).toEqual(all.flatMap((text) => [`p ${text}`, `h2 x: ${text}`]))
      }),
      { numRuns: 20 },
    )
  })

  it.each(HOSTILE_TEXTS)('adds nothing to a whole report: %s', (_, text) => {
    const tags = (report: Report) =>
      [...toHtml(renderMarkdown(buildReport(report))).matchAll(/<\/?[a-z]+\d?[^>]*>/g)].map(String)
    const allowed =
      /^<\/?(h1|h2|p|strong|table|thead|tbody|tr|th|td|code|pre)( lang="(text|sh)")?( class="language-\w+")?>$/
    const troubled = troubledReport()
    const report: Report = {
      ...troubled,
      title: text,
      findings: troubled.findings.map((finding) => ({
        ...finding,
        title: text,
        cause: text,
        lines: [text],
        next: text,
        runbook: { id: text, params: { [text]: text } },
      })),
      facts: { 'web-1': [[text, text]] },
    }
    expect(tags(report).filter((tag) => !allowed.test(tag))).toEqual([])
  })
})

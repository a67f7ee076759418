import { createHash } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { buildReport } from '../../scripts/lib/report/build.ts'
import { renderHtml } from '../../scripts/lib/report/html.ts'
import { escapeHtml, formatMarkup, html } from '../../scripts/lib/report/markup.ts'
import { HOSTILE_TEXTS } from './hostile.ts'
import { emptyReport, fleetReport, quietReport, troubledReport } from './samples.ts'

const page = (report = troubledReport()) => renderHtml(buildReport(report))

describe('markup', () => {
  it('escapes every value that is not markup itself', () => {
    const name = `<b title="x">'&'</b>`
    const escaped = '&lt;b title=&quot;x&quot;&gt;&#39;&amp;&#39;&lt;/b&gt;'
    expect(escapeHtml(name)).toBe(escaped)
    expect(formatMarkup(html`<p title="${name}">${name}</p>`)).toBe(`<p title="${escaped}">${escaped}</p>`)
    const items = [html`<i>${1}</i>`, html`<i>${'&'}</i>`]
    expect(formatMarkup(html`<b>${items}</b>`)).toBe('<b><i>1</i><i>&amp;</i></b>')
    expect(formatMarkup(html`${undefined}${false}`)).toBe('')
  })
})

describe('a report as a page', () => {
  it.each([troubledReport(), fleetReport(), quietReport(), emptyReport()])(
    'has no script and no request: $title',
    (report) => {
      const text = page(report)
      expect(text).not.toMatch(/<script|\son\w+=|\sstyle=|@import|url\(/i)
      const addresses = [...text.matchAll(/(?:href|src)="([^"]*)"/g)].map(([, address]) => address ?? '')
      expect(addresses.filter((address) => !/^(#\w+$|data:image\/svg)/.test(address))).toEqual([])
      expect(text).not.toMatch(/\{\{|undefined|\[object/)
    },
  )

  it('allows its own style sheet by its hash and nothing else', () => {
    const text = page()
    const style = /<style>([^]*?)<\/style>/.exec(text)?.[1] ?? ''
    const hash = createHash('sha256').update(style).digest('base64')
    expect(text).toContain(
      `content="default-src &#39;none&#39;; style-src &#39;sha256-${hash}&#39;; img-src data:; base-uri &#39;none&#39;; form-action &#39;none&#39;"`,
    )
  })

  it('uses each id once, and every link inside the page has its target', () => {
    const text = page({ ...fleetReport(), tables: troubledReport().tables ?? [] })
    const ids = [...text.matchAll(/\sid="([^"]*)"/g)].map(([, id]) => id)
    expect(ids).toEqual([...new Set(ids)])
    const links = [...text.matchAll(/href="#([^"]*)"/g)].map(([, id]) => id)
    expect(links).toEqual(['critical', 'warning', 'unknown', 'ok', 'skipped'])
    expect(links.filter((id) => !ids.includes(id))).toEqual([])
  })

  it.each(HOSTILE_TEXTS)('has the same elements whatever the text: %s', (_, hostile) => {
    const tagsOf = (title: string) =>
      page({
        ...emptyReport(),
        findings: [
          {
            check: 'a',
            host: 'b',
            severity: 'critical',
            title,
            evidence: title,
            next: title,
            runbook: { id: title, params: { [title]: title } },
          },
        ],
      })
        .replace(/ lang="zh"/g, '')
        .match(/<[^>]*>/g)
    expect(tagsOf(hostile)).toEqual(tagsOf('harmless'))
  })
})

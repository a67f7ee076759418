/** The page in a real browser: it looks right on every screen, shows hostile text as text, and runs and loads nothing. */
import { writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { buildReport } from '../../scripts/lib/report/build.ts'
import { renderHtml } from '../../scripts/lib/report/html.ts'
import type { Report } from '../../scripts/lib/report/types.ts'
import { startChromium, type Browser, type Page } from '../support/chromium.ts'
import { tempDir } from '../support/temp.ts'
import { HOSTILE_TEXTS } from './hostile.ts'
import { emptyReport, fleetReport, quietReport, troubledReport } from './samples.ts'

let browser: Browser
beforeAll(async () => {
  browser = await startChromium()
})
afterAll(() => browser.close())

async function open(html: string, options: { width?: number; dark?: boolean } = {}): Promise<Page> {
  const file = join(await tempDir('page'), 'report.html')
  await writeFile(file, html)
  return browser.open(pathToFileURL(file).href, options)
}
const openReport = (report: Report, options = {}) => open(renderHtml(buildReport(report)), options)
const textsOf = (page: Page, selector: string) =>
  page.evaluate<string[]>(`[...document.querySelectorAll(${JSON.stringify(selector)})].map((node) => node.textContent)`)

function hostileReport(): Report {
  const texts = HOSTILE_TEXTS.map(([, text]) => text)
  return {
    ...emptyReport(),
    title: texts.join(' '),
    findings: texts.map((text) => ({
      check: text,
      host: 'web-1',
      severity: 'critical' as const,
      title: text,
      evidence: text,
      cause: text,
      lines: [text],
      next: text,
      measures: [{ label: text, value: 50, unit: '%' as const }],
    })),
    tables: [{ title: 'Hostile', columns: ['text'], rows: texts.map((text) => [text]) }],
  }
}

describe('hostile text in a browser', () => {
  it('is shown as exactly the text that passed the gate, and nothing runs or loads', async () => {
    const report = buildReport(hostileReport())
    const page = await openReport(hostileReport())
    expect(await textsOf(page, 'title')).toEqual([`Critical: ${report.title}`])
    expect(await textsOf(page, 'article h3')).toEqual(report.findings.map(({ title }) => title))
    expect(await textsOf(page, 'article .next code')).toEqual(report.findings.map(({ next }) => next))
    expect(await textsOf(page, 'article pre')).toEqual(report.findings.map(({ lines }) => lines?.join('\n')))
    expect(await textsOf(page, 'article .check')).toEqual(report.findings.map(({ check }) => check))
    expect((await textsOf(page, 'td bdi')).toString()).toBe(report.tables[0]?.rows.flat().toString())
    expect(
      await page.evaluate('document.querySelectorAll("script, img, iframe, object, article a, form").length'),
    ).toBe(0)
    expect(page.requests().filter((url) => !url.startsWith('data:'))).toHaveLength(1)
    expect(page.complaints()).toEqual([])
  })

  it('could do nothing even if it had got in as markup', async () => {
    let asked = 0
    const server = createServer((_, response) => {
      asked += 1
      response.end()
    }).listen(0, '127.0.0.1')
    onTestFinished(() => void server.close())
    await new Promise((resolve) => server.once('listening', resolve))
    const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
    const intruder = `<script>document.title = 'owned'</script><script src="${origin}/a.js"></script>
      <img src="${origin}/b.png" onerror="document.title = 'owned'"><link rel="stylesheet" href="${origin}/c.css">
      <iframe src="${origin}/d"></iframe><style>body { display: none }</style><b id="b" style="color: red">x</b>`
    const page = await open(renderHtml(buildReport(quietReport())).replace('</main>', `${intruder}</main>`))
    expect(await page.evaluate('document.title')).toBe('OK: Diagnosis of web-2')
    expect(await page.evaluate('getComputedStyle(document.body).display')).toBe('block')
    expect(await page.evaluate('getComputedStyle(document.getElementById("b")).color')).not.toBe('rgb(255, 0, 0)')
    expect(page.complaints().length).toBeGreaterThan(4)
    expect(asked).toBe(0)
  })
})

describe('the page on a screen', () => {
  const cases = [
    { name: 'troubled', report: troubledReport(), width: 320 },
    { name: 'fleet', report: fleetReport(), width: 320 },
    { name: 'hostile', report: hostileReport(), width: 320 },
    { name: 'troubled', report: troubledReport(), width: 1280 },
  ]

  it.each(cases)('never scrolls sideways: $name at $width px', async ({ report, width }) => {
    const page = await openReport(report, { width })
    await page.evaluate('document.querySelectorAll("details").forEach((each) => (each.open = true))')
    expect(await page.evaluate('document.documentElement.scrollWidth')).toBeLessThanOrEqual(width)
  })

  it.each([false, true])('has text that stands out from its background (dark: %s)', async (dark) => {
    for (const report of [fleetReport(), quietReport(), emptyReport(), troubledReport()]) {
      const page = await openReport(report, { dark })
      await page.evaluate('document.querySelectorAll("details").forEach((each) => (each.open = true))')
      expect(await page.evaluate(CONTRAST_TOO_LOW)).toEqual([])
    }
  })

  it('applies its style sheet and follows the dark mode', async () => {
    const background = 'getComputedStyle(document.body).backgroundColor'
    const light = await (await openReport(quietReport())).evaluate(background)
    const dark = await (await openReport(quietReport(), { dark: true })).evaluate(background)
    expect([light, dark]).toEqual(['rgb(244, 246, 248)', 'rgb(14, 18, 23)'])
  })

  it('has one heading for the page, landmarks, a language, and names for its pictures', async () => {
    const page = await openReport(troubledReport())
    expect(await page.evaluate('document.documentElement.lang')).toBe('en')
    expect(await textsOf(page, 'h1')).toEqual(['Diagnosis of web-1'])
    expect(
      await page.evaluate('["header", "main", "footer"].map((tag) => document.querySelectorAll(tag).length)'),
    ).toEqual([1, 1, 1])
    expect(
      await page.evaluate(
        '[...document.querySelectorAll("svg")].filter((svg) => !svg.ariaLabel && !svg.ariaHidden).length',
      ),
    ).toBe(0)
    expect(await textsOf(page, '[lang=zh]')).toContain('容器“订单服务”健康检查连续失败，已重启 12 次')
  })

  it('folds what passed, and says what is inside', async () => {
    const page = await openReport(troubledReport())
    const visible = await page.evaluate<string>('document.querySelector("main").innerText')
    expect(visible).toContain('/var is almost full')
    expect(visible).toMatch(/host\s+4 ok\s+load, cpu, disk ×2/)
    expect(visible).not.toContain('CPU is mostly idle')
  })
})

/** WCAG 2.2, 1.4.3: the ratio of relative luminances of text and what is behind it is at least 4.5. */
const CONTRAST_TOO_LOW = `(() => {
  const channels = (color) => color.match(/[\\d.]+/g).map(Number)
  const linear = (value) => (value / 255 <= 0.04045 ? value / 255 / 12.92 : ((value / 255 + 0.055) / 1.055) ** 2.4)
  const luminance = ([r, g, b]) => 0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b)
  const behind = (node) => {
    for (let each = node; each; each = each.parentElement) {
      const [r, g, b, a = 1] = channels(getComputedStyle(each).backgroundColor)
      if (a > 0) return [r, g, b]
    }
    return [255, 255, 255]
  }
  return [...document.body.querySelectorAll('*')]
    .filter((node) => [...node.childNodes].some((child) => child.nodeType === 3 && child.data.trim() !== ''))
    .map((node) => {
      const pair = [luminance(channels(getComputedStyle(node).color)), luminance(behind(node))].sort((a, b) => b - a)
      return [node.className + ' ' + node.textContent.trim().slice(0, 30), (pair[0] + 0.05) / (pair[1] + 0.05)]
    })
    .filter(([, ratio]) => ratio < 4.5)
})()`

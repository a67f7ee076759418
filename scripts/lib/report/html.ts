/**
 * A report as one HTML file that can be mailed, archived and opened anywhere: no script, no request to anywhere.
 * Look: templates/report.html. Why no scripts, and what the policy forbids: docs/decisions/015-html-without-scripts.md.
 */
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { formatDuration } from '../core/duration.ts'
import type { BuiltReport } from './build.ts'
import { showChanges, showFacts, showHosts, showPassing, showProblems, showSkipped } from './html-sections.ts'
import { showTableSection } from './html-table.ts'
import { say, WORD_OF } from './html-text.ts'
import { escapeHtml, formatMarkup, html, type Markup } from './markup.ts'
import { formatMoment } from './moment.ts'
import { formatCounts, SEVERITIES, SYMBOL_OF } from './severity.ts'
import type { ReportVerdict } from './verdict.ts'

const TEMPLATE = new URL('../../../templates/report.html', import.meta.url)

/** The dot in the browser's tab. */
const ICON_COLOUR_OF: Readonly<Record<ReportVerdict['severity'], string>> = {
  critical: 'd9382e',
  warning: 'df8f0b',
  unknown: '8f62c9',
  ok: '2f9e58',
}

export function renderHtml(report: BuiltReport): string {
  const { severity } = report.verdict
  const template = readFileSync(TEMPLATE, 'utf8')
  const icon = `data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 8 8'%3E%3Ccircle cx='4' cy='4' r='4' fill='%23${ICON_COLOUR_OF[severity]}'/%3E%3C/svg%3E`
  const slots: Readonly<Record<string, string>> = {
    policy: escapeHtml(policyFor(template)),
    title: escapeHtml(`${WORD_OF[severity]}: ${report.title}`),
    icon: escapeHtml(icon),
    body: formatMarkup(showBody(report)),
  }
  return template.replace(/\{\{(\w+)\}\}/g, (slot, name: string) => slots[name] ?? slot)
}

/** Allows exactly our own style sheet, by its hash; the icon is the only image. */
function policyFor(template: string): string {
  const style = /<style>([\s\S]*?)<\/style>/.exec(template)?.[1] ?? ''
  const hash = createHash('sha256').update(style).digest('base64')
  return `default-src 'none'; style-src 'sha256-${hash}'; img-src data:; base-uri 'none'; form-action 'none'`
}

function showBody(report: BuiltReport): Markup {
  const several = report.hosts.length > 1
  return html`<header>${showBanner(report)}</header>
    <main>
      ${several ? showHosts(report) : showFacts(report)} ${showChanges(report)} ${showProblems(report, several)}
      ${showPassing(report, several)} ${showSkipped(report, several)}
      ${report.tables.map((table, index) => showTableSection(table, index))}
    </main>
    <footer>
      ${report.omitted > 0 && html`<p>${report.omitted} of the least bad findings are left out.</p>`}
      <p>Made by opskit. This file loads nothing and runs nothing.</p>
    </footer>`
}

function showBanner({ verdict, title, startedAt, durationMs }: BuiltReport): Markup {
  const chips = SEVERITIES.filter((severity) => verdict.counts[severity] > 0).map(
    (severity) =>
      html`<li>
        <a class="tint ${severity}" href="#${severity}"
          ><span aria-hidden="true">${SYMBOL_OF[severity]}</span> ${verdict.counts[severity]} ${severity}</a
        >
      </li>`,
  )
  return html`<div class="banner ${verdict.severity}">
      ${markOf(verdict.severity)}
      <h1>${say(title)}</h1>
      <p class="word">${WORD_OF[verdict.severity]}</p>
      <p class="headline">${say(headlineOf(verdict))}</p>
    </div>
    ${showShare(verdict)}
    <div class="under">
      <ul class="counts" aria-label="Findings by severity">
        ${chips}
      </ul>
      <p class="moment">
        <time datetime="${new Date(startedAt).toISOString()}">${formatMoment(startedAt)}</time>, took
        ${formatDuration(durationMs)}
      </p>
    </div>`
}

function headlineOf({ headline, counts, summary }: ReportVerdict): string {
  if (headline) return headline
  return counts.ok > 0 ? `All ${counts.ok} checks that could run passed` : summary
}

/** A circle with the sign of the severity, drawn, so that no font is needed. */
function markOf(severity: ReportVerdict['severity']): Markup {
  const sign = {
    critical: html`<path d="M17 17l18 18M35 17L17 35" />`,
    warning: html`<path d="M26 14v16M26 37.5v.5" />`,
    unknown: html`<path d="M19.500 20.500c0-8 13-8 13 0 0 5-6.500 5-6.500 10.500M26 38v.5" />`,
    ok: html`<path d="M15.500 27l7.500 7.500L37 19" />`,
  }[severity]
  return html`<svg
    class="mark"
    viewBox="0 0 52 52"
    aria-hidden="true"
    fill="none"
    stroke="#fff"
    stroke-width="4.500"
    stroke-linecap="round"
    stroke-linejoin="round"
  >
    <circle cx="26" cy="26" r="23.500" stroke-width="3" opacity="0.550" />
    ${sign}
  </svg>`
}

/** One bar: how much of everything is what. */
function showShare({ counts }: ReportVerdict): Markup {
  const total = SEVERITIES.reduce((sum, severity) => sum + counts[severity], 0)
  if (total === 0) return html``
  let from = 0
  const parts = SEVERITIES.map((severity) => {
    const part = html`<rect class="fill ${severity}" x="${from}" y="0" width="${counts[severity]}" height="1" />`
    from += counts[severity]
    return part
  })
  return html`<svg
    class="share"
    viewBox="0 0 ${total} 1"
    preserveAspectRatio="none"
    role="img"
    aria-label="${formatCounts(counts)}"
  >
    ${parts}
  </svg>`
}

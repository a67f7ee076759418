/** The sections of a page below its banner, each empty when there is nothing to say. */
import { formatDuration } from '../core/duration.ts'
import type { BuiltReport } from './build.ts'
import { foldPassing, foldSkipped, nameOf, problemsOf, type PassingGroup } from './fold.ts'
import { showMeasures } from './html-measure.ts'
import { showRows } from './html-table.ts'
import { pillOf, say } from './html-text.ts'
import { html, type Markup } from './markup.ts'
import { formatRunbookCommand } from './runbook.ts'
import { formatCounts } from './severity.ts'
import type { Fact, Finding, Severity } from './types.ts'

export function showHosts({ hosts, facts }: BuiltReport): Markup {
  const cards = hosts.map(({ name, severity, counts }) => {
    const more = (facts[name] ?? []).slice(0, 4).map(([fact, value]) => html`<br />${say(`${fact} ${value}`)}`)
    return html`<li class="panel edge ${severity}">
      <div class="name">${say(name)}${pillOf(severity)}</div>
      <div class="more">${formatCounts(counts) || 'nothing checked'}${more}</div>
    </li>`
  })
  return html`<section aria-labelledby="hosts">
    <h2 id="hosts">${hosts.length} hosts</h2>
    <ul class="hosts">
      ${cards}
    </ul>
  </section>`
}

export function showFacts({ hosts, facts }: BuiltReport): Markup {
  const list = facts[hosts[0]?.name ?? ''] ?? []
  if (list.length === 0) return html``
  const items = list.map(
    ([name, value]: Fact) =>
      html`<div>
        <dt>${say(name)}</dt>
        <dd>${say(value)}</dd>
      </div>`,
  )
  return html`<section aria-label="Facts"><dl class="panel facts">${items}</dl></section>`
}

export function showChanges({ changes, hosts }: BuiltReport): Markup {
  if (!changes) return html``
  const several = hosts.length > 1
  const rows = changes.list.map((change) => [
    ...(several ? [say(change.host)] : []),
    html`<code>${say(nameOf(change))}</code>`,
    html`${stateOf(change.was)} → ${stateOf(change.is)}`,
    say(change.title),
  ])
  const columns = [...(several ? ['host'] : []), 'check', 'change', 'what']
  return html`<section aria-labelledby="changes">
    <h2 id="changes">Changed since ${say(changes.since)}</h2>
    <div class="panel">${rows.length === 0 ? html`<p class="none">Nothing changed.</p>` : showRows(columns, rows)}</div>
  </section>`
}

function stateOf(state: Severity | 'absent'): Markup {
  return state === 'absent' ? html`absent` : pillOf(state)
}

export function showProblems({ findings }: BuiltReport, several: boolean): Markup {
  const problems = problemsOf(findings)
  if (problems.length === 0) return html``
  const cards = problems.map((finding, index) => {
    const first = problems[index - 1]?.severity !== finding.severity
    return showProblem(finding, { several, anchor: first ? finding.severity : undefined })
  })
  return html`<section aria-labelledby="problems">
    <h2 id="problems">Needs attention</h2>
    ${cards}
  </section>`
}

function showProblem(finding: Finding, { several, anchor }: { several: boolean; anchor: string | undefined }): Markup {
  const { severity, host, title, evidence, cause, lines, next, runbook } = finding
  return html`<article class="card edge ${severity}" ${anchor !== undefined && html` id="${anchor}"`}>
    <div class="top">
      ${pillOf(severity)}${several && html`<span class="host">${say(host)}</span>`}<code class="check"
        >${say(nameOf(finding))}</code
      >
    </div>
    <h3>${say(title)}</h3>
    ${evidence !== undefined && html`<p>${say(evidence)}</p>`} ${showMeasures(finding)}
    ${cause !== undefined && html`<p class="cause"><span class="label">Likely cause</span><br />${say(cause)}</p>`}
    ${lines !== undefined && html`<pre tabindex="0" aria-label="Lines that belong to it">${lines.join('\n')}</pre>`}
    ${next !== undefined && html`<div class="next"><span class="label">Next</span><code>${next}</code></div>`}
    ${
      runbook !== undefined &&
      html`<div class="next"><span class="label">Runbook</span><code>${formatRunbookCommand(runbook)}</code></div>`
    }
  </article>`
}

export function showPassing({ findings }: BuiltReport, several: boolean): Markup {
  const groups = foldPassing(findings)
  if (groups.length === 0) return html``
  return html`<section aria-labelledby="ok">
    <h2 id="ok">Passing</h2>
    ${groups.map((group) => showGroup(group, several))}
  </section>`
}

function showGroup({ group, findings, names }: PassingGroup, several: boolean): Markup {
  const list = names.map(([name, times]) => (times > 1 ? `${name} ×${times}` : name)).join(', ')
  const timed = findings.some(({ durationMs }) => durationMs !== undefined)
  const rows = findings.map((finding) => [
    ...(several ? [say(finding.host)] : []),
    html`<code>${say(nameOf(finding))}</code>`,
    html`${say([finding.title, finding.evidence].filter(Boolean).join(', '))}${showMeasures(finding)}`,
    ...(timed ? [html`${finding.durationMs !== undefined && formatDuration(finding.durationMs)}`] : []),
  ])
  const columns = [...(several ? ['host'] : []), 'check', 'seen', ...(timed ? ['took'] : [])]
  return html`<details>
    <summary>
      <strong>${say(group)}</strong><span class="pill tint ok">${findings.length} ok</span
      ><span class="names">${say(list)}</span>
    </summary>
    ${showRows(columns, rows, (column) => column === 'took')}
  </details>`
}

export function showSkipped({ findings }: BuiltReport, several: boolean): Markup {
  const reasons = foldSkipped(findings)
  if (reasons.length === 0) return html``
  const total = reasons.reduce((sum, { times }) => sum + times, 0)
  const rows = reasons.map(({ checks, reason, hosts }) => [
    html`<code>${say(checks.join(', '))}</code>`,
    say(reason),
    ...(several ? [html`${hosts.length}`] : []),
  ])
  const columns = ['check', 'because', ...(several ? ['hosts'] : [])]
  return html`<section aria-labelledby="skipped">
    <h2 id="skipped">Skipped</h2>
    <details>
      <summary><strong>${total} skipped</strong><span class="names">what they need is not here</span></summary>
      ${showRows(columns, rows, (column) => column === 'hosts')}
    </details>
  </section>`
}

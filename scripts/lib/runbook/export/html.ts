/** The timeline and the times of an incident as one page without scripts, for a browser or a mail. */
import { formatDuration } from '../../core/duration.ts'
import { printable } from '../../core/printable.ts'
import { formatMarkup, html, type Markup } from '../../report/markup.ts'
import { describeEvidence, describeParam, type ExportFacts, type TimelineEntry } from './facts.ts'

const STYLE = `body{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#1b1f24}
table{border-collapse:collapse;width:100%}th,td{text-align:left;vertical-align:top;padding:.3rem .6rem;border-bottom:1px solid #d8dce2}
pre{background:#f4f5f7;padding:.6rem;overflow:auto;max-height:20rem;white-space:pre-wrap}.bad{color:#b3261e;font-weight:600}
td:first-child{white-space:nowrap}@media(prefers-color-scheme:dark){body{background:#16191d;color:#e6e8eb}pre{background:#22262b}}`

export function renderHtml({ view, timeline, times, params, cause }: ExportFacts): string {
  const { incident, runbook, steps } = view
  const { closed, id, drill, subject, startedAt, startedBy, lead } = incident
  const title = `${drill ? 'DRILL ' : ''}${runbook.title}`
  const page = html`<html lang="en">
    <head>
      <meta charset="utf-8" />
      <meta name="viewport" content="width=device-width" />
      <title>${id}</title>
      <style>
        ${STYLE}
      </style>
    </head>
    <body>
      <h1>${title}</h1>
      <p>
        ${id}${subject ? `, ${subject}` : ''}. Started ${stamp(startedAt)} by ${startedBy}; in command: ${lead}.
        ${closed ? `Closed ${stamp(closed.at)}: ${closed.outcome}, ${closed.reason}` : 'Still open.'}
      </p>
      ${(closed?.remains ?? []).map((rest) => html`<p class="bad">A human must look: ${rest}</p>`)}
      <h2>Times</h2>
      <table>
        ${times.map(
          ({ name, ms }) =>
            html`<tr>
              <th scope="row">to ${name}</th>
              <td>${ms === undefined ? 'not known' : formatDuration(ms)}</td>
            </tr>`,
        )}
      </table>
      <h2>Params</h2>
      <table>
        ${params.map(
          (param) =>
            html`<tr>
              <th scope="row">${param.name}</th>
              <td>${printable(describeParam(param))}</td>
            </tr>`,
        )}
      </table>
      ${
        cause.length === 0
          ? ''
          : html`<h2>Root cause</h2>
              <table>
                ${cause.map(({ at, who, step, evidence }) => row({ at, who, what: step, isNote: false, evidence }))}
              </table>`
      }
      <h2>Steps</h2>
      <table>
        <tr>
          <th>Step</th>
          <th>State</th>
          <th>By</th>
          <th>Why</th>
        </tr>
        ${steps.map(
          ({ step, state, record, words }) =>
            html`<tr>
              <td>${step.number}</td>
              <td>${words.title(step.title)}: ${state}</td>
              <td>${record?.by ?? ''}</td>
              <td>${record?.because ?? ''}</td>
            </tr>`,
        )}
      </table>
      <h2>Timeline</h2>
      <table>
        ${timeline.map(row)}
      </table>
    </body>
  </html>`
  return `<!doctype html>\n${formatMarkup(page)}\n`
}

function row({ at, who, what, evidence }: TimelineEntry): Markup {
  const isBad = /FAILED|NOT IN TIME|LOOK:/.test(what)
  return html`<tr>
    <td>${stamp(at)}</td>
    <td>${who}</td>
    <td>
      <span class="${isBad ? 'bad' : ''}">${printable(what)}</span>
      ${evidence.map((one) => html`<br /><small>${printable(describeEvidence(one))}</small>${one.output ? html`<pre>${printable(one.output)}</pre>` : ''}`)}
    </td>
  </tr>`
}

function stamp(at: number): string {
  return `${new Date(at).toISOString().slice(0, 19).replace('T', ' ')} UTC`
}

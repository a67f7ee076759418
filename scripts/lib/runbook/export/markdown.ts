/** The post-mortem draft with its timeline as Markdown, from templates/post-mortem.md. Outside text stays text. */
import { readFile } from 'node:fs/promises'
import { formatDuration } from '../../core/duration.ts'
import { printable, printableLine } from '../../core/printable.ts'
import type { Evidence } from '../incident/types.ts'
import { describeEvidence, describeParam, type Cause, type ExportFacts, type TimelineEntry } from './facts.ts'

const TEMPLATE = new URL('../../../../templates/post-mortem.md', import.meta.url)
/** Of one piece of evidence. */
const MAX_LINES = 40

export async function renderMarkdown(facts: ExportFacts): Promise<string> {
  const template = await readFile(TEMPLATE, 'utf8')
  const values = valuesOf(facts)
  return template.replace(/\{\{(\w+)\}\}/g, (whole, name: string) => values[name] ?? whole).replace(/\n{3,}/g, '\n\n')
}

function valuesOf({ view, timeline, times, params, cause }: ExportFacts): Record<string, string> {
  const { incident, runbook, steps } = view
  const { closed, lead, startedAt, startedBy, subject, drill } = incident
  const notes = timeline.filter(({ isNote }) => isNote)
  const deviations = steps.filter(({ state }) =>
    ['failed', 'skipped', 'overridden', 'unknown', 'rolled-back'].includes(state),
  )
  return {
    title: cell(`${drill ? 'DRILL: ' : ''}${runbook.title}`),
    incident: cell(incident.id),
    runbook: cell(runbook.id),
    severity: runbook.severity,
    subject: cell(subject || '–'),
    started: stamp(startedAt),
    started_by: cell(startedBy),
    lead: cell(lead),
    end: closed ? `${stamp(closed.at)}, ${closed.outcome}` : 'still open',
    times: times
      .map(({ name, ms }) => `| ${name} | ${ms === undefined ? '_not known_' : formatDuration(ms)} |`)
      .join('\n'),
    steps: steps
      .map(
        ({ step, state, record, words }) =>
          `| ${step.number} ${cell(plain(words.title(step.title)))} | ${state} | ${cell(record?.by ?? '')} | ${cell(record?.because ?? '')} |`,
      )
      .join('\n'),
    params: params.map((param) => `${param.name}: ${cell(describeParam(param))}`).join('<br>') || '–',
    cause: cause
      .map(({ at, who, step, evidence }) => quoteLines({ at, who, step: plain(step), evidence }))
      .join('\n\n'),
    notes: notes.map(({ at, who, what }) => `- ${time(at)} ${cell(who)}: ${cell(what)}`).join('\n'),
    deviations: deviations
      .map(
        ({ step, state, record, words }) =>
          `- ${step.number} ${cell(plain(words.title(step.title)))}: ${state}. ${cell(record?.because ?? '')}`,
      )
      .join('\n'),
    timeline: timeline.map(entryLines).join('\n'),
  }
}

function entryLines({ at, who, what, evidence }: TimelineEntry): string {
  const lines = evidence.flatMap((one) => {
    const block = outputLines(one).map((line) => `  ${line}`)
    return [`  - ${cell(describeEvidence(one))}`, ...(block.length === 0 ? [] : ['', ...block, ''])]
  })
  return [`- **${time(at)}** ${cell(who)}: ${cell(what)}`, ...lines].join('\n')
}

/** A quotation: whose words, of which step, and what was seen there. */
function quoteLines({ at, who, step, evidence }: Cause): string {
  const seen = evidence.flatMap((one) => ['', cell(describeEvidence(one)), ...outputLines(one)])
  return [`${cell(who)} at ${time(at)}, ${cell(step)}:`, ...seen].map((line) => `> ${line}`.trimEnd()).join('\n')
}

function outputLines({ output = '' }: Evidence): string[] {
  if (output.trim() === '') return []
  const lines = output.trimEnd().split('\n')
  const shown = lines.length > MAX_LINES ? ['…', ...lines.slice(-MAX_LINES)] : lines
  // A fence longer than any run of backticks in it cannot be closed by it (CommonMark 4.5).
  const fence = '`'.repeat(Math.max(3, ...shown.map((line) => (/`+/.exec(line)?.[0].length ?? 0) + 1)))
  return [`${fence}text`, ...shown.map((line) => printable(line)), fence]
}

/** Without the marks of Markdown, which would be shown as they are. */
function plain(text: string): string {
  return text.replace(/\*\*|__|`/g, '')
}

/** Characters that Markdown or a table would obey. */
function cell(text: string): string {
  return printableLine(text, 500).replace(/[\\`*[\]<>|&]/g, '\\$&')
}

function time(at: number): string {
  return new Date(at).toISOString().slice(11, 19)
}

function stamp(at: number): string {
  return `${new Date(at).toISOString().slice(0, 19).replace('T', ' ')} UTC`
}

/** `runbook export` and `runbook audit`: what an incident leaves behind. */
import { EXIT_CODE_OF } from '../core/exit.ts'
import { auditIncident } from '../runbook/incident/audit.ts'
import { factsOf } from '../runbook/export/facts.ts'
import { print, writeOutput } from './output.ts'
import { chooseLast, withSession, withTools, type IncidentFlags } from './runbook-open.ts'
import { statusOf } from './runbook-status.ts'

export interface ExportFlags extends IncidentFlags {
  readonly format: string
  readonly output?: string
}

/** The timeline and a draft of the post-mortem. */
export function exportIncident(id: string | undefined, flags: ExportFlags, signal: AbortSignal): Promise<void> {
  const about = id === undefined ? flags : { ...flags, incident: id }
  return withSession(
    about,
    signal,
    async ({ session, suffix }) => {
      const facts = factsOf(session.view(), session.journal.events())
      const text = await render(facts, flags.format, suffix, session.context.clock.now())
      if (flags.output === undefined) return print(text)
      await writeOutput(flags.output, text)
      process.stderr.write(`written to ${flags.output}\n`)
    },
    chooseLast,
  )
}

async function render(facts: ReturnType<typeof factsOf>, format: string, suffix: string, now: number): Promise<string> {
  if (format === 'html') return (await import('../runbook/export/html.ts')).renderHtml(facts)
  if (format !== 'json') return (await import('../runbook/export/markdown.ts')).renderMarkdown(facts)
  const { view, timeline, times } = facts
  const status = statusOf(view, { suffix, now })
  const entries = timeline.map(({ at, ...entry }) => ({ at: new Date(at).toISOString(), ...entry }))
  const took = Object.fromEntries(times.map(({ name, ms }) => [name.replaceAll(' ', '_'), ms ?? null]))
  return JSON.stringify({ ...status, tookMs: took, timeline: entries }, null, 2)
}

/** @returns 0, or 74 when something is not what was written */
export function audit(id: string | undefined, flags: IncidentFlags, signal: AbortSignal): Promise<number> {
  return withTools(flags, signal, async (tools) => {
    const told = auditIncident(tools.store, chooseLast(tools, id ?? flags.incident))
    if (flags.json) await print(JSON.stringify(told, null, 2))
    else {
      const verdict =
        told.problems.length === 0
          ? 'every line is as it was written'
          : `${told.problems.length} things are not as they were written`
      const lines = told.problems.map(({ place, message }) => `  ${place}: ${message}`)
      await print(
        [`${told.id}: ${told.lines} lines, ${verdict}`, ...lines, ...told.notes.map((note) => `  note: ${note}`)].join(
          '\n',
        ),
      )
    }
    return told.problems.length === 0 ? 0 : EXIT_CODE_OF.DATA_MISMATCH
  })
}

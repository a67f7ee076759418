/** What an incident's journal tells, for every format of an export: what happened when, and how long things took. Pure. */
import { formatDuration } from '../../core/duration.ts'
import type { Evidence, Incident, IncidentEvent } from '../incident/types.ts'
import type { View } from '../incident/view.ts'

export interface TimelineEntry {
  /** Wall clock, milliseconds. */
  readonly at: number
  readonly who: string
  readonly what: string
  /** Words of an operator. */
  readonly isNote: boolean
  readonly evidence: readonly Evidence[]
}

/** From when to when; `ms` is undefined where one of the two is not known. */
export interface Took {
  readonly name: 'detect' | 'acknowledge' | 'mitigate' | 'find the cause' | 'resolve'
  readonly ms: number | undefined
}

export interface ExportFacts {
  readonly view: View
  readonly timeline: readonly TimelineEntry[]
  readonly times: readonly Took[]
}

export function factsOf(view: View, events: readonly IncidentEvent[]): ExportFacts {
  const titles = new Map(view.steps.map(({ step }) => [step.id, `${step.number} ${view.words.text(step.title)}`]))
  const titleOf = (id: string) => (titles.get(id) ?? id).replace(/\*\*|`/g, '')
  return { view, timeline: events.flatMap((event) => entryOf(event, titleOf)), times: timesOf(view.incident) }
}

/**
 * Counted from the start of the incident. Detection is the time from when it was noticed elsewhere (`--detected-at`) to
 * the start.
 */
export function timesOf({ startedAt, detectedAt, acknowledged, reached }: Incident): Took[] {
  const since = (at: number | undefined) => (at === undefined ? undefined : at - startedAt)
  return [
    { name: 'detect', ms: detectedAt === undefined ? undefined : startedAt - detectedAt },
    { name: 'acknowledge', ms: since(acknowledged?.at) },
    { name: 'mitigate', ms: since(reached.mitigated?.at ?? reached.resolved?.at) },
    { name: 'find the cause', ms: since(reached['root-cause']?.at) },
    { name: 'resolve', ms: since(reached.resolved?.at) },
  ]
}

function entryOf(event: IncidentEvent, titleOf: (step: string) => string): TimelineEntry[] {
  const { at, who } = event
  const evidence = 'evidence' in event ? (event.evidence ?? []) : []
  const what = sentenceOf(event, titleOf)
  return what === undefined ? [] : [{ at, who, what, isNote: event.kind === 'noted', evidence }]
}

/** Undefined for what only tells of its beginning: its end tells both. */
function sentenceOf(event: IncidentEvent, titleOf: (step: string) => string): string | undefined {
  switch (event.kind) {
    case 'opened':
      return `${event.drill ? 'Drill' : 'Incident'} opened with ${event.runbook.id}${event.subject ? ` on ${event.subject}` : ''}`
    case 'step.started':
    case 'rollback.started':
      return undefined
    case 'step.ended':
      return `${titleOf(event.step)}: ${event.result === 'ok' ? '' : `${event.result.toUpperCase()}, `}${event.because}`
    case 'step.answered': {
      const by = event.automatic === undefined ? '' : ` (${event.automatic})`
      return `${titleOf(event.step)}: ${ANSWERED[event.answer]}${by}${event.reason ? `: ${event.reason}` : ''}`
    }
    case 'step.refused':
      return `${titleOf(event.step)}: said to be done, and refused: ${event.because}`
    case 'step.assigned':
      return `${titleOf(event.step)}: assigned to ${event.to}`
    case 'noted':
      return event.text
    case 'handed-over':
      return `Command handed over to ${event.to}`
    case 'acknowledged':
      return 'Acknowledged'
    case 'reached':
      return `Reached: ${event.milestone}${event.step === undefined ? '' : ` (by ${titleOf(event.step)})`}`
    case 'timer.fired':
      return `NOT IN TIME: ${event.title} (due ${new Date(event.dueAt).toISOString()})`
    case 'escalated':
      return `Escalated to ${event.contact}`
    case 'rollback.began':
      return `Taking back ${event.steps.length} step(s): ${event.reason}`
    case 'rollback.ended':
      return `${titleOf(event.step)}: ${event.result === 'ok' ? 'taken back' : 'ROLLBACK FAILED'}, ${event.because}`
    case 'closed':
      return `Closed, ${event.outcome}: ${event.reason}${event.remains.map((rest) => `; LOOK: ${rest}`).join('')}`
    case 'runbook.edited':
      return 'The file of the runbook was edited; the run went on with its copy'
    case 'journal.cut':
      return 'A process was killed while it wrote into the journal'
  }
}

const ANSWERED = {
  ...{ done: 'done', skip: 'skipped', override: 'overridden', redo: 'to be done again', confirm: 'confirmed' },
  approve: 'approved',
} as const

/** One line about a piece of evidence: where, what, with which end. */
export function describeEvidence({ of, host, command, exitCode, durationMs, text, file }: Evidence): string {
  const parts = [
    ...(of === 'run' || of === 'operator' ? [] : [of]),
    ...(host === undefined ? [] : [`on ${host}`]),
    ...(command === undefined ? [] : [command.split('\n')[0] ?? '']),
    ...(exitCode === undefined ? [] : [`exit ${exitCode}`]),
    ...(durationMs === undefined ? [] : [formatDuration(durationMs)]),
    ...(text === undefined ? [] : [text]),
    ...(file === undefined
      ? []
      : [`file ${file.path} (${file.sizeBytes} bytes, SHA-256 ${file.sha256.slice(0, 16)}…)`]),
  ]
  return parts.join(', ')
}

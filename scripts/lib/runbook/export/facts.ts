/** What an incident's journal tells, for every format of an export: what happened when, and how long things took. Pure. */
import { formatDuration } from '../../core/duration.ts'
import type { Evidence, Incident, IncidentEvent } from '../incident/types.ts'
import type { View } from '../incident/view.ts'
import { formatParamValue } from '../params.ts'
import type { ParamValue } from '../types.ts'

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
  readonly params: readonly ShownParam[]
  /** What was seen at the step that found the root cause; empty when none is marked. */
  readonly cause: readonly Cause[]
}

/** As people read it, with each time that it was set during the incident. */
export interface ShownParam {
  readonly name: string
  readonly value: string
  readonly changes: readonly { readonly by: string; readonly at: number; readonly before: string }[]
}

export interface Cause {
  readonly at: number
  readonly who: string
  /** The step, or how else it was marked. */
  readonly step: string
  readonly evidence: readonly Evidence[]
}

export function factsOf(view: View, events: readonly IncidentEvent[]): ExportFacts {
  const titles = new Map(view.steps.map(({ step, words }) => [step.id, `${step.number} ${words.title(step.title)}`]))
  const titleOf = (id: string) => (titles.get(id) ?? id).replace(/\*\*|`/g, '')
  const types = new Map(view.runbook.params.map(({ name, type }) => [name, type]))
  const valueOf = (name: string, value: ParamValue) => formatParamValue(types.get(name), value)
  const naming: Naming = { titleOf, valueOf }
  return {
    view,
    timeline: events.flatMap((event) => entryOf(event, naming)),
    times: timesOf(view.incident),
    params: view.runbook.params.map(({ name }) => ({
      ...{ name, value: valueOf(name, view.incident.params[name] ?? '') },
      changes: view.incident.changes
        .filter(({ param }) => param === name)
        .map(({ by, at, from }) => ({ by, at, before: valueOf(name, from) })),
    })),
    cause: causeOf(view, events),
  }
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

interface Naming {
  readonly titleOf: (step: string) => string
  readonly valueOf: (param: string, value: ParamValue) => string
}

/** Steps that are marked as the root cause and are done: their answer, or what their run has seen. */
function causeOf({ steps }: View, events: readonly IncidentEvent[]): Cause[] {
  return steps.flatMap(({ step, state, words }): Cause[] => {
    if (step.marks !== 'root-cause' || (state !== 'done' && state !== 'overridden')) return []
    const last = (kind: IncidentEvent['kind']) =>
      events.findLast((event) => event.kind === kind && 'step' in event && event.step === step.id)
    return [last('step.ended') ?? [], last('step.answered') ?? []].flat().flatMap((event): Cause[] => {
      const seen = 'evidence' in event ? (event.evidence ?? []) : []
      const why: Evidence[] = 'reason' in event && event.reason ? [{ of: 'operator', text: event.reason }] : []
      const evidence = [...why, ...seen]
      if (evidence.length === 0) return []
      return [{ at: event.at, who: event.who, step: `${step.number} ${words.title(step.title)}`, evidence }]
    })
  })
}

function entryOf(event: IncidentEvent, naming: Naming): TimelineEntry[] {
  const { at, who } = event
  const evidence = 'evidence' in event ? (event.evidence ?? []) : []
  const what = sentenceOf(event, naming)
  return what === undefined ? [] : [{ at, who, what, isNote: event.kind === 'noted', evidence }]
}

/** Undefined for what only tells of its beginning: its end tells both. */
function sentenceOf(event: IncidentEvent, { titleOf, valueOf }: Naming): string | undefined {
  switch (event.kind) {
    case 'opened':
      return `${event.drill ? 'Drill' : 'Incident'} opened with ${event.runbook.id}${event.subject ? ` on ${event.subject}` : ''}`
    case 'param.set':
      return `Set ${event.param}: ${valueOf(event.param, event.to)} (before: ${valueOf(event.param, event.from)})`
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

/** `/mnt (set by bob at 04:39:00 UTC, before: nothing)` */
export function describeParam({ value, changes }: ShownParam): string {
  const said = changes.map(({ by, at, before }) => {
    return `set by ${by} at ${new Date(at).toISOString().slice(11, 19)} UTC, before: ${before}`
  })
  return said.length === 0 ? value : `${value} (${said.join('; ')})`
}

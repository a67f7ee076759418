/** What an incident is, as a pure fold of its events. What its runbook makes of that is in view.ts. */
import { OpsError } from '../../core/errors.ts'
import type { ParamValues } from '../params.ts'
import type { Incident, IncidentEvent, StepRecord } from './types.ts'

const NOTHING_YET = { state: 'pending', because: '', attempts: 0, witnessed: false, ranWith: [] } as const

/** @throws OpsError DATA_MISMATCH when the first event does not open an incident */
export function incidentFrom(events: readonly IncidentEvent[]): Incident {
  const [first, ...rest] = events
  return rest.reduce(applyEvent, openIncident(first))
}

export function openIncident(first: IncidentEvent | undefined): Incident {
  if (first?.kind !== 'opened') {
    throw new OpsError('DATA_MISMATCH', 'the journal of the incident does not begin with its opening', {
      hint: 'Look at it with: npx zx scripts/runbook.ts audit',
    })
  }
  const { incident: id, runbook, params, subject, drill, detectedAt, timers, ladder, at, who, seq } = first
  return {
    ...{ id, runbook, params, subject, drill, timers, ladder, seq },
    ...(detectedAt !== undefined && { detectedAt }),
    ...{ startedAt: at, startedBy: who, lead: who, lastAt: at },
    ...{ changes: [], reached: {}, fired: [], rungs: [], steps: {} },
  }
}

/** The incident after one more event; the one before is not touched. */
export function applyEvent(before: Incident, event: IncidentEvent): Incident {
  const act = { by: event.who, at: event.at }
  const incident = { ...before, seq: event.seq, lastAt: event.at }
  switch (event.kind) {
    case 'step.started':
    case 'step.ended':
    case 'step.answered':
    case 'step.refused':
    case 'step.assigned':
    case 'rollback.started':
    case 'rollback.ended': {
      const known = before.steps[event.step] ?? { ...NOTHING_YET, ...act }
      return { ...incident, steps: { ...before.steps, [event.step]: moveStep(known, event, before.params) } }
    }
    case 'param.set': {
      const { param, from, to } = event
      const changes = [...before.changes, { ...act, param, from, to }]
      return { ...incident, params: { ...before.params, [param]: to }, changes }
    }
    case 'acknowledged':
      return before.acknowledged ? incident : { ...incident, acknowledged: act }
    case 'reached':
      return before.reached[event.milestone]
        ? incident
        : { ...incident, reached: { ...before.reached, [event.milestone]: act } }
    case 'handed-over':
      return { ...incident, lead: event.to }
    case 'timer.fired':
      return { ...incident, fired: [...before.fired, event.timer] }
    case 'escalated':
      return { ...incident, rungs: [...before.rungs, event.rung] }
    case 'rollback.began':
      return { ...incident, rollback: { ...act, steps: event.steps, reason: event.reason } }
    case 'closed':
      return { ...incident, closed: { ...act, outcome: event.outcome, reason: event.reason, remains: event.remains } }
    case 'runbook.edited':
      return { ...incident, editedTo: event.sha256 }
    case 'opened':
    case 'noted':
    case 'journal.cut':
      return incident
  }
}

type StepEvent = Extract<
  IncidentEvent,
  { readonly step: string; readonly kind: `step.${string}` | `rollback.${string}` }
>

function moveStep(step: StepRecord, event: StepEvent, params: ParamValues): StepRecord {
  const act = { by: event.who, at: event.at }
  switch (event.kind) {
    case 'step.started': {
      const { fencing, seq } = event
      const attempts = step.attempts + 1
      const effect = { inEffectSince: seq, inEffectBefore: step.inEffectSince, ranWith: [...step.ranWith, params] }
      return { ...step, ...act, state: 'started', because: '', ...{ fencing, attempts, params }, ...effect }
    }
    case 'step.ended': {
      const state = event.result === 'ok' ? 'ran' : event.result
      const ended: StepRecord = { ...step, ...act, state, because: event.because }
      return event.unchanged ? asBefore(ended) : ended
    }
    case 'step.answered':
      return answered(step, event, params)
    case 'step.refused':
      return { ...step, because: event.because }
    case 'step.assigned':
      return { ...step, assignee: event.to }
    case 'rollback.started':
      return { ...step, rollback: 'started' }
    case 'rollback.ended':
      return event.result === 'ok'
        ? { ...step, ...act, state: 'rolled-back', because: event.because, rollback: 'ok' }
        : { ...step, because: event.because, rollback: 'failed' }
  }
}

/** Nothing of the last attempt is in effect. */
function asBefore({ inEffectSince: _, inEffectBefore, ranWith, ...step }: StepRecord): StepRecord {
  return {
    ...step,
    ranWith: ranWith.slice(0, -1),
    ...(inEffectBefore !== undefined && { inEffectSince: inEffectBefore }),
  }
}

function answered(
  step: StepRecord,
  event: Extract<IncidentEvent, { kind: 'step.answered' }>,
  params: ParamValues,
): StepRecord {
  const act = { by: event.who, at: event.at }
  const because = event.reason ?? ''
  const witnessed = step.witnessed || (event.evidence ?? []).some(({ of }) => of === 'operator')
  const moved = { ...step, ...act, because, witnessed, automatic: event.automatic }
  switch (event.answer) {
    case 'confirm':
      return { ...step, confirmed: { ...act, params } }
    case 'approve':
      return { ...step, approved: { ...act, params } }
    case 'redo':
      return { ...moved, state: 'pending' }
    case 'skip':
      return { ...moved, state: 'skipped', params }
    case 'override':
      return { ...moved, state: 'overridden' }
    case 'done':
      return step.inEffectSince === undefined
        ? { ...moved, state: 'done', params, ranWith: [params], inEffectSince: event.seq }
        : { ...moved, state: 'done' }
  }
}

/**
 * Takes back what a run has changed: the rollbacks of its steps, the last one first, the failed step's own included (it may
 * have got half way). One that fails does not stop the rest. What cannot be taken back is named, each thing once.
 */
import { OpsError } from '../../core/errors.ts'
import type { EventBody, Incident, Outcome } from '../incident/types.ts'
import type { StepView, View } from '../incident/view.ts'
import type { Renderer } from '../render.ts'
import type { Step } from '../types.ts'
import { recordClosed } from './advance.ts'
import { leaseNameOf, type Session } from './session.ts'
import { mayHaveChanged } from './step.ts'
import { describeWork, hostOf, runTask, type TaskResult } from './task.ts'

export interface RollbackStep {
  readonly step: Step
  /** Undefined: it cannot be taken back. */
  readonly command?: string
  readonly host?: string
}

export interface RollbackPlan {
  /** In the order in which they are done. */
  readonly steps: readonly RollbackStep[]
  /** Stays in effect: irreversible, or without a rollback. */
  readonly stays: readonly RollbackStep[]
}

export interface RollbackOptions {
  readonly reason: string
  readonly signal: AbortSignal
  readonly onStart?: (step: Step) => void
  readonly onEnd?: (step: Step, end: TaskResult) => void
}

/** What would be done now. */
export function planRollback(view: View): RollbackPlan {
  const inEffect = view.steps
    .filter((step) => isInEffect(step) && mayHaveChanged(step.step))
    .toSorted((a, b) => (b.record?.inEffectSince ?? 0) - (a.record?.inEffectSince ?? 0))
    .map(({ step }) => describe(step, view.words))
  return {
    steps: inEffect.filter(({ command }) => command !== undefined),
    stays: inEffect.filter(({ command }) => command === undefined),
  }
}

/**
 * @returns how the incident ended: `stuck` when something must be looked at, see `closed.remains`
 * @throws OpsError LOCKED while a step runs
 */
export async function rollBack(session: Session, options: RollbackOptions): Promise<Outcome> {
  const { context, id, journal } = session
  const lease = context.journal.acquire({ name: leaseNameOf(id), reason: `${id} rollback` })
  try {
    const incident = begin(session, options.reason)
    const stop = AbortSignal.any([options.signal, lease.lost])
    for (const name of incident.rollback?.steps ?? []) {
      const found = session.view().steps.find(({ step }) => step.id === name)
      if (!found || found.record?.rollback !== undefined) continue
      await undo(session, found, { ...options, signal: stop, fencing: lease.fencingToken })
    }
    return close(session, journal.incident())
  } finally {
    lease.release()
  }
}

function isInEffect({ record, state }: StepView): boolean {
  return record?.inEffectSince !== undefined && state !== 'rolled-back'
}

function describe(step: Step, words: Renderer): RollbackStep {
  const { rollback } = step
  return rollback ? { step, command: describeWork(rollback.work, words), host: hostOf(rollback, words) } : { step }
}

function begin(session: Session, reason: string): Incident {
  return session.journal.change((incident): EventBody[] => {
    if (incident.closed) throw new OpsError('FAILED', `${incident.id} was closed: ${incident.closed.reason}`)
    if (incident.rollback) return []
    const steps = planRollback(session.view()).steps.map(({ step }) => step.id)
    return [{ kind: 'rollback.began', steps, reason }]
  })
}

async function undo(
  session: Session,
  { step }: StepView,
  options: RollbackOptions & { readonly fencing: number },
): Promise<void> {
  const { context, actions, journal, id } = session
  const { signal, fencing } = options
  const { words } = session.view()
  signal.throwIfAborted()
  if (!step.rollback) return
  const command = describeWork(step.rollback.work, words)
  journal.change((): EventBody[] => [{ kind: 'rollback.started', step: step.id, fencing, command }])
  options.onStart?.(step)
  const tools = { context: { ...context, signal }, actions, words, signal, reason: `${id} rollback of ${step.number}` }
  const end = await runTask(step.rollback, 'rollback', tools)
  const result = end.result === 'ok' ? 'ok' : 'failed'
  journal.change((): EventBody[] => [
    { kind: 'rollback.ended', step: step.id, result, because: end.because, evidence: [end.evidence] },
  ])
  options.onEnd?.(step, end)
}

function close(session: Session, { id, rollback }: Incident): Outcome {
  const view = session.view()
  const { steps, stays } = planRollback(view)
  const left = [...steps, ...stays].map(({ step }) => step.id)
  const remains = view.steps.filter(({ step }) => left.includes(step.id)).map(describeRest)
  const outcome: Outcome = remains.length === 0 ? 'rolled-back' : 'stuck'
  const reason = rollback?.reason ?? ''
  session.journal.change((now): EventBody[] => (now.closed ? [] : [{ kind: 'closed', outcome, reason, remains }]))
  recordClosed(session, id, outcome)
  return outcome
}

function describeRest({ step, state, record }: StepView): string {
  const name = `${step.number} ${step.title}`
  if (record?.rollback === 'failed') return `${name}: its rollback FAILED (${record.because}): take it back by hand`
  if (record?.rollback === 'started') return `${name}: its rollback was interrupted: look how far it got`
  if (state === 'unknown') return `${name}: nobody knows how far it got, and it has no rollback`
  if (state === 'failed') return `${name}: it failed and has no rollback: look how far it got`
  return `${name}: it is in effect and cannot be taken back`
}

/**
 * Takes back what a run has changed: the rollbacks of its steps, the last one first, the failed step's own included (it may
 * have got half way). One that fails does not stop the rest. What cannot be taken back is named, each thing once.
 */
import { OpsError } from '../../core/errors.ts'
import type { EventBody, Incident, Outcome } from '../incident/types.ts'
import type { StepView, View } from '../incident/view.ts'
import { createRenderer, type Renderer } from '../render.ts'
import type { Step } from '../types.ts'
import { paramsOfTask } from '../uses.ts'
import { recordClosed } from './advance.ts'
import { leaseNameOf, type Session } from './session.ts'
import { mayHaveChanged } from './step.ts'
import { describeWork, hostOf, runTask, type TaskResult } from './task.ts'

export interface RollbackStep {
  readonly step: Step
  /** With the params that it was run with: a step that was run with several has as many. */
  readonly words: Renderer
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
    .flatMap((step) => describe(step, view))
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

/** One for each set of values of the params that its rollback speaks of, the last one first. */
function describe({ step, record, words }: StepView, { runbook }: View): RollbackStep[] {
  const { rollback } = step
  if (!rollback) return [{ step, words }]
  const used = paramsOfTask(rollback)
  const byValues = new Map(
    (record?.ranWith ?? []).map((params) => [JSON.stringify(used.map((name) => params[name])), params]),
  )
  return [...byValues.values()].reverse().map((params) => {
    const then = createRenderer(runbook, params)
    return { step, words: then, command: describeWork(rollback.work, then), host: hostOf(rollback, then) }
  })
}

function begin(session: Session, reason: string): Incident {
  return session.journal.change((incident): EventBody[] => {
    if (incident.closed) throw new OpsError('FAILED', `${incident.id} was closed: ${incident.closed.reason}`)
    if (incident.rollback) return []
    const steps = [...new Set(planRollback(session.view()).steps.map(({ step }) => step.id))]
    return [{ kind: 'rollback.began', steps, reason }]
  })
}

async function undo(
  session: Session,
  found: StepView,
  options: RollbackOptions & { readonly fencing: number },
): Promise<void> {
  const { context, actions, journal, id } = session
  const { signal, fencing } = options
  const { step } = found
  signal.throwIfAborted()
  if (!step.rollback) return
  const parts = describe(found, session.view())
  const command = parts.map((part) => part.command).join('\n')
  journal.change((): EventBody[] => [{ kind: 'rollback.started', step: step.id, fencing, command }])
  options.onStart?.(step)
  const ends: TaskResult[] = []
  for (const { words } of parts) {
    const tools = {
      context: { ...context, signal },
      actions,
      words,
      signal,
      reason: `${id} rollback of ${step.number}`,
    }
    ends.push(await runTask(step.rollback, 'rollback', tools))
  }
  const end = ends.find((one) => one.result !== 'ok') ?? ends.at(-1)
  if (!end) return
  const result = end.result === 'ok' ? 'ok' : 'failed'
  const evidence = ends.map((one) => one.evidence)
  journal.change((): EventBody[] => [{ kind: 'rollback.ended', step: step.id, result, because: end.because, evidence }])
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

function describeRest({ step, state, record, words }: StepView): string {
  const name = `${step.number} ${words.title(step.title)}`
  if (record?.rollback === 'failed') return `${name}: its rollback FAILED (${record.because}): take it back by hand`
  if (record?.rollback === 'started') return `${name}: its rollback was interrupted: look how far it got`
  if (state === 'unknown') return `${name}: nobody knows how far it got, and it has no rollback`
  if (state === 'failed') return `${name}: it failed and has no rollback: look how far it got`
  return `${name}: it is in effect and cannot be taken back`
}

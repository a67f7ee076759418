/** What an incident and its runbook make together: the state of each step, what it waits for, and what comes next. Pure. */
import { createRenderer, type Renderer } from '../render.ts'
import type { Phase, Runbook, Step } from '../types.ts'
import type { Incident, StepRecord } from './types.ts'

export const STEP_STATES = [
  'pending',
  'running',
  'waiting',
  'unknown',
  'done',
  'failed',
  'skipped',
  'overridden',
  'rolled-back',
] as const
export type StepState = (typeof STEP_STATES)[number]

export type WaitingFor = 'human' | 'confirm' | 'approval' | 'evidence'

export interface StepView {
  readonly step: Step
  readonly phase: Phase
  readonly state: StepState
  /** Of a step that waits. */
  readonly waitingFor?: WaitingFor
  readonly record: StepRecord | undefined
}

export interface View {
  readonly incident: Incident
  readonly runbook: Runbook
  /** With the params of the incident. */
  readonly words: Renderer
  readonly steps: readonly StepView[]
  readonly next: Next
}

/** What is to be done now, in one move. */
export type Next =
  | { readonly do: 'run'; readonly step: StepView }
  /** Its condition does not hold. */
  | { readonly do: 'pass'; readonly step: StepView; readonly because: string }
  | { readonly do: 'wait'; readonly step: StepView; readonly for: WaitingFor }
  /** It failed, or nobody knows what became of it: a human decides. */
  | { readonly do: 'decide'; readonly step: StepView }
  /** Another process is at it. */
  | { readonly do: 'watch'; readonly step: StepView | undefined }
  | { readonly do: 'rollback' }
  | { readonly do: 'finish' }
  | { readonly do: 'nothing' }

/** @param isLive whether the lease with that fencing token is still held */
export function viewOf(runbook: Runbook, incident: Incident, isLive: (fencing: number) => boolean): View {
  const words = createRenderer(runbook, incident.params)
  const all = runbook.phases.flatMap((phase) =>
    phase.steps.map((step) => viewStep({ step, phase, incident, words, isLive })),
  )
  const current = all.find((step) => !isSettled(step))?.phase.number
  // Nobody is waited for in a phase that has not begun.
  const steps = all.map((view) => (view.phase.number === current ? view : asleep(view)))
  const view = { incident, runbook, words, steps }
  return { ...view, next: decideNext(view) }
}

/** Nothing more is to be done about it. */
export function isSettled({ state }: Pick<StepView, 'state'>): boolean {
  return state === 'done' || state === 'skipped' || state === 'overridden' || state === 'rolled-back'
}

function asleep(view: StepView): StepView {
  if (view.state !== 'waiting' || view.waitingFor === 'evidence') return view
  const { step, phase, record } = view
  return { step, phase, record, state: 'pending' }
}

interface Viewing {
  readonly step: Step
  readonly phase: Phase
  readonly incident: Incident
  readonly words: Renderer
  readonly isLive: (fencing: number) => boolean
}

function viewStep({ step, phase, incident, words, isLive }: Viewing): StepView {
  const record = incident.steps[step.id]
  const base = { step, phase, record }
  if (record === undefined || record.state === 'pending') {
    const waitingFor = whatItNeeds(step, record, words)
    return waitingFor === undefined ? { ...base, state: 'pending' } : { ...base, state: 'waiting', waitingFor }
  }
  switch (record.state) {
    case 'started':
      return { ...base, state: isLive(record.fencing ?? 0) ? 'running' : 'unknown' }
    case 'ran':
      return step.evidenceRequired && !record.witnessed
        ? { ...base, state: 'waiting', waitingFor: 'evidence' }
        : { ...base, state: 'done' }
    case 'interrupted':
      return { ...base, state: 'unknown' }
    default:
      return { ...base, state: record.state }
  }
}

function whatItNeeds(step: Step, record: StepRecord | undefined, words: Renderer): WaitingFor | undefined {
  if (step.when && !words.holds(step.when)) return undefined
  if (step.approve !== undefined && !record?.approved) return 'approval'
  if (step.task === undefined) return 'human'
  if (step.confirm !== undefined && !record?.confirmed) return 'confirm'
  return undefined
}

function decideNext({ incident, steps, words }: Omit<View, 'next'>): Next {
  if (incident.closed) return { do: 'nothing' }
  if (incident.rollback) return { do: 'rollback' }
  const step = steps.find((candidate) => !isSettled(candidate))
  if (!step) return { do: 'finish' }
  switch (step.state) {
    case 'running':
      return { do: 'watch', step }
    case 'unknown':
    case 'failed':
      return { do: 'decide', step }
    case 'waiting':
      return { do: 'wait', step, for: step.waitingFor ?? 'human' }
    default: {
      const { when } = step.step
      if (when && !words.holds(when)) return { do: 'pass', step, because: describeCondition(step.step) }
      return { do: 'run', step }
    }
  }
}

function describeCondition({ when }: Step): string {
  if (!when) return ''
  if (when.test === 'set') return `only when ${when.param} is set`
  return `only when ${when.param} is ${when.test === 'is' ? '' : 'not '}${when.value}`
}

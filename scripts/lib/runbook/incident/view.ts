/** What an incident and its runbook make together: the state of each step, what it waits for, and what comes next. Pure. */
import { createRenderer, type Renderer } from '../render.ts'
import type { ParamValues } from '../params.ts'
import type { Phase, Runbook, Step } from '../types.ts'
import { missingParams, paramsOf } from '../uses.ts'
import type { Agreement, Incident, StepRecord } from './types.ts'

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
  'does-not-apply',
] as const
export type StepState = (typeof STEP_STATES)[number]

export type WaitingFor = 'param' | 'human' | 'confirm' | 'approval' | 'evidence'

export interface StepView {
  readonly step: Step
  readonly phase: Phase
  readonly state: StepState
  /** Of a step that waits. */
  readonly waitingFor?: WaitingFor
  /** Params that it needs and that have no value; empty when it has been run. */
  readonly missing: readonly string[]
  /** With the params that it was run with; before that, with those of now. */
  readonly words: Renderer
  /** Without an agreement to other params than those of now. */
  readonly record: StepRecord | undefined
}

export interface View {
  readonly incident: Incident
  readonly runbook: Runbook
  /** With the params of now. */
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
  const rendererOf = createRenderers(runbook)
  const words = rendererOf(incident.params)
  const all = runbook.phases.flatMap((phase) =>
    phase.steps.map((step) => viewStep({ step, phase, incident, rendererOf, isLive })),
  )
  const current = all.find((step) => !isSettled(step))?.phase.number
  // Nobody is waited for in a phase that has not begun.
  const steps = all.map((view) => (view.phase.number === current ? view : asleep(view)))
  const view = { incident, runbook, words, steps }
  return { ...view, next: decideNext(view) }
}

/** Nothing more is to be done about it. */
export function isSettled({ state, record }: Pick<StepView, 'state' | 'record'>): boolean {
  if (state === 'does-not-apply') return record?.state === 'skipped'
  return state === 'done' || state === 'skipped' || state === 'overridden' || state === 'rolled-back'
}

/** Why a step whose condition does not hold is left out. */
export function describeCondition({ when }: Pick<Step, 'when'>, words: Renderer): string {
  if (!when) return ''
  const value = words.text(when.value ?? '')
  if (when.test === 'set' || value === '') return `only when ${when.param} is ${when.test === 'is' ? 'not ' : ''}set`
  return `only when ${when.param} is ${when.test === 'is' ? '' : 'not '}${value}`
}

function asleep(view: StepView): StepView {
  if (view.state !== 'waiting' || view.waitingFor === 'evidence') return view
  const { step, phase, record, missing, words } = view
  return { step, phase, record, missing, words, state: 'pending' }
}

type RendererOf = (params: ParamValues) => Renderer

/** Params change seldom: each set of values is put together once. */
function createRenderers(runbook: Runbook): RendererOf {
  const made = new Map<ParamValues, Renderer>()
  return (params) => {
    const known = made.get(params) ?? createRenderer(runbook, params)
    made.set(params, known)
    return known
  }
}

interface Viewing {
  readonly step: Step
  readonly phase: Phase
  readonly incident: Incident
  readonly rendererOf: RendererOf
  readonly isLive: (fencing: number) => boolean
}

function viewStep({ step, phase, incident, rendererOf, isLive }: Viewing): StepView {
  const { params } = incident
  const now = rendererOf(params)
  const record = agreedNow(step, incident.steps[step.id], params)
  const isOpen = record === undefined || record.state === 'pending' || isPassed(record)
  if (!isOpen) {
    const words = rendererOf(record.params ?? params)
    return { ...{ step, phase, record, words }, missing: [], ...stateOf(step, record, isLive) }
  }
  const missing = missingParams(step, params)
  const base = { step, phase, record, missing, words: now }
  if (step.when && !now.holds(step.when)) return { ...base, missing: [], state: 'does-not-apply' }
  const waitingFor = missing.length > 0 ? 'param' : whatItNeeds(step, record)
  return waitingFor === undefined ? { ...base, state: 'pending' } : { ...base, state: 'waiting', waitingFor }
}

/** Left out by the program, because its condition did not hold: when it does after all, its turn has come. */
function isPassed({ state, automatic }: StepRecord): boolean {
  return state === 'skipped' && automatic === 'when'
}

function stateOf(
  step: Step,
  record: StepRecord,
  isLive: Viewing['isLive'],
): Pick<StepView, 'state'> & Partial<Pick<StepView, 'waitingFor'>> {
  switch (record.state) {
    case 'started':
      return { state: isLive(record.fencing ?? 0) ? 'running' : 'unknown' }
    case 'ran':
      return step.evidenceRequired && !record.witnessed
        ? { state: 'waiting', waitingFor: 'evidence' }
        : { state: 'done' }
    case 'interrupted':
      return { state: 'unknown' }
    default:
      return { state: record.state }
  }
}

/** What somebody agreed to with other params than those of now was not agreed to. */
function agreedNow(step: Step, record: StepRecord | undefined, params: ParamValues): StepRecord | undefined {
  const { confirmed, approved, ...rest } = record ?? {}
  if (!record || (!confirmed && !approved)) return record
  const used = paramsOf(step)
  const stands = (agreed: Agreement | undefined) =>
    agreed !== undefined && used.every((name) => agreed.params[name] === params[name])
  return {
    ...(rest as StepRecord),
    ...(stands(confirmed) && confirmed && { confirmed }),
    ...(stands(approved) && approved && { approved }),
  }
}

function whatItNeeds(step: Step, record: StepRecord | undefined): WaitingFor | undefined {
  if (step.approve !== undefined && !record?.approved) return 'approval'
  if (step.task === undefined) return 'human'
  if (step.confirm !== undefined && !record?.confirmed) return 'confirm'
  return undefined
}

function decideNext({ incident, steps }: Omit<View, 'next'>): Next {
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
    case 'does-not-apply':
      return { do: 'pass', step, because: describeCondition(step.step, step.words) }
    default:
      return { do: 'run', step }
  }
}

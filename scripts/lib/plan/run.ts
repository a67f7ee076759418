/** One application of a plan while it lasts: where each step stands, who is told, and how a step's functions are called. */
import type { Clock } from '../core/clock.ts'
import { messageOf } from '../core/errors.ts'
import type { Host, Hosts } from '../host/types.ts'
import { bindHost, withDeadline } from './deadline.ts'
import type { Plan, PlanEvent, PlanResult, Step, StepOutcome, StepResult } from './types.ts'

/** What is shown while a plan is applied. */
export interface StepProgress {
  /** From 1. */
  readonly number: number
  readonly total: number
  readonly on: string
  readonly title: string
  readonly outcome: StepOutcome | 'started'
  readonly message: string
}

export interface ApplyOptions {
  readonly hosts: Hosts
  /**
   * Writes one event to the journal. What cannot be recorded is not done; but when there is no way back, and for an
   * undo, it is done in any case and the result says that it is `unrecorded`.
   */
  readonly record: (event: PlanEvent) => void
  readonly clock: Clock
  /** Ends the plan between or within steps; what was done is undone. */
  readonly signal: AbortSignal
  /** Aborted when this process may touch the machines no longer (its lease is lost): ends the plan and undoes nothing. */
  readonly fenced?: AbortSignal
  readonly onStep?: (progress: StepProgress) => void
}

/** One application of a plan, while it lasts. */
export interface Run {
  readonly plan: Plan
  readonly options: ApplyOptions
  hosts: ReadonlyMap<string, Host>
  readonly steps: StepResult[]
  /** Steps whose `apply` has begun. */
  begun: number
  unrecorded: string | undefined
  readonly record: ApplyOptions['record']
}

export function startRun(plan: Plan, options: ApplyOptions): Run {
  const steps = plan.steps.map(({ on, title }): StepResult => {
    return { on, title, outcome: 'not-reached', message: 'not reached', durationMs: 0 }
  })
  return { plan, options, hosts: new Map(), steps, begun: 0, unrecorded: undefined, record: options.record }
}

type Phase = 'apply' | 'verify' | 'undo'

/** Calls one function of a step with its deadline. An undo does not end with the operator's signal. */
export function within(run: Run, step: Step, { phase, timeoutMs }: { phase: Phase; timeoutMs: number }) {
  const { clock, signal, fenced } = run.options
  const signals = [...(phase === 'undo' ? [] : [signal]), ...(fenced ? [fenced] : [])]
  const host = run.hosts.get(step.on)
  if (!host) throw new TypeError(`the host ${step.on} was not reached`)
  return withDeadline(async (stop) => step[phase]?.(bindHost(host, stop), stop), {
    what: `${step.title} (${phase})`,
    timeoutMs,
    clock,
    signal: AbortSignal.any(signals),
  })
}

type Report = Pick<StepResult, 'message' | 'durationMs'> & { readonly outcome: StepOutcome | 'started' }

/** Notes the outcome, then tells the journal and whoever watches. */
export function report(run: Run, index: number, { outcome, message, durationMs }: Report): void {
  const { on, title } = stepAt(run, index)
  const [number, total] = [index + 1, run.plan.steps.length]
  if (outcome !== 'started' && outcome !== 'not-reached') {
    run.steps[index] = { on, title, outcome, message, durationMs }
  }
  if (outcome !== 'not-reached') {
    run.record({
      kind: `step.${outcome}`,
      host: on,
      result: RESULT_OF[outcome],
      message: message === title ? title : `${title}: ${message}`,
      details: { plan: run.plan.title, step: number, of: total, durationMs: Math.round(durationMs) },
    })
  }
  run.options.onStep?.({ number, total, on, title, outcome, message })
}

const RESULT_OF = {
  started: 'started',
  applied: 'ok',
  verified: 'ok',
  failed: 'failed',
  undone: 'undone',
  'undo-failed': 'failed',
} as const

/** Once something has to be taken back, neither the journal nor a watcher may stand in the way. */
export function quietly(run: Run, work: () => void): void {
  try {
    work()
  } catch (error) {
    run.unrecorded ??= messageOf(error)
  }
}

type Ending = { readonly changed: boolean; readonly because: string; readonly result: 'ok' | 'failed' | 'undone' }

export function finish(run: Run, { changed, because, result }: Ending): PlanResult {
  const details = { changed, steps: run.steps.map(({ outcome }) => outcome) }
  const message = `${run.plan.title}: ${because}`
  quietly(run, () => run.record({ kind: 'plan.finished', result, message, details }))
  const { plan, steps, unrecorded } = run
  return { title: plan.title, changed, because, steps, ...(unrecorded === undefined ? {} : { unrecorded }) }
}

export function throwIfStopped({ signal, fenced }: ApplyOptions): void {
  fenced?.throwIfAborted()
  signal.throwIfAborted()
}

export function stepAt({ plan }: Run, index: number): Step {
  const step = plan.steps[index]
  if (!step) throw new RangeError(`the plan has no step ${index + 1}`)
  return step
}

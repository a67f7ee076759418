/**
 * A change to machines as data: shown by `--dry-run`, applied, verified where users would feel it, undone when not proved.
 */
import type { Host, HostReader } from '../host/types.ts'

/** What a check of the effect saw. `because` is the sentence that is shown, journalled and asserted. */
export interface Verdict {
  readonly ok: boolean
  readonly because: string
}

export interface Step {
  /** The host it runs on, by its opskit name; a promotion touches at least two. */
  readonly on: string
  /** Imperative: `Comment out server 192.0.2.10:8090 in upstream api`. */
  readonly title: string
  /** More for `--dry-run`: a diff, the command that will run. Already redacted. */
  readonly preview?: string
  /** Milliseconds that `apply` has. Default 10 minutes. */
  readonly timeoutMs?: number
  /** `signal` is aborted at the deadline or when the operator interrupts; whatever `host` runs is then ended with it. */
  apply(host: Host, signal: AbortSignal): Promise<void>
  verify?(host: HostReader, signal: AbortSignal): Promise<Verdict>
  /** How long the effect may take to show: `verify` is asked again until it is ok or this has passed. Default: asked once. */
  readonly verifyWithinMs?: number
  /** Must be safe when `apply` stopped half-way. Absent means a point of no return, so such a step comes last. */
  undo?(host: Host, signal: AbortSignal): Promise<void>
  /**
   * Says that a step without `undo` stands before steps that have one on purpose: once it has begun, nothing before it
   * is undone any more.
   */
  readonly pointOfNoReturn?: boolean
}

export interface Plan {
  /** What it achieves: `Take web-2 out of upstream api`. */
  readonly title: string
  /** Empty when there is nothing to do; then `because` says why. */
  readonly steps: readonly Step[]
  readonly because: string
}

export type StepOutcome = 'applied' | 'verified' | 'failed' | 'undone' | 'undo-failed' | 'not-reached'

export interface StepResult {
  readonly on: string
  readonly title: string
  readonly outcome: StepOutcome
  readonly message: string
  readonly durationMs: number
}

export interface PlanResult {
  readonly title: string
  /** True when at least one step is in effect, or may be in part. */
  readonly changed: boolean
  readonly because: string
  readonly steps: readonly StepResult[]
  /** Why the end of it could not be recorded: the change stands, the journal does not know. */
  readonly unrecorded?: string
}

/** What a plan tells while it is applied: the part of a journal event that it knows. */
export interface PlanEvent {
  readonly kind:
    | 'plan.started'
    | 'plan.finished'
    | 'step.started'
    | 'step.applied'
    | 'step.verified'
    | 'step.failed'
    | 'step.undone'
    | 'step.undo-failed'
  readonly host?: string
  readonly result: 'started' | 'ok' | 'failed' | 'undone'
  readonly message: string
  readonly details: Readonly<Record<string, unknown>>
}

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
  apply(host: Host): Promise<void>
  verify?(host: HostReader): Promise<Verdict>
  /** Must be safe when `apply` stopped half-way. Absent means a point of no return, so such a step comes last. */
  undo?(host: Host): Promise<void>
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
  readonly changed: boolean
  readonly because: string
  readonly steps: readonly StepResult[]
}

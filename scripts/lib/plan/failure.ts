/** A plan that did not succeed: what stands, and what a human has to do, in order. */
import { isOpsError, messageOf, OpsError, type ErrorCode } from '../core/errors.ts'
import type { PlanResult, StepResult } from './types.ts'

/**
 * Carries the outcome of every step. Its code is STUCK; or, when all was undone, ROLLED_BACK, INTERRUPTED or TERMINATED
 * (on the command line, that of the cause: cli/undone.ts).
 */
export class PlanFailure extends OpsError {
  readonly result: PlanResult
  /** For STUCK: each thing a human must look at, host first, in the order in which to do it. */
  readonly nextActions: readonly string[]

  constructor(code: ErrorCode, failed: { result: PlanResult; nextActions?: readonly string[]; cause: unknown }) {
    const { result, nextActions = [], cause } = failed
    const hint = nextActions.length > 0 ? numbered(nextActions) : hintOf(code, cause)
    super(code, `${result.title}: ${result.because}`, { hint, cause })
    this.result = result
    this.nextActions = nextActions
  }
}

/** Why steps stay applied although the plan failed. */
export type Stop =
  | { readonly kind: 'undo-failed'; readonly index: number; readonly said: string }
  | { readonly kind: 'no-return'; readonly index: number }
  | { readonly kind: 'still-running'; readonly index: number }
  | { readonly kind: 'fenced'; readonly index: number; readonly said: string }

/**
 * What a human must do about each step that is still applied or half applied.
 * @param steps of the plan, with their outcomes
 * @param stop where undoing ended; every step before it was left alone
 */
export function listNextActions(steps: readonly StepResult[], stop: Stop): string[] {
  const at = steps[stop.index]
  const first = at ? [`on ${at.on}: ${firstAction(at, stop)}`] : []
  const before = steps.slice(0, stop.index).reverse()
  const after = stop.kind === 'no-return' && at?.outcome !== 'failed' ? steps.slice(stop.index + 1) : []
  return [
    ...first,
    ...after.map(({ on, title }) => `on ${on}: "${title}" is not done; there is no way back, so do it`),
    ...before.map(({ on, title }) => `on ${on}: "${title}" is still in effect; keep it or take it back`),
  ]
}

function firstAction({ title, outcome }: StepResult, stop: Stop): string {
  switch (stop.kind) {
    case 'undo-failed':
      return `take back "${title}" by hand, its undo failed: ${stop.said}`
    case 'no-return':
      return outcome === 'failed'
        ? `look how far "${title}" got, it cannot be undone`
        : `"${title}" is in effect and cannot be undone`
    case 'still-running':
      return `"${title}" was told to stop and may still be running: wait for its end or end it, then look what it did`
    case 'fenced':
      return `look how far "${title}" got, and what others did since, for this process may go on no longer: ${stop.said}`
  }
}

function hintOf(code: ErrorCode, cause: unknown): string {
  const own = isOpsError(cause) ? cause.details.hint : undefined
  if (own !== undefined) return own
  return code === 'INTERRUPTED' || code === 'TERMINATED'
    ? 'Everything is as it was before. Run it again when you want it.'
    : 'Everything is as it was before. Mend the cause and run it again.'
}

function numbered(actions: readonly string[]): string {
  return actions.map((action, index) => `(${index + 1}) ${action}`).join('; ')
}

/** One sentence for the failure of a step, after the plan's title: `step 2 of 3 failed on web-1 (Reload nginx: exit status 1)`. */
export function describeFailure(steps: readonly StepResult[], index: number, error: unknown): string {
  const step = steps[index]
  if (!step) return messageOf(error)
  if (steps.length === 1) return `failed on ${step.on}: ${messageOf(error)}`
  return `step ${index + 1} of ${steps.length} failed on ${step.on} (${step.title}: ${messageOf(error)})`
}

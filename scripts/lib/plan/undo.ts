/** Takes a failed plan back as far as that is safe, and says what stands. */
import { isOpsError, messageOf, OpsError, type ErrorCode } from '../core/errors.ts'
import { isPointOfNoReturn } from './check.ts'
import { StillRunning } from './deadline.ts'
import { describeFailure, listNextActions, PlanFailure, type Stop } from './failure.ts'
import { finish, quietly, report, stepAt, within, type ApplyOptions, type Run } from './run.ts'
import type { StepOutcome } from './types.ts'

/** An undo gets this at least, and never less than its step had. */
const UNDO_TIMEOUT_MS = 2 * 60_000

/** @returns the error to throw: the plan's failure with all outcomes, or the error as it was when no step had begun */
export async function takeBack(run: Run, error: unknown): Promise<PlanFailure | OpsError> {
  if (run.begun === 0) return finishUnstarted(run, error)
  const failure = describeWhy(run, error)
  const stop = findStop(run, error) ?? (await undoAll(run))
  if (stop) {
    const nextActions = listNextActions(run.steps, stop)
    const because = `${failure}; a human must look at ${hostsOf(run, stop.index)}`
    const result = finish(run, { changed: true, because, result: 'failed' })
    return new PlanFailure('STUCK', { result, nextActions, cause: error })
  }
  const result = finish(run, { changed: false, because: `${failure}; everything was undone`, result: 'undone' })
  return new PlanFailure(codeAfterUndo(run, error), { result, cause: error })
}

/** @returns why nothing at all may be undone */
function findStop({ begun, options }: Run, error: unknown): Stop | undefined {
  const index = begun - 1
  if (options.fenced?.aborted) return { kind: 'fenced', index, said: messageOf(options.fenced.reason) }
  return error instanceof StillRunning ? { kind: 'still-running', index } : undefined
}

/** @returns where undoing had to end, or undefined when every step that began is undone */
async function undoAll(run: Run): Promise<Stop | undefined> {
  const { clock, fenced } = run.options
  for (let index = run.begun - 1; index >= 0; index -= 1) {
    const step = stepAt(run, index)
    if (isPointOfNoReturn(step)) return { kind: 'no-return', index }
    const startedAt = clock.monotonic()
    const settle = (outcome: StepOutcome, message: string) =>
      quietly(run, () => report(run, index, { outcome, message, durationMs: clock.monotonic() - startedAt }))
    try {
      const timeoutMs = Math.max(UNDO_TIMEOUT_MS, step.timeoutMs ?? 0)
      await within(run, step, { phase: 'undo', timeoutMs })
      const before = run.steps[index]
      settle('undone', before?.outcome === 'failed' ? `failed (${before.message}), then undone` : 'undone')
    } catch (error) {
      const said = messageOf(error)
      settle('undo-failed', said)
      if (fenced?.aborted) return { kind: 'fenced', index, said }
      return error instanceof StillRunning ? { kind: 'still-running', index } : { kind: 'undo-failed', index, said }
    }
  }
  return undefined
}

/** The error as it was, when no step has begun: nothing has to be said about undoing. */
export function finishUnstarted(run: Run, error: unknown): OpsError {
  finish(run, { changed: false, because: messageOf(error), result: 'failed' })
  return asOpsError(run.options, error)
}

function describeWhy({ options, steps, begun }: Run, error: unknown): string {
  const index = begun - 1
  const isStop = error === options.signal.reason || error === options.fenced?.reason
  if (!isStop) return describeFailure(steps, index, error)
  const where = steps[index]?.outcome === 'failed' ? 'in' : 'after'
  return `stopped ${where} step ${begun} of ${steps.length} (${messageOf(error)})`
}

function codeAfterUndo({ options }: Run, error: unknown): ErrorCode {
  const { code } = asOpsError(options, error)
  return code === 'INTERRUPTED' || code === 'TERMINATED' ? code : 'ROLLED_BACK'
}

/** A plain abort reason is an interruption; anything else that is not ours has simply failed. */
export function asOpsError({ signal }: ApplyOptions, error: unknown): OpsError {
  if (isOpsError(error)) return error
  const isAbort = signal.aborted && error === signal.reason
  return new OpsError(isAbort ? 'INTERRUPTED' : 'FAILED', messageOf(error), { cause: error })
}

function hostsOf({ plan }: Run, lastIndex: number): string {
  return [...new Set(plan.steps.slice(0, lastIndex + 1).map((step) => step.on))].reverse().join(', ')
}

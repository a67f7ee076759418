/**
 * The only way a plan changes machines.
 *
 * A step moves: not-reached -> applied -> verified, or to failed from anywhere after its start. When one fails, every
 * step that began, the failed one first, goes to undone, in reverse order; undoing ends at the first step that cannot be
 * undone (a point of no return) or whose undo failed, because an earlier undo would pull the ground from under it.
 */
import { messageOf, OpsError } from '../core/errors.ts'
import { checkPlan, isPointOfNoReturn } from './check.ts'
import { StillRunning } from './deadline.ts'
import { reachHosts } from './reach.ts'
import {
  finish,
  quietly,
  report,
  startRun,
  stepAt,
  throwIfStopped,
  within,
  type ApplyOptions,
  type Run,
} from './run.ts'
import { asOpsError, finishUnstarted, takeBack } from './undo.ts'
import type { Plan, PlanEvent, PlanResult, Step, StepOutcome, Verdict } from './types.ts'

/** Covers a package installation or a large copy; a step that needs longer says so. */
const STEP_TIMEOUT_MS = 10 * 60_000
/** For one question; `verifyWithinMs` says for how long it is asked again. */
const VERIFY_TIMEOUT_MS = 30_000
/** New nginx workers answer after about 80 ms: soon enough to notice, seldom enough not to be load. */
const VERIFY_POLL_MS = 100

/**
 * Applies a plan: all of it, proved, or nothing.
 * @returns every step's outcome; `changed: false` for an empty plan
 * @throws OpsError FAILED (the plan is not sound), or that of an unreachable host, with nothing changed;
 *   PlanFailure ROLLED_BACK, INTERRUPTED or TERMINATED (all undone) or STUCK (naming what a human must look at)
 */
export async function applyPlan(plan: Plan, options: ApplyOptions): Promise<PlanResult> {
  refuseUnsound(plan)
  if (plan.steps.length === 0) return { title: plan.title, changed: false, because: plan.because, steps: [] }
  if (options.signal.aborted) throw asOpsError(options, options.signal.reason)
  const run = startRun(plan, options)
  run.record({ kind: 'plan.started', result: 'started', message: plan.title, details: describeStart(plan) })
  try {
    run.hosts = await reachHosts(plan, options)
  } catch (error) {
    throw finishUnstarted(run, error)
  }
  try {
    for (const index of plan.steps.keys()) {
      throwIfStopped(options)
      await carryOut(run, index)
    }
  } catch (error) {
    throw await takeBack(run, error)
  }
  return finish(run, { changed: true, because: plan.because, result: 'ok' })
}

async function carryOut(run: Run, index: number): Promise<void> {
  const { clock } = run.options
  const step = stepAt(run, index)
  const startedAt = clock.monotonic()
  const settle = (outcome: StepOutcome, message: string) =>
    tell(run, () => report(run, index, { outcome, message, durationMs: clock.monotonic() - startedAt }))
  tell(run, () => report(run, index, { outcome: 'started', message: step.title, durationMs: 0 }))
  run.begun = index + 1
  try {
    await within(run, step, { phase: 'apply', timeoutMs: step.timeoutMs ?? STEP_TIMEOUT_MS })
    settle('applied', step.title)
    if (!step.verify) return
    const { ok, because } = await verify(run, step)
    if (!ok) throw new OpsError('FAILED', because, { host: step.on })
    settle('verified', because)
  } catch (error) {
    quietly(run, () => settle('failed', messageOf(error)))
    throw error
  }
}

/** Without a way back, a journal that fails is no reason to stop half-way. */
function tell(run: Run, work: () => void): void {
  if (run.plan.steps.slice(0, run.begun).some(isPointOfNoReturn)) quietly(run, work)
  else work()
}

async function verify(run: Run, step: Step): Promise<Verdict> {
  const { clock } = run.options
  const until = clock.monotonic() + (step.verifyWithinMs ?? 0)
  for (;;) {
    const verdict = await askOnce(run, step)
    const leftMs = until - clock.monotonic()
    if (verdict.ok || leftMs <= 0) return verdict
    await clock.sleep(Math.min(VERIFY_POLL_MS, leftMs), run.options.signal)
    throwIfStopped(run.options)
  }
}

/** A check that throws has not seen the effect; only an order to stop is more than that. */
async function askOnce(run: Run, step: Step): Promise<Verdict> {
  try {
    const verdict = await within(run, step, { phase: 'verify', timeoutMs: VERIFY_TIMEOUT_MS })
    return verdict ?? { ok: true, because: step.title }
  } catch (error) {
    throwIfStopped(run.options)
    if (error instanceof StillRunning) throw error
    return { ok: false, because: messageOf(error) }
  }
}

function refuseUnsound(plan: Plan): void {
  const problems = checkPlan(plan)
  if (problems.length === 0) return
  throw new OpsError('FAILED', `Nothing was changed: the plan "${plan.title}" is not sound: ${problems.join('; ')}`, {
    hint: 'This is a defect of the action that made the plan: report it.',
  })
}

function describeStart(plan: Plan): PlanEvent['details'] {
  return { because: plan.because, steps: plan.steps.map(({ on, title }) => `${on}: ${title}`) }
}

/**
 * The one way an action is run, by every conductor: parameters checked, lease held, journal told, plan shown or applied.
 *
 * A look is recorded when it ends (it is often repeated, and nothing hangs on its beginning), a change when it begins
 * and when it ends, a dry run not at all: it leaves no trace, on machines or in the journal.
 */
import { isOpsError, messageOf, OpsError } from '../core/errors.ts'
import type { JournalEvent, Lease } from '../journal/types.ts'
import {
  applyPlan,
  describePlan,
  PlanFailure,
  type Plan,
  type PlanDescription,
  type PlanResult,
  type StepProgress,
} from '../plan/index.ts'
import type { Report, Severity } from '../report/types.ts'
import { parseParams } from './params.ts'
import type { Action, ActionContext, ChangeAction, LookAction } from './types.ts'

export interface RunActionOptions {
  /** Plans and describes; changes nothing. Means nothing to an action that only looks. */
  readonly dryRun?: boolean
  /** Why, for whoever finds the lease taken. Default: the action's name. */
  readonly reason?: string
  readonly onStep?: (progress: StepProgress) => void
}

export type ActionResult = (
  | { readonly kind: 'report'; readonly report: Report }
  | { readonly kind: 'plan'; readonly plan: Plan; readonly description: PlanDescription }
  | { readonly kind: 'applied'; readonly result: PlanResult }
) & {
  /** Why the journal could not be told of the end, for a warning: the result stands all the same. */
  readonly unrecorded?: string
}

/**
 * @throws OpsError USAGE for wrong parameters, LOCKED when another run holds the action's lease, CANNOT_WRITE when a
 *   change cannot be journalled; PlanFailure for a change that did not succeed; and what the action itself throws
 */
export async function runAction<P>(
  action: Action<P>,
  rawParams: unknown,
  context: ActionContext,
  options: RunActionOptions = {},
): Promise<ActionResult> {
  const params = await parseParams(action, rawParams)
  if (!action.changes) return runLook(action, params, context)
  if (!options.dryRun) return runChange(action, params, context, options)
  const plan = await action.plan(context, params)
  return { kind: 'plan', plan, description: describePlan(plan) }
}

/**
 * Looks with parameters that are right already, and records it.
 * @throws what the look throws
 */
export async function runLook<P>(
  action: Pick<LookAction<P>, 'name' | 'look'>,
  params: P,
  context: ActionContext,
): Promise<{ readonly kind: 'report'; readonly report: Report; readonly unrecorded?: string }> {
  const end = startEnding(action.name, context)
  try {
    const report = await action.look(context, params)
    const unrecorded = end('ok', `${report.title}: ${countFindings(report)}`, { findings: countBySeverity(report) })
    return { kind: 'report', report, ...unrecorded }
  } catch (error) {
    end('failed', messageOf(error), failureDetails(error))
    throw error
  }
}

async function runChange<P>(
  action: ChangeAction<P>,
  params: P,
  context: ActionContext,
  options: RunActionOptions,
): Promise<ActionResult> {
  const end = startEnding(action.name, context)
  const lease = takeLease(action, action.lease(params), context, options)
  try {
    const { journal } = context
    const details = { params, lease: lease.name, fencing: lease.fencingToken }
    journal.record({ kind: 'action.started', action: action.name, result: 'started', message: action.summary, details })
    const result = await planAndApply(action, { params, context, options, lease })
    const unrecorded = end('ok', `${result.title}: ${result.because}`, { changed: result.changed })
    return { kind: 'applied', result, ...unrecorded }
  } catch (error) {
    const undone = error instanceof PlanFailure && !error.result.changed
    end(undone ? 'undone' : 'failed', messageOf(error), failureDetails(error))
    throw error
  } finally {
    giveBack(lease, context)
  }
}

interface Change<P> {
  readonly params: P
  readonly context: ActionContext
  readonly options: RunActionOptions
  readonly lease: Lease
}

async function planAndApply<P>(action: ChangeAction<P>, change: Change<P>): Promise<PlanResult> {
  const { params, context, options, lease } = change
  const { hosts, journal, clock, signal } = context
  const plan = await action.plan({ ...context, signal: AbortSignal.any([signal, lease.lost]) }, params)
  // The plan was made under the lease; it is applied only if nobody else has had it since.
  lease.renew()
  return applyPlan(plan, {
    hosts,
    clock,
    signal,
    fenced: lease.lost,
    record: (event) => journal.record({ ...event, action: action.name }),
    ...(options.onStep ? { onStep: options.onStep } : {}),
  })
}

function takeLease<P>(
  action: ChangeAction<P>,
  name: string,
  { journal }: ActionContext,
  { reason = action.name }: RunActionOptions,
): Lease {
  if (!journal.durable) {
    throw new OpsError('CANNOT_WRITE', `${action.name} changes something, and there is no journal to record it in`, {
      hint: 'Mend the state directory, or set state.dir to one that can be written.',
    })
  }
  try {
    return journal.acquire({ name, reason })
  } catch (error) {
    if (isOpsError(error, 'LOCKED')) {
      const details = failureDetails(error)
      const event = {
        kind: 'action.refused',
        action: action.name,
        result: 'skipped',
        message: messageOf(error),
        details,
      }
      attempt(() => journal.record(event as JournalEvent))
    }
    throw error
  }
}

/** Its end frees a lease that could not be given back, so this never hides what the action did or why it failed. */
function giveBack(lease: Lease, { log }: ActionContext): void {
  const problem = attempt(() => lease.release())
  if (problem !== undefined) log.warn(`The lease on ${lease.name} stays until this process ends: ${problem}`)
}

type End = (
  result: 'ok' | 'failed' | 'undone',
  message: string,
  details: Readonly<Record<string, unknown>>,
) => { readonly unrecorded?: string }

/** A full disk must not take the report from whoever has to mend it: what cannot be recorded is returned. */
function startEnding(action: string, { journal, clock }: ActionContext): End {
  const startedAt = clock.monotonic()
  return (result, message, details) => {
    const durationMs = Math.round(clock.monotonic() - startedAt)
    const event: JournalEvent = {
      kind: 'action.finished',
      action,
      result,
      message,
      details: { ...details, durationMs },
    }
    const unrecorded = attempt(() => journal.record(event))
    return unrecorded === undefined ? {} : { unrecorded }
  }
}

function attempt(work: () => void): string | undefined {
  try {
    work()
    return undefined
  } catch (error) {
    return messageOf(error)
  }
}

function failureDetails(error: unknown): Readonly<Record<string, unknown>> {
  const code = isOpsError(error) ? error.code : 'FAILED'
  return error instanceof PlanFailure
    ? { code, changed: error.result.changed, nextActions: error.nextActions }
    : { code, changed: false }
}

function countBySeverity({ findings }: Report): Partial<Record<Severity, number>> {
  return findings.reduce<Partial<Record<Severity, number>>>((counts, { severity }) => {
    return { ...counts, [severity]: (counts[severity] ?? 0) + 1 }
  }, {})
}

const WORST_FIRST: readonly Severity[] = ['critical', 'warning', 'unknown', 'ok', 'skipped']

function countFindings(report: Report): string {
  const counts = countBySeverity(report)
  const parts = WORST_FIRST.flatMap((severity) => (counts[severity] ? [`${counts[severity]} ${severity}`] : []))
  return parts.join(', ') || 'nothing found'
}

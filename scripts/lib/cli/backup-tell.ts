/**
 * Who is told when a command about backups fails: the channels of `notify`, at once; a journal that cannot be written (a full
 * disk takes it along) keeps nobody from being told. Runs of the scheduler do not come by here: it tells of them itself.
 */
import { isOpsError, messageOf } from '../core/errors.ts'
import { exitCodeOf } from '../core/exit.ts'
import type { Outcome } from '../notify/outcome.ts'
import type { OpenedContext } from './context.ts'

export interface Failure {
  /** `backup of database/app`; see ALERT in backup/told.ts. */
  readonly subject: string
  readonly error: unknown
  readonly action?: string
  /** Default: the hint of the error. */
  readonly next?: string
}

/** Tells of failures, and sends what else is due: that something works again. Never throws. */
export async function tellFailures(context: OpenedContext, failures: readonly Failure[] = []): Promise<void> {
  const outcomes = failures.flatMap((failure) => outcomeOf(failure, context.localName) ?? [])
  const { notifyOutcomes } = await import('../notify/outcome.ts')
  const told = await notifyOutcomes(context, outcomes)
  const { problem } = told.unwritten && outcomes.length > 0 ? await tellWithoutJournal(context, outcomes) : told
  if (problem !== undefined) context.log.warn(problem)
}

/** Runs work; when it fails, somebody is told, and when it succeeds, those who were told that it failed are. */
export async function telling<T>(
  context: OpenedContext,
  { subject, action }: { readonly subject: string; readonly action: string },
  work: () => Promise<T>,
): Promise<T> {
  let result: T
  try {
    result = await work()
  } catch (error) {
    await tellFailures(context, [{ subject, action, error }])
    throw error
  }
  const { notifyOutcome } = await import('../notify/outcome.ts')
  const { problem } = await notifyOutcome(context, { subject, action })
  if (problem !== undefined) context.log.warn(problem)
  return result
}

/** For what failed before an action began, of which nothing else leaves a trace: the journal is told too. */
export async function tellRefused(context: OpenedContext, failure: Failure): Promise<void> {
  const { subject, error, action } = failure
  const details = { code: isOpsError(error) ? error.code : 'FAILED', exitCode: exitCodeOf(error) }
  const message = context.redact(`${subject}: ${messageOf(error)}`)
  try {
    context.journal.record({ kind: 'command.failed', result: 'failed', message, details, ...(action && { action }) })
  } catch {
    // The failure itself is on its way to stderr and to the channels; it must not be replaced by this one.
  }
  await tellFailures(context, [failure])
}

/** @returns undefined for what nobody has to be woken for: whoever typed it has seen it */
function outcomeOf({ subject, error, action, next }: Failure, host: string): Outcome | undefined {
  const code = isOpsError(error) ? error.code : 'FAILED'
  if (code === 'INTERRUPTED') return undefined
  if (code === 'USAGE' && process.stderr.isTTY) return undefined
  return {
    ...{ subject, error, host, tags: ['backup'], details: [['exit code', String(exitCodeOf(error))]] },
    ...(action && { action }),
    ...(next && { next }),
    // Another run is at work on it: nothing is lost yet.
    severity: code === 'LOCKED' || code === 'USAGE' ? 'warning' : 'critical',
    once: code === 'USAGE',
  }
}

async function tellWithoutJournal(context: OpenedContext, outcomes: readonly Outcome[]) {
  const [{ notifyOutcomes }, { openMemoryJournal }] = await Promise.all([
    import('../notify/outcome.ts'),
    import('../journal/index.ts'),
  ])
  const journal = openMemoryJournal()
  try {
    return await notifyOutcomes({ ...context, journal }, outcomes)
  } finally {
    journal.close()
  }
}

/**
 * Runs all checks of one host at once. Each has its own deadline, all share a total one; a check that is late, fails
 * or is interrupted becomes an `unknown` finding with its name, and never delays the others.
 */
import { formatDuration } from '../core/duration.ts'
import { isOpsError, messageOf } from '../core/errors.ts'
import type { Fact } from '../report/types.ts'
import type { JudgedFinding } from './runbook.ts'
import type { Check, CheckContext, CheckFinding, CheckResult } from './types.ts'

export interface RunChecks {
  readonly checks: readonly Check[]
  readonly context: Omit<CheckContext, 'signal' | 'timeoutMs'>
  /** Milliseconds for everything together. */
  readonly deadlineMs: number
  /** The operator's interruption. */
  readonly signal: AbortSignal
}

export interface HostDiagnosis {
  readonly findings: readonly JudgedFinding[]
  readonly facts: readonly Fact[]
}

/** @returns findings in the order of `checks`; never rejects */
export async function runChecks({ checks, context, deadlineMs, signal }: RunChecks): Promise<HostDiagnosis> {
  const results = await Promise.all(
    checks.map((check) => {
      const timeoutMs = Math.min(check.timeoutMs ?? context.settings.check_timeout, deadlineMs)
      return runCheck(check, { ...context, timeoutMs, signal })
    }),
  )
  return {
    findings: results.flatMap((result) => result.findings),
    facts: results.flatMap((result) => result.facts),
  }
}

async function runCheck(check: Check, context: CheckContext): Promise<HostDiagnosis> {
  const { clock, name, timeoutMs } = context
  const startedAt = clock.monotonic()
  const controller = new AbortController()
  const stop = () => controller.abort(context.signal.reason)
  context.signal.addEventListener('abort', stop, { once: true })
  if (context.signal.aborted) stop()

  let result: CheckResult
  try {
    result = await withDeadline(check.run({ ...context, signal: controller.signal }), controller, timeoutMs)
  } catch (error) {
    result = { findings: [unfinished(check, error, timeoutMs)] }
  } finally {
    context.signal.removeEventListener('abort', stop)
  }
  const durationMs = clock.monotonic() - startedAt
  return {
    findings: result.findings.map((finding) => ({
      ...finding,
      check: finding.check ?? check.name,
      host: name,
      durationMs,
    })),
    facts: result.facts ?? [],
  }
}

class DeadlinePassed extends Error {}

/** Settles at the deadline whatever the check does; its own late answer or error is dropped. */
async function withDeadline<T>(work: Promise<T>, controller: AbortController, timeoutMs: number): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const stopped = new Promise<never>((_, reject) => {
    const fail = () => reject(controller.signal.reason as Error)
    controller.signal.addEventListener('abort', fail, { once: true })
    if (controller.signal.aborted) fail()
    timer = setTimeout(() => controller.abort(new DeadlinePassed()), timeoutMs)
  })
  try {
    return await Promise.race([work, stopped])
  } finally {
    clearTimeout(timer)
    work.catch(() => {})
  }
}

/** What a check that gave no answer means: a missing tool is a skip, everything else is unknown. */
function unfinished(check: Check, error: unknown, timeoutMs: number): CheckFinding {
  if (error instanceof DeadlinePassed) {
    return {
      severity: 'unknown',
      title: `${check.name} did not finish`,
      evidence: `no answer in ${formatDuration(timeoutMs)}`,
      next: 'Run it alone with more time: npx zx scripts/diagnose.ts --deadline 30s --only ' + check.name,
    }
  }
  if (isOpsError(error, 'MISSING_TOOL')) {
    return { severity: 'skipped', title: check.name, evidence: `skipped, because ${error.message}` }
  }
  const hint = isOpsError(error) ? error.details.hint : undefined
  return {
    severity: 'unknown',
    title: `${check.name} could not run`,
    evidence: messageOf(error),
    ...(hint ? { next: hint } : {}),
  }
}

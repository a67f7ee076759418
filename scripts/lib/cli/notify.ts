/** The commands of `notify`: test a channel, list the outbox, send what waits. */
import type { ActionResult } from '../action/run.ts'
import type { Action } from '../action/types.ts'
import { formatDuration } from '../core/duration.ts'
import { OpsError } from '../core/errors.ts'
import { EXIT_CODE_OF } from '../core/exit.ts'
import type { FlushResult } from '../notify/flush.ts'
import type { TestResult } from '../notify/test-channel.ts'
import { openContext, type CommonFlags, type OpenedContext } from './context.ts'
import { print, terminalWidth, wantsColor } from './output.ts'

interface ChangeFlags extends CommonFlags {
  readonly dryRun?: boolean
}

export interface TestFlags extends ChangeFlags {
  readonly channel: string
  readonly severity: string
}

export interface OutboxFlags extends CommonFlags {
  readonly channel?: string[]
  readonly all?: boolean
  readonly limit?: number
}

export interface FlushFlags extends ChangeFlags {
  readonly channel?: string[]
  readonly retryDead?: boolean
  readonly wait?: number
  readonly deadline?: number
}

/** Prints what the far side answered. @throws OpsError with its answer when it refused, UNREACHABLE when there was none */
export async function test({ channel, severity, ...flags }: TestFlags, signal: AbortSignal): Promise<void> {
  await using context = await openContext(flags, { looksOnly: flags.dryRun ?? false, signal })
  const { createTestAction } = await import('../notify/action.ts')
  let result: TestResult | undefined
  const action = createTestAction({ ...printerOf(flags), onResult: (got) => (result = got) })
  await run(action, { channel, severity }, { flags, context })
  if (!result) return
  const { id, answer, durationMs } = result
  if (flags.json) return print(JSON.stringify({ channel, id, answer, durationMs: Math.round(durationMs) }, null, 2))
  await print(`${channel} took it in ${formatDuration(durationMs)}: ${context.redact(answer)}\nmessage ${id}`)
}

export async function outbox({ channel, all, limit, ...flags }: OutboxFlags, signal: AbortSignal): Promise<void> {
  await using context = await openContext(flags, { looksOnly: true, signal })
  const [{ findAction }, { runAction }, { buildReport }, { render }] = await Promise.all([
    import('../catalog.ts'),
    import('../action/run.ts'),
    import('../report/build.ts'),
    import('../report/render.ts'),
  ])
  const result = await runAction(await findAction('notify.outbox'), { channels: channel, all, limit }, context)
  if (result.kind !== 'report') throw new OpsError('FAILED', 'notify.outbox returned no report')
  const built = buildReport(result.report, { redact: context.redact })
  const width = terminalWidth()
  await print(
    await render(built, flags.json ? 'json' : 'text', { verbose: true, color: wantsColor(), ...(width && { width }) }),
  )
}

/** @returns 0, or 1 when something was given up */
export async function flush(flags: FlushFlags, signal: AbortSignal): Promise<number> {
  await using context = await openContext(flags, { looksOnly: flags.dryRun ?? false, signal })
  const [{ createFlushAction }, { readNextDue }] = await Promise.all([
    import('../notify/action.ts'),
    import('../notify/claim.ts'),
  ])
  const dueAt = readNextDue(context.journal, context.config.notify)
  const isIdle = dueAt === undefined || dueAt > context.clock.now() + (flags.wait ?? 0)
  // Run each minute, it would fill the journal with the news that there was nothing to do.
  if (isIdle && !flags.retryDead) {
    const next = dueAt === undefined ? '' : `; the next is due at ${new Date(dueAt).toISOString()}`
    await print(
      flags.json
        ? JSON.stringify({ ...NOTHING_SENT, ...(dueAt !== undefined && { nextDueAt: dueAt }) }, null, 2)
        : `Nothing to send${next}.`,
    )
    return 0
  }
  let result: FlushResult | undefined
  const action = createFlushAction({ ...printerOf(flags), onResult: (got) => (result = got) })
  const params = { channels: flags.channel, retryDead: flags.retryDead, waitMs: flags.wait, deadlineMs: flags.deadline }
  try {
    await run(action, params, { flags, context })
  } finally {
    if (result) await print(flags.json ? JSON.stringify(result, null, 2) : context.redact(linesOf(result).join('\n')))
  }
  return result && result.dead > 0 ? EXIT_CODE_OF.FAILED : 0
}

const NOTHING_SENT: FlushResult = { channels: [], sent: 0, failed: 0, dead: 0, undelivered: [] }

/** What a log channel prints must not break the one JSON document. */
function printerOf({ json }: CommonFlags): { print?: (line: string) => void } {
  return json ? { print: (line) => void process.stderr.write(`${line}\n`) } : {}
}

interface Run {
  readonly flags: ChangeFlags
  readonly context: OpenedContext
}

/** A step that tells people cannot be undone; what an operator wants to read is why it failed. */
async function run(action: Action, params: Readonly<Record<string, unknown>>, { flags, context }: Run): Promise<void> {
  const { runAction } = await import('../action/run.ts')
  const { PlanFailure, formatPlan } = await import('../plan/index.ts')
  let result: ActionResult
  try {
    result = await runAction(action, withoutUndefined(params), context, { dryRun: flags.dryRun ?? false })
  } catch (error) {
    throw error instanceof PlanFailure && error.cause instanceof OpsError ? error.cause : error
  }
  if (result.unrecorded !== undefined) context.log.warn(`the journal does not know of the end: ${result.unrecorded}`)
  if (result.kind === 'plan') {
    const { description } = result
    await print(flags.json ? JSON.stringify(description, null, 2) : context.redact(formatPlan(description).join('\n')))
  } else if (result.kind === 'applied' && !result.result.changed) {
    const { title, because } = result.result
    await print(flags.json ? JSON.stringify(result.result, null, 2) : `${title}: nothing to do, ${because}`)
  }
}

function withoutUndefined(params: Readonly<Record<string, unknown>>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(params).filter(([, value]) => value !== undefined))
}

function linesOf({ channels, sent, failed, dead, nextDueAt }: FlushResult): string[] {
  const busy = channels.filter(
    (channel) => channel.sent + channel.failed + channel.dead > 0 || channel.answer !== undefined,
  )
  return [
    `${sent} sent, ${failed} to be tried again, ${dead} given up`,
    ...busy.map(({ channel, answer, ...counts }) => {
      const parts = [
        `${counts.sent} sent`,
        ...(counts.failed ? [`${counts.failed} failed`] : []),
        ...(counts.dead ? [`${counts.dead} given up`] : []),
      ]
      return `  ${channel}: ${parts.join(', ')}${answer === undefined ? '' : `: ${answer}`}`
    }),
    ...(nextDueAt === undefined ? [] : [`The next is due at ${new Date(nextDueAt).toISOString()}.`]),
  ]
}

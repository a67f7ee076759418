/** `schedule trigger`, and the two commands that the daemon calls: `accept` checks a config, `execute` runs one slot. */
import { runAction, type ActionResult } from '../action/run.ts'
import { findAction } from '../catalog.ts'
import { systemClock } from '../core/clock.ts'
import { isOpsError, OpsError } from '../core/errors.ts'
import { EXIT_CODE_OF, exitCodeOf } from '../core/exit.ts'
import { createLog } from '../core/log.ts'
import { nearestName } from '../core/nearest.ts'
import { redactValue } from '../core/redact.ts'
import { openJournal } from '../journal/index.ts'
import type { Journal } from '../journal/types.ts'
import { closeSlot } from '../schedule/close.ts'
import { lastRuns } from '../schedule/next-run.ts'
import { describeSelf, findProcesses, isAlive } from '../schedule/processes.ts'
import { startSlot } from '../schedule/run-slot.ts'
import { openStore, shortMessage, slotId, type Store } from '../schedule/store.ts'
import { readSchedules } from '../schedule/timed.ts'
import type { Job, Outcome, Slot, SlotEvent } from '../schedule/types.ts'
import { openContext, type CommonFlags } from './context.ts'
import { print } from './output.ts'
import { executeArgv, type AcceptAnswer } from './schedule-daemon.ts'
import { parseAccepted, readAccepted, type Accepted } from './schedule-jobs.ts'
import { createSender, tellOf } from './schedule-notify.ts'

export interface TriggerFlags extends CommonFlags {
  /** `due`: the slot that came due last, unless it has run. */
  readonly slot?: 'due'
}

/** Prints what the daemon needs to know, or why it is refused, as one JSON document. */
export async function printAccepted(flags: CommonFlags): Promise<number> {
  const answer: AcceptAnswer = await readAccepted(flags).then(
    (accepted) => ({ accepted }),
    (error: unknown) => {
      if (!isOpsError(error)) throw error
      const { hint } = error.details
      return { code: error.code, message: error.message, ...(hint !== undefined && { hint }) }
    },
  )
  await print(JSON.stringify(answer))
  return 'accepted' in answer ? 0 : EXIT_CODE_OF[answer.code]
}

/** Runs one slot to its end, in the process that is this. The config comes from stdin: the one that was accepted. */
export async function execute(name: string, slot: string, signal: AbortSignal): Promise<number> {
  const { source, text } = JSON.parse(await readStdin()) as { source: string; text: string }
  const config = parseAccepted(source, text)
  await using context = await openContext({}, { looksOnly: false, signal, loaded: { config, source, warnings: [] } })
  const store = openStore(context.journal)
  try {
    const job = config.schedule.jobs.find((candidate) => candidate.name === name)
    if (!job) throw new OpsError('USAGE', `there is no job "${name}"`)
    const lease = context.journal.acquire({ name: leaseOf(name), reason: slot })
    const fenced = { ...context, signal: AbortSignal.any([signal, lease.lost]) }
    const result = await runAction(await findAction(job.action), job.params, fenced, { reason: slot })
    const { code, message } = await judge(result)
    store.report(slot, code, message)
    await print(message)
    return code
  } catch (error) {
    store.report(slot, exitCodeOf(error), context.redact(shortMessage(error)))
    throw error
  }
}

/** Runs a job now. @throws OpsError LOCKED (75) naming who runs it already */
export async function trigger(name: string, flags: TriggerFlags, signal: AbortSignal): Promise<number> {
  const accepted = await readAccepted(flags)
  const found = accepted.jobs.find((candidate) => candidate.name === name)
  if (!found) throw noSuchJob(name, accepted)
  // Whoever runs a job by hand sees it fail and decides.
  const job = flags.slot === 'due' ? found : { ...found, retries: { ...found.retries, count: 0 } }
  const journal = openJournal({ dir: accepted.stateDir, clock: systemClock, redact: redactValue })
  try {
    const store = openStore(journal)
    const id = prepareSlot(job, flags, store)
    if (id === undefined) {
      await print(`${name}: the run that is due has been taken care of`)
      return 0
    }
    return await superviseHere({ accepted, job, id, journal, store, signal })
  } finally {
    journal.close()
  }
}

interface Supervision {
  readonly accepted: Accepted
  readonly job: Job
  readonly id: string
  readonly journal: Journal
  readonly store: Store
  readonly signal: AbortSignal
}

async function superviseHere({ accepted, job, id, journal, store, signal }: Supervision): Promise<number> {
  const pending: Promise<unknown>[] = []
  const inBackground = (work: Promise<unknown>) => void pending.push(work)
  const onEvent = (event: SlotEvent) => tellOf(journal, accepted.telling, event)
  const closing = { journal, store, clock: systemClock, log: createLog(), random: Math.random, inBackground, onEvent }
  for (;;) {
    freeFromDead(job, store, closing)
    // Names the holder when there is one; the process of the run takes it for itself.
    journal.acquire({ name: leaseOf(job.name), reason: id }).release()
    if (!store.claim(id, describeSelf(), Date.now())) throw busy(job, store)
    const run = startSlot({
      ...{ slot: id, job, store, clock: systemClock, killGraceMs: accepted.killGraceMs, isVisible: true },
      argv: executeArgv(job.name, id),
      input: JSON.stringify({ source: accepted.source, text: accepted.text }),
    })
    const onAbort = () => run.stop('cut', 'it was interrupted')
    if (signal.aborted) onAbort()
    signal.addEventListener('abort', onAbort, { once: true })
    const outcome = await run.done
    signal.removeEventListener('abort', onAbort)
    closeSlot(closing, { job, slot: id, outcome })
    await Promise.all(pending)
    createSender(journal)(accepted.telling, accepted.source)
    const slot = store.find(id)
    if (slot?.state !== 'waiting' || signal.aborted) return exitOf(outcome)
    await systemClock.sleep(Math.max(0, slot.notBefore - Date.now()), signal)
  }
}

/** @returns the slot that is to run; undefined when somebody has it already */
function prepareSlot(job: Job, flags: TriggerFlags, store: Store): string | undefined {
  const now = Date.now()
  if (flags.slot === 'due') {
    const [timed] = readSchedules([job])
    const span = { after: now - Math.max(job.catchupWindowMs, 60_000), until: now, limit: 1 }
    const [at] = timed ? lastRuns(timed.spec, timed.zone, span) : []
    if (at === undefined) return undefined
    const id = slotId(job.name, at)
    const isNew = store.add({ id, job: job.name, dueAt: at, kind: 'due', notBefore: now })
    return isNew || store.find(id)?.state === 'waiting' ? id : undefined
  }
  const running = store.runningOf(job.name)
  if (running && isAlive(running.supervisor)) throw busy(job, store)
  const id = `${slotId(job.name, now)}-by-hand-${process.pid}`
  store.add({ id, job: job.name, dueAt: now, kind: 'manual', notBefore: now })
  return id
}

/** A run whose supervisor was killed, and of which nothing lives, does not hold the job any longer. */
function freeFromDead(job: Job, store: Store, closing: Parameters<typeof closeSlot>[0]): void {
  const running = store.runningOf(job.name)
  if (!running || isAlive(running.supervisor) || findProcesses(running.id).length > 0) return
  const outcome: Outcome = { result: 'cut', message: 'the scheduler was killed while it ran' }
  closeSlot(closing, { job, slot: running.id, outcome })
}

function busy(job: Job, store: Store): OpsError {
  const running: Slot | undefined = store.runningOf(job.name)
  const since = running?.startedAt === undefined ? '' : ` since ${new Date(running.startedAt).toISOString()}`
  const { pid } = JSON.parse(running?.supervisor || '{}') as { pid?: number }
  const by = pid === undefined ? '' : `, supervised by process ${pid}`
  return new OpsError(
    'LOCKED',
    `${job.name} runs already: ${running?.id ?? 'another run began just now'}${since}${by}`,
    {
      transient: true,
      hint: 'Wait for it: schedule.ts status shows it.',
    },
  )
}

function exitOf({ result, exitCode }: Outcome): number {
  if (result === 'ok') return 0
  if (result === 'timeout') return EXIT_CODE_OF.TIMEOUT
  return exitCode === undefined || exitCode === 0 ? EXIT_CODE_OF.FAILED : exitCode
}

/** A look that finds something critical has failed as a job: that is what somebody wants to be told. */
async function judge(result: ActionResult): Promise<{ readonly code: number; readonly message: string }> {
  if (result.kind !== 'report') {
    const { title } = result.kind === 'plan' ? result.plan : result.result
    return { code: 0, message: result.kind === 'plan' ? title : `${title}: ${result.result.because}` }
  }
  const { buildReport } = await import('../report/build.ts')
  const { verdict } = buildReport(result.report)
  return { code: verdict.exitCode === 2 ? 2 : 0, message: verdict.sentence }
}

function leaseOf(job: string): string {
  return `schedule:${job}`
}

export function noSuchJob(name: string, { jobs, source }: Accepted): OpsError {
  const near = nearestName(
    name,
    jobs.map((job) => job.name),
  )
  const hint = near === undefined ? `schedule.ts next lists those of ${source}.` : `Did you mean ${near}?`
  return new OpsError('USAGE', `there is no enabled job "${name}"`, { hint })
}

async function readStdin(): Promise<string> {
  const chunks: Buffer[] = []
  for await (const chunk of process.stdin) chunks.push(chunk as Buffer)
  return Buffer.concat(chunks).toString('utf8')
}

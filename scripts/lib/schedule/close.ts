/** The end of one run: tried again later, or done with its result in the store, in the journal and with whoever is told. */
import type { Clock } from '../core/clock.ts'
import { formatDuration } from '../core/duration.ts'
import { EXIT_CODE_OF } from '../core/exit.ts'
import type { Log } from '../core/log.ts'
import type { Journal } from '../journal/types.ts'
import { sendPing } from './pings.ts'
import type { Store } from './store.ts'
import type { Job, Outcome, SlotEvent } from './types.ts'

export interface CloseOptions {
  readonly journal: Journal
  readonly store: Store
  readonly clock: Clock
  readonly log: Log
  readonly random: () => number
  readonly onEvent?: (event: SlotEvent) => void
  /** Takes work that nobody waits for, so that it is not lost when the program ends. */
  readonly inBackground: (work: Promise<unknown>) => void
}

/** Trying again does not mend these. */
const PERMANENT: readonly number[] = [EXIT_CODE_OF.USAGE, EXIT_CODE_OF.CONFIG_INVALID, EXIT_CODE_OF.NOT_PERMITTED]

/** @returns words for the log when it is tried again, else nothing */
export function closeSlot(
  options: CloseOptions,
  { job, slot, outcome }: { readonly job: Job | undefined; readonly slot: string; readonly outcome: Outcome },
): string {
  const { journal, store, clock, random } = options
  const attempt = store.find(slot)?.attempt ?? 1
  const waitMs = job && decideRetry(job, attempt, outcome)
  const now = clock.now()
  const { result, message, exitCode } = outcome
  const details = { slot, attempt, result, ...(exitCode !== undefined && { exitCode }) }
  const action = job?.action === undefined ? {} : { action: job.action }
  if (waitMs !== undefined) {
    // Half of it at random, so that jobs that fail together do not come back together.
    const laterMs = waitMs * (0.5 + random() / 2)
    const again = ` (attempt ${attempt}, again in ${formatDuration(laterMs)})`
    journal.transaction(() => {
      if (!store.retry(slot, now + laterMs, message)) return
      journal.record({
        kind: 'schedule.failed',
        ...action,
        result: 'failed',
        message: `${slot}: ${message}${again}`,
        details,
      })
    })
    return again
  }
  const wasBad = job !== undefined && !['ok', undefined].includes(store.lastEnded(job.name)?.result)
  const isClosed = journal.transaction(() => {
    if (!store.finish(slot, { result, message, now, ...(exitCode !== undefined && { exitCode }) })) return false
    const text = message === '' ? `${slot}: ${result}` : `${slot}: ${result}: ${message}`
    journal.record({
      kind: 'schedule.finished',
      ...action,
      result: result === 'ok' ? 'ok' : 'failed',
      message: text,
      details,
    })
    if (job) tell(options, { job, slot, outcome }, wasBad)
    return true
  })
  if (isClosed && job) {
    const body = `${slot}: ${result} ${message}`
    options.inBackground(sendPing(job, result === 'ok' ? 'success' : 'failure', { log: options.log, body }))
  }
  return ''
}

/** @returns milliseconds until the next attempt; undefined for none */
export function decideRetry({ retries }: Job, attempt: number, { result, exitCode }: Outcome): number | undefined {
  if (result === 'ok' || result === 'killed' || attempt > retries.count) return undefined
  if (exitCode !== undefined && result === 'failed' && PERMANENT.includes(exitCode)) return undefined
  return Math.min(retries.maxBackoffMs, retries.backoffMs * 2 ** (attempt - 1))
}

function tell(
  { onEvent }: CloseOptions,
  { job, slot, outcome }: { readonly job: Job; readonly slot: string; readonly outcome: Outcome },
  wasBad: boolean,
): void {
  const { notify } = job
  const always = notify.includes('always')
  if (outcome.result !== 'ok') {
    if (always || notify.includes('failure')) onEvent?.({ kind: 'failure', job, slot, outcome })
  } else if (wasBad && (always || notify.includes('recovery'))) {
    onEvent?.({ kind: 'recovery', job, slot, outcome })
  } else if (always) {
    onEvent?.({ kind: 'success', job, slot, outcome })
  }
}

/**
 * `schedule run`: the daemon. It holds the clock, the store and the processes of running jobs, and nothing else: what
 * reads opskit.yaml and what runs an action are processes of their own, so that it stays small.
 */
import { execFile } from 'node:child_process'
import { stat } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { systemClock } from '../core/clock.ts'
import { OpsError, messageOf, type ErrorCode } from '../core/errors.ts'
import { createLog, type Log } from '../core/log.ts'
import type { Argv } from '../core/quote.ts'
import { redactText, redactValue } from '../core/redact.ts'
import { openJournal } from '../journal/index.ts'
import type { Journal } from '../journal/types.ts'
import { startSlot } from '../schedule/run-slot.ts'
import { createScheduler } from '../schedule/scheduler.ts'
import { openStore } from '../schedule/store.ts'
import { readSchedules } from '../schedule/timed.ts'
import type { SlotEvent } from '../schedule/types.ts'
import { startWakeUps } from '../schedule/wake.ts'
import type { CommonFlags } from './context.ts'
import type { Accepted } from './schedule-jobs.ts'

const SCRIPT = fileURLToPath(new URL('../../schedule.ts', import.meta.url))
const ACCEPT_TIMEOUT_MS = 60_000
const MAX_ACCEPTED_BYTES = 256 * 1024 * 1024

/** Runs until the signal is aborted. @throws OpsError CONFIG_INVALID before anything starts */
export async function runDaemon(flags: CommonFlags, signal: AbortSignal): Promise<void> {
  const log = createLog({ verbose: flags.verbose ?? false })
  const clock = systemClock
  const wakeUps = startWakeUps(clock, signal)
  // From the first moment to the last: without a listener the signal would end the process.
  let isAsked = false
  process.on('SIGHUP', () => {
    isAsked = true
    wakeUps.wake()
  })
  let accepted = await accept(flags)
  let version = await readVersion(accepted.source)
  const redact = (value: unknown) => (typeof value === 'string' ? redactText(value) : redactValue(value))
  const journal = openJournal({ dir: accepted.stateDir, clock, redact })
  const store = openStore(journal)
  let teller = await openTeller(accepted, journal)
  const scheduler = createScheduler({
    ...{ journal, store, clock, log, wake: () => wakeUps.wake() },
    // Read anew each time: a reload changes them.
    get concurrency() {
      return accepted.concurrency
    },
    get killGraceMs() {
      return accepted.killGraceMs
    },
    get historyMs() {
      return accepted.historyMs
    },
    onEvent: (event) => teller?.tell(accepted.telling, event),
    start: (job, slot) =>
      startSlot({
        ...{ slot: slot.id, job, store, clock },
        argv: executeArgv(job.name, slot.id),
        input: JSON.stringify({ source: accepted.source, text: accepted.text }),
        killGraceMs: accepted.killGraceMs,
      }),
  })
  scheduler.replace(readSchedules(accepted.jobs))
  const told = `${accepted.jobs.length} job(s) of ${accepted.source}`
  journal.record({ kind: 'schedule.daemon-started', result: 'started', message: told })
  log.info(`running ${told}`)

  while (!signal.aborted) {
    const now = await readVersion(accepted.source)
    if (isAsked || now !== version) {
      isAsked = false
      version = now
      const next = await reload(accepted.source, log)
      if ('problem' in next)
        journal.record({ kind: 'schedule.reload-refused', result: 'failed', message: next.problem })
      else {
        accepted = next
        teller ??= await openTeller(accepted, journal)
        scheduler.replace(readSchedules(accepted.jobs))
        const message = `${accepted.jobs.length} job(s) of ${accepted.source}`
        journal.record({ kind: 'schedule.reloaded', result: 'ok', message })
        log.info(`reloaded: ${message}`)
      }
    }
    const waitMs = scheduler.tick()
    teller?.send(accepted.telling, accepted.source)
    await wakeUps.sleep(waitMs)
  }
  await wakeUps.stop()
  log.info(`stopping: ${scheduler.running()} running job(s) may take up to ${accepted.stopTimeoutMs / 1_000} s to end`)
  await scheduler.stop(accepted.stopTimeoutMs)
  journal.record({ kind: 'schedule.daemon-stopped', result: 'ok', message: told })
  journal.close()
}

/** Loaded only where there is anybody to tell: without them the daemon takes 69 MB in place of 80. */
async function openTeller({ telling }: Accepted, journal: Journal) {
  if (Object.keys(telling.notify.channels).length === 0) return undefined
  const { createSender, tellOf } = await import('./schedule-notify.ts')
  return {
    tell: (to: Accepted['telling'], event: SlotEvent) => tellOf(journal, to, event),
    send: createSender(journal),
  }
}

/** What runs the action of one slot. */
export function executeArgv(job: string, slot: string): Argv {
  return [process.execPath, SCRIPT, 'execute', job, '--slot', slot]
}

async function reload(source: string, log: Log): Promise<Accepted | { readonly problem: string }> {
  try {
    return await accept({ config: source })
  } catch (error) {
    const problem = `the new configuration is refused, the old one stays: ${messageOf(error)}`
    log.warn(problem)
    return { problem }
  }
}

function accept({ config }: CommonFlags): Promise<Accepted> {
  const args = [SCRIPT, 'accept', ...(config === undefined ? [] : ['--config', config])]
  const options = { timeout: ACCEPT_TIMEOUT_MS, maxBuffer: MAX_ACCEPTED_BYTES }
  return new Promise((resolve, reject) => {
    execFile(process.execPath, args, options, (error, stdout) => {
      const answer = parseAnswer(stdout)
      if (answer && 'accepted' in answer) resolve(answer.accepted)
      else if (answer)
        reject(new OpsError(answer.code, answer.message, answer.hint === undefined ? {} : { hint: answer.hint }))
      else reject(new OpsError('FAILED', `the configuration could not be read: ${messageOf(error)}`))
    })
  })
}

/** What the command `accept` prints. */
export type AcceptAnswer =
  { readonly accepted: Accepted } | { readonly code: ErrorCode; readonly message: string; readonly hint?: string }

function parseAnswer(text: string): AcceptAnswer | undefined {
  try {
    return JSON.parse(text) as AcceptAnswer
  } catch {
    return undefined
  }
}

/** Changes when the file is written or replaced; the same while it is missing. */
async function readVersion(path: string): Promise<string> {
  return stat(path).then(
    ({ mtimeMs, ino, size }) => `${mtimeMs} ${ino} ${size}`,
    () => 'missing',
  )
}

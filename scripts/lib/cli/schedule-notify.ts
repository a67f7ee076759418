/** Who is told of jobs: written to the outbox in the transaction that closes the slot, sent by a process of its own. */
import { spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import type { Journal } from '../journal/types.ts'
import { readNextDue } from '../notify/claim.ts'
import { enqueue, enqueueRecovery, type NotifyingConfig } from '../notify/enqueue.ts'
import type { SlotEvent } from '../schedule/types.ts'

const SCRIPT = fileURLToPath(new URL('../../notify.ts', import.meta.url))
/** Messages that could not be sent have their own times; this only keeps processes from piling up. */
const SEND_EVERY_MS = 10_000

/** Called within a transaction. */
export function tellOf(journal: Journal, telling: NotifyingConfig, { kind, job, slot, outcome }: SlotEvent): void {
  const key = `schedule:${job.name}`
  const what = `job ${job.name}`
  if (kind === 'recovery') {
    enqueueRecovery(journal, telling, {
      key,
      title: `${what} works again`,
      text: `${slot}: ${outcome.message || 'ok'}`,
    })
    return
  }
  const details = [
    ['slot', slot],
    ['result', outcome.result],
  ] as const
  const about = {
    key,
    action: job.action,
    details,
    text: outcome.message || outcome.result,
    tags: ['schedule', job.name],
  }
  if (kind === 'success')
    enqueue(journal, telling, { ...about, severity: 'info', title: `${what} is done`, once: true })
  else {
    const next = `npx zx scripts/schedule.ts history ${job.name}`
    enqueue(journal, telling, { ...about, severity: 'critical', title: `${what} failed`, next })
  }
}

/** @returns what sends messages that are due, when asked now and then; one process at a time */
export function createSender(journal: Journal): (telling: NotifyingConfig, source: string) => void {
  let startedAt = Number.NEGATIVE_INFINITY
  let isRunning = false
  return (telling, source) => {
    const dueAt = readNextDue(journal, telling.notify)
    if (isRunning || dueAt === undefined || dueAt > Date.now()) return
    if (performance.now() - startedAt < SEND_EVERY_MS) return
    startedAt = performance.now()
    isRunning = true
    const child = spawn(process.execPath, [SCRIPT, 'flush', '--config', source], { stdio: 'ignore' })
    const ended = () => {
      isRunning = false
    }
    child.once('exit', ended).once('error', ended).unref()
  }
}

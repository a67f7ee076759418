/**
 * The heart of the daemon: at every tick it writes down what has come due, starts what waits, and closes what others
 * left behind. It can be asked at any time and as often as one likes: what is due is computed from the wall clock and
 * from what was decided before, never from when it was last asked, so neither a clock that jumps nor a machine that
 * slept doubles or loses a run.
 */
import type { Clock } from '../core/clock.ts'
import { formatDuration } from '../core/duration.ts'
import type { Log } from '../core/log.ts'
import type { Journal } from '../journal/types.ts'
import { closeSlot } from './close.ts'
import { decideDue } from './due.ts'
import { nextRun } from './next-run.ts'
import { sendPing } from './pings.ts'
import { describeSelf, endProcesses, findProcesses, isAlive } from './processes.ts'
import { slotId, type Store } from './store.ts'
import type { Job, RunningSlot, Slot, SlotEvent, TimedJob } from './types.ts'

export interface SchedulerOptions {
  readonly journal: Journal
  readonly store: Store
  readonly clock: Clock
  readonly log: Log
  readonly start: (job: Job, slot: Slot) => RunningSlot
  /** This and the next two are asked for when they are needed, so they may be getters. */
  readonly concurrency: number
  readonly killGraceMs: number
  readonly historyMs: number
  /** Called in the transaction that closes the slot. */
  readonly onEvent?: (event: SlotEvent) => void
  /** 0 to 1, for jitter. Default: Math.random. */
  readonly random?: () => number
  /** Something has changed: ask `tick` again soon. */
  readonly wake?: () => void
}

export interface Scheduler {
  /** @returns milliseconds until it should be asked again at the latest */
  tick(): number
  replace(jobs: readonly TimedJob[]): void
  running(): number
  /** Starts nothing more, waits, and after `waitMs` ends what still runs. */
  stop(waitMs: number): Promise<void>
}

/** Asked this often anyway, so that a jump of the wall clock is seen. */
const LONGEST_MS = 15_000
const SHORTEST_MS = 20
/** NTP slews; what differs by more was stepped, or the machine slept. */
const JUMP_MS = 2_000
const RECOVER_EVERY_MS = 30_000
const PRUNE_EVERY_MS = 3_600_000
const MAX_QUEUED = 100
const MAX_LOOKED_AT = 2_000

interface Timed extends TimedJob {
  seenUntil: number
  nextAt: number
}

export function createScheduler(options: SchedulerOptions): Scheduler {
  const { journal, store, clock, log, random = Math.random, wake = () => {} } = options
  const jobs = new Map<string, Timed>()
  const running = new Map<string, RunningSlot & { readonly whole: Promise<void> }>()
  const background = new Set<Promise<unknown>>()
  const self = describeSelf()
  const inBackground = (work: Promise<unknown>) => {
    background.add(work)
    void work.finally(() => {
      background.delete(work)
      wake()
    })
  }
  const closing = { ...options, random, inBackground }
  let isStopping = false
  let last = { wall: clock.now(), mono: clock.monotonic() }
  let [recoveredAt, prunedAt] = [Number.NEGATIVE_INFINITY, Number.NEGATIVE_INFINITY]

  const watchClock = () => {
    const seen = { wall: clock.now(), mono: clock.monotonic() }
    const jumpedMs = seen.wall - last.wall - (seen.mono - last.mono)
    last = seen
    if (Math.abs(jumpedMs) < JUMP_MS) return
    const message = `The clock jumped ${jumpedMs > 0 ? 'forward' : 'back'} by ${formatDuration(Math.abs(jumpedMs))}, or the machine slept`
    journal.record({ kind: 'schedule.clock-jumped', message, details: { jumpedMs: Math.round(jumpedMs) } })
    log.warn(message)
    for (const timed of jobs.values()) aim(timed, Math.min(timed.seenUntil, seen.wall))
  }

  const aim = (timed: Timed, seenUntil: number) => {
    timed.seenUntil = seenUntil
    timed.nextAt = nextRun(timed.spec, timed.zone, seenUntil)
  }

  const writeDown = (timed: Timed, now: number) => {
    const { job } = timed
    const { run, missed, because } = decideDue(timed, timed.seenUntil, now)
    journal.transaction(() => {
      for (const { at, kind } of run) {
        const notBefore = now + random() * job.jitterMs
        store.add({ id: slotId(job.name, at), job: job.name, dueAt: at, kind, notBefore })
      }
      const lost = missed.filter((at) => store.find(slotId(job.name, at)) === undefined)
      const [first, end] = [lost[0], lost.at(-1)]
      if (first !== undefined && end !== undefined) {
        const message = `${job.name}: ${lost.length} run(s) missed, ${iso(first)} to ${iso(end)}: ${because}`
        journal.record({ kind: 'schedule.missed', action: job.action, result: 'skipped', message })
      }
      const seen = store.seen(job.name)
      if (seen) store.saveSeen(job.name, { ...seen, seenUntil: now })
      boundQueue(job)
    })
    aim(timed, now)
  }

  const boundQueue = (job: Job) => {
    if (job.catchup === 'all' || store.countWaiting(job.name) <= MAX_QUEUED) return
    const tooMany = store.waiting(Number.MAX_SAFE_INTEGER, MAX_LOOKED_AT).filter((slot) => slot.job === job.name)
    for (const slot of tooMany.slice(0, -MAX_QUEUED)) skip(slot, `more than ${MAX_QUEUED} runs wait`)
  }

  const skip = (slot: Slot, because: string) => {
    if (!store.finish(slot.id, { result: 'skipped', message: because, now: clock.now() })) return
    journal.record({ kind: 'schedule.skipped', result: 'skipped', message: `${slot.id}: skipped: ${because}` })
  }

  const startWaiting = (now: number) => {
    for (const slot of store.waiting(now, MAX_LOOKED_AT)) {
      if (running.size >= options.concurrency) return
      const job = jobs.get(slot.job)?.job
      if (!job) {
        if (slot.kind !== 'manual') skip(slot, 'there is no such job any more')
        continue
      }
      const busy = store.runningOf(job.name)
      if (busy) giveWay(job, slot, busy)
      else begin(job, slot, now)
    }
  }

  const giveWay = (job: Job, slot: Slot, busy: Slot) => {
    if (slot.kind === 'catchup' || slot.attempt > 0 || job.overlap === 'queue') return
    if (job.overlap === 'skip') return skip(slot, `the run of ${iso(busy.dueAt)} still goes on`)
    const mine = running.get(busy.id)
    if (mine) mine.stop('killed', `it was ended by the run of ${iso(slot.dueAt)}`)
    else inBackground(endProcesses(busy.id, { graceMs: options.killGraceMs, clock }))
  }

  const begin = (job: Job, slot: Slot, now: number) => {
    if (!store.claim(slot.id, self, now)) return
    journal.record({ kind: 'schedule.started', action: job.action, result: 'started', message: slot.id })
    inBackground(sendPing(job, 'start', { log, body: slot.id }))
    const run = options.start(job, slot)
    const whole = run.done.then((outcome) => {
      running.delete(slot.id)
      const retryLater = closeSlot(closing, { job, slot: slot.id, outcome })
      log.info(`${slot.id}: ${outcome.result}${outcome.message && `: ${outcome.message}`}${retryLater}`)
      wake()
    })
    running.set(slot.id, { ...run, whole })
  }

  /** Runs whose supervisor is gone: what still runs may end by itself within its time. */
  const recover = (now: number) => {
    for (const slot of store.running()) {
      if (running.has(slot.id) || isAlive(slot.supervisor)) continue
      const job = jobs.get(slot.job)?.job
      const isOver = job === undefined || now - (slot.startedAt ?? 0) > job.timeoutMs
      if (findProcesses(slot.id).length === 0) closeSlot(closing, { job, slot: slot.id, outcome: outcomeOf(slot) })
      else if (isOver) inBackground(endProcesses(slot.id, { graceMs: options.killGraceMs, clock }))
    }
  }

  return {
    tick() {
      const now = clock.now()
      watchClock()
      if (isStopping) return LONGEST_MS
      if (clock.monotonic() - recoveredAt >= RECOVER_EVERY_MS) {
        recoveredAt = clock.monotonic()
        recover(now)
      }
      if (clock.monotonic() - prunedAt >= PRUNE_EVERY_MS) {
        prunedAt = clock.monotonic()
        store.prune(now - options.historyMs)
      }
      let nextAt = Number.POSITIVE_INFINITY
      for (const timed of jobs.values()) {
        if (timed.nextAt <= now) writeDown(timed, now)
        if (timed.nextAt < nextAt) nextAt = timed.nextAt
      }
      startWaiting(now)
      const waitingAt = store.nextWaitingAt() ?? Number.POSITIVE_INFINITY
      // What waits although its time has come waits for another run, whose end wakes us; another daemon's does not.
      const waitMs = waitingAt <= now ? 1_000 : waitingAt - now
      return Math.max(SHORTEST_MS, Math.min(LONGEST_MS, nextAt - now, waitMs))
    },
    replace(next) {
      const now = clock.now()
      jobs.clear()
      journal.transaction(() => {
        store.forgetOthers(next.map(({ job }) => job.name))
        for (const timed of next) {
          const schedule = `${timed.job.cron} ${timed.zone.name}`
          const seen = store.seen(timed.job.name)
          // A job that is new, or has new times, missed nothing.
          const isKnown = seen?.schedule === schedule
          if (!isKnown) store.saveSeen(timed.job.name, { schedule, firstSeen: now, seenUntil: now })
          const entry = { ...timed, seenUntil: now, nextAt: now }
          aim(entry, isKnown ? Math.min(seen.seenUntil, now) : now)
          jobs.set(timed.job.name, entry)
        }
      })
    },
    running: () => running.size,
    async stop(waitMs) {
      isStopping = true
      const ends = () => Promise.all([...[...running.values()].map(({ whole }) => whole), ...background])
      const waiting = new AbortController()
      await Promise.race([ends(), clock.sleep(waitMs, waiting.signal).catch(() => undefined)])
      waiting.abort()
      for (const run of running.values()) run.stop('cut', 'the scheduler was stopped while it ran')
      await ends()
    },
  }
}

/** Of a run that nobody watched to its end. */
function outcomeOf({ exitCode, message }: Slot) {
  if (exitCode === undefined) return { result: 'cut' as const, message: 'the scheduler was killed while it ran' }
  return { result: exitCode === 0 ? ('ok' as const) : ('failed' as const), exitCode, message }
}

function iso(at: number): string {
  return new Date(at).toISOString().replace(/\.\d+/, '')
}

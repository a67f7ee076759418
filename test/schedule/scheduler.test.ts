import { onTestFinished, describe, expect, it } from 'vitest'
import { createManualClock, type ManualClock } from '../../scripts/lib/core/clock.ts'
import { silentLog } from '../../scripts/lib/core/log.ts'
import { openJournal } from '../../scripts/lib/journal/index.ts'
import { createScheduler, type Scheduler } from '../../scripts/lib/schedule/scheduler.ts'
import { openStore, type Store } from '../../scripts/lib/schedule/store.ts'
import { readStatus } from '../../scripts/lib/schedule/status.ts'
import { readSchedules } from '../../scripts/lib/schedule/timed.ts'
import type { Job, Outcome, SlotEvent } from '../../scripts/lib/schedule/types.ts'
import { tempDir } from '../support/temp.ts'

const START = Date.UTC(2026, 0, 5, 1, 0)
const [MINUTE, HOUR] = [60_000, 3_600_000]

const JOB: Job = {
  name: 'db',
  cron: '0 * * * *',
  timezone: 'UTC',
  action: 'backup.database',
  params: {},
  catchup: 'last',
  catchupWindowMs: 7 * 24 * HOUR,
  overlap: 'skip',
  timeoutMs: HOUR,
  jitterMs: 0,
  retries: { count: 0, backoffMs: 30_000, maxBackoffMs: 5 * MINUTE },
  notify: ['failure', 'recovery'],
  pings: { timeoutMs: 1_000 },
}

/** How many milliseconds a run takes by the hand-driven clock, and how it ends. */
type Behaviour = (slot: string, attempt: number) => { tookMs: number; outcome?: Outcome }
const QUICK: Behaviour = () => ({ tookMs: 1_000 })

interface Machine {
  readonly dir: string
  readonly clock: ManualClock
  /** `+start` and `-end` of runs, in order, without the date of their slots. */
  readonly log: string[]
  readonly started: string[]
  readonly events: SlotEvent[]
}

async function machine(): Promise<Machine> {
  return { dir: await tempDir('schedule'), clock: createManualClock(START), log: [], started: [], events: [] }
}

interface Daemon {
  readonly scheduler: Scheduler
  readonly store: Store
  /** Lets time pass, and ticks as the daemon would. */
  pass(ms: number, stepMs?: number): Promise<void>
  messages(kind: string): string[]
}

function startDaemon(on: Machine, jobs: readonly Job[], behave: Behaviour = QUICK, concurrency = 4): Daemon {
  const { clock } = on
  const journal = openJournal({ dir: on.dir, clock })
  onTestFinished(() => journal.close())
  const store = openStore(journal)
  const scheduler = createScheduler({
    ...{ journal, store, clock, log: silentLog, concurrency, killGraceMs: 0, historyMs: 90 * 24 * HOUR },
    random: () => 0.5,
    onEvent: (event) => void on.events.push(event),
    start: (_job, slot) => {
      const { tookMs, outcome = { result: 'ok', exitCode: 0, message: '' } } = behave(slot.id, slot.attempt + 1)
      on.started.push(slot.id)
      on.log.push(`+${slot.id}`)
      const ended = new AbortController()
      let why: Outcome | undefined
      const done = clock.sleep(tookMs, ended.signal).then(
        () => outcome,
        () => why ?? outcome,
      )
      return {
        done: done.then((end) => {
          on.log.push(`-${slot.id}`)
          return end
        }),
        stop: (result, because) => {
          why = { result, message: because }
          ended.abort()
        },
      }
    },
  })
  scheduler.replace(readSchedules(jobs))
  return {
    scheduler,
    store,
    messages: (kind) => journal.events({ kind, order: 'oldest' }).map(({ message }) => message),
    async pass(ms, stepMs = 10_000) {
      for (let passed = 0; passed < ms; passed += stepMs) {
        await clock.advance(Math.min(stepMs, ms - passed))
        scheduler.tick()
      }
      await clock.advance(0)
    },
  }
}

const at = (id: string) => `db@2026-01-0${id}:00Z`

describe('the scheduler', () => {
  it('runs each slot once, and says that it did', async () => {
    const on = await machine()
    const daemon = startDaemon(on, [JOB])
    await daemon.pass(3 * HOUR + MINUTE)
    expect(on.started).toEqual([at('5T02:00'), at('5T03:00'), at('5T04:00')])
    expect(daemon.store.history({ limit: 9 }).map(({ result }) => result)).toEqual(['ok', 'ok', 'ok'])
  })

  it('runs each slot once although two daemons see it', async () => {
    const on = await machine()
    const [first, second] = [startDaemon(on, [JOB]), startDaemon(on, [JOB])]
    for (let minute = 0; minute < 200; minute++) {
      await first.pass(MINUTE / 2)
      await second.pass(MINUTE / 2)
    }
    expect(on.started).toEqual([at('5T02:00'), at('5T03:00'), at('5T04:00')])
  })

  it.each([
    ['none', [], '26 run(s) missed'],
    ['last', [at('6T04:00')], '25 run(s) missed'],
    [
      'all',
      Array.from({ length: 26 }, (_, hour) =>
        at(hour < 21 ? `5T${String(hour + 3).padStart(2, '0')}:00` : `6T0${hour - 21}:00`),
      ),
      undefined,
    ],
  ] as const)('after a kill and 26 hours down catches up as its policy says: %s', async (catchup, expected, missed) => {
    const on = await machine()
    const job: Job = { ...JOB, catchup }
    await startDaemon(on, [job]).pass(HOUR + MINUTE)
    on.started.length = 0
    // Nothing is told to the first daemon: it is simply no longer asked.
    await on.clock.advance(26 * HOUR + 29 * MINUTE)
    const daemon = startDaemon(on, [job])
    await daemon.pass(10 * MINUTE)
    expect(on.started).toEqual(expected)
    expect(daemon.messages('schedule.missed').map((message) => message.split(', ')[0])).toEqual(
      missed === undefined ? [] : [`db: ${missed}`],
    )
  })

  it('catches up one after the other, whatever the number of jobs, and in order', async () => {
    const on = await machine()
    const jobs: Job[] = [
      { ...JOB, catchup: 'all', overlap: 'kill' },
      { ...JOB, name: 'web', catchup: 'all' },
    ]
    await startDaemon(on, jobs).pass(MINUTE)
    await on.clock.advance(3 * HOUR + 30 * MINUTE)
    const daemon = startDaemon(on, jobs, () => ({ tookMs: MINUTE }))
    await daemon.pass(20 * MINUTE)
    const due = ['5T02:00', '5T03:00', '5T04:00'].flatMap((time) => [at(time), at(time).replace('db', 'web')])
    expect(on.log).toEqual(due.flatMap((id) => [`+${id}`, `-${id}`]))
  })

  it('does not catch up what is older than the window, nor what was due before the job was known', async () => {
    const on = await machine()
    const job: Job = { ...JOB, catchup: 'all', catchupWindowMs: 2 * HOUR }
    await startDaemon(on, [job]).pass(MINUTE)
    await on.clock.advance(8 * HOUR)
    await startDaemon(on, [job, { ...job, name: 'new' }]).pass(5 * MINUTE)
    expect(on.started).toEqual([at('5T08:00'), at('5T09:00')])
  })

  it('begins up to the jitter later', async () => {
    const on = await machine()
    const daemon = startDaemon(on, [{ ...JOB, jitterMs: 10 * MINUTE }])
    await daemon.pass(HOUR + 4 * MINUTE)
    expect(on.started).toEqual([])
    await daemon.pass(2 * MINUTE)
    expect(on.started).toEqual([at('5T02:00')])
  })
})

describe('a run that is still on when the next is due', () => {
  const slow: Behaviour = (slot) => ({ tookMs: slot.includes('T02') ? 90 * MINUTE : MINUTE })
  it.each([
    ['skip', ['5T02:00', '5T04:00'], { '5T02:00': 'ok', '5T03:00': 'skipped', '5T04:00': 'ok' }],
    ['queue', ['5T02:00', '5T03:00', '5T04:00'], { '5T02:00': 'ok', '5T03:00': 'ok', '5T04:00': 'ok' }],
    ['kill', ['5T02:00', '5T03:00', '5T04:00'], { '5T02:00': 'killed', '5T03:00': 'ok', '5T04:00': 'ok' }],
  ] as const)('is dealt with by overlap: %s', async (overlap, started, results) => {
    const on = await machine()
    const daemon = startDaemon(on, [{ ...JOB, overlap }], slow)
    await daemon.pass(3 * HOUR + 10 * MINUTE)
    expect(on.started).toEqual(started.map(at))
    for (const [slot, result] of Object.entries(results)) expect(daemon.store.find(at(slot))?.result, slot).toBe(result)
  })
})

describe('a run that fails', () => {
  const failed: Outcome = { result: 'failed', exitCode: 1, message: 'disk full' }

  it('is tried again with growing pauses, and told once when it has failed for good', async () => {
    const on = await machine()
    const times: number[] = []
    const behave: Behaviour = () => (times.push(on.clock.now()), { tookMs: 0, outcome: failed })
    const daemon = startDaemon(on, [{ ...JOB, retries: { ...JOB.retries, count: 2 } }], behave)
    await daemon.pass(HOUR + 10 * MINUTE, 1_000)
    const pauses = times.slice(1).map((time, index) => Math.round((time - (times[index] ?? 0)) / 1_000))
    expect(pauses).toEqual([23, 45])
    expect(on.events.map(({ kind, outcome }) => [kind, outcome.message])).toEqual([['failure', 'disk full']])
  })

  it('is not tried again when that cannot help', async () => {
    const on = await machine()
    const daemon = startDaemon(on, [{ ...JOB, retries: { ...JOB.retries, count: 2 } }], () => ({
      tookMs: 0,
      outcome: { ...failed, exitCode: 78 },
    }))
    await daemon.pass(HOUR + 10 * MINUTE)
    expect(on.started).toHaveLength(1)
  })

  it('is followed by news of the recovery, once', async () => {
    const on = await machine()
    const behave: Behaviour = (slot) => ({ tookMs: 0, ...(slot.includes('T02') && { outcome: failed }) })
    await startDaemon(on, [JOB], behave).pass(4 * HOUR)
    expect(on.events.map(({ kind, slot }) => [kind, slot])).toEqual([
      ['failure', at('5T02:00')],
      ['recovery', at('5T03:00')],
    ])
  })
})

describe('a clock that is stepped', () => {
  it('forward loses nothing', async () => {
    const on = await machine()
    const daemon = startDaemon(on, [{ ...JOB, catchup: 'all' }])
    await daemon.pass(30 * MINUTE)
    on.clock.step(3 * HOUR)
    await daemon.pass(5 * MINUTE)
    expect(on.started).toEqual([at('5T02:00'), at('5T03:00'), at('5T04:00')])
    expect(daemon.messages('schedule.clock-jumped')[0]).toContain('The clock jumped forward by 3 h')
  })

  it('back doubles nothing', async () => {
    const on = await machine()
    const daemon = startDaemon(on, [JOB])
    await daemon.pass(2 * HOUR + MINUTE)
    on.clock.step(-2 * HOUR)
    await daemon.pass(3 * HOUR)
    expect(on.started).toEqual([at('5T02:00'), at('5T03:00'), at('5T04:00')])
  })

  it('far ahead and back again does not stop a job for years', async () => {
    const on = await machine()
    const daemon = startDaemon(on, [{ ...JOB, catchup: 'none' }])
    on.clock.step(10 * 365 * 24 * HOUR)
    await daemon.pass(MINUTE)
    on.clock.step(-10 * 365 * 24 * HOUR)
    await startDaemon(on, [{ ...JOB, catchup: 'none' }]).pass(2 * HOUR + MINUTE)
    expect(on.started.filter((id) => id.includes('@2026'))).toEqual([at('5T02:00'), at('5T03:00')])
  })
})

describe('a configuration that changes', () => {
  it('leaves running jobs alone, forgets no time of the others, and does not catch up new times', async () => {
    const on = await machine()
    const daemon = startDaemon(on, [JOB])
    await daemon.pass(HOUR + MINUTE)
    daemon.scheduler.replace(readSchedules([{ ...JOB, cron: '30 0 * * *', catchup: 'all' }]))
    await daemon.pass(3 * HOUR)
    expect(on.started).toEqual([at('5T02:00')])
  })

  it('skips what waits for a job that is gone', async () => {
    const on = await machine()
    const daemon = startDaemon(on, [{ ...JOB, jitterMs: HOUR }])
    await daemon.pass(HOUR + MINUTE)
    daemon.scheduler.replace([])
    await daemon.pass(HOUR)
    expect(daemon.store.find(at('5T02:00'))).toMatchObject({
      result: 'skipped',
      message: 'there is no such job any more',
    })
  })
})

describe('stopping', () => {
  it('starts nothing more, waits, and writes down what it cut', async () => {
    const on = await machine()
    const daemon = startDaemon(on, [JOB], () => ({ tookMs: HOUR }))
    await daemon.pass(HOUR + MINUTE)
    const stopped = daemon.scheduler.stop(5 * MINUTE)
    await daemon.pass(4 * MINUTE)
    expect(daemon.scheduler.running()).toBe(1)
    await daemon.pass(2 * MINUTE)
    await stopped
    expect(daemon.store.find(at('5T02:00'))).toMatchObject({ result: 'cut' })
    expect(daemon.messages('schedule.finished')).toEqual([
      `${at('5T02:00')}: cut: the scheduler was stopped while it ran`,
    ])
  })
})

describe('the status of a job', () => {
  it('is overdue when the last due run has not been, and fine before', async () => {
    const on = await machine()
    const daemon = startDaemon(on, [JOB])
    await daemon.pass(HOUR + MINUTE)
    const [timed] = readSchedules([JOB])
    if (!timed) throw new Error('no job')
    const status = () => readStatus(timed, daemon.store, on.clock.now())
    expect(status()).toMatchObject({ overdue: false, nextAt: START + 2 * HOUR })
    await on.clock.advance(HOUR)
    expect(status()).toMatchObject({ overdue: false })
    await on.clock.advance(5 * MINUTE)
    expect(status()).toMatchObject({ overdue: true, because: 'overdue since 6 min' })
  })
})

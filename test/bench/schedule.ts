/**
 * 10,000 jobs due within an hour: what one next run costs, beside croner, and what an hour of the daemon costs its core.
 * The hour passes on a hand-driven clock with a real journal on disk; each run starts and ends a real process.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { Cron } from 'croner'
import { createManualClock } from '../../scripts/lib/core/clock.ts'
import { parseCron } from '../../scripts/lib/core/cron.ts'
import { silentLog } from '../../scripts/lib/core/log.ts'
import { openJournal } from '../../scripts/lib/journal/index.ts'
import { nextRun } from '../../scripts/lib/schedule/next-run.ts'
import { createScheduler } from '../../scripts/lib/schedule/scheduler.ts'
import { openStore } from '../../scripts/lib/schedule/store.ts'
import { readSchedules } from '../../scripts/lib/schedule/timed.ts'
import type { Job, Outcome } from '../../scripts/lib/schedule/types.ts'
import { openZone } from '../../scripts/lib/schedule/zone.ts'
import { median, rowOf, type BenchRow } from './types.ts'

const JOBS = 10_000
const HOUR_MS = 3_600_000
const START = Date.UTC(2026, 2, 8, 6)
/** One hour in the program's time; the processes that it starts are the same in a minute of it as in any other. */
const MEASURED_MINUTES = 6

export async function bench(): Promise<BenchRow[]> {
  return [...nextRuns(), await hourOfTheDaemon(), ...(await idleDaemon())]
}

function nextRuns(): BenchRow[] {
  const zone = openZone('America/New_York')
  const lines = Array.from({ length: JOBS }, (_, index) => `${index % 60} ${Math.floor(index / 60) % 24} * * *`)
  const specs = lines.map(parseCron)
  const theirs = lines.slice(0, 500).map((line) => new Cron(line, { timezone: 'America/New_York', paused: true }))
  const ours = perCall(specs, (spec) => nextRun(spec, zone, START))
  const peer = perCall(theirs, (cron) => cron.nextRun(new Date(START)))
  // Each with a zone that has been asked nothing yet: the worst case.
  const sparse = perCall(
    Array.from({ length: 50 }, () => [parseCron('0 0 29 2 *'), openZone('America/New_York')] as const),
    ([spec, fresh]) => nextRun(spec, fresh, Date.UTC(2096, 2, 1)),
  )
  const unit = 'ms a call'
  return [
    rowOf({ name: `next run of ${JOBS} jobs`, ours, peer, peerName: 'croner', unit, target: 1 }),
    rowOf({ name: 'next run of 29 February, eight years on', ours: sparse, unit, target: 1 }),
  ]
}

/** The middle of the calls' times, in milliseconds. */
function perCall<T>(inputs: readonly T[], call: (input: T) => unknown): number {
  return median(
    inputs.map((input) => {
      const startedAt = performance.now()
      call(input)
      return performance.now() - startedAt
    }),
  )
}

async function hourOfTheDaemon(): Promise<BenchRow> {
  const dir = mkdtempSync(join(tmpdir(), 'opskit-bench-'))
  const clock = createManualClock(START)
  const journal = openJournal({ dir, clock })
  const scheduler = createScheduler({
    ...{ journal, store: openStore(journal), clock, log: silentLog, killGraceMs: 0, historyMs: HOUR_MS },
    concurrency: 64,
    start: () => {
      const child = spawn('true', { detached: true, stdio: 'ignore' })
      const ok: Outcome = { result: 'ok', exitCode: 0, message: '' }
      return { stop: () => undefined, done: new Promise((resolve) => child.once('exit', () => resolve(ok))) }
    },
  })
  scheduler.replace(readSchedules(Array.from({ length: JOBS }, (_, index) => jobOf(index))))
  const before = process.cpuUsage()
  for (let passed = 0; passed < MEASURED_MINUTES * 60_000; passed += 1_000) {
    await clock.advance(1_000)
    scheduler.tick()
  }
  while (scheduler.running() > 0) await setTimeout(5)
  const { user, system } = process.cpuUsage(before)
  journal.close()
  rmSync(dir, { recursive: true })
  const percent = ((user + system) / 1e3 / (MEASURED_MINUTES * 60_000)) * 100
  return rowOf({ name: `daemon, ${JOBS} jobs within an hour`, ours: percent, unit: '% of a core', target: 5 })
}

/** The second start is measured: the first one fills the cache of compiled code. */
async function idleDaemon(): Promise<BenchRow[]> {
  const dir = mkdtempSync(join(tmpdir(), 'opskit-bench-'))
  const config = join(dir, 'opskit.yaml')
  const jobs = [{ name: 'idle', cron: '@yearly', action: 'command.run', params: { run: ['true'] } }]
  // With somebody to tell: that is what a daemon needs most of its memory for.
  const notify = { channels: { ops: { type: 'webhook', url: 'http://127.0.0.1:1/' } } }
  writeFileSync(
    config,
    JSON.stringify({ state: { dir: join(dir, 'state') }, notify, schedule: { timezone: 'UTC', jobs } }),
  )
  let found = { percent: Number.NaN, megabytes: Number.NaN }
  for (const seconds of [0, 20]) {
    const daemon = spawn(process.execPath, ['scripts/schedule.ts', 'run', '--config', config], {
      stdio: ['ignore', 'ignore', 'pipe'],
    })
    await once(daemon.stderr, 'data')
    await setTimeout(3_000)
    const before = ticksOf(daemon.pid)
    await setTimeout(seconds * 1_000)
    const kibibytes = Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${daemon.pid}/status`, 'utf8'))?.[1])
    found = { percent: (ticksOf(daemon.pid) - before) / seconds, megabytes: (kibibytes * 1_024) / 1e6 }
    daemon.kill('SIGTERM')
    await once(daemon, 'exit')
  }
  rmSync(dir, { recursive: true })
  return [
    rowOf({ name: 'idle daemon, time', ours: found.percent, unit: '% of a core', target: 0.5 }),
    rowOf({ name: 'idle daemon, memory', ours: found.megabytes, unit: 'MB resident', target: 80 }),
  ]
}

/** User and system time in hundredths of a second (proc_pid_stat(5), fields 14 and 15). */
function ticksOf(pid: number | undefined): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'latin1').split(') ')[1]?.split(' ') ?? []
  return Number(fields[11]) + Number(fields[12])
}

function jobOf(index: number): Job {
  return {
    name: `job-${index}`,
    cron: `${index % 60} ${Math.floor(index / 60) % 60} * * * *`,
    timezone: 'America/New_York',
    action: 'command.run',
    params: {},
    catchup: 'last',
    catchupWindowMs: HOUR_MS,
    overlap: 'skip',
    timeoutMs: HOUR_MS,
    jitterMs: 0,
    retries: { count: 0, backoffMs: 1_000, maxBackoffMs: 1_000 },
    notify: [],
    pings: { timeoutMs: 1_000 },
  }
}

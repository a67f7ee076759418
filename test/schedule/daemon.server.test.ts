/** The scheduler as operators run it: real daemons, real jobs, real signals. */
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import { systemClock } from '../../scripts/lib/core/clock.ts'
import { openJournal } from '../../scripts/lib/journal/index.ts'
import { findProcesses } from '../../scripts/lib/schedule/processes.ts'
import { openStore } from '../../scripts/lib/schedule/store.ts'
import { NODE, opskit, ROOT } from '../support/opskit.ts'
import { tempDir } from '../support/temp.ts'
import { waitFor } from '../support/wait.ts'

const LONG_MS = 50_000

interface Place {
  readonly dir: string
  readonly config: string
  write(jobs: readonly Record<string, unknown>[], extra?: Record<string, unknown>, more?: Record<string, unknown>): void
  lines(name?: string): string[]
  store(): ReturnType<typeof openStore>
}

async function place(): Promise<Place> {
  const dir = await tempDir('daemon')
  const config = join(dir, 'opskit.yaml')
  return {
    dir,
    config,
    write: (jobs, extra = {}, more = {}) => {
      const schedule = { timezone: 'UTC', kill_grace: '500ms', stop_timeout: '1s', jobs, ...extra }
      writeFileSync(config, JSON.stringify({ state: { dir: join(dir, 'state') }, schedule, ...more }))
    },
    lines: (name = 'out') =>
      existsSync(join(dir, name)) ? readFileSync(join(dir, name), 'utf8').trim().split('\n').filter(Boolean) : [],
    store: () => {
      const journal = openJournal({ dir: join(dir, 'state'), clock: systemClock })
      onTestFinished(() => journal.close())
      return openStore(journal)
    },
  }
}

async function startDaemon({ config }: Place): Promise<ChildProcess & { said(): string }> {
  const child = spawn(NODE, [`${ROOT}scripts/schedule.ts`, 'run', '--config', config], {
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  onTestFinished(() => void child.kill('SIGKILL'))
  let said = ''
  child.stderr.on('data', (chunk: Buffer) => (said += chunk.toString()))
  await waitFor('the daemon to run', () => said.includes('running '), LONG_MS)
  return Object.assign(child, { said: () => said })
}

const sh = (name: string, cron: string, script: string, more: Record<string, unknown> = {}) => ({
  ...{ name, cron, action: 'command.run', params: { run: ['sh', '-c', script] } },
  ...more,
})

describe('two daemons', () => {
  it('make 100 runs of 100 slots', { timeout: 240_000 }, async () => {
    const here = await place()
    const jobs = Array.from({ length: 20 }, (_, index) =>
      // Two slots of one job may come up at the same time, one at each daemon: the second waits for the first.
      sh(`job-${index}`, '0 0 * * *', `echo ${index} >> ${here.dir}/out`, { catchup: 'all', overlap: 'queue' }),
    )
    here.write(jobs, { concurrency: 3 })
    // Five days ago both knew all of them; since then nobody ran.
    const store = here.store()
    const now = Date.now()
    const before = Math.floor(now / 86_400_000) * 86_400_000 - 5 * 86_400_000 + 1
    for (const { name } of jobs)
      store.saveSeen(name, { schedule: '0 0 * * * UTC', firstSeen: before, seenUntil: before })
    const waiting = jobs.flatMap(({ name }) =>
      Array.from({ length: 5 }, (_, day) => before - 1 + (day + 1) * 86_400_000).map((dueAt) => ({ name, dueAt })),
    )
    // As slots that are due now, they run side by side.
    for (const { name, dueAt } of waiting) {
      const id = `${name}@${new Date(dueAt).toISOString().replace(/\.\d+/, '')}`
      store.add({ id, job: name, dueAt, kind: 'due', notBefore: dueAt })
    }
    const daemons = await Promise.all([startDaemon(here), startDaemon(here)])
    // A job writes its line before the daemon closes its slot.
    const finished = () => store.history({ limit: 1_000 }).filter(({ result }) => result === 'ok')
    const over = () => store.history({ limit: 1_000 }).every(({ result }) => result !== undefined)
    await waitFor('100 runs', over, 220_000)
    expect(store.history({ limit: 1_000 }).filter(({ result }) => result !== 'ok')).toEqual([])
    expect(here.lines()).toHaveLength(100)
    const history = store.history({ limit: 1_000 })
    expect(finished()).toHaveLength(100)
    expect(history).toHaveLength(100)
    expect(new Set(history.map(({ supervisor }) => supervisor)).size).toBe(2)
    for (const daemon of daemons) daemon.kill('SIGKILL')
  })
})

describe('a daemon that was killed', () => {
  it('catches up what it missed in 26 hours as the policies say, each once', { timeout: 120_000 }, async () => {
    const here = await place()
    const hour = (Math.floor(Date.now() / 3_600_000) * 60 - 60) % 1_440
    const cron = `0 ${(hour / 60 + 24) % 24} * * *`
    const policies = ['none', 'last', 'all']
    here.write(policies.map((catchup) => sh(catchup, cron, `echo ${catchup} >> ${here.dir}/out`, { catchup })))
    const first = await startDaemon(here)
    first.kill('SIGKILL')
    await once(first, 'exit')
    const store = here.store()
    const down = Date.now() - 26 * 3_600_000
    for (const name of policies) {
      const seen = store.seen(name)
      if (!seen) throw new Error(`the daemon did not see ${name}`)
      store.saveSeen(name, { ...seen, firstSeen: down, seenUntil: down })
    }
    await startDaemon(here)
    await waitFor('3 runs', () => here.lines().length >= 3 && store.running().length === 0, LONG_MS)
    expect(here.lines().sort()).toEqual(['all', 'all', 'last'])
  })

  it('leaves a run that was under way marked as cut, when nothing of it lives', { timeout: 120_000 }, async () => {
    const here = await place()
    here.write([sh('long', '* * * * * *', `echo x >> ${here.dir}/out; exec sleep 100`, { overlap: 'skip' })])
    const daemon = await startDaemon(here)
    await waitFor('a run', () => here.lines().length === 1, LONG_MS)
    const store = here.store()
    const id = store.running()[0]?.id ?? ''
    daemon.kill('SIGKILL')
    await once(daemon, 'exit')
    here.write([sh('long', '0 0 1 1 *', 'true')])
    for (const pid of findProcesses(id)) process.kill(pid, 'SIGKILL')
    await startDaemon(here)
    await waitFor('the end of the run', () => store.find(id)?.state === 'done', LONG_MS)
    expect(store.find(id)).toMatchObject({ result: 'cut', message: 'the scheduler was killed while it ran' })
  })
})

describe('a job that ignores SIGTERM', () => {
  it(
    'is killed at its timeout with its grandchildren, those in a session of their own too',
    { timeout: 60_000 },
    async () => {
      const here = await place()
      const script = `trap '' TERM; (trap '' TERM; echo $$ >> ${here.dir}/out; sleep 300) & setsid sh -c "trap '' TERM; sleep 300; :" & sleep 300; sleep 300`
      here.write([sh('stuck', '@yearly', script, { timeout: '3s' })])
      const ran = await opskit('schedule', ['trigger', 'stuck', '--config', here.config], { timeoutMs: LONG_MS })
      expect(ran.exitCode).toBe(69)
      const slot = here.store().history({ limit: 1 })[0]
      expect(slot).toMatchObject({ result: 'timeout', message: 'it was ended after 3 s' })
      expect(here.lines()).toHaveLength(1)
      expect(findProcesses(slot?.id ?? '')).toEqual([])
    },
  )
})

describe('a manual run', () => {
  it('takes the same lease as a scheduled one: 75, naming the holder', { timeout: 60_000 }, async () => {
    const here = await place()
    here.write([sh('busy', '@yearly', `echo x >> ${here.dir}/out; sleep 20`)])
    const args = ['trigger', 'busy', '--config', here.config]
    let pid = 0
    const first = opskit('schedule', args, { timeoutMs: LONG_MS, onStart: (started) => (pid = started) })
    await waitFor('it to run', () => here.lines().length === 1, LONG_MS)
    const second = await opskit('schedule', args, { timeoutMs: LONG_MS })
    expect(second.exitCode).toBe(75)
    expect(second.stderr).toMatch(new RegExp(`busy runs already: busy@.* supervised by process ${pid}`))
    process.kill(pid, 'SIGTERM')
    expect((await first).exitCode).toBe(143)
    expect(here.store().history({ limit: 1 })[0]).toMatchObject({ result: 'cut' })
  })

  it('of the slot that is due is made once, whoever asks', { timeout: 60_000 }, async () => {
    const here = await place()
    here.write([sh('daily', '0 0 * * *', `echo x >> ${here.dir}/out`)])
    const args = ['trigger', 'daily', '--slot', 'due', '--config', here.config]
    const [one, two] = [await opskit('schedule', args), await opskit('schedule', args)]
    expect([one.exitCode, two.exitCode]).toEqual([0, 0])
    expect(two.stdout).toContain('has been taken care of')
    expect(here.lines()).toHaveLength(1)
  })
})

describe('whoever is to know', () => {
  it('hears of a failure and of the recovery, and so do the pings', { timeout: 90_000 }, async () => {
    const here = await place()
    const heard: string[] = []
    const server = createServer((request, response) => {
      heard.push(request.url ?? '')
      // One that never answers must not matter.
      if (request.url !== '/start') response.end()
    }).listen(0, '127.0.0.1')
    onTestFinished(() => {
      server.closeAllConnections()
      server.close()
    })
    await once(server, 'listening')
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
    const pings = { start: `${url}/start`, success: `${url}/success`, failure: `${url}/failure`, timeout: '300ms' }
    const job = sh('mail', '* * * * * *', `test -e ${here.dir}/mended && sleep 60`, { pings })
    const notify = { channels: { file: { type: 'log', file: join(here.dir, 'told') } } }
    here.write([job], {}, { notify })
    const daemon = await startDaemon(here)
    await waitFor('the alert', () => here.lines('told').some((line) => line.includes('job mail failed')), LONG_MS)
    here.write([sh('mail', '* * * * * *', 'true', { pings })], {}, { notify })
    daemon.kill('SIGHUP')
    await waitFor(
      'the recovery',
      () => here.lines('told').some((line) => line.includes('job mail works again')),
      LONG_MS,
    )
    await waitFor('all pings', () => ['/start', '/success', '/failure'].every((path) => heard.includes(path)), LONG_MS)
  })
})

describe('a machine that sleeps', () => {
  it('loses no run and doubles none', { timeout: 90_000 }, async () => {
    const here = await place()
    here.write([sh('often', '*/4 * * * * *', `echo x >> ${here.dir}/out`, { catchup: 'all', overlap: 'queue' })])
    const daemon = await startDaemon(here)
    const store = here.store()
    const finished = () => store.history({ limit: 100 }).filter(({ result }) => result === 'ok')
    await waitFor('the first run', () => finished().length > 0, LONG_MS)
    daemon.kill('SIGSTOP')
    const frozenAt = Date.now()
    await waitFor('two slots to pass', () => Date.now() > frozenAt + 9_500, LONG_MS)
    daemon.kill('SIGCONT')
    const dueAt = () =>
      finished()
        .map((run) => run.dueAt)
        .sort((a, b) => a - b)
    const isWhole = (times: number[]) => times.every((at, index) => at === (times[0] ?? 0) + index * 4_000)
    await waitFor(
      'a run after it, and those in between',
      () => (dueAt().at(-1) ?? 0) > frozenAt + 9_500 && isWhole(dueAt()),
      LONG_MS,
    )
    daemon.kill('SIGTERM')
    await once(daemon, 'exit')
    expect(here.lines()).toHaveLength(finished().length)
  })
})

describe('the configuration', () => {
  it.each([
    ['a wrong cron', { cron: '0 25 * * *' }, 'schedule.jobs.0.cron: "0 25 * * *": hour, column 3: expected 0-23'],
    ['an unknown zone', { timezone: 'Europe/Viena' }, 'did you mean "Europe/Vienna"?'],
    ['an unknown action', { action: 'command.rum' }, 'there is no action "command.rum". Did you mean command.run?'],
    ['wrong parameters', { params: { rum: [] } }, 'there is no parameter "rum"'],
  ])('with %s is refused with 78 before the daemon starts, with its place', async (_what, wrong, message) => {
    const here = await place()
    here.write([{ ...sh('a', '@daily', 'true'), ...wrong }])
    const ran = await opskit('schedule', ['run', '--config', here.config])
    expect(ran.exitCode).toBe(78)
    expect(ran.stderr).toContain(message)
    expect(ran.stderr).toMatch(/opskit\.yaml:1:\d+: schedule\.jobs\.0/)
  })

  it('is read again when it changes, and a bad one is refused for the old', { timeout: 90_000 }, async () => {
    const here = await place()
    here.write([sh('a', '@yearly', 'true')])
    const daemon = await startDaemon(here)
    here.write([sh('a', '@yearlyy', 'true')])
    daemon.kill('SIGHUP')
    await waitFor('the refusal', () => daemon.said().includes('is refused, the old one stays'), LONG_MS)
    here.write([sh('a', '* * * * * *', `echo x >> ${here.dir}/out`)])
    daemon.kill('SIGHUP')
    await waitFor('a run', () => here.lines().length > 0, LONG_MS)
    daemon.kill('SIGTERM')
    const [code] = (await once(daemon, 'exit')) as [number]
    expect(code).toBe(143)
    expect(here.store().running()).toEqual([])
  })
})

/**
 * A thousand mails from the outbox to a local SMTP server, beside bare nodemailer with a pool of as many connections that sends the
 * same mails. `node_modules/.bin/node test/bench/notify.ts`. Rounds take turns; figures are medians.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createTransport } from 'nodemailer'
import { validateConfig } from '../../scripts/lib/config/validate.ts'
import { systemClock } from '../../scripts/lib/core/clock.ts'
import { redactText } from '../../scripts/lib/core/redact.ts'
import { openJournal } from '../../scripts/lib/journal/index.ts'
import { enqueue, flush, readOutbox } from '../../scripts/lib/notify/index.ts'
import { openMailTemplates } from '../../scripts/lib/notify/render/mail.ts'
import type { BenchRow } from './types.ts'

const MESSAGES = 1_000
const ROUNDS = 7
/** Ours may take 1 / 0.8 of what the peer takes. */
const TARGET_RATIO = 1.25
const [FROM, TO] = ['opskit@example.com', 'ops@example.com']

interface Took {
  readonly wallMs: number
  readonly cpuMs: number
}

export async function bench(): Promise<BenchRow[]> {
  const server = spawn(process.execPath, [new URL('smtp-child.ts', import.meta.url).pathname], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const dir = await mkdtemp(join(tmpdir(), 'opskit-bench-'))
  try {
    const [chunk] = (await once(server.stdout, 'data')) as [Buffer]
    const port = Number(chunk.toString())
    const rounds: { readonly ours: Took; readonly peer: Took; readonly enqueuedMs: number }[] = []
    for (let round = 0; round <= ROUNDS; round += 1) {
      const ours = await sendOurs(port, join(dir, String(round)))
      const peer = await sendBare(port)
      // The first round only warms up.
      if (round > 0) rounds.push({ ...ours, peer })
    }
    const row = (name: string, of: (took: Took) => number, target?: number): BenchRow => {
      const ratio = median(rounds.map(({ ours, peer }) => of(ours) / of(peer)))
      const figures = {
        ours: Math.round(median(rounds.map(({ ours }) => of(ours)))),
        peer: Math.round(median(rounds.map(({ peer }) => of(peer)))),
      }
      const limit = target === undefined ? { met: true } : { target, met: ratio <= target }
      return { name, ...figures, unit: 'ms', ratio: Math.round(ratio * 100) / 100, ...limit }
    }
    const what = `${MESSAGES} mails from the outbox, beside bare nodemailer with a pool`
    return [
      row(what, ({ wallMs }) => wallMs, TARGET_RATIO),
      row(`${what}: processor time`, ({ cpuMs }) => cpuMs),
      {
        name: `writing ${MESSAGES} alerts into the outbox, a transaction each`,
        ours: Math.round(median(rounds.map(({ enqueuedMs }) => enqueuedMs))),
        unit: 'ms',
        met: true,
      },
    ]
  } finally {
    server.kill('SIGKILL')
    await rm(dir, { recursive: true, force: true })
  }
}

async function sendOurs(port: number, dir: string): Promise<{ ours: Took; enqueuedMs: number }> {
  const config = validateConfig(
    `notify: { channels: { mail: { type: email, from: ${FROM}, recipients: [${TO}], rate_limit: { messages: 1000000, per: 1s }, servers: [{ host: 127.0.0.1, port: ${port}, security: none }] } } }`,
    'opskit.yaml',
  )
  const journal = openJournal({ dir })
  try {
    const beganAt = performance.now()
    for (let index = 0; index < MESSAGES; index += 1) enqueue(journal, config, alertOf(index))
    const startedAt = performance.now()
    const stop = startWatch()
    const context = {
      config,
      journal,
      clock: systemClock,
      signal: new AbortController().signal,
      redact: (text: string) => redactText(text),
    }
    const { sent } = await flush({ ...context, resolveSecret: () => Promise.reject(new Error('no secrets here')) })
    if (sent !== MESSAGES)
      throw new Error(
        `${sent} of ${MESSAGES} were sent: ${JSON.stringify(readOutbox(journal, { limit: 1, states: ['waiting'] }))}`,
      )
    return { ours: stop(), enqueuedMs: startedAt - beganAt }
  } finally {
    journal.close()
  }
}

async function sendBare(port: number): Promise<Took> {
  const render = openMailTemplates()
  const mail = render({
    ...{ id: 'x'.repeat(40), thread: 'x', kind: 'problem', count: 1, firstAt: 0, lastAt: 0, attempt: 1 },
    ...{ tags: [], details: [], source: 'bench', openedAt: 0, ...alertOf(0) },
  })
  const pool = createTransport({
    pool: true,
    host: '127.0.0.1',
    port,
    ignoreTLS: true,
    maxConnections: 5,
    maxMessages: Infinity,
  })
  const stop = startWatch()
  await Promise.all(Array.from({ length: MESSAGES }, () => pool.sendMail({ from: FROM, to: TO, ...mail })))
  const took = stop()
  pool.close()
  return took
}

function alertOf(index: number) {
  return {
    key: `bench-${index}`,
    severity: 'critical',
    title: `Backup ${index} failed`,
    text: 'mariadb-dump ended with 2',
    host: 'web-1',
    next: 'npx zx scripts/backup.ts run',
  } as const
}

function startWatch(): () => Took {
  const [startedAt, cpu] = [performance.now(), process.cpuUsage()]
  return () => {
    const { user, system } = process.cpuUsage(cpu)
    return { wallMs: performance.now() - startedAt, cpuMs: (user + system) / 1_000 }
  }
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN
}

if (import.meta.main) console.table(await bench())

/** The outbox among real processes: killed between writing and sending, killed while sending, several sending at once. */
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { describe, expect, it, onTestFinished } from 'vitest'
import { startReceiver, type Receiver } from '../support/receiver.ts'
import { startSmtp } from '../support/smtp.ts'
import { tempDir } from '../support/temp.ts'
import { waitFor } from '../support/wait.ts'

const CHILD = new URL('child.ts', import.meta.url).pathname

interface Child {
  readonly process: ChildProcess
  line(index: number): Promise<string>
  kill(): Promise<void>
}

function startChild(...args: string[]): Child {
  const child = spawn(process.execPath, [CHILD, ...args], { stdio: ['pipe', 'pipe', 'inherit'] })
  const lines: string[] = []
  createInterface({ input: child.stdout }).on('line', (line) => lines.push(line))
  const closed = once(child, 'close')
  const kill = async () => {
    child.kill('SIGKILL')
    await closed
  }
  onTestFinished(kill)
  return { process: child, kill, line: (index) => waitFor(`line ${index} of ${args[0]}`, () => lines[index], 30_000) }
}

async function configFor(channel: string): Promise<string> {
  const dir = await tempDir('notify')
  const path = join(dir, 'opskit.yaml')
  await writeFile(path, `name: control\nstate: { dir: ${dir}/state }\nnotify:\n  channels:\n    there: ${channel}\n`)
  return path
}

async function receiver(reply?: Parameters<typeof startReceiver>[0]): Promise<Receiver> {
  const server = await startReceiver(reply)
  onTestFinished(() => server.close())
  return server
}

async function flushOnce(config: string): Promise<string> {
  const child = startChild('flush', config)
  await child.line(0)
  child.process.stdin?.write('go\n')
  return child.line(1)
}

const idsOf = ({ requests }: Receiver) => requests.map(({ headers }) => headers['webhook-id'])

describe('a message', () => {
  it('whose process is killed before it is sent is sent by the next one, once', async () => {
    const server = await startSmtp()
    onTestFinished(() => server.close())
    const config = await configFor(
      `{ type: email, from: a@example.com, recipients: [b@example.com], servers: [{ host: 127.0.0.1, port: ${server.port}, security: none }] }`,
    )
    const writer = startChild('enqueue', config, '3')
    await writer.line(0)
    await writer.kill()
    expect(await flushOnce(config)).toBe('sent 3')
    expect(await flushOnce(config)).toBe('sent 0')
    expect(new Set(server.mails.map((mail) => mail.header('Message-ID'))).size).toBe(3)
    expect(server.mails).toHaveLength(3)
  })

  it('whose process is killed while it is under way is sent again at once, under the same id', async () => {
    const there = await receiver((number) => (number === 1 ? 'silent' : {}))
    const config = await configFor(`{ type: webhook, url: "${there.url}", timeout: 60s }`)
    const writer = startChild('enqueue', config, '1')
    await writer.line(0)
    const sender = startChild('flush', config)
    await sender.line(0)
    sender.process.stdin?.write('go\n')
    await waitFor('the request', () => there.requests.length === 1)
    expect(await flushOnce(config)).toBe('sent 0')
    await sender.kill()
    expect(await flushOnce(config)).toBe('sent 1')
    expect(idsOf(there)).toHaveLength(2)
    expect(new Set(idsOf(there)).size).toBe(1)
    expect(there.requests.map(({ body }) => (JSON.parse(body) as { attempt: number }).attempt)).toEqual([1, 2])
  })

  it('is sent once, however many processes send at the same time', async () => {
    const there = await receiver()
    const config = await configFor(`{ type: webhook, url: "${there.url}", rate_limit: { messages: 10000, per: 1s } }`)
    const writer = startChild('enqueue', config, '300')
    await writer.line(0)
    const senders = Array.from({ length: 3 }, () => startChild('flush', config))
    await Promise.all(senders.map((sender) => sender.line(0)))
    for (const sender of senders) sender.process.stdin?.write('go\n')
    const sent = await Promise.all(senders.map(async (sender) => Number((await sender.line(1)).split(' ')[1])))
    expect(sent.reduce((sum, count) => sum + count, 0)).toBe(300)
    expect(new Set(idsOf(there)).size).toBe(300)
    expect(there.requests).toHaveLength(300)
  })
})

/** The command `notify` as operators run it: a test of a channel, the outbox, and sending what waits. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import { NODE, opskit } from '../support/opskit.ts'
import { freePort } from '../support/ports.ts'
import { startReceiver, type Reply } from '../support/receiver.ts'
import { startSmtp, type SmtpOptions } from '../support/smtp.ts'
import { tempDir } from '../support/temp.ts'

const CHILD = new URL('../notify/child.ts', import.meta.url).pathname

async function setUp(channels: string, more = '') {
  const dir = await tempDir('notify')
  const path = join(dir, 'opskit.yaml')
  await writeFile(
    path,
    `name: control\nstate: { dir: ${dir}/state }\nnotify:\n  channels:\n${channels.replace(/^/gm, '    ')}\n${more}`,
  )
  return {
    dir,
    run: (args: string[], env: Record<string, string> = {}) => opskit('notify', [...args, '--config', path], { env }),
    /** Writes alerts into the outbox, as another process of opskit would. */
    enqueue: async (count = 1) => {
      const child = spawn(NODE, [CHILD, 'enqueue', path, String(count)], { stdio: ['ignore', 'pipe', 'inherit'] })
      await once(child.stdout, 'data')
      child.kill('SIGKILL')
      await once(child, 'close')
    },
  }
}

async function mailServer(options?: SmtpOptions) {
  const server = await startSmtp(options)
  onTestFinished(() => server.close())
  return server
}

async function receiver(reply?: (number: number) => Reply) {
  const server = await startReceiver(reply)
  onTestFinished(() => server.close())
  return server
}

const mail = (port: number) =>
  `mail: { type: email, from: a@example.com, recipients: [b@example.com], servers: [{ host: 127.0.0.1, port: ${port}, security: none }] }`

describe('notify test', () => {
  it('shows what the mail server said', async () => {
    const { port, mails } = await mailServer()
    const { run } = await setUp(mail(port))
    const ran = await run(['test', '--channel', 'mail'])
    expect(ran).toMatchObject({ exitCode: 0, stderr: '' })
    expect(ran.stdout).toMatch(/^mail took it in .+: 250 .*\nmessage test-/)
    expect(mails[0]?.header('Subject')).toBe('TEST This is a test of the channel mail')
  })

  it('shows why the far side refused, without the secret in its address, and fails', async () => {
    const { url } = await receiver(() => ({
      body: '{"errcode":93000,"errmsg":"invalid webhook url, key=very-secret-key"}',
    }))
    const { run } = await setUp('chat: { type: wecom, url: { env: CHAT_URL } }')
    const ran = await run(['test', '--channel', 'chat'], { CHAT_URL: `${url}/send?key=very-secret-key` })
    expect(ran.exitCode).toBe(1)
    expect(ran.stderr).toContain('refused with status 200: {"errcode":93000,"errmsg":"invalid webhook url')
    expect(ran.stderr).toContain('next: The key in the address is wrong.')
    expect(ran.stderr + ran.stdout).not.toContain('very-secret-key')
  })

  it('ends with 69 when nobody listens, 64 for a channel that does not exist, 78 when a secret is missing', async () => {
    const { run } = await setUp(`${mail(await freePort())}\nhook: { type: webhook, url: { env: NOT_SET_ANYWHERE } }`)
    const dead = await run(['test', '--channel', 'mail'])
    expect(dead.exitCode).toBe(69)
    expect(dead.stderr).toContain('ECONNREFUSED')
    const unknown = await run(['test', '--channel', 'mial'])
    expect(unknown.exitCode).toBe(64)
    expect(unknown.stderr).toContain('there is no channel "mial"')
    const secret = await run(['test', '--channel', 'hook'])
    expect(secret.stderr).toContain('the secret env:NOT_SET_ANYWHERE is not set')
    expect(secret.exitCode).toBe(78)
  })

  it('sends nothing with --dry-run', async () => {
    const { port, mails } = await mailServer()
    const { run } = await setUp(mail(port))
    const ran = await run(['test', '--channel', 'mail', '--dry-run'])
    expect(ran.exitCode).toBe(0)
    expect(ran.stdout).toContain('Send a test over mail')
    expect(mails).toEqual([])
  })
})

describe('notify outbox and flush', () => {
  it('list what waits, send it once, and say so', async () => {
    const { port, mails } = await mailServer()
    const { run, enqueue } = await setUp(mail(port))
    await enqueue(2)
    const before = await run(['outbox'])
    expect(before).toMatchObject({ exitCode: 0 })
    expect(before.stdout).toContain('2 waiting')
    expect(before.stdout).toContain('CRITICAL Alert 0')
    const dry = await run(['flush', '--dry-run'])
    expect(dry.stdout).toContain('2 waiting to mail')
    expect(mails).toEqual([])
    const sent = await run(['flush'])
    expect(sent).toMatchObject({ exitCode: 0 })
    expect(sent.stdout).toContain('2 sent, 0 to be tried again, 0 given up')
    expect((await run(['flush'])).stdout).toBe('Nothing to send.\n')
    expect(mails).toHaveLength(2)
    const after = await run(['outbox', '--all', '--json'])
    const report = JSON.parse(after.stdout) as { tables: { title: string; rows: string[][] }[] }
    expect(report.tables[0]?.rows.map((row) => row[1])).toEqual(['sent', 'sent'])
    expect(report.tables[1]).toMatchObject({ title: 'Open alerts, oldest first' })
  })

  it('wait for a server that says later, when told to', async () => {
    const { port, mails } = await mailServer({
      answerData: (count) => (count === 1 ? { code: 451, text: 'Greylisted' } : undefined),
    })
    const { run, enqueue } = await setUp(mail(port), '  retry: { first: 500ms }\n')
    await enqueue()
    const ran = await run(['flush', '--wait', '20s', '--json'])
    expect(JSON.parse(ran.stdout)).toMatchObject({ sent: 1, failed: 0, dead: 0 })
    expect(mails).toHaveLength(1)
  })

  it('keep stdout one JSON document although a channel prints', async () => {
    const { run, enqueue } = await setUp('console: { type: log }')
    await enqueue()
    const ran = await run(['flush', '--json'])
    expect(JSON.parse(ran.stdout)).toMatchObject({ sent: 1 })
    expect(JSON.parse(ran.stderr)).toMatchObject({ title: 'Alert 0' })
  })

  it('end with 69 and a loud line when nobody could be told; what was given up can be tried again', async () => {
    const { url, requests } = await receiver((number) => (number <= 1 ? { status: 404 } : {}))
    const { run, enqueue } = await setUp(`hook: { type: webhook, url: "${url}" }`)
    await enqueue()
    const ran = await run(['flush'])
    expect(ran.exitCode).toBe(69)
    expect(ran.stderr).toContain('NOBODY HAS BEEN TOLD of 1 alert(s)')
    expect(ran.stdout).toContain('0 sent, 0 to be tried again, 1 given up')
    expect((await run(['outbox'])).stdout).toContain('1 given up')
    expect((await run(['flush'])).stdout).toBe('Nothing to send.\n')
    const again = await run(['flush', '--retry-dead'])
    expect(again).toMatchObject({ exitCode: 0 })
    expect(requests).toHaveLength(2)
  })
})

/** Mail to real SMTP servers: one that says later, one that stays silent, one that wants a log-in, several of one channel. */
import { describe, expect, it, onTestFinished } from 'vitest'
import { makeCertificate } from '../support/certificates.ts'
import { freePort } from '../support/ports.ts'
import { startSmtp, type SmtpOptions } from '../support/smtp.ts'
import { startBlackHole, startSilentServer, type BadServer } from '../support/tcp.ts'
import { tempDir } from '../support/temp.ts'
import { setUp, type BenchOptions } from './setup.ts'

async function smtp(options: SmtpOptions = {}) {
  const server = await startSmtp(options)
  onTestFinished(() => server.close())
  return server
}

async function bad(starting: Promise<BadServer>) {
  const server = await starting
  onTestFinished(() => server.close())
  return server
}

const server = (port: number, more = '') => `{ host: 127.0.0.1, port: ${port}, security: none${more} }`

function mailTo(servers: readonly string[], { more = '', ...options }: BenchOptions & { more?: string } = {}) {
  const recipients = '[ops@example.com, Second <second@example.com>]'
  return setUp(
    `channels: { mail: { type: email, from: opskit <opskit@example.com>, recipients: ${recipients}, servers: [${servers.join(', ')}]${more} } }`,
    options,
  )
}

describe('mail', () => {
  it('arrives with text, HTML, both recipients, and an id', async () => {
    const { port, mails } = await smtp()
    const bench = mailTo([server(port)])
    bench.raise({ text: 'a < b & c > d' })
    expect(await bench.flush()).toMatchObject({
      sent: 1,
      channels: [{ answer: expect.stringMatching(/^250 /) as string }],
    })
    expect(mails).toHaveLength(1)
    const [mail] = mails
    const [stored] = bench.outbox()
    expect(mail).toMatchObject({ from: 'opskit@example.com', to: ['ops@example.com', 'second@example.com'] })
    expect(mail?.header('Subject')).toBe('CRITICAL web-1: Backup of orders failed')
    expect(mail?.header('Message-ID')).toBe(`<${stored?.id}@example.com>`)
    expect(mail?.header('Auto-Submitted')).toBe('auto-generated')
    expect(mail?.raw).toContain('text/plain')
    expect(mail?.raw).toContain('a < b & c > d')
    expect(mail?.raw).toContain('a &lt; b &amp; c &gt; d')
    expect(mail?.raw).toContain('npx zx scripts/backup.ts run database/orders')
  })

  it('to a server that first says 451 arrives with the next try, once, under the same id', async () => {
    const { port, mails } = await smtp({
      answerData: (count) => (count === 1 ? { code: 451, text: '4.7.1 Greylisted' } : undefined),
    })
    const bench = mailTo([server(port)])
    bench.raise()
    expect(await bench.flush()).toMatchObject({ sent: 0, failed: 1, channels: [{ answer: '451 4.7.1 Greylisted' }] })
    const [waiting] = bench.outbox()
    expect(waiting).toMatchObject({ state: 'waiting', answer: '451 4.7.1 Greylisted' })
    expect(await bench.flush()).toMatchObject({ sent: 0, failed: 0 })
    await bench.clock.advance((waiting?.dueAt ?? 0) - bench.clock.now())
    expect(await bench.flush()).toMatchObject({ sent: 1 })
    expect(mails.map((mail) => mail.header('Message-ID'))).toEqual([`<${waiting?.id}@example.com>`])
    expect(mails[0]?.header('X-Opskit-Attempt')).toBe('2')
  })

  it('that is refused for good is given up at once', async () => {
    const { port } = await smtp({ answerRcpt: () => ({ code: 550, text: '5.1.1 No such user' }) })
    const bench = mailTo([server(port)])
    bench.raise()
    expect(await bench.flush()).toMatchObject({ dead: 1, undelivered: [{ alert: 'backup:orders' }] })
    expect(bench.outbox()).toMatchObject([
      { state: 'dead', attempt: 1, answer: expect.stringContaining('550 5.1.1') as string },
    ])
  })

  it('that one recipient takes only later is sent to that one again, and to no other', async () => {
    let asked = 0
    const { port, mails } = await smtp({
      answerRcpt: (address) =>
        address === 'second@example.com' && ++asked === 1 ? { code: 451, text: 'later' } : undefined,
    })
    const bench = mailTo([server(port)])
    bench.raise()
    await bench.flush()
    await bench.clock.advance(60_000)
    await bench.flush()
    expect(mails.map(({ to }) => to)).toEqual([['ops@example.com'], ['second@example.com']])
    expect(bench.outbox()).toMatchObject([{ state: 'sent' }])
  })

  it('that one recipient never takes has arrived with the other, and says who is missing', async () => {
    const { port, mails } = await smtp({
      answerRcpt: (address) => (address === 'second@example.com' ? { code: 550, text: 'No such user' } : undefined),
    })
    const bench = mailTo([server(port)])
    bench.raise()
    expect(await bench.flush()).toMatchObject({ sent: 1 })
    expect(bench.outbox()).toMatchObject([
      { state: 'sent', answer: expect.stringContaining('refused for second@example.com: 550') as string },
    ])
    await bench.clock.advance(60_000)
    await bench.flush()
    expect(mails.map(({ to }) => to)).toEqual([['ops@example.com']])
  })

  it('to a server that accepts and stays silent fails within seconds, and delays no other channel', async () => {
    const { port } = await bad(startSilentServer())
    const bench = setUp(`
channels:
  mail: { type: email, from: a@example.com, recipients: [b@example.com], servers: [${server(port)}] }
  console: { type: log }`)
    bench.raise()
    const startedAt = performance.now()
    let printedAt = 0
    const result = await bench.flush({ print: () => void (printedAt = performance.now()) })
    expect(result).toMatchObject({ sent: 1, failed: 1, undelivered: [] })
    expect(printedAt - startedAt).toBeLessThan(2_000)
    expect(performance.now() - startedAt).toBeLessThan(9_000)
  })

  it('goes to the next server when one hangs, does not connect or refuses, and remembers it', async () => {
    const good = await smtp()
    const silent = await bad(startSilentServer())
    const hole = await bad(startBlackHole())
    const nobody = await freePort()
    const bench = mailTo([silent.port, hole.port, nobody, good.port].map((port) => server(port)))
    bench.raise()
    expect(await bench.flush()).toMatchObject({ sent: 1, failed: 0 })
    bench.raise({ key: 'another' })
    const startedAt = performance.now()
    expect(await bench.flush()).toMatchObject({ sent: 1 })
    expect(performance.now() - startedAt).toBeLessThan(3_000)
    expect(good.mails).toHaveLength(2)
  })

  it('is encrypted when the config says so, and never sent in clear instead', async () => {
    const dir = await tempDir('mail')
    const ca = await makeCertificate(dir, { name: 'ca', isCa: true })
    const tls = await makeCertificate(dir, { name: 'mail', ca })
    const user = { name: 'opskit', password: 'correct horse' }
    const starttls = await smtp({ tls, user })
    const direct = await smtp({ tls, user, secure: true })
    const plain = await smtp()
    const login = `, username: opskit, password: { env: MAIL_PASSWORD }, ca: ${ca.certFile}`
    const secrets = { MAIL_PASSWORD: user.password }
    const entry = (port: number, security: string) =>
      `{ host: localhost, port: ${port}, security: ${security}${login} }`
    for (const [used, security] of [
      [starttls, 'starttls'],
      [direct, 'tls'],
    ] as const) {
      const bench = mailTo([entry(used.port, security)], { secrets })
      bench.raise()
      expect(await bench.flush(), security).toMatchObject({ sent: 1 })
      expect(used.mails).toHaveLength(1)
    }
    const bench = mailTo([entry(plain.port, 'starttls')], { secrets })
    bench.raise()
    expect(await bench.flush()).toMatchObject({ sent: 0 })
    expect(plain.mails).toEqual([])
    const stranger = mailTo([`{ host: localhost, port: ${starttls.port}, security: starttls }`])
    stranger.raise()
    expect(await stranger.flush()).toMatchObject({ sent: 0, failed: 1 })
  })

  it('with a wrong password is given up with what the server said, and the password appears nowhere', async () => {
    const { port } = await smtp({ user: { name: 'opskit', password: 'right' } })
    const bench = mailTo([server(port, ', username: opskit, password: { env: MAIL_PASSWORD }')], {
      secrets: { MAIL_PASSWORD: 'wrong-hunter2' },
    })
    bench.raise()
    await bench.flush()
    expect(bench.outbox()).toMatchObject([{ state: 'dead', answer: expect.stringContaining('535') as string }])
    expect(JSON.stringify([bench.outbox(), bench.journal.events()])).not.toContain('hunter2')
  })

  it('gets no header from what an alert holds', async () => {
    const { port, mails } = await smtp()
    const bench = mailTo([server(port)])
    const evil = 'x\r\nBcc: victim@example.com\r\n\r\n<script>'
    bench.raise({ key: evil, title: evil, host: evil, action: evil, next: evil, tags: [evil], text: evil })
    await bench.flush()
    const [mail] = mails
    expect(mail?.to).toEqual(['ops@example.com', 'second@example.com'])
    expect(mail?.header('Bcc')).toBeUndefined()
    expect(mail?.header('Subject')).toContain('x Bcc: victim@example.com')
    const html = mail?.raw.split('text/html')[1] ?? ''
    expect(html).toContain('&lt;script&gt;')
    expect(html).not.toContain('<script>')
  })
})

/** Health checks against servers that answer well, badly, slowly, partly, or not at all. */
import { createServer as createHttpServer, type RequestListener, type Server } from 'node:http'
import { createServer as createHttpsServer } from 'node:https'
import { createServer as createTcpServer, type Server as TcpServer, type Socket } from 'node:net'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { httpChecks } from '../../../scripts/lib/diagnose/http/check.ts'
import { makeCertificate, type KeyPair } from '../../support/certificates.ts'
import { configOf, runChecks } from '../../support/check-context.ts'
import { freePort } from '../../support/ports.ts'
import { makeTempDir } from '../../support/temp.ts'

const open: (() => void)[] = []
afterEach(() => {
  for (const close of open.splice(0)) close()
})

async function serve(server: Server | TcpServer): Promise<number> {
  const sockets = new Set<Socket>()
  server.on('connection', (socket: Socket) => {
    sockets.add(socket)
    socket.on('error', () => {})
  })
  open.push(() => {
    server.close()
    for (const socket of sockets) socket.destroy()
  })
  const port = await freePort()
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve))
  return port
}

const http = (listener: RequestListener) => serve(createHttpServer(listener))
const tcp = (greet: (socket: Socket) => void) => serve(createTcpServer(greet))

async function look(url: string, settings: object = {}, secrets: Record<string, string> = {}) {
  const config = configOf({ diagnose: { http: [{ name: 'api', url, timeout: '700ms', ...settings }] } })
  return runChecks(httpChecks(config), config, { secrets })
}

describe('an answer', () => {
  it('as expected is ok, with the split of its latency', async () => {
    const port = await http((_, response) => response.end('{"status":"ok"}'))
    const [finding, ...others] = await look(`http://127.0.0.1:${port}/health`, { body: '"status":"ok"' })
    expect(others).toEqual([])
    expect(finding).toMatchObject({ subject: 'api', severity: 'ok', title: 'The server answers as expected' })
    expect(finding?.evidence).toMatch(/^200 in \d+ ms \(DNS 0 ms, TCP \d+ ms, answer \d+ ms\)$/)
    expect(finding?.measures?.[0]).toMatchObject({ label: 'latency', unit: 'ms', warn: '~:1000', crit: '~:3000' })
  })

  it.each([
    [500, {}, 'The server answers 500', 'its own log says why'],
    [502, {}, 'The server answers 502', 'the service behind it does not'],
    [404, {}, 'The server answers 404', 'another site answers'],
    [301, { location: '/login?token=planted' }, 'The server answers 301', 'redirects are not followed'],
  ])('with status %i is critical and has its cause', async (status, headers, title, cause) => {
    const port = await http((_, response) => response.writeHead(status, headers).end())
    const [finding] = await look(`http://127.0.0.1:${port}/health?key=planted`)
    expect(finding).toMatchObject({ severity: 'critical', title, cause: expect.stringContaining(cause) as string })
    expect(finding?.next).toMatch(/^curl -sv .*\/health\?…'?$/)
    expect(JSON.stringify(finding)).not.toContain('planted')
  })

  it('with a status that is listed is ok, a redirect too', async () => {
    const port = await http((_, response) => response.writeHead(302, { location: 'https://example.com/' }).end())
    expect(await look(`http://127.0.0.1:${port}/`, { status: [200, 302] })).toMatchObject([{ severity: 'ok' }])
  })

  it('with another text is critical', async () => {
    const port = await http((_, response) => response.end('Welcome to nginx!'))
    expect(await look(`http://127.0.0.1:${port}/`, { body: 'shop' })).toMatchObject([
      { severity: 'critical', title: 'The answer does not hold the expected text' },
    ])
  })

  it('is matched by a regular expression', async () => {
    const port = await http((_, response) => response.end('status: UP (3 nodes)'))
    expect(await look(`http://127.0.0.1:${port}/`, { body: '/up \\(\\d+ nodes\\)/i' })).toMatchObject([
      { severity: 'ok' },
    ])
  })

  it('cannot stop the diagnosis by a pattern that backtracks', async () => {
    const port = await http((_, response) => response.end(`${'a'.repeat(60)}!`))
    const startedAt = performance.now()
    expect(await look(`http://127.0.0.1:${port}/`, { body: '/^(a+)+$/' })).toMatchObject([
      { severity: 'unknown', title: 'The body pattern takes too long' },
    ])
    expect(performance.now() - startedAt).toBeLessThan(3_000)
  })

  it('that is slow is a warning, and a critical when it is slower', async () => {
    const port = await http((_, response) => void setTimeout(() => response.end(), 60))
    const latency = { warning: '10ms', critical: '5s' }
    expect(await look(`http://127.0.0.1:${port}/`, { latency })).toMatchObject([
      { severity: 'warning', evidence: expect.stringContaining('warning from 10 ms') as string },
    ])
    expect(await look(`http://127.0.0.1:${port}/`, { latency: { warning: '10ms', critical: '20ms' } })).toMatchObject([
      { severity: 'critical', title: 'The server answers slowly' },
    ])
  })

  it('is asked for with its secret header, which is shown nowhere', async () => {
    const seen: unknown[] = []
    const port = await http((request, response) => {
      seen.push(request.headers['x-token'], request.headers['connection'], request.method)
      response.writeHead(403).end('no')
    })
    const settings = { method: 'POST', headers: { 'X-Token': { env: 'TOKEN' } } }
    const findings = await look(`http://127.0.0.1:${port}/`, settings, { TOKEN: 'planted-secret' })
    expect(seen).toEqual(['planted-secret', 'close', 'POST'])
    expect(JSON.stringify(findings)).not.toContain('planted-secret')
  })

  it('is not asked for with a header that cannot be sent, and the error does not show its value', async () => {
    const port = await http((_, response) => response.end())
    const settings = { headers: { 'X-Token': { env: 'TOKEN' } } }
    const failed = look(`http://127.0.0.1:${port}/`, settings, { TOKEN: 'planted\nsecret' })
    await expect(failed).rejects.toMatchObject({
      code: 'CONFIG_INVALID',
      message: expect.not.stringContaining('planted') as string,
    })
  })
})

describe('no answer', () => {
  it('from a server that accepts and says nothing is critical at the deadline', async () => {
    const port = await tcp(() => {})
    const startedAt = performance.now()
    expect(await look(`http://127.0.0.1:${port}/`)).toMatchObject([
      {
        severity: 'critical',
        title: 'The server accepts the connection but never answers',
        evidence: expect.stringMatching(/^no answer in \d+ ms/) as string,
      },
    ])
    expect(performance.now() - startedAt).toBeLessThan(2_000)
  })

  it('within TLS is told from no answer to the request', async () => {
    const port = await tcp(() => {})
    expect(await look(`https://127.0.0.1:${port}/`)).toMatchObject([
      { title: 'The server accepts the connection but never answers TLS' },
    ])
  })

  it('that never ends is critical, unless what is looked for has come', async () => {
    const port = await tcp((socket) => {
      socket.write('HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nready\r\n')
      const drip = setInterval(() => socket.write('1\r\n.\r\n'), 20)
      socket.on('close', () => clearInterval(drip))
    })
    expect(await look(`http://127.0.0.1:${port}/`)).toMatchObject([
      { severity: 'critical', title: 'The server never finishes its answer' },
    ])
    expect(await look(`http://127.0.0.1:${port}/`, { body: 'ready' })).toMatchObject([{ severity: 'ok' }])
  })

  it('that is cut off is critical', async () => {
    const port = await tcp((socket) => socket.end('HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf'))
    expect(await look(`http://127.0.0.1:${port}/`)).toMatchObject([
      { severity: 'critical', title: 'The server cuts its answer off' },
    ])
  })

  it.each([
    ['is not HTTP', 'SSH-2.0-x\r\n', 'what it says is not HTTP'],
    ['has huge headers', `HTTP/1.1 200 OK\r\nx: ${'h'.repeat(40_000)}\r\n\r\n`, 'its headers are larger than 16 KiB'],
    ['is a closed door', '', 'the connection was cut off before an answer'],
  ])('that %s', async (_name, text, evidence) => {
    const port = await tcp((socket) => socket.end(text))
    expect(await look(`http://127.0.0.1:${port}/`)).toMatchObject([
      { severity: 'critical', title: 'The server does not answer with HTTP', evidence },
    ])
  })

  it('where nothing listens is refused', async () => {
    expect(await look(`http://127.0.0.1:${await freePort()}/`)).toMatchObject([
      { title: 'The server refuses connections' },
    ])
  })
})

describe('TLS', () => {
  let dir: Awaited<ReturnType<typeof makeTempDir>>
  let authority: KeyPair
  const pairs: Record<string, KeyPair> = {}
  beforeAll(async () => {
    dir = await makeTempDir('http')
    authority = await makeCertificate(dir.path, { name: 'authority', isCa: true })
    pairs['good'] = await makeCertificate(dir.path, { name: 'good', ca: authority })
    pairs['soon'] = await makeCertificate(dir.path, { name: 'soon', ca: authority, days: 3 })
    pairs['expired'] = await makeCertificate(dir.path, { name: 'expired', ca: authority, days: -3 })
    pairs['wrong'] = await makeCertificate(dir.path, { name: 'wrong', ca: authority, names: 'DNS:other.example.com' })
    pairs['self'] = await makeCertificate(dir.path, { name: 'self' })
  })
  afterAll(() => dir.remove())

  async function lookTls(pair: string, settings: object = {}) {
    const requests: unknown[] = []
    const { cert, key } = pairs[pair] as KeyPair
    const port = await serve(
      createHttpsServer({ cert, key }, (request, response) => {
        requests.push(request.headers['x-token'])
        response.end('fine')
      }).on('tlsClientError', () => {}),
    )
    const options = { timeout: '3s', ca: authority.certFile, headers: { 'x-token': 'planted' }, ...settings }
    return { findings: await look(`https://localhost:${port}/`, options), requests }
  }

  it('that verifies is ok', async () => {
    const { findings } = await lookTls('good')
    expect(findings).toMatchObject([{ severity: 'ok', evidence: expect.stringContaining('TLS ') as string }])
  })

  it('that holds only for days is one more finding', async () => {
    const { findings } = await lookTls('soon')
    expect(findings).toMatchObject([
      { severity: 'ok' },
      { severity: 'critical', title: 'The certificate expires soon', subject: 'api' },
    ])
  })

  it.each([
    ['expired', {}, 'The certificate has expired'],
    ['wrong', {}, 'The certificate is not for localhost'],
    ['self', { ca: undefined }, 'The certificate does not verify'],
  ])('that is %s is critical, and no header is sent', async (pair, settings, title) => {
    const { findings, requests } = await lookTls(pair, settings)
    expect(findings.map(({ severity, title: said }) => `${severity}: ${said}`)).toEqual([`critical: ${title}`])
    expect(requests).toEqual([])
  })

  it('that need not verify is ok, and says that it does not', async () => {
    const { findings } = await lookTls('self', { verify_tls: false, ca: undefined })
    expect(findings).toMatchObject([
      { severity: 'ok', evidence: expect.stringContaining('TLS not verified: it is self-signed') as string },
    ])
  })

  it('that need not verify still may not expire unnoticed', async () => {
    const { findings } = await lookTls('expired', { verify_tls: false })
    expect(findings.map(({ title }) => title)).toContain('The certificate has expired')
  })
})

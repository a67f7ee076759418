/** The client against real servers: hung, refusing, resetting, redirecting, endless; and the reference server. */
import { createServer, type RequestListener } from 'node:http'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { readFileSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import {
  openEndpointManager,
  type EndpointEvent,
  type EndpointManager,
  type EndpointOptions,
} from '../../scripts/lib/endpoint/client/index.ts'
import { startReferenceServer } from '../support/fastapi.ts'
import { freePort } from '../support/ports.ts'
import { startBlackHole, startResettingServer, startSilentServer, type BadServer } from '../support/tcp.ts'
import { tempDir } from '../support/temp.ts'
import { waitFor } from '../support/wait.ts'

/** Allowance for a machine that does other things too. */
const BUSY_MS = 250

let blackHole: BadServer
let silent: BadServer
let resetting: BadServer
let good: string

beforeAll(async () => {
  ;[blackHole, silent, resetting] = await Promise.all([startBlackHole(), startSilentServer(), startResettingServer()])
})
afterAll(() => Promise.all([blackHole, silent, resetting].map((server) => server.close())))

async function startHttp(listener: RequestListener): Promise<string> {
  const server = createServer(listener)
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  onTestFinished(() => {
    server.closeAllConnections()
    server.close()
  })
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

async function open(options: EndpointOptions, events: EndpointEvent[] = []): Promise<EndpointManager> {
  const manager = await openEndpointManager({ allowPrivate: true, autoCheck: false, ...options }, (event) =>
    events.push(event),
  )
  onTestFinished(() => manager.close())
  return manager
}

const urlOf = ({ address }: BadServer) => `http://${address}`

describe('a request', () => {
  it.each<[string, () => BadServer]>([
    ['drops every packet', () => blackHole],
    ['accepts and says nothing', () => silent],
  ])('to a primary that %s is answered by the backup within 300 ms, hedged', async (_how, server) => {
    good = await startHttp((_request, response) => response.end('backup'))
    const manager = await open({ initial: { api: [urlOf(server()), good] }, hedgeMs: 200 })
    await manager.fetch('/warm-up')
    const startedMs = performance.now()
    expect(await (await manager.fetch('/x')).text()).toBe('backup')
    expect(performance.now() - startedMs).toBeLessThan(300 + BUSY_MS)
    await manager.fetch('/y')
    expect(manager.current('api')).toBe(good)
    const afterMs = performance.now()
    await manager.fetch('/z')
    expect(performance.now() - afterMs).toBeLessThan(200)
  })

  it.each<[string, () => BadServer]>([
    ['drops every packet', () => blackHole],
    ['accepts and says nothing', () => silent],
  ])('to a primary that %s goes to the backup when its time is up, and no later', async (_how, server) => {
    good = await startHttp((_request, response) => response.end('backup'))
    const manager = await open({ initial: { api: [urlOf(server()), good] }, hedgeMs: false, requestTimeoutMs: 400 })
    const startedMs = performance.now()
    expect(await (await manager.fetch('/x')).text()).toBe('backup')
    const tookMs = performance.now() - startedMs
    expect(tookMs).toBeGreaterThanOrEqual(399)
    expect(tookMs).toBeLessThan(500 + BUSY_MS)
  })

  it('to a primary that resets or refuses goes to the backup at once', async () => {
    good = await startHttp((_request, response) => response.end('backup'))
    const dead = `http://127.0.0.1:${await freePort()}`
    const manager = await open({ initial: { api: [urlOf(resetting), dead, good] }, hedgeMs: false })
    expect(await (await manager.fetch('/x')).text()).toBe('backup')
  })

  it('that is given up by the caller ends at once and is held against nobody', async () => {
    const manager = await open({ initial: { api: [urlOf(silent)] } })
    const stop = new AbortController()
    const asking = manager.fetch('/x', { signal: stop.signal })
    await waitFor('the connection', () => silent.connections() > 0)
    stop.abort(new Error('enough'))
    await expect(asking).rejects.toThrow('enough')
    expect(manager.status('api')).toMatchObject([{ state: 'healthy', failures: 0 }])
  })

  it('may be given up while its body is read', async () => {
    good = await startHttp((_request, response) => void response.write('begin'))
    const manager = await open({ initial: { api: [good] } })
    const stop = new AbortController()
    const response = await manager.fetch('/x', { signal: stop.signal })
    const reading = response.text()
    stop.abort(new Error('enough'))
    await expect(reading).rejects.toThrow('enough')
  })
})

describe('a health check', () => {
  it('of a hung endpoint ends in time, and puts it out after three', async () => {
    good = await startHttp((_request, response) => response.end())
    const events: EndpointEvent[] = []
    const manager = await open(
      { initial: { api: [urlOf(blackHole), good] }, checkTimeoutMs: 200, checkIntervalMs: 250, autoCheck: true },
      events,
    )
    await waitFor('the switch', () => manager.current('api') === good)
    expect(manager.status('api')[0]).toMatchObject({ state: 'unhealthy', because: 'no answer within 200 ms' })
    expect(events.filter(({ type }) => type === 'switch')).toHaveLength(1)
  })
})

describe('an update', () => {
  it.each<[string, RequestListener, string]>([
    ['a body of 50 MB', (_request, response) => sendMegabytes(response, 50), 'longer than 262144 bytes'],
    [
      'a body that says it has 50 MB',
      (_request, response) => response.writeHead(200, { 'content-length': 50_000_000 }).flushHeaders(),
      'longer than 262144 bytes',
    ],
    [
      'an endless redirect',
      (request, response) => response.writeHead(302, { location: `${request.url}x` }).end(),
      'redirects more than 5 times',
    ],
    [
      'a redirect to another scheme',
      (_request, response) => response.writeHead(301, { location: 'https://example.com/' }).end(),
      'another scheme',
    ],
    ['a server error', (_request, response) => response.writeHead(500).end(), 'HTTP status 500'],
    ['a page', (_request, response) => response.end('<!doctype html>'), 'not JSON'],
    ['nothing', (_request, response) => response.end(), 'not JSON'],
    [
      'a body that breaks off',
      (_request, response) => response.writeHead(200, { 'content-length': 100 }).write('{', () => response.destroy()),
      'no list of endpoints',
    ],
    ['a body that never ends', (_request, response) => void response.write('{'), 'no answer within 500 ms'],
  ])('that brings %s changes nothing', async (_what, listener, because) => {
    const server = await startHttp(listener)
    const manager = await open({ initial: { api: ['http://127.0.0.1:9'] }, updateTimeoutMs: 500 })
    await expect(manager.update({ url: server })).rejects.toThrow(because)
    expect(manager.status('api').map(({ url }) => url)).toEqual(['http://127.0.0.1:9'])
  })
})

describe('against the reference server (FastAPI)', () => {
  it('the client finds it healthy, takes its list over, and leaves it when it dies', async () => {
    const dir = await tempDir('reference')
    const file = join(dir, 'endpoints.txt')
    const [first, second] = [await freePort(), await freePort()]
    await writeFile(file, `DomainList:\n127.0.0.1:${first}\n127.0.0.1:${second}\n`)
    const env = { ENDPOINT_CONFIG_FILE: file, ENDPOINT_PROTOCOL: 'http' }
    const [primary, backup] = await Promise.all([startReferenceServer(env, first), startReferenceServer(env, second)])
    onTestFinished(async () => {
      await Promise.all([primary.process.stop(), backup.process.stop()])
    })
    const events: EndpointEvent[] = []
    const manager = await open({ hedgeMs: false }, events)
    await manager.update({ url: primary.url })
    expect(manager.status('api').map(({ url }) => url)).toEqual([`${primary.url}/api/v1`, `${backup.url}/api/v1`])
    expect(manager.status('socketio').map(({ url }) => url)).toEqual([primary.url, backup.url])
    await manager.check()
    expect(manager.status('api').map(({ state }) => state)).toEqual(['healthy', 'healthy'])
    const list = await (await manager.fetch('/config/endpoints')).json()
    await primary.process.stop()
    expect(await (await manager.fetch('/config/endpoints')).json()).toEqual(list)
    for (let i = 0; i < 2; i += 1) await manager.check()
    expect(manager.current('api')).toBe(`${backup.url}/api/v1`)
    await manager.update()
    const revived = await startReferenceServer(env, first)
    onTestFinished(() => revived.process.stop())
    await manager.check()
    expect(manager.current('api')).toBe(`${primary.url}/api/v1`)
    expect(events.flatMap((event) => (event.type === 'switch' && event.kind === 'api' ? [event.to] : []))).toEqual([
      `${backup.url}/api/v1`,
      `${primary.url}/api/v1`,
    ])
  })

  it('our service answers the same bytes', async () => {
    const dir = await tempDir('reference')
    const file = join(dir, 'endpoints.txt')
    const { documented } = JSON.parse(readFileSync(new URL('fixtures/reference.json', import.meta.url), 'utf8')) as {
      documented: { text: string; body: string }
    }
    await writeFile(file, documented.text)
    const server = await startReferenceServer({ ENDPOINT_CONFIG_FILE: file })
    onTestFinished(() => server.process.stop())
    const answer = await fetch(`${server.url}/api/v1/config/endpoints`)
    expect(await answer.text()).toBe(documented.body)
    expect(answer.headers.get('content-type')).toBe('application/json')
  })
})

function sendMegabytes(response: Parameters<RequestListener>[1], megabytes: number): void {
  const chunk = Buffer.alloc(1_000_000, ' ')
  let left = megabytes
  const more = () => {
    while (left > 0) {
      left -= 1
      if (!response.write(chunk)) return void response.once('drain', more)
    }
    response.end()
  }
  more()
}

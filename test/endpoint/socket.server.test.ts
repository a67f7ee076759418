/** Failover between two real Socket.io servers, with Socket.io's own client. */
import { createServer, type Server as HttpServer } from 'node:http'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { Server } from 'socket.io'
import { io, type Socket } from 'socket.io-client'
import { describe, expect, it, onTestFinished } from 'vitest'
import {
  followSocket,
  openEndpointManager,
  type EndpointEvent,
  type EndpointManager,
  type FollowedSocket,
} from '../../scripts/lib/endpoint/client/index.ts'
import { freePort } from '../support/ports.ts'
import { startBlackHole } from '../support/tcp.ts'
import { waitFor } from '../support/wait.ts'

interface SocketServer {
  readonly url: string
  readonly io: Server
  stop(): Promise<void>
}

/** Greets each client with its name, and answers `ask` with it. */
async function startSocketServer(name: string, port: number): Promise<SocketServer> {
  const http: HttpServer = createServer((request, response) =>
    response.writeHead(request.url === '/health' ? 200 : 404).end(),
  )
  const server = new Server(http)
  server.on('connection', (socket) => {
    socket.on('ask', (answer: (name: string) => void) => answer(name))
    socket.emit('greeting', name)
  })
  http.listen(port, '127.0.0.1')
  await once(http, 'listening')
  let isUp = true
  const stop = async () => {
    if (!isUp) return
    isUp = false
    http.closeAllConnections()
    await server.close()
  }
  onTestFinished(stop)
  return { url: `http://127.0.0.1:${port}`, io: server, stop }
}

async function open(urls: readonly string[], events: EndpointEvent[] = []): Promise<EndpointManager> {
  const manager = await openEndpointManager(
    { initial: { socketio: urls }, allowPrivate: true, checkIntervalMs: 200, checkTimeoutMs: 500 },
    (event) => events.push(event),
  )
  onTestFinished(() => manager.close())
  return manager
}

function follow(manager: EndpointManager, greetings: string[] = []): FollowedSocket<Socket> {
  const followed = followSocket(manager, {
    open: (url) => {
      const socket = io(url, { reconnection: false, forceNew: true, transports: ['websocket'] })
      socket.on('greeting', (name: string) => greetings.push(name))
      return socket
    },
    connectTimeoutMs: 500,
    retryMs: 50,
  })
  onTestFinished(() => followed.close())
  return followed
}

const ask = async (followed: FollowedSocket<Socket>) =>
  (await followed.socket?.timeout(1_000).emitWithAck('ask')) as string

describe('a Socket.io connection', () => {
  it('goes on to the backup when the primary dies, and comes back when it is up again', async () => {
    const [first, second] = [await freePort(), await freePort()]
    const primary = await startSocketServer('primary', first)
    const backup = await startSocketServer('backup', second)
    const events: EndpointEvent[] = []
    const manager = await open([primary.url, backup.url], events)
    const greetings: string[] = []
    const followed = follow(manager, greetings)
    await waitFor('the primary', () => followed.isConnected)
    expect(await ask(followed)).toBe('primary')

    await primary.stop()
    await waitFor('the backup', () => followed.isConnected && followed.url === backup.url)
    expect(await ask(followed)).toBe('backup')
    await waitFor('the switch', () => manager.current('socketio') === backup.url)

    const revived = await startSocketServer('primary again', first)
    await waitFor('the primary', () => followed.isConnected && followed.url === revived.url)
    expect(await ask(followed)).toBe('primary again')
    expect(greetings).toEqual(['primary', 'backup', 'primary again'])
    expect(backup.io.engine.clientsCount).toBe(0)
    expect(events.filter(({ type }) => type === 'switch')).toHaveLength(2)
  })

  it('leaves a primary that hangs when its time is up', async () => {
    const hole = await startBlackHole()
    onTestFinished(() => hole.close())
    const backup = await startSocketServer('backup', await freePort())
    const followed = follow(await open([`http://${hole.address}`, backup.url]))
    await waitFor('the backup', () => followed.isConnected && followed.url === backup.url)
  })

  it('that works is not given up for a primary whose checks pass but which takes no connections', async () => {
    const half = createServer((_request, response) => response.end())
    half.on('upgrade', () => undefined).listen(0, '127.0.0.1')
    await once(half, 'listening')
    onTestFinished(() => {
      half.closeAllConnections()
      half.close()
    })
    const backup = await startSocketServer('backup', await freePort())
    const events: EndpointEvent[] = []
    const manager = await open([`http://127.0.0.1:${(half.address() as AddressInfo).port}`, backup.url], events)
    const greetings: string[] = []
    const followed = follow(manager, greetings)
    await waitFor('the backup', () => followed.isConnected && followed.url === backup.url)
    const tries = () => events.filter((event) => event.type === 'health' && event.to === 'suspect').length
    await waitFor('two more tries', () => tries() >= 3)
    expect(greetings).toEqual(['backup'])
    expect([followed.isConnected, followed.url]).toEqual([true, backup.url])
  })

  it('keeps trying when all are down, and connects when one is back', async () => {
    const port = await freePort()
    const events: EndpointEvent[] = []
    const manager = await open([`http://127.0.0.1:${port}`, `http://127.0.0.1:${await freePort()}`], events)
    const followed = follow(manager)
    await waitFor('the alert', () => events.some(({ type }) => type === 'all-down'))
    await startSocketServer('late', port)
    await waitFor('the connection', () => followed.isConnected)
    await waitFor('the recovery', () => events.some(({ type }) => type === 'recovered'))
    expect(events.filter(({ type }) => type === 'all-down')).toHaveLength(1)
  })

  it('is not made again when the server ends it on purpose, nor after close', async () => {
    const server = await startSocketServer('one', await freePort())
    const followed = follow(await open([server.url]))
    await waitFor('the connection', () => followed.isConnected)
    server.io.disconnectSockets()
    await waitFor('the end', () => followed.socket === undefined)
    const other = follow(await open([server.url]))
    await waitFor('the connection', () => other.isConnected)
    other.close()
    await waitFor('no connections', () => server.io.engine.clientsCount === 0)
    expect([other.socket, other.isConnected]).toEqual([undefined, false])
  })
})

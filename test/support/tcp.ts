/** TCP servers that misbehave: they accept and say nothing, hang up with a reset, or do not even accept. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net'

export interface BadServer {
  readonly port: number
  readonly address: string
  /** Connections open now. */
  connections(): number
  close(): Promise<void>
}

/** Accepts connections and never answers. */
export function startSilentServer(): Promise<BadServer> {
  return listen(createServer())
}

/** Resets each connection as soon as it has sent something. */
export function startResettingServer(): Promise<BadServer> {
  return listen(createServer((socket) => socket.once('data', () => socket.resetAndDestroy())))
}

/** Answers each request with one HTTP response, after `delayMs`. */
export function startHttpServer(body: string, { status = 200, delayMs = 0, port = 0 } = {}): Promise<BadServer> {
  const reply = `HTTP/1.1 ${status} OK\r\nContent-Length: ${Buffer.byteLength(body)}\r\nConnection: close\r\n\r\n${body}`
  return listen(
    createServer((socket) => {
      socket.on('error', () => undefined)
      socket.once('data', () => setTimeout(() => socket.end(reply), delayMs))
    }),
    port,
  )
}

/**
 * A black hole: the port listens, but its queue is full and nobody accepts, so the kernel drops each further SYN and a
 * connect hangs. The listener is a process that stopped running its event loop.
 */
export async function startBlackHole(): Promise<BadServer> {
  const script = `
    const server = require('node:net').createServer().listen({ port: 0, host: '127.0.0.1', backlog: 1 }, () => {
      require('node:fs').writeSync(1, String(server.address().port) + '\\n')
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0)
    })`
  const child = spawn(process.execPath, ['-e', script], { stdio: ['ignore', 'pipe', 'inherit'] })
  const [chunk] = (await once(child.stdout, 'data')) as [Buffer]
  const port = Number(chunk.toString())
  const fillers: Socket[] = []
  let isFull = false
  while (!isFull) {
    const socket = connect(port, '127.0.0.1').on('error', () => undefined)
    fillers.push(socket)
    isFull = !(await Promise.race([once(socket, 'connect').then(() => true), laterFalse(150)]))
  }
  return {
    port,
    address: `127.0.0.1:${port}`,
    connections: () => fillers.length,
    async close() {
      for (const socket of fillers) socket.destroy()
      const gone = once(child, 'exit')
      child.kill('SIGKILL')
      await gone
    },
  }
}

async function listen(server: Server, wantedPort = 0): Promise<BadServer> {
  const sockets = new Set<Socket>()
  server.on('connection', (socket) => {
    sockets.add(socket)
    // Without this it would not notice that the other side hung up.
    socket.resume()
    socket.on('error', () => undefined).once('close', () => sockets.delete(socket))
  })
  server.listen(wantedPort, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  return {
    port,
    address: `127.0.0.1:${port}`,
    connections: () => sockets.size,
    async close() {
      for (const socket of sockets) socket.destroy()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

function laterFalse(ms: number): Promise<false> {
  return new Promise((resolve) => setTimeout(() => resolve(false), ms))
}

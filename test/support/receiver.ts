/** A web server that keeps each request and answers as it is told: what a webhook talks to. */
import { once } from 'node:events'
import { createServer, type IncomingHttpHeaders } from 'node:http'
import type { AddressInfo } from 'node:net'

export interface Received {
  readonly method: string
  /** Path and query. */
  readonly path: string
  readonly headers: IncomingHttpHeaders
  readonly body: string
  /** Wall clock, milliseconds. */
  readonly at: number
}

export interface Reply {
  readonly status?: number
  readonly body?: string
  readonly headers?: Readonly<Record<string, string>>
}

export interface Receiver {
  readonly url: string
  readonly port: number
  readonly requests: Received[]
  /** The body of a request, parsed. */
  json(index: number): Record<string, unknown>
  close(): Promise<void>
}

/** @param reply called for each request with its number, from 1; `silent` never answers */
export async function startReceiver(
  reply: (number: number, request: Received) => Reply | 'silent' = () => ({}),
): Promise<Receiver> {
  const requests: Received[] = []
  const server = createServer((request, response) => {
    const chunks: Buffer[] = []
    request.on('data', (chunk: Buffer) => chunks.push(chunk))
    request.on('end', () => {
      const { method = '', url = '', headers } = request
      const received = { method, path: url, headers, body: Buffer.concat(chunks).toString(), at: Date.now() }
      requests.push(received)
      const answer = reply(requests.length, received)
      if (answer === 'silent') return
      const { status = 200, body = '', headers: own = {} } = answer
      response.writeHead(status, own).end(body)
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  return {
    url: `http://127.0.0.1:${port}`,
    port,
    requests,
    json: (index) => JSON.parse(requests[index]?.body ?? 'null') as Record<string, unknown>,
    async close() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

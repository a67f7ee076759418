/**
 * The HTTP service of the list: `GET /health` and `GET <path>`. Everything that can be computed before a request comes is:
 * an answer is a comparison and a buffer. Wrong requests get what the reference server (FastAPI) answers.
 */
import { createHash, timingSafeEqual } from 'node:crypto'
import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { OpsError, systemCode } from '../../core/errors.ts'
import type { Secret } from '../../core/secret.ts'

export interface ListServerOptions {
  readonly address: string
  /** 0: any free one. */
  readonly port: number
  /** Of the list: `/api/v1/config/endpoints`. */
  readonly path: string
  /** What `/health` says beside `"status":"healthy"`. */
  readonly service: string
  readonly version: string
  /** Asked for as a bearer token when given; `/health` never asks. */
  readonly token?: Secret
  /** The first list: nobody is to get an empty answer. */
  readonly body: string
}

export interface ListServer {
  readonly url: string
  /** Replaces the list; requests under way get the one they began with. */
  setBody(json: string): void
  /** Stops listening, lets requests under way end, and closes what is left after `graceMs`. */
  stop(graceMs?: number): Promise<void>
}

interface Answer {
  readonly status: number
  readonly headers: readonly string[]
  /** A text, because Node sends it with the head in one write; bytes would be a second one. */
  readonly body: string
}

/** @throws OpsError CANNOT_WRITE when the address is in use or not this machine's, NOT_PERMITTED for a port under 1024 */
export async function startListServer(options: ListServerOptions): Promise<ListServer> {
  const { path, token } = options
  const health = answer(200, { status: 'healthy', service: options.service, version: options.version })
  const isAllowed = token ? createTokenCheck(token) : undefined
  let list = listAnswers(options.body, token !== undefined)
  let isStopping = false

  const server = createServer({ ...LIMITS }, (request, response) => {
    const { url = '' } = request
    if (isStopping) response.shouldKeepAlive = false
    if (url === path || isPath(url, path)) {
      if (!isReading(request)) return reply(request, response, NOT_ALLOWED)
      if (isAllowed && !isAllowed(request.headers.authorization)) return reply(request, response, UNAUTHORIZED)
      const { full, unchanged, etag } = list
      const known = request.headers['if-none-match']
      return reply(request, response, known !== undefined && matchesEtag(known, etag) ? unchanged : full)
    }
    if (url === '/health' || isPath(url, '/health')) {
      return reply(request, response, isReading(request) ? health : NOT_ALLOWED)
    }
    reply(request, response, NOT_FOUND)
  })
  server.maxConnections = MAX_CONNECTIONS
  server.keepAliveTimeout = 30_000
  server.on('clientError', (_error, socket) => {
    if (socket.writable) socket.end('HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n')
  })
  await listen(server, options)
  const { address, port, family } = server.address() as AddressInfo
  return {
    url: `http://${family === 'IPv6' ? `[${address}]` : address}:${port}`,
    setBody(json) {
      list = listAnswers(json, token !== undefined)
    },
    async stop(graceMs = 5_000) {
      isStopping = true
      const closed = once(server, 'close')
      server.close()
      server.closeIdleConnections()
      const timer = setTimeout(() => server.closeAllConnections(), graceMs)
      await closed
      clearTimeout(timer)
    },
  }
}

/** Nobody needs seconds to send a request of one line; what does is a slow attack or a dead connection. */
const LIMITS = {
  headersTimeout: 10_000,
  requestTimeout: 10_000,
  connectionsCheckingInterval: 5_000,
  maxHeaderSize: 16_384,
  /** No stream is made for a body that is not there. */
  optimizeEmptyRequests: true,
}
const MAX_CONNECTIONS = 10_000

const NOT_FOUND = answer(404, { detail: 'Not Found' })
const NOT_ALLOWED = answer(405, { detail: 'Method Not Allowed' }, ['allow', 'GET, HEAD'])
const UNAUTHORIZED = answer(401, { detail: 'Not authenticated' }, ['www-authenticate', 'Bearer'])

function answer(status: number, body: unknown, headers: readonly string[] = []): Answer {
  return withBody(status, JSON.stringify(body), headers)
}

function withBody(status: number, body: string, headers: readonly string[]): Answer {
  return {
    status,
    body,
    headers: ['content-type', 'application/json', 'content-length', String(Buffer.byteLength(body)), ...headers],
  }
}

/** An answer to whoever has a token is not for shared caches; all may keep it, and must ask whether it still holds. */
function listAnswers(json: string, isPrivate: boolean): { full: Answer; unchanged: Answer; etag: string } {
  const etag = `"${createHash('sha256').update(json).digest('base64url').slice(0, 22)}"`
  const shared = ['etag', etag, 'cache-control', isPrivate ? 'private, no-cache' : 'no-cache']
  return { etag, full: withBody(200, json, shared), unchanged: { status: 304, headers: shared, body: '' } }
}

function reply(request: IncomingMessage, response: ServerResponse, { status, headers, body }: Answer): void {
  response.writeHead(status, headers as string[])
  if (request.method === 'HEAD' || body.length === 0) response.end()
  else response.end(body)
}

/** The path of a request, whatever its query. */
function isPath(url: string, path: string): boolean {
  return url.startsWith(path) && url[path.length] === '?'
}

function isReading({ method }: IncomingMessage): boolean {
  return method === 'GET' || method === 'HEAD'
}

/** RFC 9110 13.1.2: a list of tags, weak ones count as equal; `*` is any. */
function matchesEtag(known: string, etag: string): boolean {
  if (known === etag) return true
  return known.split(',').some((tag) => ['*', etag].includes(tag.trim().replace(/^W\//, '')))
}

/** Compares digests, so that neither the time nor the length of the comparison tells anything. */
function createTokenCheck(token: Secret): (authorization: string | undefined) => boolean {
  const digest = (text: string) => createHash('sha256').update(text).digest()
  const wanted = digest(token.reveal())
  return (authorization) => {
    const given = /^Bearer +(\S+) *$/i.exec(authorization ?? '')?.[1]
    return given !== undefined && timingSafeEqual(digest(given), wanted)
  }
}

async function listen(server: ReturnType<typeof createServer>, { address, port }: ListServerOptions): Promise<void> {
  try {
    server.listen({ host: address, port })
    await once(server, 'listening')
  } catch (cause) {
    const code = systemCode(cause)
    const where = `${address}:${port}`
    if (code === 'EACCES') {
      throw new OpsError('NOT_PERMITTED', `not permitted to listen on ${where}`, {
        hint: 'Use a port over 1023.',
        cause,
      })
    }
    const why = code === 'EADDRINUSE' ? 'another program listens there' : (code ?? 'failed')
    throw new OpsError('CANNOT_WRITE', `cannot listen on ${where}: ${why}`, {
      hint: 'Name another port with --port, or another address with --address.',
      cause,
    })
  }
}

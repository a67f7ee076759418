/**
 * One HTTP request of a health check, and where its time went. Redirects are not followed, no proxy is used, no
 * connection is kept. The body is read up to a bound, and only until `isEnough` says so.
 *
 * With `verifyTls` nothing (no header, so no secret) is sent before the certificate has verified.
 */
import { request as httpRequest, type ClientRequest, type IncomingMessage } from 'node:http'
import { request as httpsRequest } from 'node:https'
import type { Socket } from 'node:net'
import { TLSSocket } from 'node:tls'
import { isOpsError, messageOf, OpsError, systemCode } from '../../core/errors.ts'
import { within, type Deadline } from '../deadline.ts'
import type { Address } from '../network/lookup.ts'
import { failureOf, lookupOf, type TcpFacts } from '../network/tcp.ts'
import { readChain, type ServedChain } from '../network/tls.ts'

/** Milliseconds each phase took; a phase that was not reached is absent. */
export interface HttpTimings {
  readonly dnsMs?: number
  readonly connectMs?: number
  readonly tlsMs?: number
  /** From the request being sent to the first byte of the answer. */
  readonly waitMs?: number
  /** From the start of the look-up to the first byte of the answer: what a user waits. */
  readonly latencyMs?: number
}

export type HttpPhase = 'connect' | 'tls' | 'answer' | 'body'

export interface HttpAnswer {
  readonly kind: 'answer'
  readonly status: number
  readonly location?: string
  readonly contentEncoding?: string
  readonly body: Uint8Array
  /** How the body ended: whole, read as far as needed, not before the deadline, or cut off by the server. */
  readonly end: 'complete' | 'enough' | 'late' | 'cut'
  /** What an HTTPS server showed. */
  readonly served?: ServedChain
  readonly timings: HttpTimings
}

export type HttpOutcome =
  | HttpAnswer
  | { readonly kind: 'no-connection'; readonly tcp: TcpFacts; readonly timings: HttpTimings }
  | { readonly kind: 'tls'; readonly code: string; readonly timings: HttpTimings }
  | { readonly kind: 'silent'; readonly phase: HttpPhase; readonly waitedMs: number; readonly timings: HttpTimings }
  /** Connected, then cut off, or something that is not HTTP. */
  | { readonly kind: 'broken'; readonly code: string; readonly timings: HttpTimings }

export interface HttpRequest extends Deadline {
  readonly url: URL
  readonly method: string
  readonly headers: Readonly<Record<string, string>>
  readonly addresses: readonly Address[]
  /** Milliseconds the look-up of the name took, for the timings. */
  readonly dnsMs: number
  readonly verifyTls: boolean
  /** PEM authorities in place of the public ones. */
  readonly ca?: string | string[]
  /** Stops reading early, e.g. when the text looked for has come. */
  readonly isEnough: (body: Uint8Array) => boolean
}

export const MAX_BODY_BYTES = 64 * 1024

/**
 * Codes of node:tls and OpenSSL for a certificate that is refused: OpenSSL's are words without a prefix, Node's own one is
 * about the name.
 */
const CERTIFICATE_CODE =
  /^(ERR_TLS_CERT_ALTNAME_INVALID|CERT_|DEPTH_ZERO_|SELF_SIGNED_|UNABLE_TO_|INVALID_CA$|INVALID_PURPOSE$|HOSTNAME_MISMATCH$)/

/** Makes the request. @throws OpsError CONFIG_INVALID for a header that cannot be sent; the reason of an aborted `signal` */
export async function requestOnce(options: HttpRequest): Promise<HttpOutcome> {
  const watch = startWatch(options.dnsMs)
  let partial: HttpAnswer | undefined
  try {
    return await within(options, async (signal) => {
      const message = await answerTo(options, watch, signal)
      const head = describeHead(message, watch.timings())
      const keep = (body: Uint8Array) => {
        partial = { ...head, body, end: 'late' }
      }
      keep(new Uint8Array())
      try {
        return { ...head, ...(await readBody(message, options.isEnough, keep)) }
      } finally {
        message.destroy()
      }
    })
  } catch (error) {
    options.signal?.throwIfAborted()
    if (isOpsError(error, 'CONFIG_INVALID')) throw error
    if (partial) return partial
    return explain(error, watch)
  }
}

interface Watch {
  phase: HttpPhase
  mark(name: 'connectMs' | 'tlsMs' | 'waitMs'): void
  timings(): HttpTimings
  elapsed(): number
}

function startWatch(dnsMs: number): Watch {
  const startedAt = performance.now()
  let lastAt = startedAt
  const marks: { connectMs?: number; tlsMs?: number; waitMs?: number } = {}
  const elapsed = () => performance.now() - startedAt
  return {
    phase: 'connect',
    mark(name) {
      const now = performance.now()
      marks[name] ??= now - lastAt
      lastAt = now
    },
    timings: () => ({ dnsMs, ...marks, ...(marks.waitMs !== undefined && { latencyMs: dnsMs + lastAt - startedAt }) }),
    elapsed,
  }
}

function answerTo(options: HttpRequest, watch: Watch, signal: AbortSignal): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    const request = send(options)
    const isTls = options.url.protocol === 'https:'
    signal.addEventListener('abort', () => request.destroy(), { once: true })
    request.on('socket', (socket: Socket) => {
      socket.once('connect', () => {
        watch.mark('connectMs')
        watch.phase = isTls ? 'tls' : 'answer'
      })
      socket.once('secureConnect', () => {
        watch.mark('tlsMs')
        watch.phase = 'answer'
      })
    })
    request.on('error', reject)
    request.on('response', (message) => {
      watch.mark('waitMs')
      watch.phase = 'body'
      resolve(message)
    })
    request.end()
  })
}

function send({ url, method, headers, addresses, verifyTls, ca }: HttpRequest): ClientRequest {
  const isTls = url.protocol === 'https:'
  try {
    return (isTls ? httpsRequest : httpRequest)(url, {
      method,
      headers: { 'user-agent': 'opskit', accept: '*/*', 'accept-encoding': 'identity', ...lowerCased(headers) },
      agent: false,
      lookup: lookupOf(addresses),
      rejectUnauthorized: verifyTls,
      ...(ca !== undefined && { ca }),
    })
  } catch (error) {
    const hint = 'Look for line breaks and control characters in the header and in its secret.'
    throw new OpsError('CONFIG_INVALID', `a header cannot be sent: ${messageOf(error)}`, { hint, cause: error })
  }
}

/** Reads until the end, the bound, or enough. `keep` is told of what is there so far. */
async function readBody(
  message: IncomingMessage,
  isEnough: HttpRequest['isEnough'],
  keep: (body: Uint8Array) => void,
): Promise<Pick<HttpAnswer, 'body' | 'end'>> {
  let body = Buffer.alloc(0)
  try {
    for await (const chunk of message) {
      body = Buffer.concat([body, chunk as Buffer]).subarray(0, MAX_BODY_BYTES)
      keep(body)
      if (body.length >= MAX_BODY_BYTES || isEnough(body)) return { body, end: 'enough' }
    }
    return { body, end: 'complete' }
  } catch {
    return { body, end: 'cut' }
  }
}

function describeHead(message: IncomingMessage, timings: HttpTimings) {
  const { location, 'content-encoding': contentEncoding } = message.headers
  const { socket } = message
  return {
    kind: 'answer',
    status: message.statusCode ?? 0,
    ...(location !== undefined && { location }),
    ...(contentEncoding !== undefined && { contentEncoding }),
    ...(socket instanceof TLSSocket && { served: readChain(socket) }),
    timings,
  } as const
}

function explain(error: unknown, watch: Watch): HttpOutcome {
  const timings = watch.timings()
  const code = systemCode(error) ?? messageOf(error)
  const waitedMs = watch.elapsed()
  if (watch.phase === 'connect') return { kind: 'no-connection', tcp: failureOf(error, waitedMs), timings }
  if (isOpsError(error, 'TIMEOUT')) return { kind: 'silent', phase: watch.phase, waitedMs, timings }
  if (CERTIFICATE_CODE.test(code)) return { kind: 'tls', code, timings }
  return { kind: 'broken', code, timings }
}

function lowerCased(headers: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]))
}

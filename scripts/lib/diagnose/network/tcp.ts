/**
 * Does a TCP port answer? A refusal is told apart from silence: a refusal proves that the machine is reachable.
 *
 * Several addresses of one name are raced (RFC 8305), so one dead address family costs 250 ms, not the deadline.
 */
import { connect, type LookupFunction, type Socket } from 'node:net'
import { isOpsError, messageOf, systemCode } from '../../core/errors.ts'
import { within, type Deadline } from '../deadline.ts'
import type { Address } from './lookup.ts'

export type TcpFacts =
  | { readonly kind: 'open'; readonly rttMs: number; readonly address: string; readonly banner?: string }
  /** RST: the machine answers, nothing listens. */
  | { readonly kind: 'refused'; readonly rttMs: number }
  /** Nothing came back: a firewall that drops, or no machine. */
  | { readonly kind: 'silent'; readonly waitedMs: number }
  /** A router or the kernel says that there is no way there. */
  | { readonly kind: 'unreachable'; readonly code: string }

export interface TcpOptions extends Deadline {
  /** At least one. */
  readonly addresses: readonly Address[]
  readonly port: number
  /** Also wait for the first line that the server sends by itself (SSH, SMTP). */
  readonly banner?: boolean
}

/** Bytes of a banner that are read: RFC 4253 4.2 allows 255 per line, and lines before the version line. */
const MAX_BANNER_BYTES = 4096

/** Tries to connect. Never throws but when `signal` aborts; the socket is gone when it returns. */
export async function probeTcp(options: TcpOptions): Promise<TcpFacts> {
  const startedAt = performance.now()
  const elapsed = () => performance.now() - startedAt
  let open: TcpFacts | undefined
  try {
    return await within(options, async (signal) => {
      const socket = await openSocket(options, signal)
      try {
        const address = socket.remoteAddress ?? ''
        open = { kind: 'open', rttMs: elapsed(), address }
        return options.banner ? { ...open, banner: await readBanner(socket) } : open
      } finally {
        socket.destroy()
      }
    })
  } catch (error) {
    options.signal?.throwIfAborted()
    if (open) return open
    return failureOf(error, elapsed())
  }
}

/** As `probeTcp`, but dropped without a result once `proved` says that its answer is no longer needed. */
export async function probeUnlessProved(
  options: TcpOptions & { readonly proved: AbortSignal },
): Promise<TcpFacts | undefined> {
  const { signal, proved } = options
  try {
    return await probeTcp({ ...options, signal: signal ? AbortSignal.any([signal, proved]) : proved })
  } catch (error) {
    if (proved.aborted && !signal?.aborted) return undefined
    throw error
  }
}

/**
 * A connected socket, for a protocol on top of it. The caller destroys it.
 * @throws the system error of the connection; the signal's reason when aborted
 */
export async function openSocket(
  { addresses, port }: Pick<TcpOptions, 'addresses' | 'port'>,
  signal: AbortSignal,
): Promise<Socket> {
  const only = addresses.length === 1 ? addresses[0] : undefined
  const socket = only
    ? connect({ host: only.address, port })
    : connect({ host: 'target', port, lookup: lookupOf(addresses), autoSelectFamily: true })
  return connected(socket, signal)
}

/** Waits for a socket to connect; an abort destroys it, then and later. */
export async function connected(socket: Socket, signal: AbortSignal): Promise<Socket> {
  signal.addEventListener('abort', () => socket.destroy(), { once: true })
  if (signal.aborted) socket.destroy()
  await new Promise<void>((resolve, reject) => {
    socket.once('connect', resolve)
    socket.once('error', reject)
    socket.once('close', () => reject(signal.reason instanceof Error ? signal.reason : new Error('connection closed')))
  })
  socket.on('error', () => {})
  return socket
}

/** A `lookup` for node:net and node:http that answers with addresses already known. */
export function lookupOf(addresses: readonly Address[]): LookupFunction {
  return (_name, options, callback) => {
    const first = addresses[0]
    if (options.all) callback(null, [...addresses])
    else if (first) callback(null, first.address, first.family)
  }
}

/** What a connection error says about the far side. */
export function failureOf(error: unknown, elapsedMs: number): TcpFacts {
  const codes = error instanceof AggregateError ? error.errors.map(systemCode) : [systemCode(error)]
  if (codes.includes('ECONNREFUSED')) return { kind: 'refused', rttMs: elapsedMs }
  if (isOpsError(error, 'TIMEOUT') || codes.includes('ETIMEDOUT')) return { kind: 'silent', waitedMs: elapsedMs }
  return { kind: 'unreachable', code: codes.find((code) => code !== undefined) ?? messageOf(error) }
}

function readBanner(socket: Socket): Promise<string> {
  return new Promise((resolve) => {
    let text = ''
    const done = () => resolve(text.slice(0, MAX_BANNER_BYTES))
    socket.on('data', (chunk: Buffer) => {
      text += chunk.toString('latin1')
      if (/^SSH-[^\n]*\n/m.test(text) || text.length >= MAX_BANNER_BYTES) done()
    })
    socket.once('close', done)
  })
}

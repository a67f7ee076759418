/**
 * Which certificate does a TLS server show, and does it verify? A connection that sends nothing and trusts nothing; the
 * verdict on the chain is a fact, not an error.
 *
 * Trusted: Node's public authorities, then (only when those do not verify it) also the system's store, where operators
 * put an internal CA; or the given PEM file alone.
 */
import { X509Certificate } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { isIP } from 'node:net'
import { connect, getCACertificates, type TLSSocket } from 'node:tls'
import { isOpsError, messageOf, OpsError, systemCode } from '../../core/errors.ts'
import { within, type Deadline } from '../deadline.ts'
import type { Address } from './lookup.ts'
import { failureOf, openSocket, type TcpFacts } from './tcp.ts'

export interface ServedChain {
  readonly kind: 'served'
  /** Leaf first, then its issuers as far as they were sent or are known. */
  readonly chain: readonly X509Certificate[]
  readonly verified: boolean
  /** OpenSSL's or Node's code when it does not verify: `CERT_HAS_EXPIRED`, `DEPTH_ZERO_SELF_SIGNED_CERT`. */
  readonly code?: string
}

export type ServedFacts =
  | ServedChain
  | { readonly kind: 'no-tls'; readonly code: string }
  | { readonly kind: 'no-connection'; readonly tcp: TcpFacts }
  /** Connected, but the handshake was never answered. */
  | { readonly kind: 'silent'; readonly waitedMs: number }

export interface ServedOptions extends Deadline {
  readonly addresses: readonly Address[]
  readonly port: number
  /** Sent as SNI unless it is an address, and checked against the certificate. */
  readonly serverName: string
  /** PEM text. */
  readonly ca?: string | string[]
}

/** The chain may be one the system's own store knows. */
const UNKNOWN_ISSUER = [
  'UNABLE_TO_GET_ISSUER_CERT',
  'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
  'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
  'SELF_SIGNED_CERT_IN_CHAIN',
  'DEPTH_ZERO_SELF_SIGNED_CERT',
]
/** A chain is a handful; more is a mistake or an attack. */
const MAX_CHAIN = 10

/** True for a code that means "the issuer is not among the authorities that were asked". */
export function isUnknownIssuer(code: string | undefined): boolean {
  return code !== undefined && UNKNOWN_ISSUER.includes(code)
}

/** Node's public authorities and the system's store together. About 100 ms: for a second try only. */
export function widerTrust(): string[] {
  return [...new Set([...getCACertificates('default'), ...getCACertificates('system')])]
}

/** The PEM file of a config's `ca`. @throws OpsError CONFIG_INVALID naming the file */
export async function readAuthorities(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8')
  } catch (error) {
    const hint = 'Give the PEM file of the authority in ca, or leave ca out.'
    throw new OpsError('CONFIG_INVALID', `the authorities in ${path} cannot be read (${systemCode(error)})`, { hint })
  }
}

/** Looks at the served chain. Never throws but when `signal` aborts. */
export async function readServedChain(options: ServedOptions): Promise<ServedFacts> {
  const startedAt = performance.now()
  const first = await shakeHands(options, options.ca)
  if (first.kind !== 'served' || options.ca !== undefined || !isUnknownIssuer(first.code)) return first
  const timeoutMs = options.timeoutMs - (performance.now() - startedAt)
  if (timeoutMs <= 0) return first
  const second = await shakeHands({ ...options, timeoutMs }, widerTrust())
  return second.kind === 'served' ? second : first
}

async function shakeHands(options: ServedOptions, ca: string | string[] | undefined): Promise<ServedFacts> {
  const startedAt = performance.now()
  const elapsed = () => performance.now() - startedAt
  let isConnected = false
  try {
    return await within(options, async (signal) => {
      const raw = await openSocket(options, signal)
      isConnected = true
      const { serverName } = options
      const socket = connect({
        socket: raw,
        host: serverName,
        ...(isIP(serverName) === 0 && { servername: serverName }),
        rejectUnauthorized: false,
        ...(ca !== undefined && { ca }),
      })
      try {
        await new Promise((resolve, reject) =>
          socket
            .once('secureConnect', resolve)
            .once('error', reject)
            .once('close', () => reject(new Error('the connection was closed'))),
        )
        return readChain(socket)
      } finally {
        socket.destroy()
        raw.destroy()
      }
    })
  } catch (error) {
    options.signal?.throwIfAborted()
    if (!isConnected) return { kind: 'no-connection', tcp: failureOf(error, elapsed()) }
    if (isOpsError(error, 'TIMEOUT')) return { kind: 'silent', waitedMs: elapsed() }
    return { kind: 'no-tls', code: systemCode(error) ?? messageOf(error) }
  }
}

/** The chain of an open TLS connection and the verdict on it. */
export function readChain(socket: TLSSocket): ServedChain {
  const chain: X509Certificate[] = []
  const seen = new Set<string>()
  let peer = socket.getPeerCertificate(true)
  while (chain.length < MAX_CHAIN && peer?.raw !== undefined && !seen.has(peer.fingerprint256)) {
    seen.add(peer.fingerprint256)
    chain.push(new X509Certificate(peer.raw))
    peer = peer.issuerCertificate
  }
  const error: unknown = socket.authorizationError
  if (socket.authorized) return { kind: 'served', chain, verified: true }
  const code = typeof error === 'string' ? error : (systemCode(error) ?? messageOf(error))
  return { kind: 'served', chain, verified: false, code }
}

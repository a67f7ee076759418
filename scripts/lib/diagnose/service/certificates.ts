/**
 * `service.certificate`: do the certificates of configured sites and files hold? Expiry, chain, name, key.
 *
 * Sites are looked at from here, as users see them; files on the machine that is diagnosed. The judgement is one pure
 * function for both, and for certificates found elsewhere (an nginx configuration, a health check).
 * Sources: RFC 5280 4.1.2.5 (validity), RFC 6125 (names), RFC 8446 4.4.2 (the order of a chain).
 */
import { createPrivateKey, X509Certificate } from 'node:crypto'
import { isIP } from 'node:net'
import type { CertificateCheck, Config, Threshold } from '../../config/types.ts'
import { isOpsError, messageOf, systemCode } from '../../core/errors.ts'
import type { HostReader } from '../../host/types.ts'
import { budgetOf, type Deadline } from '../deadline.ts'
import { formatHostPort, parseHostPort } from '../network/address.ts'
import { lookup, type LookupResult } from '../network/lookup.ts'
import { readAuthorities, readServedChain, type ServedChain, type ServedFacts } from '../network/tls.ts'
import type { Check, CheckFinding } from '../types.ts'
import { decideCertificate, decideSite } from './certificate-decide.ts'

export { decideCertificate } from './certificate-decide.ts'

export type KeyFacts =
  | { readonly kind: 'matches' | 'differs' | 'encrypted' | 'missing'; readonly path: string }
  | { readonly kind: 'unreadable'; readonly path: string; readonly because: string }

export interface CertificateFacts {
  /** Where it was seen: `example.com:443`, `/etc/ssl/site.pem`. */
  readonly source: string
  readonly origin: 'site' | 'file'
  /** `CN=example.com`, one line. */
  readonly subject: string
  readonly issuer: string
  /** Milliseconds since the epoch, UTC. */
  readonly notBefore: number
  readonly notAfter: number
  readonly selfSigned: boolean
  /** The first of its issuers that expires before it does. */
  readonly earlierIssuer?: { readonly subject: string; readonly notAfter: number }
  /** False when a certificate of the chain is not signed by the one after it. */
  readonly inOrder: boolean
  /** Present where a name was asked for. */
  readonly name?: { readonly wanted: string; readonly matches: boolean; readonly has: readonly string[] }
  /** Present where the chain was checked against the authorities. */
  readonly trust?: { readonly verified: boolean; readonly code?: string }
  readonly key?: KeyFacts
}

/** Why there is nothing to judge. */
export type Unread =
  { readonly kind: 'missing' | 'not-permitted' | 'empty' } | { readonly kind: 'unreadable'; readonly because: string }

export type FileFacts = { readonly kind: 'certificate'; readonly facts: CertificateFacts } | Unread

/** A bundle of every public authority is 250 KB; nothing that a server sends is larger. */
const MAX_FILE_BYTES = 1024 * 1024
/** Only the head of a chain file is judged: a server sends a handful. */
const MAX_CHAIN = 10
const HTTPS_PORT = 443

/** One check per configured site (from here) and per file (on each diagnosed machine). */
export function certificateChecks(config: Config): Check[] {
  return config.diagnose.certificates.map((certificate) => {
    const isSite = 'site' in certificate
    return {
      name: 'service.certificate',
      group: 'service',
      scope: isSite ? 'vantage' : 'machine',
      run: async (context) => {
        const { host, signal, clock, settings } = context
        const limits = { thresholds: settings.thresholds.certificate_days, now: clock.now() }
        const timeoutMs = budgetOf(context)
        if (isSite) return { findings: await judgeSite(certificate, { timeoutMs, signal }, limits) }
        const facts = await readCertificateFile(host, certificate.file, certificate.key)
        return { findings: decideFile(certificate.file, facts, limits) }
      },
    }
  })
}

/**
 * Reads a PEM or DER certificate file, its chain, and whether the private key belongs to it.
 * The key is compared on the machine opskit runs on and is not kept.
 * @throws OpsError UNREACHABLE or TIMEOUT when the host cannot be asked
 */
export async function readCertificateFile(host: HostReader, path: string, keyPath?: string): Promise<FileFacts> {
  const file = await readBytes(host, path)
  if (!('bytes' in file)) return file
  const chain = parseCertificates(file.bytes)
  const leaf = chain[0]
  if (!leaf) return { kind: 'empty' }
  const key = keyPath === undefined ? undefined : await readKey(host, keyPath, leaf)
  return { kind: 'certificate', facts: { ...describe(path, 'file', chain), ...(key && { key }) } }
}

/** Every certificate of a PEM text, or the one of a DER file, in file order, ten at most; unreadable ones are left out. */
export function parseCertificates(bytes: Uint8Array): X509Certificate[] {
  const text = Buffer.from(bytes).toString('latin1')
  const blocks = text.match(
    /-----BEGIN (?:TRUSTED |X509 )?CERTIFICATE-----[\s\S]+?-----END [A-Z0-9 ]*CERTIFICATE-----/g,
  )
  return (blocks?.slice(0, MAX_CHAIN) ?? [Buffer.from(bytes)]).flatMap((block) => {
    try {
      return [new X509Certificate(block)]
    } catch {
      return []
    }
  })
}

/** Facts of a served chain, for whoever has already made the connection. @returns undefined for an empty chain */
export function siteCertificate(source: string, serverName: string, served: ServedChain): CertificateFacts | undefined {
  const leaf = served.chain[0]
  if (!leaf) return undefined
  const matches = isIP(serverName) === 0 ? leaf.checkHost(serverName) : leaf.checkIP(serverName)
  const has = (leaf.subjectAltName ?? '').split(', ').filter((name) => name !== '')
  return {
    ...describe(source, 'site', served.chain),
    name: { wanted: serverName, matches: matches !== undefined, has },
    trust: { verified: served.verified, ...(served.code !== undefined && { code: served.code }) },
  }
}

type SiteCheck = Extract<CertificateCheck, { site: string }>

interface Limits {
  readonly thresholds: Threshold
  readonly now: number
}

async function judgeSite(
  { site, server_name: sni, ca: caPath }: SiteCheck,
  deadline: Deadline,
  { thresholds, now }: Limits,
): Promise<CheckFinding[]> {
  const at = parseHostPort(site, HTTPS_PORT)
  if (!at) {
    const next = 'write host or host:port in diagnose.certificates'
    return [{ subject: site, severity: 'unknown', title: 'The site cannot be read', evidence: site, next }]
  }
  const serverName = sni ?? at.host
  const source = formatHostPort(at.host, at.port)
  const startedAt = performance.now()
  const found = await lookup(at.host, { ...deadline, timeoutMs: deadline.timeoutMs / 2 })
  if (!found.ok) return decideSite({ source, serverName, unresolved: found })
  const ca = caPath === undefined ? undefined : await readAuthorities(caPath)
  const timeoutMs = Math.max(1, deadline.timeoutMs - (performance.now() - startedAt))
  const target = { ...deadline, addresses: found.addresses, port: at.port, serverName, timeoutMs }
  const served = await readServedChain({ ...target, ...(ca !== undefined && { ca }) })
  const facts = served.kind === 'served' ? siteCertificate(source, serverName, served) : undefined
  return facts ? decideCertificate(facts, thresholds, now) : decideSite({ source, serverName, served })
}

/** Facts of a site that showed no certificate. */
export interface NoCertificate {
  readonly source: string
  readonly serverName: string
  readonly unresolved?: LookupResult & { readonly ok: false }
  readonly served?: ServedFacts
}

function decideFile(path: string, file: FileFacts, { thresholds, now }: Limits): CheckFinding[] {
  const base = { subject: path, next: `ls -l ${path}` }
  switch (file.kind) {
    case 'certificate':
      return decideCertificate(file.facts, thresholds, now)
    case 'missing':
      return [{ ...base, severity: 'critical', title: 'The certificate file does not exist', evidence: path }]
    case 'empty':
      return [{ ...base, severity: 'critical', title: 'The file holds no certificate', evidence: path }]
    case 'not-permitted':
      return [
        {
          ...base,
          severity: 'unknown',
          title: 'The certificate file may not be read',
          evidence: path,
          next: 'run as root, or set sudo: true for the host',
        },
      ]
    case 'unreadable':
      return [{ ...base, severity: 'unknown', title: 'The certificate file could not be read', evidence: file.because }]
  }
}

function describe(source: string, origin: 'site' | 'file', chain: readonly X509Certificate[]): CertificateFacts {
  const [leaf, ...issuers] = chain as [X509Certificate, ...X509Certificate[]]
  const notAfter = leaf.validToDate.getTime()
  const earlier = issuers.find((issuer) => issuer.validToDate.getTime() < notAfter)
  return {
    source,
    origin,
    subject: oneLine(leaf.subject),
    issuer: oneLine(leaf.issuer),
    notBefore: leaf.validFromDate.getTime(),
    notAfter,
    selfSigned: leaf.checkIssued(leaf),
    inOrder: issuers.every((issuer, at) => (chain[at] ?? leaf).checkIssued(issuer)),
    ...(earlier && { earlierIssuer: { subject: oneLine(earlier.subject), notAfter: earlier.validToDate.getTime() } }),
  }
}

async function readKey(host: HostReader, path: string, leaf: X509Certificate): Promise<KeyFacts> {
  const file = await readBytes(host, path)
  if (!('bytes' in file)) {
    if (file.kind === 'missing') return { kind: 'missing', path }
    return { kind: 'unreadable', path, because: file.kind === 'unreadable' ? file.because : 'permission denied' }
  }
  const pem = Buffer.from(file.bytes)
  try {
    return { kind: leaf.checkPrivateKey(createPrivateKey(pem)) ? 'matches' : 'differs', path }
  } catch (error) {
    if (/-----BEGIN ENCRYPTED|Proc-Type: 4,ENCRYPTED/.test(pem.toString('latin1'))) return { kind: 'encrypted', path }
    return { kind: 'unreadable', path, because: `it holds no private key (${systemCode(error) ?? 'unknown format'})` }
  } finally {
    pem.fill(0)
  }
}

type FileBytes = { readonly bytes: Uint8Array } | Exclude<Unread, { kind: 'empty' }>

async function readBytes(host: HostReader, path: string): Promise<FileBytes> {
  try {
    const bytes = await host.get(path, { maxBytes: MAX_FILE_BYTES })
    return bytes ? { bytes } : { kind: 'missing' }
  } catch (error) {
    if (isOpsError(error, 'NOT_PERMITTED')) return { kind: 'not-permitted' }
    if (isOpsError(error, 'FAILED')) return { kind: 'unreadable', because: messageOf(error) }
    throw error
  }
}

function oneLine(name: string | undefined): string {
  return (name ?? '').replaceAll('\n', ', ')
}

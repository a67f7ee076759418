/**
 * `http.check`: does each configured URL answer as it should, with the right status and text, in time, over TLS that
 * holds? One check per URL, so a hung one costs only its own deadline. This file asks; decide.ts judges.
 */
import type { Config, HttpCheck } from '../../config/types.ts'
import { formatHostPort, hostOfUrl } from '../network/address.ts'
import { budgetOf, type Deadline } from '../deadline.ts'
import { lookup, type LookupResult } from '../network/lookup.ts'
import { isUnknownIssuer, readAuthorities, readServedChain, widerTrust } from '../network/tls.ts'
import { siteCertificate, type CertificateFacts } from '../service/certificates.ts'
import type { Check, CheckContext } from '../types.ts'
import { matchBody, parsePattern, type BodyMatch } from './body.ts'
import { decideHttp } from './decide.ts'
import type { HttpOutcome, HttpRequest } from './request.ts'

export interface HttpFacts {
  readonly unresolved?: LookupResult & { readonly ok: false }
  readonly outcome?: HttpOutcome
  /** Absent when no text is expected or no answer came. */
  readonly body?: BodyMatch
  /** What an HTTPS server shows; absent when no certificate was seen. */
  readonly certificate?: CertificateFacts
}

/** The engine's deadline stands this far behind the URL's own, so that the check can say itself that it got no answer. */
const SPARE_MS = 500

export function httpChecks(config: Config): Check[] {
  return config.diagnose.http.map((check) => ({
    name: 'http.check',
    group: 'http',
    scope: 'vantage',
    timeoutMs: check.timeout + SPARE_MS,
    run: async (context) => {
      const headers = await resolveHeaders(check.headers, context.resolveSecret)
      const deadline = { timeoutMs: budgetOf(context, check.timeout), signal: context.signal }
      const facts = await readHttp(check, headers, deadline)
      const limits = { certificateDays: context.settings.thresholds.certificate_days, now: context.clock.now() }
      return { findings: decideHttp(check, facts, limits) }
    },
  }))
}

/** Makes the request and, over HTTPS, looks at the certificate. @param headers with their secrets in place */
export async function readHttp(
  check: HttpCheck,
  headers: Readonly<Record<string, string>>,
  { timeoutMs, signal }: Deadline,
): Promise<HttpFacts> {
  const url = new URL(check.url)
  const endsAt = performance.now() + timeoutMs
  const left = () => ({ timeoutMs: Math.max(1, endsAt - performance.now()), ...(signal && { signal }) })
  const found = await lookup(hostOfUrl(url), left())
  if (!found.ok) return { unresolved: found }
  const ca = check.ca === undefined ? undefined : await readAuthorities(check.ca)
  const request: HttpRequest = {
    url,
    method: check.method,
    headers,
    addresses: found.addresses,
    dnsMs: found.durationMs,
    verifyTls: check.verify_tls,
    isEnough: stopWhenFound(check.body),
    ...left(),
    ...(ca !== undefined && { ca }),
  }
  const outcome = await requestTrusting(request, left)
  const body = check.body !== undefined && outcome.kind === 'answer' ? matchBody(check.body, outcome.body) : undefined
  const certificate = await readCertificate(outcome, request, left())
  return { outcome, ...(body && { body }), ...(certificate && { certificate }) }
}

/** A second try with the system's own authorities when the public ones do not know the issuer. */
async function requestTrusting(request: HttpRequest, left: () => Deadline): Promise<HttpOutcome> {
  const { requestOnce } = await import('./request.ts')
  const first = await requestOnce(request)
  if (first.kind !== 'tls' || request.ca !== undefined || !isUnknownIssuer(first.code)) return first
  const second = await requestOnce({ ...request, ...left(), ca: widerTrust() })
  return second.kind === 'silent' && second.phase !== 'answer' ? first : second
}

/** The certificate of the answer; where it was refused, of a second connection that only looks. */
async function readCertificate(outcome: HttpOutcome, { url, addresses, ca }: HttpRequest, deadline: Deadline) {
  const serverName = hostOfUrl(url)
  const port = url.port === '' ? 443 : Number(url.port)
  const options = { ...deadline, addresses, port, serverName, ...(ca !== undefined && { ca }) }
  const served =
    outcome.kind === 'answer' ? outcome.served : outcome.kind === 'tls' ? await readServedChain(options) : undefined
  return served?.kind === 'served' ? siteCertificate(formatHostPort(serverName, port), serverName, served) : undefined
}

/** A pattern is only tried on the whole body: trying it on every chunk would cost its time limit each time. */
function stopWhenFound(expected: string | undefined): HttpRequest['isEnough'] {
  if (expected === undefined || parsePattern(expected)) return () => false
  return (body) => matchBody(expected, body) === 'found'
}

async function resolveHeaders(
  headers: HttpCheck['headers'],
  resolveSecret: CheckContext['resolveSecret'],
): Promise<Record<string, string>> {
  const entries = Object.entries(headers).map(async ([name, value]) => [
    name,
    typeof value === 'string' ? value : (await resolveSecret(value)).reveal(),
  ])
  return Object.fromEntries(await Promise.all(entries)) as Record<string, string>
}

/**
 * What a health check's answer means. Pure: the expectation, the facts, the limits in; findings out.
 *
 * One finding for the answer, and one more for a certificate that will not hold. Text from the server (a Location, a
 * code) is bounded here and made inert by the report. A query of a URL is left out: it may hold a token.
 */
import type { HttpCheck, Threshold } from '../../config/types.ts'
import { formatDuration } from '../../core/duration.ts'
import { quoteArgv } from '../../core/quote.ts'
import { hostOfUrl } from '../network/address.ts'
import { describeFailure } from '../network/lookup.ts'
import { decideCertificate, describeTrust } from '../service/certificate-decide.ts'
import type { CheckFinding, Measure } from '../types.ts'
import type { HttpFacts } from './check.ts'
import type { HttpAnswer, HttpOutcome, HttpPhase, HttpTimings } from './request.ts'

export interface HttpLimits {
  readonly certificateDays: Threshold
  /** Milliseconds since the epoch, UTC. */
  readonly now: number
}

const MAX_SHOWN = 200

/** Codes of llhttp and Node, in words. */
const BROKEN_TEXT: Readonly<Record<string, string>> = {
  ECONNRESET: 'the connection was cut off before an answer',
  HPE_HEADER_OVERFLOW: 'its headers are larger than 16 KiB',
  HPE_INVALID_CONSTANT: 'what it says is not HTTP',
  EPROTO: 'TLS could not be agreed on',
}

const SILENT_TEXT: Readonly<Record<HttpPhase, string>> = {
  connect: 'does not accept the connection',
  tls: 'accepts the connection but never answers TLS',
  answer: 'accepts the connection but never answers',
  body: 'never finishes its answer',
}

/** Judges one health check. */
export function decideHttp(check: HttpCheck, facts: HttpFacts, limits: HttpLimits): CheckFinding[] {
  const answer = { subject: check.name, next: reproduce(check), ...judge(check, facts) }
  const problems = certificateProblems(check, facts, limits)
  // When the certificate is why there is no answer, what is wrong with it says more than "refused".
  return facts.outcome?.kind === 'tls' && problems.length > 0 ? problems : [answer, ...problems]
}

function certificateProblems(check: HttpCheck, { certificate }: HttpFacts, limits: HttpLimits): CheckFinding[] {
  if (!certificate) return []
  const { name, trust, ...validity } = certificate
  const judged = check.verify_tls ? { ...validity, ...(name && { name }), ...(trust && { trust }) } : validity
  return decideCertificate(judged, limits.certificateDays, limits.now)
    .filter(({ severity }) => severity === 'warning' || severity === 'critical')
    .map((problem) => ({ ...problem, subject: check.name }))
}

type Judgement = Omit<CheckFinding, 'subject'>

function judge(check: HttpCheck, { unresolved, outcome, body }: HttpFacts): Judgement {
  const url = new URL(check.url)
  if (unresolved || !outcome) {
    const evidence = unresolved ? `${url.hostname} ${describeFailure(unresolved.because)}` : 'no request was made'
    return {
      severity: 'critical',
      title: 'The host of the health check has no address',
      evidence,
      cause: 'a missing DNS record, or the resolvers do not work',
    }
  }
  return outcome.kind === 'answer' ? judgeAnswer(check, outcome, body) : judgeNoAnswer(check, outcome)
}

function judgeNoAnswer(check: HttpCheck, outcome: Exclude<HttpOutcome, HttpAnswer>): Judgement {
  switch (outcome.kind) {
    case 'silent':
      return {
        severity: 'critical',
        title: `The server ${SILENT_TEXT[outcome.phase]}`,
        evidence: `no answer in ${formatDuration(outcome.waitedMs)}${split(outcome.timings)}`,
        cause: 'the service is hung, or has no free worker',
      }
    case 'tls':
      return {
        severity: 'critical',
        title: 'The certificate of the server is refused',
        about: { domain: hostOfUrl(new URL(check.url)) },
        evidence: describeTrust(outcome.code),
        cause: 'clients that check certificates refuse this site',
      }
    case 'broken':
      return {
        severity: 'critical',
        title: 'The server does not answer with HTTP',
        evidence: BROKEN_TEXT[outcome.code] ?? shown(outcome.code),
        cause: 'the service crashes on the request, or another protocol is on that port',
      }
    case 'no-connection': {
      const { tcp } = outcome
      if (tcp.kind === 'refused')
        return {
          severity: 'critical',
          title: 'The server refuses connections',
          evidence: `${new URL(check.url).host} refuses`,
          cause: 'the service is not running, or listens on another address',
        }
      if (tcp.kind === 'silent')
        return {
          severity: 'critical',
          title: 'The server does not answer',
          evidence: `no connection in ${formatDuration(tcp.waitedMs)}`,
          cause: 'the machine is down, or a firewall drops the port',
        }
      return {
        severity: 'critical',
        title: 'The server cannot be reached',
        evidence: tcp.kind === 'unreachable' ? shown(tcp.code) : tcp.kind,
        cause: 'no route to it',
      }
    }
  }
}

function judgeAnswer(check: HttpCheck, answer: HttpAnswer, body: HttpFacts['body']): Judgement {
  const { status, timings, end } = answer
  const measures = latency(check, timings)
  const took = split(timings)
  const of = (rest: Judgement): Judgement => ({ ...rest, measures })
  if (!check.status.includes(status)) {
    const expected = check.status.join(' or ')
    const isRedirect = status >= 300 && status < 400 && answer.location !== undefined
    const where = isRedirect ? `, redirects to ${shownUrl(answer.location ?? '', check.url)}` : ''
    return of({
      severity: 'critical',
      title: `The server answers ${status}`,
      evidence: `${status}${where}; expected ${expected}${took}`,
      cause: isRedirect
        ? 'the service has moved; redirects are not followed: use its new URL, or list the status'
        : causeOf(status),
    })
  }
  if (body === 'too-slow')
    return of({
      severity: 'unknown',
      title: 'The body pattern takes too long',
      evidence: `${check.body} on ${answer.body.length} bytes`,
      cause: 'the regular expression backtracks; use plain text',
    })
  if (end === 'late' && body !== 'found') {
    return of({
      severity: 'critical',
      title: 'The server never finishes its answer',
      evidence: `${status}, then ${answer.body.length} bytes in ${formatDuration(check.timeout)}${took}`,
      cause: 'the service hangs while it answers, or trickles',
    })
  }
  if (end === 'cut' && body !== 'found') {
    return of({
      severity: 'critical',
      title: 'The server cuts its answer off',
      evidence: `${status}, then the connection ended after ${answer.body.length} bytes${took}`,
      cause: 'the service or a proxy before it crashes while it answers',
    })
  }
  if (body === 'absent') {
    const encoded =
      answer.contentEncoding === undefined ? '' : `; the answer is encoded (${shown(answer.contentEncoding)})`
    return of({
      severity: 'critical',
      title: 'The answer does not hold the expected text',
      evidence: `${status}, no ${JSON.stringify(check.body)} in ${answer.body.length} bytes${encoded}${took}`,
      cause: 'another page answers (a default site, an error page with a good status), or the service reports trouble',
    })
  }
  const insecure =
    answer.served === undefined || answer.served.verified
      ? ''
      : `; TLS not verified: ${describeTrust(answer.served.code)}`
  return of({
    ...judgeLatency(check, timings),
    evidence: `${status} in ${formatDuration(timings.latencyMs ?? 0)}${slowLimit(check, timings)}${took}${insecure}`,
  })
}

function judgeLatency(check: HttpCheck, { latencyMs = 0 }: HttpTimings): Judgement {
  const slow = {
    title: 'The server answers slowly',
    cause: 'a busy service or database behind it; the split shows where the time goes',
  }
  if (latencyMs >= check.latency.critical) return { ...slow, severity: 'critical' }
  if (latencyMs >= check.latency.warning) return { ...slow, severity: 'warning' }
  return { severity: 'ok', title: 'The server answers as expected' }
}

function slowLimit({ latency: { warning, critical } }: HttpCheck, { latencyMs = 0 }: HttpTimings): string {
  if (latencyMs >= critical) return `, critical from ${formatDuration(critical)}`
  return latencyMs >= warning ? `, warning from ${formatDuration(warning)}` : ''
}

function latency({ latency: { warning, critical } }: HttpCheck, { latencyMs }: HttpTimings): Measure[] {
  if (latencyMs === undefined) return []
  return [
    { label: 'latency', value: Math.round(latencyMs), unit: 'ms', warn: `~:${warning}`, crit: `~:${critical}`, min: 0 },
  ]
}

/** ` (DNS 1 ms, TCP 2 ms, TLS 9 ms, answer 31 ms)`: the phases that were reached. */
function split({ dnsMs, connectMs, tlsMs, waitMs }: HttpTimings): string {
  const phases = [
    ['DNS', dnsMs],
    ['TCP', connectMs],
    ['TLS', tlsMs],
    ['answer', waitMs],
  ] as const
  const reached = phases.flatMap(([name, ms]) => (ms === undefined ? [] : [`${name} ${formatDuration(ms)}`]))
  return reached.length === 0 ? '' : ` (${reached.join(', ')})`
}

function causeOf(status: number): string {
  if (status === 502 || status === 504) return 'the proxy answers, the service behind it does not'
  if (status === 503) return 'the service says itself that it is not ready, or no upstream is alive'
  if (status >= 500) return 'the service fails on the request: its own log says why'
  if (status === 401 || status === 403) return 'the check is not let in: its headers or its secret are wrong'
  if (status === 404) return 'another site answers, or the path has changed'
  return 'the service answers something else than expected'
}

function reproduce({ url, timeout, method }: HttpCheck): string {
  const seconds = `${Math.max(1, Math.ceil(timeout / 1000))}`
  const how = method === 'GET' ? [] : method === 'HEAD' ? ['-I'] : ['-X', method]
  return quoteArgv(['curl', '-sv', '-o', '/dev/null', '--max-time', seconds, ...how, shownUrl(url, url)])
}

/** Scheme, host and path: user, password, query and fragment may be secret. */
function shownUrl(text: string, base: string): string {
  if (!URL.canParse(text, base)) return shown(text)
  const { origin, pathname, search } = new URL(text, base)
  return shown(`${origin}${pathname}${search === '' ? '' : '?…'}`)
}

function shown(text: string): string {
  return text.length > MAX_SHOWN ? `${text.slice(0, MAX_SHOWN)}…` : text
}

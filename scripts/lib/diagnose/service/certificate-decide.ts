/**
 * What the facts of a certificate mean, worst first. Pure. The codes are OpenSSL's X509_V_ERR names as Node gives them.
 */
import type { Threshold } from '../../config/types.ts'
import { formatDuration } from '../../core/duration.ts'
import { quoteArgv } from '../../core/quote.ts'
import { parseHostPort } from '../network/address.ts'
import { describeFailure } from '../network/lookup.ts'
import type { CheckFinding, Measure, Severity } from '../types.ts'
import type { CertificateFacts, NoCertificate } from './certificates.ts'

const DAY_MS = 86_400_000

/** What a browser would say, in words. */
const TRUST_TEXT: Readonly<Record<string, string>> = {
  DEPTH_ZERO_SELF_SIGNED_CERT: 'it is self-signed',
  SELF_SIGNED_CERT_IN_CHAIN: 'its root is not among the trusted authorities',
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: 'its issuer is not known: the server does not send the intermediate certificate',
  UNABLE_TO_GET_ISSUER_CERT: 'an issuer of the chain is not known',
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    'its issuer is not known: the intermediate is missing, or the authority is private',
  CERT_HAS_EXPIRED: 'a certificate of the chain has expired',
  CERT_NOT_YET_VALID: 'a certificate of the chain is not valid yet',
  CERT_REVOKED: 'it was revoked',
  CERT_SIGNATURE_FAILURE: 'a signature in the chain is wrong',
  INVALID_CA: 'an issuer of the chain is not an authority',
  ERR_TLS_CERT_ALTNAME_INVALID: 'it is for another name',
}

/** `it is self-signed`; the bare code for one that has no words. */
export function describeTrust(code: string | undefined): string {
  return code === undefined ? 'it does not verify' : (TRUST_TEXT[code] ?? code)
}

/**
 * Judges one certificate.
 * @param thresholds days before expiry
 * @param now milliseconds since the epoch, UTC
 * @returns one finding per problem, all with the same subject; a single `ok` when there is none
 */
export function decideCertificate(facts: CertificateFacts, thresholds: Threshold, now: number): CheckFinding[] {
  const days = (facts.notAfter - now) / DAY_MS
  const measure: Measure = {
    label: 'days',
    value: Math.floor(days),
    warn: `${thresholds.warning}:`,
    crit: `${thresholds.critical}:`,
  }
  const problems = [
    decideValidity(facts, thresholds, now),
    decideName(facts),
    decideTrust(facts, now),
    decideOrder(facts),
    decideKey(facts),
  ]
  const base = { subject: facts.source, next: inspect(facts), ...aboutName(facts) }
  const findings = problems.flatMap((problem): CheckFinding[] => (problem ? [{ ...base, ...problem }] : []))
  const isSound = !findings.some(({ severity }) => severity === 'critical' || severity === 'warning')
  const sound: CheckFinding = {
    subject: facts.source,
    severity: 'ok',
    title: 'The certificate is valid',
    evidence: `${facts.subject}, ${Math.floor(days)} days left, until ${day(facts.notAfter)}${facts.key?.kind === 'matches' ? '; the key matches' : ''}`,
  }
  const [first, ...others] = isSound ? [sound, ...findings] : findings
  return [{ ...(first ?? sound), measures: [measure] }, ...others]
}

function aboutName({ name, subject }: CertificateFacts): Pick<CheckFinding, 'about'> {
  const domain = name?.wanted ?? /(?:^|[\s,])CN=([^\s,]+)/.exec(subject)?.[1]
  return domain === undefined ? {} : { about: { domain } }
}

/** Judges a site that showed no certificate. */
export function decideSite({ source, serverName, unresolved, served }: NoCertificate): CheckFinding[] {
  const next = quoteArgv(['openssl', 's_client', '-connect', source, '-servername', serverName])
  const base = { subject: source, severity: 'critical', next } as const
  if (unresolved)
    return [
      { ...base, title: 'The site has no address', evidence: `${serverName} ${describeFailure(unresolved.because)}` },
    ]
  switch (served?.kind) {
    case 'silent':
      return [
        {
          ...base,
          title: 'The site accepts connections but never answers TLS',
          evidence: `no answer in ${formatDuration(served.waitedMs)}`,
          cause: 'the server is hung, or the port does not speak TLS',
        },
      ]
    case 'no-tls':
      return [
        {
          ...base,
          title: 'The site does not speak TLS',
          evidence: served.code,
          cause: 'another protocol on that port, or no certificate for the name',
        },
      ]
    case 'no-connection': {
      const { tcp } = served
      if (tcp.kind === 'refused')
        return [
          {
            ...base,
            title: 'The site refuses connections',
            evidence: `${source} refuses`,
            cause: 'the web server is not running',
          },
        ]
      const evidence =
        tcp.kind === 'silent'
          ? `no answer in ${formatDuration(tcp.waitedMs)}`
          : tcp.kind === 'unreachable'
            ? tcp.code
            : tcp.kind
      return [
        {
          ...base,
          title: 'The site cannot be reached',
          evidence,
          cause: 'the machine is down or a firewall drops the port',
        },
      ]
    }
    default:
      return [{ ...base, title: 'The site shows no certificate', evidence: source }]
  }
}

type Problem = Omit<CheckFinding, 'subject' | 'measures'>

function decideValidity(facts: CertificateFacts, { warning, critical }: Threshold, now: number): Problem | undefined {
  if (facts.notBefore > now) {
    return {
      severity: 'critical',
      title: 'The certificate is not valid yet',
      evidence: `valid from ${day(facts.notBefore)}`,
      cause: 'it was installed too early, or the clock of this machine is wrong',
      next: 'date -u',
    }
  }
  const renew = 'renewal has not run or has failed; the server may also still hold an old one in memory'
  const lasting = remaining(facts.notAfter, now, { warning, critical })
  if (lasting)
    return {
      severity: lasting.severity,
      title: `The certificate ${lasting.text}`,
      evidence: lasting.evidence,
      cause: renew,
    }
  // A chain that verifies may still carry an old cross-signed issuer that no client uses.
  const issuer = facts.trust?.verified ? undefined : facts.earlierIssuer
  const early = issuer && remaining(issuer.notAfter, now, { warning, critical })
  if (!issuer || !early) return undefined
  return {
    severity: 'warning',
    title: `An issuer of the certificate ${early.text}`,
    evidence: `${issuer.subject}: ${early.evidence}`,
    cause: 'an old intermediate certificate is in the chain',
  }
}

function remaining(
  notAfter: number,
  now: number,
  { warning, critical }: Threshold,
): { severity: Severity; text: string; evidence: string } | undefined {
  const days = (notAfter - now) / DAY_MS
  if (days < 0)
    return {
      severity: 'critical',
      text: 'has expired',
      evidence: `expired ${day(notAfter)}, ${formatDuration(now - notAfter)} ago`,
    }
  if (days >= warning) return undefined
  const severity = days < critical ? 'critical' : 'warning'
  const limit = severity === 'critical' ? critical : warning
  return {
    severity,
    text: 'expires soon',
    evidence: `${formatDuration(notAfter - now)} left, until ${day(notAfter)}; ${severity} below ${limit} days`,
  }
}

function decideName({ name }: CertificateFacts): Problem | undefined {
  if (!name || name.matches) return undefined
  const has = name.has.length === 0 ? 'no name at all' : name.has.slice(0, 5).join(', ')
  return {
    severity: 'critical',
    title: `The certificate is not for ${name.wanted}`,
    evidence: `it has ${has}`,
    cause: 'the default server answered: no server block has this name, or it has the wrong certificate',
  }
}

function decideTrust({ trust, name, notAfter, notBefore }: CertificateFacts, now: number): Problem | undefined {
  if (!trust || trust.verified) return undefined
  const saidAlready =
    (trust.code === 'CERT_HAS_EXPIRED' && notAfter < now) ||
    (trust.code === 'CERT_NOT_YET_VALID' && notBefore > now) ||
    (trust.code === 'ERR_TLS_CERT_ALTNAME_INVALID' && name?.matches === false)
  if (saidAlready) return undefined
  return {
    severity: 'critical',
    title: 'The certificate does not verify',
    evidence: describeTrust(trust.code),
    cause: 'clients that check certificates refuse this site; for a private authority give its file in ca',
  }
}

function decideOrder({ origin, inOrder }: CertificateFacts): Problem | undefined {
  if (inOrder || origin === 'site') return undefined
  return {
    severity: 'warning',
    title: 'The certificates of the file are not in order',
    evidence: 'each must be signed by the one after it, the own certificate first',
    cause: 'files were joined in the wrong order; strict clients refuse such a chain',
  }
}

function decideKey({ key }: CertificateFacts): Problem | undefined {
  switch (key?.kind) {
    case undefined:
    case 'matches':
      return undefined
    case 'differs':
      return {
        severity: 'critical',
        title: 'The private key does not belong to the certificate',
        evidence: key.path,
        cause: 'one of the two was renewed without the other; the server will not start with them',
        next: quoteArgv(['openssl', 'pkey', '-pubout', '-in', key.path]),
      }
    case 'missing':
      return {
        severity: 'critical',
        title: 'The private key does not exist',
        evidence: key.path,
        next: quoteArgv(['ls', '-l', key.path]),
      }
    case 'encrypted':
      return {
        severity: 'skipped',
        title: 'The private key could not be compared',
        evidence: `${key.path} is encrypted`,
      }
    case 'unreadable':
      return {
        severity: 'unknown',
        title: 'The private key could not be compared',
        evidence: `${key.path}: ${key.because}`,
        next: quoteArgv(['ls', '-l', key.path]),
      }
  }
}

function inspect({ source, origin, name }: CertificateFacts): string {
  if (origin === 'file') return quoteArgv(['openssl', 'x509', '-noout', '-dates', '-subject', '-issuer', '-in', source])
  const host = name?.wanted ?? parseHostPort(source, 443)?.host ?? source
  return quoteArgv(['openssl', 's_client', '-connect', source, '-servername', host, '-showcerts'])
}

function day(ms: number): string {
  return new Date(ms).toISOString().slice(0, 10)
}

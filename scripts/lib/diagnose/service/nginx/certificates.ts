/** nginx.certificate: do the certificates hold that nginx's sites use, and do their keys belong to them? */
import type { Threshold } from '../../../config/types.ts'
import { quoteArgv } from '../../../core/quote.ts'
import type { HostReader } from '../../../host/types.ts'
import type { CheckFinding } from '../../types.ts'
import { decideCertificate, readCertificateFile, type FileFacts } from '../certificates.ts'
import type { NginxCertificate } from './config-files.ts'

export interface CertificateLimits {
  /** Days before expiry. */
  readonly thresholds: Threshold
  /** Milliseconds since the epoch. */
  readonly now: number
}

const CHECK = 'nginx.certificate'

/** Sites named in evidence; a certificate for a hundred names is not unusual. */
const SHOWN_SITES = 3

export async function judgeNginxCertificate(
  host: HostReader,
  used: NginxCertificate,
  limits: CertificateLimits,
): Promise<CheckFinding[]> {
  return decideNginxCertificate(used, await readCertificateFile(host, used.certificate, used.key), limits)
}

export function decideNginxCertificate(
  used: NginxCertificate,
  file: FileFacts,
  { thresholds, now }: CertificateLimits,
): CheckFinding[] {
  if (file.kind === 'certificate') {
    return decideCertificate(file.facts, thresholds, now).map((finding) => ({
      ...finding,
      check: CHECK,
      evidence: [finding.evidence, usedBy(used)].filter(Boolean).join('; '),
    }))
  }
  const next = quoteArgv(['ls', '-l', used.certificate])
  const base = { check: CHECK, subject: used.certificate, evidence: usedBy(used), next }
  switch (file.kind) {
    case 'missing':
      return [{ ...base, severity: 'critical', title: 'A certificate that nginx uses does not exist' }]
    case 'empty':
      return [{ ...base, severity: 'critical', title: 'A certificate file that nginx uses holds no certificate' }]
    case 'not-permitted':
      return [
        { ...base, severity: 'skipped', title: 'The certificate was skipped, because reading it needs more rights' },
      ]
    case 'unreadable':
      return [{ ...base, severity: 'unknown', title: 'The certificate could not be read', evidence: file.because }]
  }
}

function usedBy({ sites, place }: NginxCertificate): string {
  const more = sites.length > SHOWN_SITES ? ` and ${sites.length - SHOWN_SITES} more` : ''
  return `used ${sites.length > 0 ? `by ${sites.slice(0, SHOWN_SITES).join(', ')}${more}, ` : ''}at ${place}`
}

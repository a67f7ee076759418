/**
 * What do all findings mean together: one severity, one exit code, one sentence.
 * Exit codes: the monitoring-plugin guidelines. The order: docs/decisions/030-verdict-order.md.
 */
import { countSeverities, formatCounts, type SeverityCounts } from './severity.ts'
import type { Finding, Severity } from './types.ts'

/** `skipped` is never a verdict: a report in which everything was skipped is `unknown`. */
export type VerdictSeverity = Exclude<Severity, 'skipped'>

export interface ReportVerdict {
  readonly severity: VerdictSeverity
  readonly exitCode: 0 | 1 | 2 | 3
  readonly counts: SeverityCounts
  /** The first of the worst findings: `/var is almost full (97 % used)`; absent when nothing is wrong. */
  readonly headline?: string
  /** The sentence without its leading word: `2 critical, 31 ok on web-1 — /var is almost full (97 % used)`. */
  readonly summary: string
  /** `CRITICAL: 2 critical, 31 ok on web-1 — /var is almost full (97 % used)`. */
  readonly sentence: string
}

const EXIT_CODE_OF: Readonly<Record<VerdictSeverity, 0 | 1 | 2 | 3>> = { ok: 0, warning: 1, critical: 2, unknown: 3 }

/**
 * The worst of what was seen: critical, then warning, then unknown, then ok. Skipped checks count for nothing, and
 * nothing checked at all is unknown, never ok.
 * @param findings in any order; among equally bad ones the first gives the headline
 */
export function decideVerdict(findings: readonly Finding[]): ReportVerdict {
  const counts = countSeverities(findings)
  const severity = worstOf(counts)
  const hosts = new Set(findings.map((finding) => finding.host))
  const worst = severity === 'ok' ? undefined : findings.find((finding) => finding.severity === severity)
  const headline = worst && formatHeadline(worst, hosts.size > 1)
  const scope = formatScope(counts, hosts)
  const summary = headline ? `${scope} — ${headline}` : scope
  return {
    severity,
    exitCode: EXIT_CODE_OF[severity],
    counts,
    ...(headline && { headline }),
    summary,
    sentence: `${severity.toUpperCase()}: ${summary}`,
  }
}

/** The severity that stands for a group of findings, by the rule of `decideVerdict`. */
export function worstOf(counts: SeverityCounts): VerdictSeverity {
  if (counts.critical > 0) return 'critical'
  if (counts.warning > 0) return 'warning'
  return counts.unknown > 0 || counts.ok === 0 ? 'unknown' : 'ok'
}

/** How many of what, and where: `2 critical, 31 ok on web-1`. */
function formatScope(counts: SeverityCounts, hosts: ReadonlySet<string>): string {
  const total = Object.values(counts).reduce((sum, count) => sum + count, 0)
  if (total === 0) return 'nothing was checked'
  const where = hosts.size === 1 ? [...hosts].join('') : `${hosts.size} hosts`
  return `${total === counts.skipped ? 'nothing could be checked: ' : ''}${formatCounts(counts)} on ${where}`
}

/** Title and observation; the threshold after the comma is left to the finding itself. */
function formatHeadline({ host, title, evidence }: Finding, withHost: boolean): string {
  const observation = evidence?.split(', ')[0]
  return `${withHost ? `${host}: ` : ''}${title}${observation ? ` (${observation})` : ''}`
}

/**
 * The order of severities and the words and symbols they are shown with.
 * Why a warning outranks an unknown: docs/decisions/030-verdict-order.md.
 */
import type { Severity } from './types.ts'

/** Worst first. Findings, counts and the verdict all use this order. */
export const SEVERITIES = ['critical', 'warning', 'unknown', 'ok', 'skipped'] as const satisfies readonly Severity[]

/** How many findings there are of each severity. */
export type SeverityCounts = Readonly<Record<Severity, number>>

/** Every symbol is one column wide everywhere (none is of East Asian "ambiguous" width). */
export const SYMBOL_OF: Readonly<Record<Severity, string>> = {
  critical: '✖',
  warning: '!',
  unknown: '?',
  ok: '✔',
  skipped: '-',
}

/** For sorting: 0 is the worst. */
export function rankOf(severity: Severity): number {
  return SEVERITIES.indexOf(severity)
}

export function countSeverities(list: Iterable<{ readonly severity: Severity }>): SeverityCounts {
  const counts = { critical: 0, warning: 0, unknown: 0, ok: 0, skipped: 0 }
  for (const { severity } of list) counts[severity] += 1
  return counts
}

/** `2 critical, 31 ok`: worst first, without the zeros; empty when all are zero. */
export function formatCounts(counts: SeverityCounts): string {
  return SEVERITIES.filter((severity) => counts[severity] > 0)
    .map((severity) => `${counts[severity]} ${severity}`)
    .join(', ')
}

/**
 * What is good news or no news, folded: passing checks by group, skipped checks by reason.
 * Pure; text, Markdown and HTML show the same folds.
 */
import type { Finding } from './types.ts'

export interface PassingGroup {
  /** The part of the check names before the first dot. */
  readonly group: string
  readonly findings: readonly Finding[]
  /** Names within the group with how often each passed, in order of appearance: `["disk", 6]`. */
  readonly names: readonly (readonly [name: string, times: number])[]
}

export interface SkippedReason {
  readonly reason: string
  /** Unique check names; of four and more in one group, `group.*`. */
  readonly checks: readonly string[]
  readonly hosts: readonly string[]
  readonly times: number
}

/** More names than this of one group and reason are written as `group.*`. */
const MAX_NAMES = 3

/** The findings an operator must read: everything but ok and skipped, in the order they came (worst first). */
export function problemsOf(findings: readonly Finding[]): Finding[] {
  return findings.filter(({ severity }) => severity !== 'ok' && severity !== 'skipped')
}

export function foldPassing(findings: readonly Finding[]): PassingGroup[] {
  const passing = findings.filter(({ severity }) => severity === 'ok')
  return [...Map.groupBy(passing, ({ check }) => groupOf(check))].map(([group, list]) => ({
    group,
    findings: list,
    names: [...Map.groupBy(list, ({ check }) => check.slice(group.length + 1) || check)].map(
      ([name, same]) => [name, same.length] as const,
    ),
  }))
}

export function foldSkipped(findings: readonly Finding[]): SkippedReason[] {
  const skipped = findings.filter(({ severity }) => severity === 'skipped')
  return [...Map.groupBy(skipped, reasonOf)].map(([reason, list]) => ({
    reason,
    checks: shortenNames(list.map(nameOf)),
    hosts: [...new Set(list.map(({ host }) => host))],
    times: list.length,
  }))
}

/** `host.disk /var`: the check and what of several. */
export function nameOf({ check, subject }: Pick<Finding, 'check' | 'subject'>): string {
  return subject === undefined ? check : `${check} ${subject}`
}

/** Why it was skipped: the evidence where there is one, else the title. */
export function reasonOf({ evidence, title }: Finding): string {
  return evidence ?? title
}

function shortenNames(names: readonly string[]): string[] {
  return [...Map.groupBy([...new Set(names)], groupOf)].flatMap(([group, list]) =>
    list.length > MAX_NAMES ? [`${group}.*`] : list,
  )
}

function groupOf(check: string): string {
  return check.split('.')[0] || check
}

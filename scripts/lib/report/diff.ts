/**
 * What changed between two reports, for `--baseline`. Pure.
 * The key of a finding is host, check and subject; where several share it, the worst stands for all.
 */
import { rankOf } from './severity.ts'
import type { Change, Finding, Report } from './types.ts'

/**
 * @returns what appeared, disappeared or moved to another severity; what is worst now comes first, what is gone last.
 *   A change of numbers or wording alone is none.
 */
export function diffReports(before: Pick<Report, 'findings'>, after: Pick<Report, 'findings'>): Change[] {
  const was = worstByKey(before.findings)
  const is = worstByKey(after.findings)
  return [...new Set([...is.keys(), ...was.keys()])]
    .flatMap((key) => changeOf(was.get(key), is.get(key)))
    .sort((a, b) => orderOf(a.is) - orderOf(b.is) || orderOf(a.was) - orderOf(b.was))
}

function changeOf(was: Finding | undefined, is: Finding | undefined): Change[] {
  const shown = is ?? was
  if (!shown || was?.severity === is?.severity) return []
  const { host, check, subject, title } = shown
  return [
    {
      host,
      check,
      ...(subject !== undefined && { subject }),
      was: was?.severity ?? 'absent',
      is: is?.severity ?? 'absent',
      title,
    },
  ]
}

function worstByKey(findings: readonly Finding[]): Map<string, Finding> {
  const worst = new Map<string, Finding>()
  for (const finding of findings) {
    const key = JSON.stringify([finding.host, finding.check, finding.subject ?? null])
    const known = worst.get(key)
    if (!known || rankOf(finding.severity) < rankOf(known.severity)) worst.set(key, finding)
  }
  return worst
}

function orderOf(state: Change['is']): number {
  return state === 'absent' ? Number.MAX_SAFE_INTEGER : rankOf(state)
}

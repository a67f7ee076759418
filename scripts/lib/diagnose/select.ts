/** Which checks `--only` and `--skip` leave, and which of their findings. */
import { OpsError } from '../core/errors.ts'
import { nearestName } from '../core/nearest.ts'
import type { Check } from './types.ts'

export interface Selection {
  /** Whole names (`host.disk`) or leading parts (`host`); empty means all. */
  readonly only: readonly string[]
  readonly skip: readonly string[]
}

/** True when `name` is `pattern` or lies under it: `host.disk` under `host`. */
export function isUnder(name: string, pattern: string): boolean {
  return name === pattern || name.startsWith(`${pattern}.`)
}

/** True when a finding of this check name is wanted. */
export function isSelected(name: string, { only, skip }: Selection): boolean {
  return (
    (only.length === 0 || only.some((pattern) => isUnder(name, pattern))) &&
    !skip.some((pattern) => isUnder(name, pattern))
  )
}

/**
 * The checks that can produce a wanted finding.
 * @param configured names of checks that a config could ask for: no mistake, though nothing may be there to look at
 * @throws OpsError USAGE for a name that no check has, with the nearest one
 */
export function selectChecks(
  checks: readonly Check[],
  selection: Selection,
  configured: readonly string[] = [],
): Check[] {
  const names = [...checks.flatMap((check) => [check.name, ...(check.covers ?? [])]), ...configured]
  const known = new Set(names.flatMap((name) => prefixes(name)))
  for (const pattern of [...selection.only, ...selection.skip]) {
    if (known.has(pattern)) continue
    const near = nearestName(pattern, known)
    throw new OpsError('USAGE', `there is no check "${pattern}"`, {
      hint: near ? `Did you mean ${near}?` : `Checks: ${[...new Set(names)].sort().join(', ')}`,
    })
  }
  return checks.filter((check) => (check.covers ?? [check.name]).some((name) => isSelected(name, selection)))
}

function prefixes(name: string): string[] {
  return name.split('.').map((_, index, parts) => parts.slice(0, index + 1).join('.'))
}

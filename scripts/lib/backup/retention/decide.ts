/**
 * Which backups stay. Pure: entries and policy in, a verdict with its reason for each out.
 *
 * A rule counts good backups only, each name for itself: one that failed a check must not push out one that did not.
 * `last N` keeps the N newest; a calendar rule keeps the newest of each of the N newest periods that have one (as
 * restic's forget does); `days N` keeps what is younger. Whatever the policy says, these stay: the newest good one, the
 * newest verified one, what is pinned, in use or dated in the future, and what a kept incremental builds on.
 */
import type { RetentionPolicy } from '../../config/types.ts'
import { OpsError } from '../../core/errors.ts'
import type { BackupEntry } from '../types.ts'
import { createCalendar, PERIODS, type Calendar } from './calendar.ts'

export type RetentionEntry = Pick<
  BackupEntry,
  'id' | 'kind' | 'name' | 'at' | 'pinned' | 'verifiedAt' | 'failedBecause'
> & {
  /** The full backup that it builds on. */
  readonly parent?: string | undefined
  /** Who uses it at this moment. */
  readonly inUse?: string | undefined
}

export interface Verdict {
  readonly id: string
  readonly keep: boolean
  /** The rule, as a sentence. */
  readonly because: string
}

const DAY_MS = 86_400_000

/**
 * @param entries in any order, of any number of names; each name is judged by itself
 * @param now wall clock milliseconds
 * @returns one verdict for each entry, in the order of `entries`
 * @throws OpsError CONFIG_INVALID for a policy without a rule, or with an unknown time zone
 */
export function decideRetention(entries: readonly RetentionEntry[], policy: RetentionPolicy, now: number): Verdict[] {
  assertRules(policy)
  const calendar = createCalendar(policy.timezone)
  const series = Map.groupBy(entries, ({ kind, name }) => `${kind}/${name}`)
  const reasons = new Map<string, string[]>()
  for (const members of series.values()) collectReasons(newestFirst(members), { policy, now, calendar, reasons })
  keepParents(entries, reasons)
  return entries.map(({ id, failedBecause }) => {
    const kept = reasons.get(id)
    if (kept) return { id, keep: true, because: kept.join('; ') }
    const bad = failedBecause === undefined ? '' : `; it did not pass its last check (${failedBecause})`
    return { id, keep: false, because: `no rule keeps it (${describePolicy(policy)})${bad}` }
  })
}

interface Judging {
  readonly policy: RetentionPolicy
  readonly now: number
  readonly calendar: Calendar
  /** Why an id stays; absent when nothing keeps it. */
  readonly reasons: Map<string, string[]>
}

function collectReasons(members: readonly RetentionEntry[], judging: Judging): void {
  const { policy, now, reasons } = judging
  const keep = (entry: RetentionEntry | undefined, because: string) => {
    if (entry) reasons.set(entry.id, [...(reasons.get(entry.id) ?? []), because])
  }
  const past = members.filter(({ at }) => at <= now)
  const good = past.filter(({ failedBecause }) => failedBecause === undefined)
  for (const entry of members) {
    if (entry.at > now) keep(entry, 'its time is in the future')
    if (entry.pinned) keep(entry, 'pinned')
    if (entry.inUse !== undefined) keep(entry, `in use: ${entry.inUse}`)
  }
  keep(good[0] ?? past[0], good[0] ? 'the newest good one' : 'the newest one, and none is good')
  keep(
    good.find(({ verifiedAt }) => verifiedAt !== undefined),
    'the newest verified one',
  )
  good.slice(0, policy.last ?? 0).forEach((entry, index) => keep(entry, `${index + 1} of last ${policy.last}`))
  keepPeriods(good, judging, keep)
  const { days } = policy
  if (days === undefined) return
  for (const entry of past) if (now - entry.at < days * DAY_MS) keep(entry, `younger than ${days} days`)
}

type Keep = (entry: RetentionEntry, because: string) => void

function keepPeriods(good: readonly RetentionEntry[], { policy, calendar }: Judging, keep: Keep): void {
  for (const period of PERIODS) {
    const limit = policy[period]
    if (limit === undefined) continue
    const seen = new Set<string>()
    for (const entry of good) {
      const bucket = calendar.bucketOf(entry.at, period)
      if (seen.has(bucket)) continue
      if (seen.size === limit) break
      seen.add(bucket)
      keep(entry, `the newest of ${bucket} (${period} ${seen.size} of ${limit})`)
    }
  }
}

/** Also over more than one level, whatever order the entries have. */
function keepParents(entries: readonly RetentionEntry[], reasons: Map<string, string[]>): void {
  const parents = new Map(entries.map(({ id, parent }) => [id, parent]))
  for (const id of [...reasons.keys()]) {
    const seen = new Set([id])
    for (let child = id, parent = parents.get(id); parent !== undefined && !seen.has(parent);) {
      seen.add(parent)
      if (parents.has(parent)) addParentReason(reasons, parent, child)
      child = parent
      parent = parents.get(parent)
    }
  }
}

function addParentReason(reasons: Map<string, string[]>, parent: string, child: string): void {
  const before = reasons.get(parent) ?? []
  if (before.some((because) => because.endsWith('builds on it'))) return
  reasons.set(parent, [...before, `${child.split('/')[2] ?? child} builds on it`])
}

function newestFirst(members: readonly RetentionEntry[]): RetentionEntry[] {
  // Of one moment the later id counts as newer: the second backup of one second ends in -2.
  return [...members].sort((a, b) => b.at - a.at || b.id.localeCompare(a.id, 'en', { numeric: true }))
}

function assertRules(policy: RetentionPolicy): void {
  const rules = [policy.last, policy.days, ...PERIODS.map((period) => policy[period])]
  if (rules.some((count) => count !== undefined && count > 0)) return
  throw new OpsError('CONFIG_INVALID', 'the retention policy has no rule: it would keep nothing', {
    hint: 'Set at least one of last, hourly, daily, weekly, monthly, yearly, days under backup.retention.',
  })
}

/** `last 3, daily 7, days 30 (Europe/Berlin)`. */
export function describePolicy(policy: RetentionPolicy): string {
  const rules = (['last', ...PERIODS, 'days'] as const).flatMap((rule) => {
    const count = policy[rule]
    return count === undefined ? [] : [`${rule} ${count}`]
  })
  const usesCalendar = PERIODS.some((period) => policy[period] !== undefined)
  return `${rules.join(', ')}${usesCalendar ? ` in ${policy.timezone}` : ''}`
}

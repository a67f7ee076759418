/**
 * How well each configured source is backed up: facts from the repository, and what they mean. `backup list` and
 * `diagnose` say the same because both read this.
 */
import type { Config } from '../config/types.ts'
import { formatDuration } from '../core/duration.ts'
import { isCopied, automaticTargets } from './copy/targets.ts'
import { listSources } from './run/sources.ts'
import type { BackupEntry, BackupKind, Repository, RepositoryProblem } from './types.ts'

export interface SeriesHealth {
  readonly kind: BackupKind
  readonly name: string
  /** How many whole backups there are. */
  readonly count: number
  readonly newest?: BackupEntry
  /** The newest that passed its last verification. */
  readonly newestVerified?: BackupEntry
  /** The newest that was drilled with success. */
  readonly newestDrilled?: BackupEntry
  readonly rpoMs: number
  readonly drillEveryMs: number
  /** Automatic copies that the newest one does not have. */
  readonly missingCopies: readonly string[]
}

export interface BackupHealth {
  readonly series: readonly SeriesHealth[]
  readonly problems: readonly RepositoryProblem[]
  /** Wall clock milliseconds. */
  readonly now: number
}

export async function readBackupHealth(
  repository: Repository,
  config: Pick<Config, 'backup'>,
  now: number,
): Promise<BackupHealth> {
  const entries = await repository.list()
  const targets = automaticTargets(config).map(({ name }) => name)
  const series = listSources(config).map(({ kind, name, rpoMs }): SeriesHealth => {
    const own = entries.filter((entry) => entry.kind === kind && entry.name === name)
    const [newest] = own
    const newestVerified = own.find(({ verifiedAt }) => verifiedAt !== undefined)
    const newestDrilled = own
      .filter(({ drilledAt }) => drilledAt !== undefined)
      .sort((a, b) => (b.drilledAt ?? 0) - (a.drilledAt ?? 0))[0]
    return {
      ...{ kind, name, count: own.length, rpoMs, drillEveryMs: config.backup.drill_every },
      ...(newest ? { newest } : {}),
      ...(newestVerified ? { newestVerified } : {}),
      ...(newestDrilled ? { newestDrilled } : {}),
      missingCopies: newest ? targets.filter((target) => !isCopied(newest, target)) : [],
    }
  })
  return { series, problems: await repository.problems(), now }
}

export interface HealthFinding {
  readonly check: 'backup.age' | 'backup.drill' | 'backup.copy' | 'backup.repository'
  readonly subject?: string
  readonly severity: 'ok' | 'warning' | 'critical'
  readonly title: string
  readonly evidence?: string
  readonly next?: string
  readonly lines?: readonly string[]
  readonly measures?: readonly { label: string; value: number; unit: 's' | 'B'; warn?: string; crit?: string }[]
}

/** Twice the age that the policy allows is no delay any more. */
const CRITICAL_FACTOR = 2

export function decideBackupHealth({ series, problems, now }: BackupHealth): HealthFinding[] {
  return [
    ...series.flatMap((one) => [decideAge(one, now), ...decideDrill(one, now), ...decideCopies(one)]),
    ...decideProblems(problems),
  ]
}

function decideAge(health: SeriesHealth, now: number): HealthFinding {
  const subject = `${health.kind}/${health.name}`
  const next = `npx zx scripts/backup.ts run ${subject}`
  const { newest, newestVerified, rpoMs } = health
  const about = { check: 'backup.age', subject } as const
  if (!newest) return { ...about, severity: 'critical', title: `${subject} has never been backed up`, next }
  if (newest.failedBecause !== undefined) {
    const verify = `npx zx scripts/backup.ts verify ${newest.id}`
    const title = `the newest backup of ${subject} did not pass its last check`
    return { ...about, severity: 'critical', title, evidence: newest.failedBecause, next: `${next} && ${verify}` }
  }
  if (!newestVerified) {
    const title = `no backup of ${subject} is verified`
    return { ...about, severity: 'critical', title, next: `npx zx scripts/backup.ts verify ${newest.id}` }
  }
  const ageMs = now - newestVerified.at
  const [warnS, critS] = [rpoMs / 1000, (rpoMs * CRITICAL_FACTOR) / 1000]
  const measures = [
    { label: `${subject} age`, value: Math.round(ageMs / 1000), unit: 's', warn: `~:${warnS}`, crit: `~:${critS}` },
    { label: `${subject} size`, value: newestVerified.sizeBytes, unit: 'B' },
  ] as const
  const evidence = `${formatDuration(ageMs)} old, at most ${formatDuration(rpoMs)}`
  if (ageMs <= rpoMs)
    return { ...about, severity: 'ok', title: `${subject} has a fresh verified backup`, evidence, measures }
  const severity = ageMs > rpoMs * CRITICAL_FACTOR ? 'critical' : 'warning'
  const title = `the newest verified backup of ${subject} is too old`
  return { ...about, severity, title, evidence, measures, next }
}

function decideDrill({ kind, name, newest, newestDrilled, drillEveryMs }: SeriesHealth, now: number): HealthFinding[] {
  if (!newest) return []
  const subject = `${kind}/${name}`
  const about = { check: 'backup.drill', subject, next: `npx zx scripts/backup.ts drill ${subject}` } as const
  const drilledAt = newestDrilled?.drilledAt
  if (drilledAt === undefined) {
    return [{ ...about, severity: 'warning', title: `no backup of ${subject} was ever restored in a drill` }]
  }
  const evidence = `the last one was ${formatDuration(now - drilledAt)} ago, at least every ${formatDuration(drillEveryMs)}`
  if (now - drilledAt > drillEveryMs) {
    return [{ ...about, severity: 'warning', title: `the drill of ${subject} is overdue`, evidence }]
  }
  return [{ check: 'backup.drill', subject, severity: 'ok', title: `${subject} is known to restore`, evidence }]
}

function decideCopies({ kind, name, newest, missingCopies }: SeriesHealth): HealthFinding[] {
  if (!newest || missingCopies.length === 0) return []
  const subject = `${kind}/${name}`
  const title = `the newest backup of ${subject} is not copied to ${missingCopies.join(', ')}`
  const last = newest.records.findLast((record) => record.type === 'copied' && !record.ok)
  const evidence = last?.type === 'copied' ? { evidence: last.because } : {}
  const next = `npx zx scripts/backup.ts copy ${newest.id}`
  return [{ check: 'backup.copy', subject, severity: 'warning', title, ...evidence, next }]
}

const PROBLEMS_SHOWN = 10

function decideProblems(problems: readonly RepositoryProblem[]): HealthFinding[] {
  if (problems.length === 0) return []
  return [
    {
      check: 'backup.repository',
      severity: 'warning',
      title: `${problems.length} in the repository ${problems.length === 1 ? 'is' : 'are'} no whole backup`,
      lines: problems.slice(0, PROBLEMS_SHOWN).map(({ path, because }) => `${path}: ${because}`),
      next: 'npx zx scripts/backup.ts list',
    },
  ]
}

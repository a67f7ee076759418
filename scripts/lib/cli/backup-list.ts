/** `backup list`: every backup with its age against the RPO, and what is known of it. */
import type { Command } from 'commander'
import type { BackupHealth, SeriesHealth } from '../backup/health.ts'
import { plural } from '../backup/plural.ts'
import type { BackupEntry } from '../backup/types.ts'
import { formatDuration, formatSize } from '../core/duration.ts'
import { addCommonFlags, openBackupSession, type BackupFlags } from './backup-context.ts'
import { print, terminalWidth } from './output.ts'
import { frame } from './program.ts'

export function addBackupList(program: Command, signal: AbortSignal): void {
  addCommonFlags(
    frame(program.command('list'), [
      ['npx zx scripts/backup.ts list', 'all of them, newest first'],
      ['npx zx scripts/backup.ts list database/app', 'those of one source'],
    ]),
  )
    .description('List the backups: age against the RPO, size, verified, last drill and how long it took, pinned.')
    .argument('[name]', 'database/app, or the name alone')
    .action((name: string | undefined, flags: BackupFlags) => list(name, flags, signal))
}

async function list(name: string | undefined, flags: BackupFlags, signal: AbortSignal): Promise<void> {
  await using session = await openBackupSession(flags, { looksOnly: true, signal })
  const { config, clock, journal } = session.context
  const [{ openRepository }, { readBackupHealth }, { decideReference }, { readKept }, { readUnfinished }] =
    await Promise.all([
      import('../backup/repository/open.ts'),
      import('../backup/health.ts'),
      import('../backup/repository/find.ts'),
      import('../backup/restore/kept.ts'),
      import('../backup/restore/unfinished.ts'),
    ])
  const repository = openRepository(config.backup.repository, { clock })
  const health = await readBackupHealth(repository, config, clock.now())
  const all = await repository.list()
  const isWanted = ({ kind, name: own }: Pick<BackupEntry, 'kind' | 'name'>) =>
    name === undefined || name === own || name === `${kind}/${own}`
  const entries = all.filter(isWanted)
  // Nothing of that name: the nearest one, as every command says it.
  if (name !== undefined && entries.length === 0 && !health.series.some(isWanted)) {
    decideReference(name, { entries: all, problems: health.problems })
  }
  const problems = health.problems.filter(({ id }) => name === undefined || isWanted(seriesOf(id)))
  const shown = { ...health, problems, series: health.series.filter(isWanted) }
  const restores = { unfinished: readUnfinished(journal).length, keptSince: readKept(journal).map(({ at }) => at) }
  const view = { repository: repository.path, host: session.context.localName, entries, health: shown, restores }
  await print(flags.json ? JSON.stringify(toJson(view), null, 2) : await format(view))
}

function seriesOf(id = ''): { kind: BackupEntry['kind']; name: string } {
  const [kind, name = ''] = id.split('/')
  return { kind: kind as BackupEntry['kind'], name }
}

interface View {
  readonly repository: string
  readonly host: string
  readonly entries: readonly BackupEntry[]
  readonly health: BackupHealth
  /** Of all sources; wall clock milliseconds. */
  readonly restores: { readonly unfinished: number; readonly keptSince: readonly number[] }
}

const COLUMNS = ['backup', 'age', 'size', 'state', 'verified', 'last drill', 'RTO', 'pinned']

/** The verdict first, as diagnose has it, and last what to do about the worst of it. */
async function format({ repository, host, entries, health, restores }: View): Promise<string> {
  const [{ formatTable }, { decideVerdict }, { decideBackupHealth }] = await Promise.all([
    import('../report/table.ts'),
    import('../report/verdict.ts'),
    import('../backup/health.ts'),
  ])
  const findings = decideBackupHealth(health).map((finding) => ({ ...finding, host }))
  const { severity, sentence } = decideVerdict(findings)
  const next = findings.find((finding) => finding.severity === severity)?.next
  const width = terminalWidth()
  const byName = new Map(health.series.map((series) => [`${series.kind}/${series.name}`, series]))
  const never = health.series.filter(({ count }) => count === 0)
  const rows = [
    ...never.map(({ kind, name }) => [`${kind}/${name}`, 'never', '', 'never backed up', '', '', '', '']),
    ...entries.map((entry) => rowOf(entry, byName.get(`${entry.kind}/${entry.name}`), health.now)),
  ]
  const table = rows.length > 0 ? [formatTable({ columns: COLUMNS, rows }, width ? { width } : {})] : []
  const problems = health.problems.map(({ path, because }) => `not a whole backup: ${path}: ${because}`)
  const rest = [...problems, ...restoreLines(restores, health.now)]
  const listed = [...(entries.length > 0 ? [] : emptyLines(repository, health)), ...table, ...rest]
  if (findings.length === 0 || (entries.length === 0 && problems.length === 0)) return listed.join('\n')
  return [sentence, '', ...listed, ...(severity === 'ok' || !next ? [] : ['', `next: ${next}`])].join('\n')
}

/** What restores have left on servers and hosts until somebody decides. */
function restoreLines({ unfinished, keptSince }: View['restores'], now: number): string[] {
  const oldest = formatDuration(Math.max(0, now - Math.min(...keptSince)))
  return [
    ...(unfinished > 0 ? [`not over: ${plural(unfinished, 'restore')}: npx zx scripts/restore.ts list`] : []),
    ...(keptSince.length > 0
      ? [
          `what ${plural(keptSince.length, 'restore')} replaced is still kept, for up to ${oldest}: npx zx scripts/restore.ts list`,
        ]
      : []),
  ]
}

function emptyLines(repository: string, { series }: BackupHealth): string[] {
  if (series.length > 0) {
    return [`There are no backups yet in ${repository}. Make the first: npx zx scripts/backup.ts run --all`]
  }
  return [
    `There are no backups in ${repository}, and none is configured.`,
    'Say what to save under backup.databases, backup.config or backup.static in opskit.yaml; docs/how-to/backup.md shows how.',
  ]
}

function rowOf(entry: BackupEntry, series: SeriesHealth | undefined, now: number): string[] {
  const isNewest = series?.newest?.id === entry.id
  const age = formatDuration(now - entry.at)
  return [
    entry.id,
    isNewest ? `${age} of ${formatDuration(series.rpoMs)}` : age,
    formatSize(entry.sizeBytes),
    stateOf(entry, isNewest && now - entry.at > series.rpoMs),
    entry.verifiedAt === undefined ? 'no' : `${formatDuration(Math.max(0, now - entry.verifiedAt))} ago`,
    entry.drilledAt === undefined ? 'never' : `${formatDuration(Math.max(0, now - entry.drilledAt))} ago`,
    entry.rtoMs === undefined ? '' : formatDuration(entry.rtoMs),
    entry.pinned ? 'yes' : '',
  ]
}

function stateOf({ manifest, failedBecause }: BackupEntry, isLate: boolean): string {
  if (failedBecause !== undefined) return `BAD: ${failedBecause}`
  const kind = manifest.parent === undefined ? '' : ', incremental'
  return `${isLate ? 'late' : manifest.status}${kind}`
}

function toJson({ repository, entries, health, restores }: Omit<View, 'host'>) {
  const at = (ms: number | undefined) => (ms === undefined ? null : new Date(ms).toISOString())
  return {
    repository,
    backups: entries.map((entry) => ({
      ...{ id: entry.id, kind: entry.kind, name: entry.name, at: at(entry.at), sizeBytes: entry.sizeBytes },
      ...{ status: entry.manifest.status, failedBecause: entry.failedBecause ?? null, pinned: entry.pinned },
      ...{ verifiedAt: at(entry.verifiedAt), drilledAt: at(entry.drilledAt), rtoMs: entry.rtoMs ?? null },
      ...{ parent: entry.manifest.parent ?? null, path: entry.path },
    })),
    sources: health.series.map(({ kind, name, count, newest, newestVerified, rpoMs, missingCopies }) => ({
      ...{ kind, name, count, newest: newest?.id ?? null, newestVerified: newestVerified?.id ?? null },
      ...{
        ageMs: newest ? health.now - newest.at : null,
        rpoMs,
        late: !newest || health.now - newest.at > rpoMs,
        missingCopies,
      },
    })),
    problems: health.problems,
    restores: { unfinished: restores.unfinished, keptSince: restores.keptSince.map(at) },
  }
}

/** `backup prune`: what the policy does not keep goes; `--dry-run` shows the verdict of every backup with its reason. */
import type { Command } from 'commander'
import type { JudgedBackup } from '../backup/action-prune.ts'
import { formatDuration, formatSize } from '../core/duration.ts'
import { addCommonFlags, openBackupSession, runChange, type BackupFlags } from './backup-context.ts'
import { telling } from './backup-tell.ts'
import { print, terminalWidth } from './output.ts'
import { frame } from './program.ts'

export function addBackupPrune(program: Command, signal: AbortSignal): void {
  addCommonFlags(
    frame(program.command('prune'), [
      ['npx zx scripts/backup.ts prune --dry-run', 'each backup, and which rule keeps it or lets it go'],
      ['npx zx scripts/backup.ts prune database/app', 'one source'],
    ]),
  )
    .description('Remove the backups that the retention policy does not keep. Never the newest good or verified one.')
    .argument('[names...]', 'database/app, or the name alone; none: every configured source')
    .option('--dry-run', 'show the verdicts and remove nothing')
    .action((names: string[], flags: BackupFlags) => prune(names, flags, signal))
}

async function prune(names: readonly string[], flags: BackupFlags, signal: AbortSignal): Promise<void> {
  await using session = await openBackupSession(flags, { looksOnly: flags.dryRun ?? false, signal })
  const params = { names: [...names] }
  if (flags.dryRun) {
    const { readVerdicts } = await import('../backup/action-prune.ts')
    const judged = await readVerdicts(session.context, params)
    return print(
      flags.json ? JSON.stringify(judged.map(toJson), null, 2) : await format(judged, session.context.clock.now()),
    )
  }
  const about = { subject: 'pruning of backups', action: 'backup.prune' }
  const result = await telling(session.context, about, () =>
    runChange(session, flags, { action: 'backup.prune', params }),
  )
  if (!result) return
  if (flags.json) return print(JSON.stringify(result, null, 2))
  await print([...result.steps.map(({ title }) => title), `${result.title}: ${result.because}`].join('\n'))
}

async function format(judged: readonly JudgedBackup[], now: number): Promise<string> {
  if (judged.length === 0) return 'There is nothing to judge: no configured source has a backup yet.'
  const { formatTable } = await import('../report/table.ts')
  const width = terminalWidth()
  const rows = judged.map(({ entry, keep, because }) => [
    ...[
      keep ? 'keep' : 'REMOVE',
      entry.id,
      formatDuration(Math.max(0, now - entry.at)),
      formatSize(entry.sizeBytes),
      because,
    ],
  ])
  const going = judged.filter(({ keep }) => !keep)
  const freed = going.reduce((sum, { entry }) => sum + entry.sizeBytes, 0)
  const total = `${judged.length - going.length} stay, ${going.length} would go and free ${formatSize(freed)}. Nothing was removed.`
  return `${formatTable({ columns: ['', 'backup', 'age', 'size', 'because'], rows }, width ? { width } : {})}\n\n${total}`
}

function toJson({ id, keep, because, entry }: JudgedBackup) {
  return { id, keep, because, at: new Date(entry.at).toISOString(), sizeBytes: entry.sizeBytes }
}

/** `backup show` and `backup pin`: everything about one backup, and keeping it. */
import type { Command } from 'commander'
import { describeTable } from './backup-facts.ts'
import { addCommonFlags, openBackupSession, runChange, type BackupFlags } from './backup-context.ts'
import { print } from './output.ts'
import { frame } from './program.ts'

interface PinFlags extends BackupFlags {
  readonly reason: string
}

export function addBackupShow(program: Command, signal: AbortSignal): void {
  addCommonFlags(frame(program.command('show'), [['npx zx scripts/backup.ts show database/app', 'the newest of app']]))
    .description('Show one backup: where from, how, its files and tables, and what was learned since.')
    .argument('<backup>', 'an id (database/app/20261120T020000Z), or a name for its newest')
    .action(async (reference: string, flags: BackupFlags) => {
      await using session = await openBackupSession(flags, { looksOnly: true, signal })
      const { openRepository } = await import('../backup/repository/open.ts')
      const { config, clock } = session.context
      const entry = await openRepository(config.backup.repository, { clock }).find(reference)
      await print(flags.json ? JSON.stringify(entry, null, 2) : await describeTable(entry, clock.now()))
    })
}

export function addBackupPin(program: Command, signal: AbortSignal): void {
  addCommonFlags(frame(program.command('pin')))
    .description('Keep a backup: prune leaves it alone until it is unpinned.')
    .argument('<backup>', 'an id, or a name for its newest')
    .requiredOption('--reason <text>', 'why it stays')
    .option('--dry-run', 'show what would be done and do nothing')
    .action((backup: string, flags: PinFlags) => pin({ backup, reason: flags.reason }, flags, signal))
  addCommonFlags(frame(program.command('unpin')))
    .description('Let a pinned backup go by the policy again.')
    .argument('<backup>', 'an id, or a name for its newest')
    .option('--dry-run', 'show what would be done and do nothing')
    .action((backup: string, flags: BackupFlags) => pin({ backup }, flags, signal))
}

async function pin(
  params: { backup: string; reason?: string },
  flags: BackupFlags,
  signal: AbortSignal,
): Promise<void> {
  await using session = await openBackupSession(flags, { looksOnly: flags.dryRun ?? false, signal })
  const result = await runChange(session, flags, { action: 'backup.pin', params })
  if (result) await print(flags.json ? JSON.stringify(result, null, 2) : `${result.title}: ${result.because}`)
}

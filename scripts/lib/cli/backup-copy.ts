/** `backup copy`: published backups to another host or into a restic repository. */
import type { Command } from 'commander'
import { addCommonFlags, openBackupSession, runChange, type BackupFlags } from './backup-context.ts'
import { telling } from './backup-tell.ts'
import { print } from './output.ts'
import { frame, listArgument } from './program.ts'

interface CopyFlags extends BackupFlags {
  readonly all?: boolean
  readonly to?: string[]
}

export function addBackupCopy(program: Command, signal: AbortSignal): void {
  addCommonFlags(
    frame(program.command('copy'), [
      ['npx zx scripts/backup.ts copy database/app', 'the newest of app to every target'],
      ['npx zx scripts/backup.ts copy --all --to offsite', 'what is not there yet'],
    ]),
  )
    .description(
      'Copy backups to other hosts (SFTP) and restic repositories; verified on arrival, resumed after a cut.',
    )
    .argument('[backups...]', 'ids, or names for their newest')
    .option('--all', 'every backup that is not there yet')
    .option('--to <targets>', 'names of backup.copies and backup.restic (default: all of them)', listArgument)
    .option('--dry-run', 'show what would be done and do nothing')
    .action(async (backups: string[], flags: CopyFlags) => {
      await using session = await openBackupSession(flags, { looksOnly: flags.dryRun ?? false, signal })
      const params = { backups, all: flags.all ?? false, to: flags.to ?? [] }
      const about = { subject: 'copying of backups', action: 'backup.copy' }
      const copy = () => runChange(session, flags, { action: 'backup.copy', params })
      const result = flags.dryRun ? await copy() : await telling(session.context, about, copy)
      if (!result) return
      if (flags.json) return print(JSON.stringify(result, null, 2))
      const lines = result.steps.map(({ title, message }) => `${title}: ${message}`)
      await print([...lines, ...(result.changed ? [] : [`${result.title}: ${result.because}`])].join('\n'))
    })
}

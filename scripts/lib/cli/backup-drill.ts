/** `backup drill`: backups restored where they harm nobody and compared; 74 when one does not restore to what was backed up. */
import type { Command } from 'commander'
import { addCommonFlags, type BackupFlags } from './backup-context.ts'
import { lookAtBackups } from './backup-look.ts'
import { frame } from './program.ts'

interface DrillFlags extends BackupFlags {
  readonly all?: boolean
  readonly into?: string
  readonly image?: string
}

export function addBackupDrill(program: Command, signal: AbortSignal): void {
  addCommonFlags(
    frame(program.command('drill'), [
      ['npx zx scripts/backup.ts drill database/app', 'the newest backup of app, into a private server'],
      ['npx zx scripts/backup.ts drill --all', 'the newest backup of every name'],
      ['npx zx scripts/backup.ts drill app --into staging', 'into a scratch database on a configured server'],
      ['npx zx scripts/backup.ts drill app --image mariadb:10.11', 'into a container of that image'],
    ]),
  )
    .description(
      'Restore backups into a throw-away server or directory, compare them, run your checks, measure the time.',
    )
    .argument('[backups...]', 'ids, or names for their newest')
    .option('--all', 'the newest of every name')
    .option('--into <source>', 'use a scratch database on the server of this database source or host')
    .option('--image <image>', 'use a throw-away container of this image (it is not pulled)')
    .action(async (backups: string[], { all, into, image, ...flags }: DrillFlags) => {
      const params = {
        ...{ backups, all: all ?? false },
        ...(into === undefined ? {} : { into }),
        ...(image === undefined ? {} : { image }),
      }
      process.exitCode = await lookAtBackups('backup.drill', params, flags, signal)
    })
}

/** `backup verify`: backups read to their end; 74 when one is not what was written. */
import { InvalidArgumentError, type Command } from 'commander'
import { addCommonFlags, type BackupFlags } from './backup-context.ts'
import { lookAtBackups } from './backup-look.ts'
import { frame } from './program.ts'

interface VerifyFlags extends BackupFlags {
  readonly all?: boolean
  readonly sample?: number
}

export function addBackupVerify(program: Command, signal: AbortSignal): void {
  addCommonFlags(
    frame(program.command('verify'), [
      ['npx zx scripts/backup.ts verify database/app', 'the newest backup of app'],
      ['npx zx scripts/backup.ts verify --all', 'every backup'],
      ['npx zx scripts/backup.ts verify --sample 5', 'the five that were verified longest ago'],
    ]),
  )
    .description('Read backups to their end: checksums, decryption, decompression, end marks, listings.')
    .argument('[backups...]', 'ids, or names for their newest (default: all)')
    .option('--all', 'every backup')
    .option('--sample <count>', 'so many of all of them, those verified longest ago first', countArgument)
    .action(async (backups: string[], { all, sample, ...flags }: VerifyFlags) => {
      const params = { backups, all: all ?? false, ...(sample === undefined ? {} : { sample }) }
      process.exitCode = await lookAtBackups('backup.verify', params, flags, signal)
    })
}

function countArgument(text: string): number {
  const count = Number(text)
  if (Number.isInteger(count) && count > 0) return count
  throw new InvalidArgumentError('It is a whole number from 1 on.')
}

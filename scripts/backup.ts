#!/usr/bin/env node
/** Backups that are published whole or not at all, verified, and known to restore. `--help` shows the subcommands. */
import { addBackupCopy } from './lib/cli/backup-copy.ts'
import { addBackupDrill } from './lib/cli/backup-drill.ts'
import { addBackupList } from './lib/cli/backup-list.ts'
import { addBackupPrune } from './lib/cli/backup-prune.ts'
import { addBackupRun } from './lib/cli/backup-run.ts'
import { addBackupPin, addBackupShow } from './lib/cli/backup-show.ts'
import { addBackupVerify } from './lib/cli/backup-verify.ts'
import { createProgram, runProgram } from './lib/cli/program.ts'

/** In the order of the help. */
const SUBCOMMANDS = [
  addBackupRun,
  addBackupList,
  addBackupShow,
  addBackupVerify,
  addBackupDrill,
  addBackupPrune,
  addBackupCopy,
  addBackupPin,
]

await runProgram(
  (signal) => {
    const program = createProgram({
      name: 'backup',
      summary:
        'Backups of databases, configuration and static files: published whole or not at all, verified, and drilled.',
      examples: [
        ['npx zx scripts/backup.ts run --all', 'back up everything that is configured'],
        ['npx zx scripts/backup.ts list', 'what there is, how old it is, and whether it is known to restore'],
        ['npx zx scripts/backup.ts drill --all', 'restore the newest of each into a throw-away place, and compare'],
        ['npx zx scripts/backup.ts prune --dry-run', 'what the retention policy would remove, and why'],
        ['npx zx scripts/backup.ts copy --all --to offsite', 'copy what is not there yet'],
      ],
    })
    for (const add of SUBCOMMANDS) add(program, signal)
    return program
  },
  import.meta.url,
)

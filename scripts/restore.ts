#!/usr/bin/env node
/** Out of a backup: loaded beside, compared, then swapped in; what was there is kept. `--help` shows the subcommands. */
import { start } from './lib/cli/start.ts'

await start(import.meta.url, async (signal) => {
  const [{ createProgram }, { addFinish, addRestoreDatabase, addRestoreFiles }, { addKept }] = await Promise.all([
    import('./lib/cli/program.ts'),
    import('./lib/cli/restore.ts'),
    import('./lib/cli/restore-list.ts'),
  ])
  const program = createProgram({
    name: 'restore',
    summary:
      'Restore databases, configuration and static files: compared before anything changes, and undone when it cannot be proved.',
    examples: [
      ['npx zx scripts/restore.ts database app --dry-run', 'what would be done, and how long its last drill took'],
      ['npx zx scripts/restore.ts config web', 'nginx and compose files, to where they belong'],
      ['npx zx scripts/restore.ts --undo', 'take back a restore that was interrupted'],
      ['npx zx scripts/restore.ts list', 'what finished restores have kept of what was there before'],
    ],
  })
  addFinish(program, signal)
  addRestoreDatabase(program, signal)
  addRestoreFiles('config')(program, signal)
  addRestoreFiles('static')(program, signal)
  addKept(program, signal)
  return program
})

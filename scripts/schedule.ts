#!/usr/bin/env node
/** Actions at their times: missed ones are caught up, none runs twice. `--help` shows the subcommands. */
import type { CommonFlags } from './lib/cli/context.ts'
import type { ExportFlags, HistoryFlags, ImportFlags, NextFlags } from './lib/cli/schedule-look.ts'
import type { TriggerFlags } from './lib/cli/schedule-run.ts'
import { start } from './lib/cli/start.ts'

await start(import.meta.url, async (signal) => {
  const { choiceOption, countArgument, createProgram, frame } = await import('./lib/cli/program.ts')
  const program = createProgram({
    name: 'schedule',
    summary: 'Runs actions at their times: what was missed is caught up, and nothing runs twice.',
    examples: [
      ['node_modules/.bin/node scripts/schedule.ts run', 'the daemon, as a service runs it'],
      ['npx zx scripts/schedule.ts next -n 10', 'what comes'],
      ['npx zx scripts/schedule.ts status', 'exit 2 when a job is overdue, 1 when the last run of one failed'],
      ['npx zx scripts/schedule.ts trigger backup-database', 'now, with the same lease as a scheduled run'],
      [
        'npx zx scripts/schedule.ts export --systemd --dir /etc/systemd/system',
        'timers in place of the daemon, or beside it',
      ],
      ['npx zx scripts/schedule.ts import --crontab FILE', 'lines of a crontab as jobs for opskit.yaml'],
    ],
  })
  const command = (name: string, description: string) =>
    frame(program.command(name)).description(description).option('--config <file>', 'use this opskit.yaml')

  command('run', 'the daemon: runs until SIGTERM, reads its config again on SIGHUP and when the file changes')
    .option('-v, --verbose', 'say more')
    .action(async (flags: CommonFlags) => {
      const { replaceProcess } = await import('./lib/cli/replace.ts')
      replaceProcess({ entryUrl: import.meta.url, title: 'opskit schedule', nodeFlags: ['--max-semi-space-size=1'] })
      await (await import('./lib/cli/schedule-daemon.ts')).runDaemon(flags, signal)
    })
  command('next', 'the coming runs, of all jobs or of those named')
    .argument('[jobs...]')
    .option('-n, --count <n>', 'how many', countArgument, 10)
    .option('--json', 'one JSON document')
    .action(async (names: string[], flags: NextFlags) =>
      (await import('./lib/cli/schedule-look.ts')).printNext(names, flags),
    )
  command('status', 'how each job stands; exit 2 when one is overdue, 1 when the last run of one failed')
    .option('--json', 'one JSON document')
    .action(async (flags: CommonFlags) => {
      process.exitCode = await (await import('./lib/cli/schedule-look.ts')).printStatus(flags)
    })
  command('trigger', 'run a job now and wait for its end; 75 when it runs already')
    .argument('<job>')
    .addOption(choiceOption('--slot <which>', 'due: the run that came due last, unless it was done', ['now', 'due']))
    .action(async (job: string, flags: TriggerFlags) => {
      process.exitCode = await (await import('./lib/cli/schedule-run.ts')).trigger(job, flags, signal)
    })
  command('history', 'what has run, newest first')
    .argument('[job]')
    .option('-n, --count <n>', 'how many', countArgument, 20)
    .option('--json', 'one JSON document')
    .action(async (job: string | undefined, flags: HistoryFlags) =>
      (await import('./lib/cli/schedule-look.ts')).printHistory(job, flags),
    )
  command('export', 'the jobs for where no daemon of ours runs; with the daemon beside it each run still happens once')
    .option('--systemd', 'a service and a timer for each job')
    .option('--crontab', 'one crontab')
    .option('--dir <directory>', 'write the units there')
    .option('--user <name>', 'who runs them')
    .action(async (flags: ExportFlags) => (await import('./lib/cli/schedule-look.ts')).exportJobs(flags))
  command('import', 'print jobs for opskit.yaml that run the commands of a crontab')
    .requiredOption('--crontab <file>', 'as crontab -l prints it')
    .option('--system', 'it is /etc/crontab or of /etc/cron.d: the sixth field is a user')
    .action(async (flags: ImportFlags) => (await import('./lib/cli/schedule-look.ts')).importJobs(flags))

  frame(program.command('accept', { hidden: true }))
    .option('--config <file>')
    .action(async (flags: CommonFlags) => {
      process.exitCode = await (await import('./lib/cli/schedule-run.ts')).printAccepted(flags)
    })
  frame(program.command('execute', { hidden: true }))
    .argument('<job>')
    .requiredOption('--slot <id>')
    .action(async (job: string, flags: { slot: string }) => {
      process.exitCode = await (await import('./lib/cli/schedule-run.ts')).execute(job, flags.slot, signal)
    })
  return program
})

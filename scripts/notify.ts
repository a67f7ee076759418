#!/usr/bin/env node
/** Tells people: tests a channel, lists what waits, sends it. `--help` shows the subcommands. */
import type { FlushFlags, OutboxFlags, TestFlags } from './lib/cli/notify.ts'
import { choiceOption, createProgram, durationArgument, frame, listArgument, runProgram } from './lib/cli/program.ts'

await runProgram(
  (signal) => {
    const program = createProgram({
      name: 'notify',
      summary: 'Tests ways to people, lists the notifications that wait, and sends them.',
      examples: [
        ['npx zx scripts/notify.ts test --channel ops-mail', 'does it work, and what does the far side say?'],
        ['npx zx scripts/notify.ts outbox', 'what waits, what was given up, what is wrong now'],
        ['npx zx scripts/notify.ts flush', 'send what is due'],
        ['npx zx scripts/notify.ts flush --retry-dead', 'after mending a channel: what was given up, too'],
      ],
    })
    frame(program.command('test'))
      .description('Send a test over one channel, now, and print the answer of the far side.')
      .requiredOption('--channel <name>', 'a channel under notify.channels')
      .addOption(choiceOption('--severity <severity>', 'how it is marked', ['warning', 'info', 'critical']))
      .option('--dry-run', 'show what would be done')
      .option('--json', 'one JSON document')
      .option('--config <file>', 'use this opskit.yaml')
      .action(async (flags: TestFlags) => (await import('./lib/cli/notify.ts')).test(flags, signal))
    frame(program.command('outbox'))
      .description('List what waits and what was given up, and the alerts that are open.')
      .option('--channel <names>', 'only these channels', listArgument)
      .option('--all', 'what was sent in the last 30 days, too')
      .option('--limit <n>', 'messages shown at most (default: 200)', Number)
      .option('--json', 'one JSON document')
      .option('--config <file>', 'use this opskit.yaml')
      .action(async (flags: OutboxFlags) => (await import('./lib/cli/notify.ts')).outbox(flags, signal))
    frame(program.command('flush'))
      .description(
        'Send what is due. Exit 0 when it was taken or will be tried again, 1 when something was given up, 69 when nobody could be told.',
      )
      .option('--channel <names>', 'only these channels', listArgument)
      .option('--retry-dead', 'what was given up gets another chance')
      .option('--wait <duration>', 'stay for what is due within this time', durationArgument)
      .option('--deadline <duration>', 'for everything that is due now (default: 60s)', durationArgument)
      .option('--dry-run', 'show what would be sent')
      .option('--json', 'one JSON document')
      .option('--config <file>', 'use this opskit.yaml')
      .action(async (flags: FlushFlags) => {
        process.exitCode = await (await import('./lib/cli/notify.ts')).flush(flags, signal)
      })
    return program
  },
  import.meta.url,
)

#!/usr/bin/env node
/** Calls with failover from the shell, with breakers that hold from one call to the next. `--help` shows the subcommands. */
import type { CallFlags } from './lib/cli/failover-call.ts'
import type { ProbeFlags } from './lib/cli/failover-look.ts'
import { InvalidArgumentError, Option } from 'commander'
import { choiceOption, createProgram, durationArgument, frame, listArgument, runProgram } from './lib/cli/program.ts'

await runProgram(
  (signal) => {
    const program = createProgram({
      name: 'failover',
      summary: 'Runs a command against several instances that can do the same work, until one of them serves it.',
      examples: [
        [
          'npx zx scripts/failover.ts call --instances a.example.com:80,b.example.com:80 --idempotent -- curl -fsS http://{instance}/health',
          'the first that answers',
        ],
        ['npx zx scripts/failover.ts probe --instances db-1.example.com:5432,db-2.example.com:5432', 'who listens'],
        ['npx zx scripts/failover.ts metrics', 'what calls have learnt, for Prometheus'],
      ],
    })
    frame(program.command('call'))
      .description(
        'Run a command with {host}, {port} and {instance} replaced. stdout is that of the one that served it; its exit status decides.',
      )
      .argument('<command...>', 'after --: the command and its arguments')
      .requiredOption('--instances <list>', 'host:port or URLs, in order of preference', listArgument)
      .option('--idempotent', 'doing it twice does no harm: retry whatever happened')
      .option('--retries <n>', 'attempts after the first, over all instances', countArgument, 3)
      .addOption(durationOption('--timeout <duration>', 'for each attempt', '10s'))
      .addOption(durationOption('--deadline <duration>', 'for all of it', '60s'))
      .addOption(durationOption('--wait <duration>', 'before an instance is tried again; doubles', '500ms'))
      .option(
        '--hedge <duration>',
        'start a second attempt when the first is silent for so long (needs --idempotent)',
        durationArgument,
      )
      .addOption(choiceOption('--selection <rule>', 'which instance first', ['next', 'random', 'best', 'two-choices']))
      .option('--answer <codes>', 'exit statuses that are an answer and no failure', countsArgument)
      .option('--unsent <codes>', 'exit statuses after which the server saw nothing (curl: 5,6,7)', countsArgument)
      .option('--breaker-threshold <n>', 'failures in a row after which an instance is left alone', countArgument, 5)
      .addOption(durationOption('--breaker-timeout <duration>', 'for how long', '30s'))
      .option('--state <file>', 'where breakers and metrics are kept between calls')
      .option('--no-state', 'keep and use no memory of earlier calls')
      .option('-v, --verbose', 'say how each attempt ended')
      .action(async (command: string[], flags: CallFlags) => {
        const { call } = await import('./lib/cli/failover-call.ts')
        process.exitCode = await call(command, flags, signal)
      })
    frame(program.command('probe'))
      .description(
        'Look at each instance once: a TCP connection, or GET for a URL. Exit 0 when all answer, 1 some, 2 none.',
      )
      .requiredOption('--instances <list>', 'host:port or http(s) URLs', listArgument)
      .addOption(durationOption('--timeout <duration>', 'for each look', '3s'))
      .option('--json', 'one JSON document')
      .action(async (flags: ProbeFlags) => {
        const { probe } = await import('./lib/cli/failover-look.ts')
        process.exitCode = await probe(flags, signal)
      })
    frame(program.command('metrics'))
      .description('Print what earlier calls have learnt in the Prometheus text format.')
      .option('--state <file>', 'the file that the calls were given')
      .action(async (flags: { state?: string }) => {
        const { metrics } = await import('./lib/cli/failover-look.ts')
        process.exitCode = await metrics(flags)
      })
    return program
  },
  import.meta.url,
)

function durationOption(flags: string, description: string, byDefault: string): Option {
  return new Option(flags, description).argParser(durationArgument).default(durationArgument(byDefault), byDefault)
}

function countArgument(text: string): number {
  if (!/^\d{1,6}$/.test(text)) throw new InvalidArgumentError('It must be a whole number.')
  return Number(text)
}

function countsArgument(text: string): number[] {
  return text.split(',').map((part) => countArgument(part.trim()))
}

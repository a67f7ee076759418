#!/usr/bin/env node
/** One look at a machine: what is wrong, how badly, and what to do next. `--help` shows the flags. */
import type { DiagnoseFlags } from './lib/cli/diagnose.ts'
import { start } from './lib/cli/start.ts'

await start(import.meta.url, async (signal) => {
  const { choiceOption, createProgram, durationArgument, listArgument } = await import('./lib/cli/program.ts')
  return createProgram({
    name: 'diagnose',
    summary: 'One look at a machine: what is wrong, how badly, and what to do next. It only looks and changes nothing.',
    examples: [
      ['npx zx scripts/diagnose.ts', 'this machine'],
      ['npx zx scripts/diagnose.ts --verbose', 'the passing checks too'],
      ['npx zx scripts/diagnose.ts --host web-1,web-2', 'two configured hosts over SSH, at the same time'],
      ['npx zx scripts/diagnose.ts --all --format html --output fleet.html', 'the whole fleet, as one HTML file'],
      ['npx zx scripts/diagnose.ts --only host.disk,nginx', 'some checks'],
      ['npx zx scripts/diagnose.ts --baseline last', 'what changed since the last time'],
      ['npx zx scripts/diagnose.ts --format nagios', 'as a monitoring plugin'],
    ],
  })
    .option('--host <names>', 'configured hosts to look at (commas, or several times)', listArgument)
    .option('--all', 'this machine and every configured host')
    .option('--only <checks>', 'run only these: host, host.disk, nginx, …', listArgument)
    .option('--skip <checks>', 'leave these out', listArgument)
    .option('--deadline <duration>', 'for everything together (default: 5s)', durationArgument)
    .option(
      '--window <duration>',
      'over which CPU, disk and network rates are measured (default: 250ms)',
      durationArgument,
    )
    .addOption(choiceOption('--format <format>', 'how to show it', ['text', 'json', 'markdown', 'html', 'nagios']))
    .option('--json', 'the same as --format json')
    .option('--output <file>', 'write the report there and only the verdict to the terminal')
    .option('--watch <duration>', 'look again every so often, until interrupted', durationArgument)
    .option('--baseline <last|file>', 'show what changed since the last run, or since a saved JSON report')
    .option('--config <file>', 'use this opskit.yaml')
    .option('-v, --verbose', 'show passing and skipped checks one by one')
    .action(async (flags: DiagnoseFlags) => {
      const { diagnose } = await import('./lib/cli/diagnose.ts')
      process.exitCode = await diagnose(flags, signal)
    })
})

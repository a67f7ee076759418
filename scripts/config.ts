#!/usr/bin/env node
/** Is opskit.yaml right, what does it mean, and its JSON Schema for editors. `--help` shows the flags. */
import type { CommonFlags } from './lib/cli/context.ts'
import { start } from './lib/cli/start.ts'

await start(import.meta.url, async () => {
  const { createProgram, frame } = await import('./lib/cli/program.ts')
  const program = createProgram({
    name: 'config',
    summary: 'Checks and shows opskit.yaml. It only looks and changes nothing.',
    examples: [
      ['npx zx scripts/config.ts check', 'every mistake with its line, column and the nearest key'],
      ['npx zx scripts/config.ts check /etc/opskit/opskit.yaml', 'another file'],
      ['npx zx scripts/config.ts show', 'what holds, with every default; secrets as references'],
      ['npx zx scripts/config.ts schema > opskit.schema.json', 'for completion and hovers in editors'],
    ],
  })
  frame(program.command('check'))
    .description('tell every mistake, and secrets that are missing')
    .argument('[file]', 'default: $OPSKIT_CONFIG, ./opskit.yaml, /etc/opskit/opskit.yaml')
    .option('--config <file>', 'the same as the argument')
    .option('--json', 'one JSON document: valid, problems with their places, warnings')
    .action(async (file: string | undefined, flags: CommonFlags) => {
      const { checkConfig } = await import('./lib/cli/config.ts')
      process.exitCode = await checkConfig(file, flags)
    })
  frame(program.command('show'))
    .description('print the config that holds, with every default')
    .option('--config <file>', 'use this opskit.yaml')
    .option('--json', 'as JSON in place of YAML')
    .action(async (flags: CommonFlags) => (await import('./lib/cli/config.ts')).showConfig(flags))
  frame(program.command('schema'))
    .description('print the JSON Schema of opskit.yaml')
    .action(async () => (await import('./lib/cli/config.ts')).printSchema())
  return program
})

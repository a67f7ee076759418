#!/usr/bin/env node
/** Looks at this machine and writes a first opskit.yaml. `--help` shows the flags. */
import type { InitFlags } from './lib/cli/init.ts'
import { start } from './lib/cli/start.ts'

await start(import.meta.url, async (signal) => {
  const { createProgram } = await import('./lib/cli/program.ts')
  return createProgram({
    name: 'init',
    summary: 'Looks at this machine and writes a first, commented opskit.yaml. It proposes nothing it has not seen.',
    examples: [
      ['npx zx scripts/init.ts --dry-run', 'see it, write nothing'],
      ['npx zx scripts/init.ts', 'write ./opskit.yaml'],
      ['npx zx scripts/init.ts --yes --output /etc/opskit/opskit.yaml', 'from a script'],
    ],
  })
    .option('--output <file>', 'where to write it; - prints it', 'opskit.yaml')
    .option('--force', 'replace a file that is there')
    .option('--dry-run', 'print it and write nothing')
    .option('--yes', 'do not ask')
    .option('--json', 'one JSON document: what was seen, and the text')
    .action(async (flags: InitFlags) => (await import('./lib/cli/init.ts')).init(flags, signal))
})

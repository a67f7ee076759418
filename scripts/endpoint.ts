#!/usr/bin/env node
/** Serves the list of addresses that clients fail over between, and keeps this machine's own. `--help` shows the commands. */
import type { ChangeFlags } from './lib/cli/change.ts'
import type { CheckFlags, ServeFlags } from './lib/cli/endpoint.ts'
import type { QrFlags } from './lib/cli/endpoint-qr.ts'
import type { CommonFlags } from './lib/cli/context.ts'
import type { EndpointKind } from './lib/endpoint/client/types.ts'
import { start } from './lib/cli/start.ts'

await start(import.meta.url, async (signal) => {
  const [{ InvalidArgumentError }, { choiceOption, createProgram, durationArgument, frame }] = await Promise.all([
    import('commander'),
    import('./lib/cli/program.ts'),
  ])
  const program = createProgram({
    name: 'endpoint',
    summary:
      'Serves the list of addresses that clients fail over between, and keeps and checks the list of this machine.',
    examples: [
      ['npx zx scripts/endpoint.ts check --file config/endpoints.txt', 'what is wrong with a list, by line'],
      ['npx zx scripts/endpoint.ts serve --file config/endpoints.txt', 'serve it'],
      ['npx zx scripts/endpoint.ts qr --file config/endpoints.txt --output list.svg', 'as a QR code'],
      ['npx zx scripts/endpoint.ts update --url https://api.example.com', 'fetch the list for this machine'],
      ['npx zx scripts/endpoint.ts check', 'ask every endpoint of this machine'],
      ['curl "$(npx zx scripts/endpoint.ts current)/users"', 'use the best one in a script'],
    ],
  })
  const command = (name: string, description: string) =>
    frame(program.command(name)).description(description).option('--config <file>', 'use this opskit.yaml')
  const change = (name: string, description: string) =>
    command(name, description)
      .option('--dry-run', 'show what would change, change nothing')
      .option('--json', 'one JSON document')
  const wholeNumber = (text: string, least: number, most: number) => {
    const number = /^\d+$/.test(text) ? Number(text) : Number.NaN
    if (number >= least && number <= most) return number
    throw new InvalidArgumentError(`It must be a whole number from ${least} to ${most}.`)
  }
  const kindOption = () => choiceOption('--kind <kind>', 'of which list', ['api', 'socketio'])

  command('serve', 'serve the list over HTTP until told to stop; SIGHUP and every change of the file are read')
    .option('--file <file>', 'the list (default: $ENDPOINT_CONFIG_FILE, endpoint.serve.file, config/endpoints.txt)')
    .option('--address <address>', 'where to listen (default: 127.0.0.1)')
    .option('--port <port>', 'default: 8600; 0 is any free one', (text) => wholeNumber(text, 0, 65_535))
    .option('--allow-empty', 'an empty list may replace a full one')
    .option('--json', 'tell the address as JSON')
    .option('-v, --verbose', 'say more')
    .action(async (flags: ServeFlags) => {
      const { replaceProcess } = await import('./lib/cli/replace.ts')
      // Requests leave short-lived objects: a larger young generation answers a tenth more of them.
      replaceProcess({ entryUrl: import.meta.url, title: 'opskit endpoint', nodeFlags: ['--min-semi-space-size=16'] })
      await (await import('./lib/cli/endpoint.ts')).serve(flags, signal)
    })
  command('list', 'show the endpoints of this machine, as they were found last')
    .option('--json', 'one JSON document')
    .action(async (flags: CommonFlags) => (await import('./lib/cli/endpoint.ts')).list(flags, signal))
  command('check', 'ask every endpoint for its health and act on a switch; with --file, check the file of a list')
    .option('--file <file>', 'the file of a list, read strictly')
    .option('--watch <duration>', 'again and again, until interrupted', durationArgument)
    .option('--dry-run', 'do not run on_switch, on_all_down, on_recovery; remember nothing')
    .addOption(choiceOption('--format <format>', 'how to show it', ['text', 'json', 'markdown', 'html', 'nagios']))
    .option('--json', 'the same as --format json')
    .option('-v, --verbose', 'show what is well, too')
    .action(async (flags: CheckFlags) => {
      process.exitCode = await (await import('./lib/cli/endpoint.ts')).check(flags, signal)
    })
  command('current', 'print the address to use now')
    .addOption(kindOption())
    .option('--json', 'one JSON document')
    .action(async (flags: CommonFlags & { kind: EndpointKind }) => {
      process.exitCode = await (await import('./lib/cli/endpoint.ts')).current(flags, signal)
    })
  change('use', 'use one endpoint while it answers, whatever its priority')
    .argument('<url>', 'one of the list, or auto: back to priorities')
    .addOption(kindOption())
    .action(async (url: string, { kind, ...flags }: ChangeFlags & { kind: EndpointKind }) =>
      (await import('./lib/cli/change.ts')).runChange('endpoint.use', { url, kind }, flags, signal),
    )
  change('add', 'add an endpoint by hand; it stays whatever list is fetched')
    .argument('<url>', 'http:// or https://')
    .addOption(kindOption())
    .option('--priority <number>', 'the lower number is used first', (text) => wholeNumber(text, 0, 1_000_000), 0)
    .action(async (url: string, { kind, priority, ...flags }: ChangeFlags & { kind: EndpointKind; priority: number }) =>
      (await import('./lib/cli/change.ts')).runChange('endpoint.add', { url, kind, priority }, flags, signal),
    )
  change('remove', 'take an endpoint out of the list')
    .argument('<url>', 'one of the list')
    .addOption(kindOption())
    .action(async (url: string, { kind, ...flags }: ChangeFlags & { kind: EndpointKind }) =>
      (await import('./lib/cli/change.ts')).runChange('endpoint.remove', { url, kind }, flags, signal),
    )
  change('update', 'fetch the list from a server; on any error the list stays as it is')
    .option('--url <url>', 'asked first (default: endpoint.client.update.url, else the API endpoints)')
    .option('--fallback-url <url>', 'asked when that gave none')
    .action(async ({ url, fallbackUrl, ...flags }: ChangeFlags & { url?: string; fallbackUrl?: string }) =>
      (await import('./lib/cli/change.ts')).runChange('endpoint.update', { url, fallbackUrl }, flags, signal),
    )
  command('qr', 'draw the list of this machine as a QR code; with --file, the list of a file')
    .addOption(choiceOption('--form <form>', 'what clients understand', ['priority', 'list', 'single']))
    .option('--file <file>', 'the file of a list')
    .option('--room <id>', 'a room_id for the code')
    .option('--output <file.svg>', 'write an SVG picture')
    .option('--text', 'print the text of the code')
    .option('--json', 'the same as --text')
    .action(async (flags: QrFlags) => (await import('./lib/cli/endpoint-qr.ts')).qr(flags, signal))
  return program
})

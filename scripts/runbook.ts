#!/usr/bin/env node
/** Checklists that read like a page and run like a program. `--help` shows the subcommands. */
import type { AbortFlags, AnswerFlags } from './lib/cli/runbook-answer.ts'
import type { ExportFlags } from './lib/cli/runbook-export.ts'
import type { LintFlags, ListFlags, ShowFlags } from './lib/cli/runbook-look.ts'
import type { IncidentFlags } from './lib/cli/runbook-open.ts'
import type { DriveFlags, StartFlags } from './lib/cli/runbook-start.ts'
import { start } from './lib/cli/start.ts'

await start(import.meta.url, async (signal) => {
  const { choiceOption, createProgram, frame } = await import('./lib/cli/program.ts')
  const program = createProgram({
    name: 'runbook',
    summary: 'Checklists that read like a page and run like a program.',
    examples: [
      ['npx zx scripts/runbook.ts list', 'every runbook, and what it has to be told'],
      ['npx zx scripts/runbook.ts show disk-full', 'to read it before it is run'],
      [
        'npx zx scripts/runbook.ts start disk-full --param mount=/var',
        'walks you through it; q leaves, resume returns',
      ],
      ['npx zx scripts/runbook.ts status', 'where it stands, and the commands to go on'],
      ['npx zx scripts/runbook.ts lint', 'every mistake with its line and column; exit 78 when there is one'],
    ],
  })
  const command = (name: string, description: string) =>
    frame(program.command(name)).description(description).option('--config <file>', 'use this opskit.yaml')

  command('list', 'every runbook: id, title, severity, params, when it was last tested')
    .option('--lang <language>', 'titles in this language where there is a translation: zh-CN')
    .option('--json', 'one JSON document')
    .action(async (flags: ListFlags) => (await import('./lib/cli/runbook-look.ts')).printRunbooks(flags))
  command('show', 'one runbook, to be read')
    .argument('<id>', 'as list shows it, or the path of a file')
    .option('--lang <language>', 'a translation: zh-CN')
    .option('--json', 'one JSON document')
    .action(async (id: string, flags: ShowFlags) => (await import('./lib/cli/runbook-look.ts')).printRunbook(id, flags))
  command('lint', 'tell every mistake in runbooks; exit 78 when there is one, 0 when there are only warnings')
    .argument('[files...]', 'files, directories or ids (default: all)')
    .option('--json', 'one JSON document')
    .action(async (names: string[], flags: LintFlags) => {
      process.exitCode = await (await import('./lib/cli/runbook-look.ts')).lint(names, flags)
    })
  frame(program.command('schema'))
    .description('print the JSON Schema of front matter and item blocks')
    .action(async () => (await import('./lib/cli/runbook-look.ts')).printSchema())

  const run = (name: string, description: string) => command(name, description).option('--json', 'one JSON document')
  const ofIncident = (name: string, description: string) =>
    run(name, description).option('--incident <id>', 'which one, when several are open')
  const go = () => import('./lib/cli/runbook-start.ts')
  const say = () => import('./lib/cli/runbook-answer.ts')

  run('start', 'open an incident and go through a runbook; without a terminal it ends (10) where a human is needed')
    .argument('<id>', 'as list shows it, or the path of a file')
    .option('--param <name=value>', 'a param of the runbook; may be given several times', collect)
    .option('--lang <language>', 'a translation: zh-CN')
    .option('--drill', 'nothing is on fire: it is only practised')
    .option('--answers <file>', 'answers that were written down before: YAML, a line a step')
    .option('--dry-run', 'show every command with its host; only steps that look are run, nothing is written down')
    .option('--yes', 'confirm what asks, and take back what was changed when a step fails')
    .option('--again', 'although the same runbook is open on the same subject')
    .option('--detected-at <when>', 'when it was noticed: 2026-11-21T03:05Z, or how long ago: 10m')
    .action(async (id: string, flags: StartFlags) => {
      process.exitCode = await (await go()).startRunbook(id, flags, signal)
    })
  ofIncident('next', 'run what can be run now, without asking; 10 where a human is needed')
    .option('--answers <file>', 'answers that were written down before')
    .option('--yes', 'confirm what asks, and take back what was changed when a step fails')
    .action(async (flags: DriveFlags) => {
      process.exitCode = await (await go()).nextSteps(flags, signal)
    })
  ofIncident('resume', 'come back to an incident: on a terminal to the walk, else as next')
    .argument('[incident]')
    .option('--answers <file>', 'answers that were written down before')
    .option('--yes', 'confirm what asks, and take back what was changed when a step fails')
    .action(async (id: string | undefined, flags: DriveFlags) => {
      process.exitCode = await (await go()).resumeIncident(id, flags, signal)
    })
  ofIncident('status', 'where an incident stands, its timers, whom to call, and the commands to go on')
    .argument('[incident]')
    .action(async (id: string | undefined, flags: IncidentFlags) =>
      (await import('./lib/cli/runbook-status.ts')).printStatus(id, flags, signal),
    )

  const step = (name: string, description: string) =>
    ofIncident(name, description).argument('<step>', 'its id or number')
  step('done', 'a step that a human does is done; its verify has to agree')
    .option('--evidence <text>', 'what you saw')
    .option('--attach <file>', 'a file that shows it')
    .action(async (name: string, flags: AnswerFlags) => {
      process.exitCode = await (await say()).answer('done', name, flags, signal)
    })
  for (const [kind, what] of [
    ['skip', 'leave a step out'],
    ['override', 'go on although a step failed or its verify does not agree'],
  ] as const) {
    step(kind, what)
      .option('--reason <text>', 'why; it is written down')
      .option('--evidence <text>', 'what you saw')
      .option('--attach <file>', 'a file that shows it')
      .action(async (name: string, flags: AnswerFlags) => {
        process.exitCode = await (await say()).answer(kind, name, flags, signal)
      })
  }
  for (const [kind, what] of [
    ['confirm', 'let a step run that asks first'],
    ['approve', 'agree to a step: somebody else than who started the run'],
  ] as const) {
    step(kind, what).action(async (name: string, flags: AnswerFlags) => {
      process.exitCode = await (await say()).answer(kind, name, flags, signal)
    })
  }
  step('redo', 'run a step again that failed, or of which nobody knows how it ended')
    .option('--yes', 'take back what was changed when it fails again')
    .action(async (name: string, flags: DriveFlags) => {
      process.exitCode = await (await go()).redoStep(name, flags, signal)
    })
  ofIncident('set', 'give a param another value during an incident; steps that are done keep what they were run with')
    .argument('<name=value...>', 'one or several; before them the incident, when several are open')
    .action(async (words: string[], flags: IncidentFlags) => {
      process.exitCode = await (await say()).set(words, flags, signal)
    })
  ofIncident('note', 'write something into the timeline')
    .argument('<text>')
    .option('--attach <file>', 'a file; it is copied')
    .action(async (text: string, flags: AnswerFlags) => {
      process.exitCode = await (await say()).note(text, flags, signal)
    })
  step('assign', 'a step is for somebody')
    .argument('<who>')
    .action(async (name: string, who: string, flags: IncidentFlags) => {
      process.exitCode = await (await say()).assign(name, who, flags, signal)
    })
  ofIncident('handover', 'somebody else is in command from now on')
    .argument('<who>')
    .action(async (who: string, flags: IncidentFlags) => {
      process.exitCode = await (await say()).handOver(who, flags, signal)
    })
  ofIncident('ack', 'somebody is looking at it: stops the first timer and the ladder').action(
    async (flags: IncidentFlags) => {
      process.exitCode = await (await say()).acknowledge(flags, signal)
    },
  )
  ofIncident('mark', 'what was reached: mitigated, root-cause or resolved')
    .argument('<milestone>')
    .action(async (word: string, flags: IncidentFlags) => {
      process.exitCode = await (await say()).mark(word, flags, signal)
    })
  ofIncident('abort', 'end a run; what it changed is shown, then taken back, the last first (11, or 12)')
    .option('--reason <text>', 'why; it is written down')
    .option('--yes', 'take it back without asking')
    .option('--no-rollback', 'leave everything as it is')
    .action(async (flags: AbortFlags) => {
      process.exitCode = await (await say()).abort(flags, signal)
    })
  ofIncident('export', 'the timeline, and a draft of the post-mortem with the times filled in')
    .argument('[incident]')
    .addOption(choiceOption('--format <format>', 'md, html or json', ['md', 'html', 'json']))
    .option('--output <file>', 'write it there')
    .action(async (id: string | undefined, flags: ExportFlags) =>
      (await import('./lib/cli/runbook-export.ts')).exportIncident(id, flags, signal),
    )
  ofIncident('audit', 'is the journal still what was written; 74 names the line that is not')
    .argument('[incident]')
    .action(async (id: string | undefined, flags: IncidentFlags) => {
      process.exitCode = await (await import('./lib/cli/runbook-export.ts')).audit(id, flags, signal)
    })
  return program
})

function collect(text: string, soFar: readonly string[] = []): string[] {
  return [...soFar, text]
}

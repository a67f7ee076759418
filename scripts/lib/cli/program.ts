/**
 * The frame of every command: usage and examples, wrong flags as exit 64, signals as 130 and 143, one place that
 * prints an error and one place that ends the process. What a command does stands in its own file.
 */
import { realpathSync } from 'node:fs'
import { resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Command, CommanderError, InvalidArgumentError, Option } from 'commander'
import { parseDuration } from '../core/duration.ts'
import { OpsError } from '../core/errors.ts'
import { EXIT_CODE_OF, EXIT_TABLE, exitCodeOf } from '../core/exit.ts'
import { writeError } from './print-error.ts'

export interface ProgramSpec {
  /** As it is typed after `npx zx scripts/`, without `.ts`. */
  readonly name: string
  readonly summary: string
  readonly examples: readonly (readonly [command: string, what: string])[]
}

/** Makes a program; the signal is aborted by SIGINT and SIGTERM. */
export type BuildProgram = (signal: AbortSignal) => Command | Promise<Command>

/** A commander program with our help, our examples and our exit codes. */
export function createProgram(spec: ProgramSpec): Command {
  return frame(new Command(`npx zx scripts/${spec.name}.ts`).description(spec.summary), spec.examples)
}

/** Adds examples and exit codes to a command's help, and makes a wrong flag an error with the nearest right one. */
export function frame(command: Command, examples: ProgramSpec['examples'] = []): Command {
  return command
    .exitOverride()
    .configureHelp({ helpWidth: Math.min(process.stdout.columns ?? 100, 120) })
    .configureOutput({ writeErr: () => {}, outputError: () => {} })
    .showSuggestionAfterError(true)
    .helpOption('-h, --help', 'show this help')
    .addHelpText('after', () => helpTail(examples))
}

/** For `.option('--deadline <duration>', …, durationArgument)`: milliseconds, or a usage error that shows the form. */
export function durationArgument(text: string): number {
  try {
    return parseDuration(text)
  } catch (error) {
    throw error instanceof OpsError ? new InvalidArgumentError(`${error.message}. ${error.details.hint ?? ''}`) : error
  }
}

/** For `.option('-n, --count <n>', …, countArgument, 10)`: a whole number from 1. */
export function countArgument(text: string): number {
  if (!/^[1-9]\d{0,5}$/.test(text)) throw new InvalidArgumentError('It must be a whole number from 1.')
  return Number(text)
}

/** An option that takes one of a few words; the first is the default. */
export function choiceOption(flags: string, description: string, choices: readonly [string, ...string[]]): Option {
  return new Option(flags, description).choices(choices).default(choices[0])
}

/** For options that may be given several times or with commas: `--host a --host b,c`. */
export function listArgument(text: string, soFar: readonly string[] = []): string[] {
  const names = text
    .split(',')
    .map((name) => name.trim())
    .filter((name) => name !== '')
  return [...soFar, ...names]
}

/**
 * Runs a program to its end and ends the process with its exit code.
 * @param entryUrl `import.meta.url` of the entry script: under `npx zx` the script's own arguments start after it
 */
export async function runProgram(build: BuildProgram, entryUrl: string): Promise<never> {
  const interruption = listenForSignals()
  ignoreBrokenPipe()
  let code: number
  try {
    const program = await build(interruption.signal)
    await program.parseAsync(commandFirst(program, argumentsAfter(entryUrl)), { from: 'user' })
    code = interruption.code ?? Number(process.exitCode ?? 0)
  } catch (error) {
    code = interruption.code ?? (await failed(error))
  }
  await flushed()
  process.exit(code)
}

/** `--config x list` means `list --config x`: options that only the subcommand has may stand before it too. */
export function commandFirst(program: Command, words: readonly string[]): string[] {
  const own = new Set(program.options.flatMap(({ short, long }) => [short, long]))
  const names = new Set(program.commands.flatMap((command) => [command.name(), ...command.aliases()]))
  const at = words.findIndex((word) => names.has(word))
  const before = words.slice(0, Math.max(at, 0))
  const isTheirs = before.every((word) => !own.has(word.split('=')[0]) && word !== '--help' && word !== '-h')
  if (!before[0]?.startsWith('-') || !isTheirs) return [...words]
  return [...words.slice(at, at + 1), ...before, ...words.slice(at + 1)]
}

/** What was typed after the entry script. */
export function argumentsAfter(entryUrl: string): string[] {
  const entry = realpathSync(fileURLToPath(entryUrl))
  const index = process.argv.findIndex((word) => isPath(word, entry))
  return process.argv.slice(index === -1 ? 2 : index + 1)
}

function isPath(word: string, path: string): boolean {
  try {
    return realpathSync(resolve(word)) === path
  } catch {
    return false
  }
}

async function failed(error: unknown): Promise<number> {
  if (!(error instanceof CommanderError)) {
    await writeError(error)
    return exitCodeOf(error)
  }
  if (error.exitCode === 0) return 0
  if (error.code === 'commander.help') return EXIT_CODE_OF.USAGE
  const [message = '', suggestion] = error.message.replace(/^error: /, '').split('\n')
  const hint = suggestion?.replace(/^\((.*)\)$/, '$1') ?? 'Run it with --help to see what it takes.'
  await writeError(new OpsError('USAGE', message, { hint }))
  return EXIT_CODE_OF.USAGE
}

/** The first signal asks everything to stop; a second one ends the process at once. */
function listenForSignals(): { readonly signal: AbortSignal; readonly code: number | undefined } {
  const controller = new AbortController()
  const state: { signal: AbortSignal; code: number | undefined } = { signal: controller.signal, code: undefined }
  const stop = (code: 'INTERRUPTED' | 'TERMINATED') => () => {
    if (state.code !== undefined) process.exit(state.code)
    state.code = EXIT_CODE_OF[code]
    controller.abort(new OpsError(code, code === 'INTERRUPTED' ? 'interrupted' : 'terminated'))
  }
  process.on('SIGINT', stop('INTERRUPTED'))
  process.on('SIGTERM', stop('TERMINATED'))
  return state
}

/** `diagnose | head -1` closes our stdout early; that is the reader's good right. */
function ignoreBrokenPipe(): void {
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') process.exit(Number(process.exitCode ?? 0))
    throw error
  })
}

function flushed(): Promise<void> {
  return new Promise((done) => process.stdout.write('', () => process.stderr.write('', () => done())))
}

function helpTail(examples: ProgramSpec['examples']): string {
  const parts: string[] = []
  if (examples.length > 0)
    parts.push('', 'Examples:', ...examples.flatMap(([command, what]) => [`  # ${what}`, `  ${command}`]))
  parts.push('', 'Exit codes:', ...EXIT_TABLE.map(([code, meaning]) => `  ${code.padStart(3)}  ${meaning}`))
  return parts.join('\n')
}

/**
 * One attempt of `failover call`: a command in a process group of its own, its stdout kept in a file until it is known
 * whether it won, and gone with all it started when its time is up.
 */
import { spawn, type ChildProcess } from 'node:child_process'
import { constants } from 'node:os'
import { accessSync, closeSync, constants as access, openSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { systemClock } from '../core/clock.ts'
import { OpsError, systemCode } from '../core/errors.ts'
import type { Argv } from '../core/quote.ts'
import { hostPortOf, readHost, type Instance } from '../resilience/index.ts'

// A command that ignores SIGTERM gets no longer to clean up.
const GRACE_MS = 2_000
// One that we may not even kill (sudo) is not waited for any longer.
const GIVE_UP_MS = 5_000

/** The command ran and said no. `exitCode` is what a shell would show: 128 + n for a signal. */
export class CommandFailed extends OpsError {
  readonly exitCode: number
  /** What it printed before. */
  readonly stdoutPath: string

  constructor(program: string, exitCode: number, stdoutPath: string) {
    super('FAILED', `${program} ended with ${exitCode}`, { transient: true })
    this.exitCode = exitCode
    this.stdoutPath = stdoutPath
  }
}

export interface ChildOptions {
  readonly argv: Argv
  /** Takes the stdout of the command; replaced if it exists. */
  readonly stdoutPath: string
  readonly signal: AbortSignal
}

export interface Children {
  /** Resolves when the command ended with 0. @throws CommandFailed, OpsError MISSING_TOOL */
  run(options: ChildOptions): Promise<void>
  /** Resolves when no child is left (a command that was left behind has been killed by then), at the latest after 5 s. */
  gone(): Promise<void>
}

export function createChildren(): Children {
  const living = new Set<Promise<void>>()
  return {
    run(options) {
      const running = runChild(options)
      const end = running.then(
        () => undefined,
        () => undefined,
      )
      living.add(end)
      void end.then(() => living.delete(end))
      return running
    },
    async gone() {
      const waiting = new AbortController()
      const giveUp = systemClock.sleep(GIVE_UP_MS, waiting.signal).catch(() => undefined)
      await Promise.race([Promise.all(living), giveUp])
      waiting.abort()
    },
  }
}

async function runChild({ argv: [program, ...args], stdoutPath, signal }: ChildOptions): Promise<void> {
  const out = openSync(stdoutPath, 'w', 0o600)
  let child: ChildProcess
  try {
    child = spawn(program, args, { stdio: ['ignore', out, 'inherit'], detached: true })
  } finally {
    closeSync(out)
  }
  const stop = () => stopGroup(child)
  if (signal.aborted) stop()
  else signal.addEventListener('abort', stop, { once: true })
  try {
    const exitCode = await exitCodeOf(child, program)
    if (exitCode !== 0) throw new CommandFailed(program, exitCode, stdoutPath)
  } finally {
    signal.removeEventListener('abort', stop)
  }
}

function exitCodeOf(child: ChildProcess, program: string): Promise<number> {
  return new Promise((resolve, reject) => {
    child.once('error', (error) => reject(missingTool(program, error)))
    child.once('exit', (code, name) => resolve(code ?? 128 + (name ? constants.signals[name] : 0)))
  })
}

/** TERM to the whole group, KILL to what is left of it. */
function stopGroup(child: ChildProcess): void {
  signalGroup(child, 'SIGTERM')
  const timer = setTimeout(() => signalGroup(child, 'SIGKILL'), GRACE_MS)
  // The leader may end and leave others behind: they are killed at once.
  child.once('exit', () => {
    clearTimeout(timer)
    signalGroup(child, 'SIGKILL')
  })
}

function signalGroup({ pid }: ChildProcess, signal: NodeJS.Signals): void {
  if (pid === undefined) return
  try {
    process.kill(-pid, signal)
  } catch (error) {
    // Gone already, or another user's (sudo).
    if (!['ESRCH', 'EPERM'].includes(systemCode(error) ?? '')) throw error
  }
}

/** @throws OpsError MISSING_TOOL when the command cannot be found, before anything is tried */
export function requireProgram(program: string): void {
  const paths = program.includes('/')
    ? [program]
    : (process.env['PATH'] ?? '').split(delimiter).map((folder) => join(folder, program))
  if (!paths.some(isExecutable)) throw missingTool(program)
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, access.X_OK)
    return true
  } catch {
    return false
  }
}

function missingTool(program: string, cause?: unknown): OpsError {
  return new OpsError('MISSING_TOOL', `cannot run "${program}"`, {
    hint: 'The command and its arguments follow after --, as words of their own.',
    transient: false,
    cause,
  })
}

/**
 * The command for one instance: `{host}`, `{port}` and `{instance}` are replaced inside single arguments, so nothing in them
 * can become a word of its own. An IPv6 host gets its brackets where the argument is a URL. Other braces are left alone.
 * @throws OpsError USAGE when `{port}` is wanted and the instance names none
 */
export function commandFor(argv: Argv, instance: Instance): Argv {
  const fill = (word: string) =>
    word.replace(/\{(host|port|instance)\}/g, (_, name: string) => {
      if (name === 'instance') return instance.address
      if (name === 'port') return String(hostPortOf(instance).port)
      const { host } = readHost(instance.address)
      return host.includes(':') && word.includes('://') ? `[${host}]` : host
    })
  const [program, ...args] = argv
  return [program, ...args.map(fill)]
}

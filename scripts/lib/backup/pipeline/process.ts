/**
 * One stage of a pipeline on this machine: a child process whose input and output are real file descriptors, so that the
 * bytes go from process to process and never through JavaScript.
 *
 * A chain is built from its end: the last stage gets the file, each one before it gets `input` of the next as its stdout.
 */
import { spawn, type StdioOptions } from 'node:child_process'
import type { Readable, Writable } from 'node:stream'
import { setTimeout as delay } from 'node:timers/promises'
import { systemCode } from '../../core/errors.ts'
import type { Argv } from '../../core/quote.ts'

export interface ProcessSpec {
  readonly argv: Argv
  /** The whole environment; default: ours. */
  readonly env?: NodeJS.ProcessEnv
  readonly stdin: 'pipe' | 'ignore' | number
  /** A file descriptor, the `input` of the next stage, or a pipe to read here. */
  readonly stdout: 'pipe' | 'ignore' | number | Writable
  /** Handed over as descriptor 3. */
  readonly extraFd?: number
}

/** How a stage ended: facts, judged by `failure.ts`. */
export interface ProcessEnd {
  readonly program: string
  /** Null when a signal ended it or it never started. */
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
  /** The last part of what it said on stderr, not yet redacted. */
  readonly stderr: string
  /** It is not installed, or may not be executed. */
  readonly cannotStart?: 'missing' | 'denied' | 'other'
}

export interface ProcessStage {
  readonly input: Writable | undefined
  readonly output: Readable | undefined
  /** Never rejects; resolves when the process is gone and its stderr is read. */
  readonly ended: Promise<ProcessEnd>
  /** SIGTERM to the process and its children, SIGKILL half a second later. */
  readonly kill: () => void
}

const STDERR_KEPT = 16 * 1024
const KILL_GRACE_MS = 500

export function startProcess({ argv, env, stdin, stdout, extraFd }: ProcessSpec): ProcessStage {
  const [program, ...args] = argv
  const stdio: StdioOptions = [stdin, stdout, 'pipe']
  if (extraFd !== undefined) stdio.push(extraFd)
  // A group of its own: a Ctrl-C of the terminal reaches us alone, and we end every stage.
  const child = spawn(program, args, { stdio, env: env ?? process.env, detached: true })
  let stderr = ''
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    stderr = (stderr + text).slice(-STDERR_KEPT)
  })
  // A stage that ended early does not read its input to the end; its status tells.
  child.stdin?.on('error', () => undefined)
  const ended = new Promise<ProcessEnd>((resolve) => {
    child.once('error', (error) => {
      if (child.pid === undefined) resolve({ program, code: null, signal: null, stderr, cannotStart: causeOf(error) })
    })
    child.once('close', (code, signal) => {
      if (child.pid !== undefined) resolve({ program, code, signal, stderr })
    })
  })
  let gone = false
  void ended.then(() => (gone = true))
  const kill = () => {
    if (gone || child.pid === undefined) return
    signalGroup(child.pid, 'SIGTERM')
    void delay(KILL_GRACE_MS).then(() => gone || signalGroup(child.pid ?? 0, 'SIGKILL'))
  }
  return { input: child.stdin ?? undefined, output: child.stdout ?? undefined, ended, kill }
}

/** Lets go of our end of a pipe that now belongs to another process. */
export function release(stream: Writable | Readable): void {
  stream.destroy()
}

function causeOf(error: unknown): NonNullable<ProcessEnd['cannotStart']> {
  const code = systemCode(error)
  return code === 'ENOENT' ? 'missing' : code === 'EACCES' || code === 'EPERM' ? 'denied' : 'other'
}

function signalGroup(pid: number, signal: NodeJS.Signals): void {
  try {
    if (pid > 1) process.kill(-pid, signal)
  } catch (error) {
    if (systemCode(error) !== 'ESRCH') throw error
  }
}

/**
 * Child processes of this machine: started by argument list without a shell, each the leader of its own process group,
 * so that a timeout ends the children's children too.
 */
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { statSync } from 'node:fs'
import { PassThrough, Readable } from 'node:stream'
import { setTimeout as delay } from 'node:timers/promises'
import { messageOf, OpsError, systemCode } from '../core/errors.ts'
import type { Argv } from '../core/quote.ts'
import type { RawRunning } from './frame.ts'
import { KILL_GRACE_MS, pathWithSbin, REAP_MS, type Exit, type Running, type StartSpec } from './running.ts'

export interface Child extends Running {
  /** Absent when the program could not be started. */
  readonly child?: ChildProcess
}

const POLL_MS = 10

export async function startChild({ argv, env, cwd, wantsInput }: StartSpec, host: string): Promise<Child> {
  const child = spawnGroup({ argv, env, cwd, wantsInput }, host)
  const exited = exitOf(child)
  try {
    await once(child, 'spawn')
  } catch (error) {
    return neverStarted(spawnFailure(error, cwd, host))
  }
  const { stdin, stdout, stderr } = pipesOf(child)
  return { child, stdin, stdout, stderr, exited, kill: () => killGroup(child, exited) }
}

/** For a framed command: the frame's own end, and no group kill (under sudo the children are not ours to signal). */
export async function startRaw(spec: StartSpec, host: string): Promise<RawRunning> {
  const { child, stdin, stdout, stderr, exited } = await startChild(spec, host)
  return { stdin, stdout, stderr, exited, abandon: () => child && destroyPipes(child) }
}

/** Runs a short command of our own and gives its status. */
export async function statusOf(argv: Argv): Promise<number> {
  const { stdout, stderr, exited } = await startChild({ argv, wantsInput: false }, 'this machine')
  stdout.resume()
  stderr.resume()
  const exit = await exited
  return exit.kind === 'code' ? exit.code : -1
}

function spawnGroup({ argv: [program, ...args], env, cwd, wantsInput }: StartSpec, host: string): ChildProcess {
  try {
    return spawn(program, args, {
      cwd,
      env: { ...process.env, PATH: pathWithSbin(process.env['PATH']), ...env },
      detached: true,
      stdio: [wantsInput ? 'pipe' : 'ignore', 'pipe', 'pipe'],
    })
  } catch (error) {
    const hint = systemCode(error) === 'E2BIG' ? { hint: 'Pass long data by stdin, not as arguments.' } : {}
    throw new OpsError('FAILED', `cannot start ${program} on ${host}: ${messageOf(error)}`, {
      host,
      cause: error,
      ...hint,
    })
  }
}

function exitOf(child: ChildProcess): Promise<Exit> {
  return new Promise((resolve) => {
    child.once('close', (code: number | null, signal: NodeJS.Signals | null) =>
      resolve(code === null ? { kind: 'signal', signal: signal ?? 'an unknown signal' } : { kind: 'code', code }),
    )
  })
}

/** ENOENT is said of a missing directory as well as of a missing program. */
function spawnFailure(error: unknown, cwd: string | undefined, host: string): Exit {
  const code = systemCode(error)
  const cwdIsFine = cwd === undefined || statSync(cwd, { throwIfNoEntry: false })?.isDirectory() === true
  if (code === 'ENOENT' || code === 'ENOTDIR') return { kind: cwdIsFine ? 'missing' : 'no-cwd' }
  if (code === 'EACCES' || code === 'EPERM') return { kind: cwdIsFine ? 'denied' : 'no-cwd' }
  return {
    kind: 'lost',
    error: new OpsError('FAILED', `cannot start a command on ${host}: ${messageOf(error)}`, { host, cause: error }),
  }
}

function neverStarted(exit: Exit): Child {
  const stdin = new PassThrough().resume()
  return {
    stdin,
    stdout: Readable.from([]),
    stderr: Readable.from([]),
    exited: Promise.resolve(exit),
    kill: async () => true,
  }
}

function pipesOf(child: ChildProcess) {
  const stdin = child.stdin ?? new PassThrough().resume()
  // A command may end without reading its input; its exit status tells.
  stdin.on('error', () => undefined)
  return { stdin, stdout: child.stdout ?? Readable.from([]), stderr: child.stderr ?? Readable.from([]) }
}

async function killGroup(child: ChildProcess, exited: Promise<Exit>): Promise<boolean> {
  const group = -(child.pid ?? 0)
  if (signalGroup(group, 'SIGTERM')) {
    for (let waitedMs = 0; waitedMs < KILL_GRACE_MS && signalGroup(group, 0); waitedMs += POLL_MS) await delay(POLL_MS)
    signalGroup(group, 'SIGKILL')
  }
  // A process that left the group may hold the pipes for ever.
  await Promise.race([exited, delay(REAP_MS, undefined, { ref: false })])
  destroyPipes(child)
  return true
}

/** @returns false when nobody is left in the group */
function signalGroup(group: number, signal: NodeJS.Signals | 0): boolean {
  try {
    return group < -1 && process.kill(group, signal)
  } catch (error) {
    if (systemCode(error) === 'ESRCH') return false
    throw error
  }
}

function destroyPipes(child: ChildProcess): void {
  child.stdin?.destroy()
  child.stdout?.destroy()
  child.stderr?.destroy()
}

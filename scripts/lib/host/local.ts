/**
 * This machine as a Host. Commands are spawned by exact argument list, each in a process group of its own; zx collects
 * what they print (docs/decisions/019-local-commands.md says what it does not do). Files go through node:fs.
 */
import { connect as connectSocket } from 'node:net'
import type { Duplex } from 'node:stream'
import type { $ } from 'zx/core'
import { quoteWord } from '../core/quote.ts'
import { startChild, startRaw, statusOf, type Child } from './child.ts'
import { createCapture } from './capture.ts'
import { raceAbort } from './deadline.ts'
import { startFramed } from './frame.ts'
import { captureRun, createMachine, type CaptureOptions, type CaptureRun } from './machine.ts'
import { createNodeFiles } from './node-files.ts'
import type { Start } from './running.ts'
import { createShellFiles } from './shell-files.ts'
import { asSocketError } from './socket-error.ts'
import type { Host } from './types.ts'

type Shell = typeof $

export interface LocalHostOptions {
  /** Default `localhost`. */
  readonly name?: string | undefined
  /** Run every command through `sudo -n`; not needed, and ignored, when we are root already. */
  readonly sudo?: boolean | undefined
  /** Takes secrets out of what goes into error messages. */
  readonly redact?: ((text: string) => string) | undefined
}

export function openLocalHost({ name = 'localhost', sudo = false, redact }: LocalHostOptions = {}): Host {
  const bySudo = sudo && process.getuid?.() !== 0
  let shell: Shell | undefined
  const direct: Start = async (spec) => {
    // Before the spawn: Node throws away the output of a child that ends before anyone reads it.
    shell ??= (await import('zx/core')).$
    return startChild(spec, name)
  }
  const framed: Start = (spec, signal) =>
    startFramed(
      spec,
      { sudo: true, start: (argv, { wantsInput }) => startRaw({ argv, wantsInput }, name), execute: statusOf },
      signal,
    )
  return createMachine({
    name,
    kind: 'local',
    start: bySudo ? framed : direct,
    capture: (running, options) => captureByZx(running, shell, options),
    files: (execute) => (bySudo ? createShellFiles(name, execute, redact) : createNodeFiles(name)),
    connect: (path, signal) => openSocket(path, name, signal),
    redact,
    close: async () => undefined,
  })
}

/** zx keeps what a command prints, in stores of ours (its own have no bound), and says when all of it has been read. */
async function captureByZx(running: Child, zx: Shell | undefined, options: CaptureOptions): ReturnType<CaptureRun> {
  const { child, exited } = running
  if (!zx || !child) return captureRun(running, options)
  const { input, maxOutputBytes } = options
  const [stdout, stderr] = [createCapture(maxOutputBytes), createCapture(maxOutputBytes)]
  const command = zx({
    spawn: (() => child) as unknown as Shell['spawn'],
    store: { stdout: storeOf(stdout.push), stderr: storeOf(stderr.push), stdall: storeOf(() => undefined) },
    // Each default that an environment variable ZX_… could change is set here, and what zx misses where bash is not.
    ...{ nothrow: true, quiet: true, verbose: false, timeout: 0, prefix: '', postfix: '', preferLocal: false },
    ...{ shell: true as const, quote: quoteWord },
    ...(input === undefined ? {} : { input: Buffer.from(input) }),
  })`true`
  const [exit] = await Promise.all([exited, command])
  return { exit, stdout, stderr }
}

/** What zx takes for its list of chunks: it hands each on and stays empty. */
function storeOf(keep: (chunk: Uint8Array) => void): (string | Buffer)[] {
  return Object.assign([], { push: (chunk: Buffer) => (keep(chunk), 0) })
}

function openSocket(path: string, host: string, signal?: AbortSignal): Promise<Duplex> {
  const socket = connectSocket({ path })
  const opened = new Promise<Duplex>((resolve, reject) => {
    socket.once('connect', () => resolve(socket))
    socket.once('error', (error) => reject(asSocketError(error, path, host)))
  })
  if (!signal) return opened
  return raceAbort(opened, signal, (late) => late.destroy()).catch((error: unknown) => {
    socket.destroy()
    throw error
  })
}

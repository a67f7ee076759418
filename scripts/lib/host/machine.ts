/**
 * A Host made of a backend: deadlines, bounded output, input, errors and clean-up are the same for every kind of host
 * and stand here once. How a command is started and how files are moved is the backend's.
 */
import { OpsError } from '../core/errors.ts'
import { createCapture, readInto, type Capture } from './capture.ts'
import { abortError, openDeadline, raceAbort, timeoutError, type Deadline } from './deadline.ts'
import { commandText, decideResult, type OutcomeContext } from './outcome.ts'
import { openPipes, type Pipes } from './pipes.ts'
import type { Exit, Running, Start } from './running.ts'
import type { Argv, CommandStream, GetOptions, Host, HostKind, PutOptions, RunOptions, RunResult } from './types.ts'

export const DEFAULT_TIMEOUT_MS = 30_000
const DEFAULT_OUTPUT_BYTES = 8 * 1024 ** 2
const STREAM_STDERR_BYTES = 1024 ** 2

export interface Files {
  get(path: string, options: GetOptions & { signal: AbortSignal }): Promise<Uint8Array | undefined>
  put(path: string, data: Uint8Array, options: PutOptions & { signal: AbortSignal }): Promise<void>
}

/** A finished command with its output as bytes. */
export interface Captured {
  readonly exit: Exit
  readonly stdout: Capture
  readonly stderr: Capture
  readonly durationMs: number
}

export interface CaptureOptions {
  readonly input?: string | Uint8Array | undefined
  readonly maxOutputBytes: number
}

/** Reads a running command to its end; the local backend brings its own. */
export type CaptureRun = (running: Running, options: CaptureOptions) => Promise<Omit<Captured, 'durationMs'>>

/** Runs a command to its end; what `run`, `read` and the shell's file transfer share. */
export type Execute = (argv: Argv, options: RunOptions) => Promise<Captured>

export interface Backend {
  readonly name: string
  readonly kind: HostKind
  readonly start: Start
  readonly capture?: CaptureRun
  readonly files: (execute: Execute) => Files
  readonly connect?: Host['connect']
  readonly sftp?: Host['sftp']
  readonly redact?: ((text: string) => string) | undefined
  readonly close: () => Promise<void>
}

type StreamOptions = Omit<RunOptions, 'input' | 'maxOutputBytes'>

export function createMachine(backend: Backend): Host {
  const { name, kind } = backend
  const starter = createStarter(backend)
  const execute = createExecute(backend, starter)
  const files = backend.files(execute)
  return {
    name,
    kind,
    read: (argv, options = {}) => finish(backend, execute, argv, { okCodes: 'any', ...options }),
    run: (argv, options = {}) => finish(backend, execute, argv, { okCodes: [0], ...options }),
    stream: (argv, options = {}) => startStream(backend, starter, argv, options),
    get: (path, options = {}) =>
      inTime(`reading ${path} on ${name}`, name, options, (signal) => files.get(path, { ...options, signal })),
    put: (path, data, options = {}) =>
      inTime(`writing ${path} on ${name}`, name, options, (signal) =>
        files.put(path, Buffer.from(data), { ...options, signal }),
      ),
    ...(backend.connect ? { connect: backend.connect } : {}),
    ...(backend.sftp ? { sftp: backend.sftp } : {}),
    close: () => starter.close(),
  }
}

interface Starter {
  readonly start: (argv: Argv, options: StreamOptions, wantsInput: boolean, signal: AbortSignal) => Promise<Running>
  /** Ends what still runs, then the backend. */
  readonly close: () => Promise<void>
}

function createStarter({ name, start, close }: Pick<Backend, 'name' | 'start' | 'close'>): Starter {
  const live = new Set<Running>()
  let closed = false
  return {
    async start(argv, options, wantsInput, signal) {
      if (closed) throw new OpsError('FAILED', `the connection to ${name} is closed`, { host: name })
      if (signal.aborted) throw abortError(signal)
      assertPlain(argv, options, name)
      const starting = start({ argv, env: options.env, cwd: options.cwd, wantsInput }, signal)
      const running = await raceAbort(starting, signal, (late) => void late.kill())
      live.add(running)
      void running.exited.then(() => live.delete(running))
      return running
    },
    async close() {
      closed = true
      await Promise.all([...live].map((running) => running.kill()))
      await close()
    },
  }
}

function createExecute(backend: Backend, { start }: Starter): Execute {
  const capture = backend.capture ?? captureRun
  return async (argv, options) => {
    const { input, maxOutputBytes = DEFAULT_OUTPUT_BYTES } = options
    const deadline = commandDeadline(backend, argv, options)
    const startedAt = performance.now()
    try {
      const running = await start(argv, options, input !== undefined && input.length > 0, deadline.signal)
      const reading = capture(running, { input, maxOutputBytes })
      const captured = await raceAbort(reading, deadline.signal).catch(async (error: unknown) => {
        throw await killed(running, error, backend.name)
      })
      return { ...captured, durationMs: performance.now() - startedAt }
    } finally {
      deadline.clear()
    }
  }
}

type Finished = RunOptions & { readonly okCodes: NonNullable<RunOptions['okCodes']> }

async function finish(backend: Backend, execute: Execute, argv: Argv, options: Finished): Promise<RunResult> {
  const { exit, stdout, stderr, durationMs } = await execute(argv, options)
  const truncated = stdout.truncated || stderr.truncated
  const text = { stdout: stdout.bytes().toString(), stderr: stderr.bytes().toString(), stderrTail: stderr.tail() }
  return decideResult({ argv, exit, ...text, durationMs, truncated }, contextOf(backend, options))
}

async function startStream(
  backend: Backend,
  { start }: Starter,
  argv: Argv,
  { okCodes = [0], ...options }: StreamOptions,
): Promise<CommandStream> {
  const deadline = commandDeadline(backend, argv, options)
  const startedAt = performance.now()
  const running = await start(argv, options, true, deadline.signal).catch((error: unknown) => {
    deadline.clear()
    throw error
  })
  const pipes = openPipes(running)
  const ended = endOf(running, pipes, deadline, backend.name).then(({ exit, stderr }) => {
    const text = { stdout: '', stderr: stderr.bytes().toString(), stderrTail: stderr.tail() }
    const facts = { argv, exit, ...text, durationMs: performance.now() - startedAt, truncated: stderr.truncated }
    return decideResult(facts, contextOf(backend, { ...options, okCodes }))
  })
  const done = ended.finally(() => deadline.clear())
  // Whoever reads stdout to a failed end need not ask `done` as well.
  done.then(pipes.end, pipes.fail)
  return { stdin: pipes.stdin, stdout: pipes.stdout, done }
}

async function endOf(
  running: Running,
  pipes: Pipes,
  { signal }: Deadline,
  host: string,
): Promise<{ exit: Exit; stderr: Capture }> {
  const stderr = createCapture(STREAM_STDERR_BYTES)
  const reading = Promise.all([running.exited, readInto(running.stderr, stderr), pipes.read])
  try {
    const [exit] = await raceAbort(reading, signal)
    return { exit, stderr }
  } catch (error) {
    pipes.abandon()
    throw await killed(running, error, host)
  }
}

/** Reads stdout and stderr to their end while the input is written. */
export const captureRun: CaptureRun = async (running, { input, maxOutputBytes }) => {
  const [stdout, stderr] = [createCapture(maxOutputBytes), createCapture(maxOutputBytes)]
  const reading = Promise.all([readInto(running.stdout, stdout), readInto(running.stderr, stderr)])
  // A command may end without reading its input; its exit status tells.
  running.stdin.on('error', () => undefined)
  running.stdin.end(input)
  const [exit] = await Promise.all([running.exited, reading])
  return { exit, stdout, stderr }
}

function contextOf({ name, redact = asItIs }: Backend, { cwd, okCodes }: Finished): OutcomeContext {
  return { host: name, cwd, okCodes, redact }
}

function commandDeadline(
  backend: Backend,
  argv: Argv,
  { timeoutMs = DEFAULT_TIMEOUT_MS, signal }: RunOptions,
): Deadline {
  const { name, redact = asItIs } = backend
  const expired = () => timeoutError(commandText(argv, { host: name, redact }), name, timeoutMs)
  return openDeadline({ timeoutMs, signal, expired })
}

async function inTime<T>(
  what: string,
  host: string,
  { timeoutMs = DEFAULT_TIMEOUT_MS, signal }: GetOptions | PutOptions,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const deadline = openDeadline({ timeoutMs, signal, expired: () => timeoutError(what, host, timeoutMs) })
  try {
    return await raceAbort(work(deadline.signal), deadline.signal)
  } finally {
    deadline.clear()
  }
}

/** Kills the command, then gives the error to throw: honest about a command that may have survived. */
async function killed(running: Running, error: unknown, host: string): Promise<unknown> {
  const gone = await running.kill()
  if (gone || !(error instanceof OpsError)) return error
  return new OpsError(error.code, `${error.message}; it may still be running on ${host}`, {
    ...error.details,
    host,
    hint: `Look for it on ${host} before you start it again.`,
  })
}

/** @throws OpsError USAGE for what no machine can take: NUL bytes, an empty program, a variable name no shell knows */
function assertPlain(argv: Argv, { env = {}, cwd = '' }: StreamOptions, host: string): void {
  if (argv[0] === '' || [...argv, cwd, ...Object.values(env)].some((word) => word.includes('\0'))) {
    throw new OpsError('USAGE', 'a command has no program, or holds a NUL byte', { host })
  }
  const wrong = Object.keys(env).find((key) => !/^[A-Za-z_]\w*$/.test(key))
  if (wrong !== undefined) throw new OpsError('USAGE', `"${wrong}" is no name for an environment variable`, { host })
}

function asItIs(text: string): string {
  return text
}

/** A container as a Host: framed commands by the engine's exec, files by the container's own shell. */
import type Dockerode from 'dockerode'
import { setTimeout as delay } from 'node:timers/promises'
import { messageOf, OpsError } from '../../core/errors.ts'
import type { Argv } from '../../core/quote.ts'
import { raceAbort } from '../deadline.ts'
import { startFramed, type FrameOptions, type RawRunning } from '../frame.ts'
import { createMachine } from '../machine.ts'
import type { Exit, StartSpec } from '../running.ts'
import { createShellFiles } from '../shell-files.ts'
import type { Host } from '../types.ts'
import { demux } from './demux.ts'
import { engineError, openDocker, statusOf } from './docker.ts'
import { findContainer } from './find.ts'

export interface ContainerHostOptions {
  readonly name: string
  /** Container name or id, `project/service` of compose, or a service that is there once. */
  readonly container: string
  /** The host whose engine runs it. It stays open when this host is closed. */
  readonly on: Host
  readonly user?: string | undefined
  readonly sudo?: boolean | undefined
  readonly socketPath?: string | undefined
  readonly redact?: ((text: string) => string) | undefined
  readonly signal?: AbortSignal | undefined
}

interface Place {
  readonly docker: Dockerode
  readonly name: string
  readonly user: string | undefined
  /** The id; found anew when the container was replaced. */
  id: string
  readonly find: () => Promise<string>
}

/** How long the engine may take to book the status of a command whose output has ended. */
const STATUS_TRIES = 50
const STATUS_POLL_MS = 20
/** Signals as an engine tells them: status 128 + n. */
const SIGNALS: Readonly<Record<number, string>> = {
  132: 'SIGILL',
  134: 'SIGABRT',
  135: 'SIGBUS',
  136: 'SIGFPE',
  137: 'SIGKILL',
  139: 'SIGSEGV',
}

/** @throws OpsError UNREACHABLE, MISSING_TOOL (no engine), NOT_PERMITTED, USAGE (the name means several) */
export async function openContainerHost(options: ContainerHostOptions): Promise<Host> {
  const { name, container, on, user, sudo = false, redact } = options
  const docker = await openDocker(on, options)
  const find = () => findContainer(docker, container, on.name)
  const place: Place = { docker, name, user, id: await find(), find }
  const frame: FrameOptions = {
    sudo,
    setsEnv: true,
    start: (argv, spec, signal) => startInside(place, argv, spec, signal),
    execute: (argv) => statusInside(place, argv),
  }
  return createMachine({
    name,
    kind: 'container',
    start: (spec, signal) => startFramed(spec, frame, signal),
    files: (execute) => createShellFiles(name, execute, redact),
    redact,
    close: async () => undefined,
  })
}

async function startInside(place: Place, argv: Argv, spec: StartSpec, signal: AbortSignal): Promise<RawRunning> {
  const exec = await createExec(place, argv, spec)
  const starting = exec
    .start({ hijack: true, stdin: true })
    .catch((error: unknown) => Promise.reject(execError(error, place)))
  const stream = await raceAbort(starting, signal, (late) => late.destroy())
  stream.on('error', () => undefined)
  const { stdout, stderr } = demux(stream)
  const ended = new Promise<void>((resolve) => stderr.once('close', resolve).once('end', resolve))
  return {
    stdin: stream,
    stdout,
    stderr,
    exited: ended.then(() => exitOf(exec, place)),
    abandon: () => stream.destroy(),
  }
}

/** A container that was replaced (compose up) has a new id; nothing has run yet, so it is looked up once more. */
async function createExec(place: Place, argv: Argv, { env = {}, wantsInput }: StartSpec): Promise<Dockerode.Exec> {
  const create = () =>
    place.docker.getContainer(place.id).exec({
      Cmd: [...argv],
      Env: Object.entries(env).map(([key, value]) => `${key}=${value}`),
      AttachStdin: wantsInput,
      AttachStdout: true,
      AttachStderr: true,
      ...(place.user === undefined ? {} : { User: place.user }),
    })
  try {
    return await create()
  } catch (error) {
    if (statusOf(error) !== 404) throw execError(error, place)
  }
  place.id = await place.find()
  return create().catch((error: unknown) => Promise.reject(execError(error, place)))
}

function execError(error: unknown, { name }: Place): OpsError {
  if (statusOf(error) !== 409) return engineError(error, name)
  return new OpsError('UNREACHABLE', `the container of ${name} does not run`, {
    host: name,
    cause: error,
    hint: 'See its state and its last words: docker ps -a; docker logs --tail 50 CONTAINER',
  })
}

async function exitOf(exec: Dockerode.Exec, { name }: Place): Promise<Exit> {
  try {
    for (let tries = 0; tries < STATUS_TRIES; tries += 1) {
      const { Running, ExitCode } = await exec.inspect()
      if (!Running && ExitCode !== null) {
        const signal = SIGNALS[ExitCode]
        return signal === undefined ? { kind: 'code', code: ExitCode } : { kind: 'signal', signal }
      }
      await delay(STATUS_POLL_MS)
    }
    return lost(name, 'the engine gives no status')
  } catch (error) {
    return lost(name, messageOf(error))
  }
}

function lost(host: string, why: string): Exit {
  const message = `the connection to ${host} was lost while a command ran (${why}): whether it finished is not known`
  return { kind: 'lost', error: new OpsError('UNREACHABLE', message, { host, transient: true }) }
}

/** A short command of our own, to its end. */
async function statusInside(place: Place, argv: Argv): Promise<number> {
  const signal = AbortSignal.timeout(2_000)
  const raw = await startInside(place, argv, { argv, wantsInput: false }, signal)
  raw.stdout.resume()
  raw.stderr.resume()
  const exit = await raceAbort(raw.exited, signal)
  return exit.kind === 'code' ? exit.code : -1
}

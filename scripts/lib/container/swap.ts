/**
 * One container takes the place and the name of another, which is kept under another name until somebody removes it. Both
 * steps look how things are before they undo: they may have been stopped half-way.
 */
import type { ActionContext } from '../action/types.ts'
import { messageOf, OpsError } from '../core/errors.ts'
import { demultiplex } from '../host/container/demux.ts'
import { engineError, statusOf, type Docker } from '../host/container/docker.ts'
import type { Step } from '../plan/types.ts'
import { nameOf } from './config.ts'
import { waitUntilReady, type Limits } from './ready.ts'

export interface Swapping {
  readonly context: Pick<ActionContext, 'clock' | 'redact'>
  readonly docker: Docker
  /** By its opskit name. */
  readonly host: string
  readonly limits: Limits
  /** What a container has to end by itself. */
  readonly stopWithinMs: number
}

export interface Leaving {
  readonly container: Docker.ContainerInspectInfo
  readonly keptAs: string
}

export interface Coming {
  /** Read when the step is applied: it may be made by the step before. */
  readonly id: () => string
  readonly name: string
  /** What it is called while it waits for its turn. */
  readonly waitsAs: string
  readonly restart: Docker.HostRestartPolicy | undefined
}

const NEVER: Docker.HostRestartPolicy = { Name: 'no', MaximumRetryCount: 0 }
/** Of the engine's own work around a stop and a start. */
const SPARE_MS = 60_000

export function planLeave(swapping: Swapping, { container, keptAs }: Leaving): Step {
  const { host, stopWithinMs } = swapping
  const [name, { Running: wasRunning }] = [nameOf(container), container.State]
  const restart = container.HostConfig.RestartPolicy
  return {
    on: host,
    title: wasRunning ? `Stop ${name} and keep it as ${keptAs}` : `Keep ${name} as ${keptAs}`,
    timeoutMs: stopWithinMs + SPARE_MS,
    // An engine that starts again starts what is to be restarted always, whoever stopped it.
    apply: (_host, signal) =>
      asking(swapping, async () => {
        const old = swapping.docker.getContainer(container.Id)
        await old.update({ RestartPolicy: NEVER, abortSignal: signal })
        await stop(swapping, container.Id, signal)
        await old.rename({ name: keptAs, abortSignal: signal })
      }),
    undo: (_host, signal) =>
      asking(swapping, async () => {
        const old = swapping.docker.getContainer(container.Id)
        const now = await old.inspect({ abortSignal: signal })
        if (nameOf(now) !== name) await old.rename({ name, abortSignal: signal })
        await old.update({ RestartPolicy: restart ?? NEVER, abortSignal: signal })
        if (wasRunning && !now.State.Running) await old.start({ abortSignal: signal })
      }),
  }
}

export function planCome(swapping: Swapping, { id, name, waitsAs, restart }: Coming): Step {
  const { docker, host, limits, context, stopWithinMs } = swapping
  return {
    on: host,
    title: `Start ${name}, and wait until it is well`,
    timeoutMs: limits.healthyWithinMs + SPARE_MS,
    apply: (_host, signal) =>
      asking(swapping, async () => {
        const fresh = docker.getContainer(id())
        await fresh.rename({ name, abortSignal: signal })
        if (restart) await fresh.update({ RestartPolicy: restart, abortSignal: signal })
        await fresh.start({ abortSignal: signal })
        const read = async () => (await fresh.inspect({ abortSignal: signal })).State
        await waitUntilReady(read, limits, { clock: context.clock, signal }).catch(async (error: unknown) => {
          throw await withLastLines(error, fresh, swapping)
        })
      }),
    verify: (_host, signal) =>
      asking(swapping, async () => {
        const { Id, State, Config } = await docker
          .getContainer(encodeURIComponent(name))
          .inspect({ abortSignal: signal })
        const well = State.Health && State.Health.Status !== 'none' ? State.Health.Status : State.Status
        const because = `${name} is ${well}, from ${Config.Image}`
        return { ok: Id === id() && State.Running, because }
      }),
    undo: (_host, signal) =>
      asking(swapping, async () => {
        const fresh = docker.getContainer(id())
        await stop({ docker, stopWithinMs }, id(), signal)
        if (nameOf(await fresh.inspect({ abortSignal: signal })) !== waitsAs)
          await fresh.rename({ name: waitsAs, abortSignal: signal })
        if (restart) await fresh.update({ RestartPolicy: NEVER, abortSignal: signal })
      }),
  }
}

/** Engine errors as ours. */
export async function asking<T>({ host }: Pick<Swapping, 'host'>, work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    throw engineError(error, host)
  }
}

/** @returns undefined when there is none of that name */
export async function readContainer(
  docker: Docker,
  name: string,
  signal: AbortSignal,
): Promise<Docker.ContainerInspectInfo | undefined> {
  try {
    const found = await docker.getContainer(encodeURIComponent(name)).inspect({ abortSignal: signal })
    // The engine takes the beginning of an id, too.
    return nameOf(found) === name ? found : undefined
  } catch (error) {
    if (statusOf(error) === 404) return undefined
    throw error
  }
}

async function stop(
  { docker, stopWithinMs }: Pick<Swapping, 'docker' | 'stopWithinMs'>,
  id: string,
  signal: AbortSignal,
): Promise<void> {
  const container = docker.getContainer(id)
  const { State } = await container.inspect({ abortSignal: signal })
  if (!State.Running && !State.Restarting) return
  await container.stop({ t: Math.ceil(stopWithinMs / 1_000), abortSignal: signal }).catch((error: unknown) => {
    // It ended by itself meanwhile.
    if (statusOf(error) !== 304) throw error
  })
}

const LAST_LINES = 5
const LAST_LINES_MS = 5_000

/** Its log goes with it when it is taken back: the end of it belongs to the error. */
async function withLastLines(
  error: unknown,
  container: Docker.Container,
  { context, host }: Swapping,
): Promise<OpsError> {
  const abortSignal = AbortSignal.timeout(LAST_LINES_MS)
  const said = await container.logs({ stdout: true, stderr: true, tail: LAST_LINES, follow: false, abortSignal }).then(
    (bytes) => demultiplex(bytes).trim(),
    () => '',
  )
  const lines = said === '' ? '' : `; its last words: ${context.redact(said).slice(-600)}`
  // What a health check has printed is in the message.
  return new OpsError('FAILED', `${context.redact(messageOf(error))}${lines}`, { host, cause: error })
}

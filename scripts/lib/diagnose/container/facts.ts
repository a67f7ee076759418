/** What a Docker engine says about its containers, in our words; and the last lines that a container printed. */
import { mapLimited } from '../../core/map-limited.ts'
import { redactText } from '../../core/redact.ts'
import { demultiplex } from '../../host/container/demux.ts'
import { statusOf } from '../../host/container/docker.ts'
import type { ContainerEngine, InspectedContainer } from './engine.ts'

export interface HealthFacts {
  readonly status: string
  /** Failures in a row. */
  readonly failingStreak: number
  /** What the last run of the health check printed, and its exit code. */
  readonly last?: { readonly exitCode: number; readonly output: string }
}

export interface ContainerFacts {
  readonly id: string
  readonly name: string
  readonly image: string
  /** Milliseconds since the epoch; undefined when the engine does not list the image any more. */
  readonly imageCreatedAtMs?: number
  /** Of Docker Compose, by its labels. */
  readonly project?: string
  readonly service?: string
  /** The compose files that the project was started with. */
  readonly composeFiles: readonly string[]
  /** Started by `docker compose run`: a job, not a service. */
  readonly oneOff: boolean
  /** `created`, `running`, `paused`, `restarting`, `removing`, `exited`, `dead`. */
  readonly state: string
  readonly exitCode: number
  readonly oomKilled: boolean
  /** Why the engine could not start it; empty when it could. */
  readonly error: string
  readonly startedAtMs?: number
  readonly finishedAtMs?: number
  /** By the engine, since it was last started by hand. */
  readonly restarts: number
  /** `no`, `always`, `unless-stopped`, `on-failure`. */
  readonly restartPolicy: string
  readonly memoryLimitBytes?: number
  readonly health?: HealthFacts
  /** With a terminal, its output is one stream without frames. */
  readonly tty: boolean
}

/** Requests to the engine at a time: it answers an inspect in about a millisecond, so more brings nothing. */
export const CONCURRENCY = 6
const MAX_CONTAINERS = 500
const LOG_LINES = 20
/** Twenty entries of the 16 KiB at which the engine splits a line. */
const MAX_LOG_CHARS = 20 * 16 * 1024
const MAX_LINE_LENGTH = 300

/** @returns every container, running or not, by name; one that vanishes meanwhile is left out */
export async function readContainers(engine: ContainerEngine, signal: AbortSignal): Promise<ContainerFacts[]> {
  const [listed, images] = await Promise.all([
    engine.listContainers({ all: true, abortSignal: signal }),
    engine.listImages({ abortSignal: signal }),
  ])
  const createdAt = new Map(images.map((image) => [image.Id, image.Created * 1000]))
  const inspected = await mapLimited(listed.slice(0, MAX_CONTAINERS), CONCURRENCY, ({ Id }) =>
    inspect(engine, Id, signal),
  )
  return inspected
    .filter((container) => container !== undefined)
    .map((container) => factsFrom(container, createdAt.get(container.Image)))
    .sort((a, b) => (a.name < b.name ? -1 : 1))
}

/** The last lines on stdout and stderr, oldest first, cut to a bearable length. Control characters are left in. */
export async function readLastLines(
  engine: ContainerEngine,
  { id, tty }: Pick<ContainerFacts, 'id' | 'tty'>,
  signal: AbortSignal,
): Promise<string[]> {
  const options = { stdout: true, stderr: true, tail: LOG_LINES, follow: false, abortSignal: signal } as const
  const output = await engine.getContainer(id).logs(options)
  // Masked before it is cut into lines: a key that spans lines is only known as a whole.
  return lastLines(redactText((tty ? output.toString('utf8') : demultiplex(output)).slice(-MAX_LOG_CHARS)))
}

function lastLines(text: string): string[] {
  const lines = text.split('\n').map((line) => line.trimEnd())
  return lines
    .filter((line) => line !== '')
    .slice(-LOG_LINES)
    .map((line) => (line.length > MAX_LINE_LENGTH ? `${line.slice(0, MAX_LINE_LENGTH - 1)}…` : line))
}

async function inspect(
  engine: ContainerEngine,
  id: string,
  signal: AbortSignal,
): Promise<InspectedContainer | undefined> {
  try {
    return await engine.getContainer(id).inspect({ abortSignal: signal })
  } catch (error) {
    if (statusOf(error) === 404) return undefined
    throw error
  }
}

function factsFrom(container: InspectedContainer, imageCreatedAtMs: number | undefined): ContainerFacts {
  const { State: state, Config: config, HostConfig: hostConfig } = container
  const labels = config.Labels ?? {}
  const project = labels['com.docker.compose.project']
  const service = labels['com.docker.compose.service']
  const startedAtMs = timeOf(state.StartedAt)
  const finishedAtMs = timeOf(state.FinishedAt)
  return {
    id: container.Id,
    name: container.Name.replace(/^\//, ''),
    image: config.Image,
    ...(imageCreatedAtMs !== undefined && { imageCreatedAtMs }),
    ...(project && { project }),
    ...(service && { service }),
    composeFiles: (labels['com.docker.compose.project.config_files'] ?? '').split(',').filter(Boolean),
    oneOff: labels['com.docker.compose.oneoff']?.toLowerCase() === 'true',
    state: state.Status,
    exitCode: state.ExitCode,
    oomKilled: state.OOMKilled,
    error: state.Error,
    ...(startedAtMs !== undefined && { startedAtMs }),
    ...(finishedAtMs !== undefined && { finishedAtMs }),
    restarts: container.RestartCount,
    restartPolicy: hostConfig.RestartPolicy?.Name || 'no',
    ...(hostConfig.Memory && { memoryLimitBytes: hostConfig.Memory }),
    ...healthOf(state.Health),
    tty: config.Tty,
  }
}

function healthOf(health: InspectedContainer['State']['Health']): { health?: HealthFacts } {
  if (!health || health.Status === 'none' || health.Status === '') return {}
  const last = health.Log?.at(-1)
  const run = last && {
    last: { exitCode: last.ExitCode, output: redactText(last.Output).trim().slice(0, MAX_LINE_LENGTH) },
  }
  return { health: { status: health.Status, failingStreak: health.FailingStreak, ...run } }
}

/** The engine writes the year 1 for "never". */
function timeOf(text: string): number | undefined {
  const ms = Date.parse(text)
  return Number.isFinite(ms) && ms > 0 ? ms : undefined
}

/**
 * A Docker engine through the host that it runs on: the local socket, or the remote one over the SSH connection that is
 * open already, so that no engine listens on a TCP port. DOCKER_HOST counts for this machine when it names a socket.
 */
import type Dockerode from 'dockerode'
import { isOpsError, messageOf, OpsError } from '../../core/errors.ts'
import { openDeadline, raceAbort, timeoutError } from '../deadline.ts'
import type { Host } from '../types.ts'
import type { SocketAgent } from './socket-agent.ts'

/** The client and its words, for rooms that ask an engine themselves. */
export type { default as Docker } from 'dockerode'

export interface DockerOptions {
  /** Default: `/var/run/docker.sock`; on this machine the socket of $DOCKER_HOST, if it is one. */
  readonly socketPath?: string | undefined
  /** For the first contact. Default 5,000. */
  readonly timeoutMs?: number | undefined
  readonly signal?: AbortSignal | undefined
}

const DEFAULT_SOCKET = '/var/run/docker.sock'
const FIRST_CONTACT_MS = 5_000

/**
 * Connects to the engine and asks whether it is well.
 * @returns a client; it holds nothing open between calls
 * @throws OpsError MISSING_TOOL (no socket), NOT_PERMITTED, UNREACHABLE (nobody listens, no answer), TIMEOUT
 */
export async function openDocker(host: Host, options: DockerOptions = {}): Promise<Dockerode> {
  const { connect, name } = host
  if (!connect)
    throw new OpsError('USAGE', `${name} cannot lead to a Docker engine: it is a container itself`, { host: name })
  const socketPath = options.socketPath ?? defaultSocket(host)
  const { timeoutMs = FIRST_CONTACT_MS, signal } = options
  const expired = () => timeoutError(`asking the Docker engine of ${name}`, name, timeoutMs)
  const deadline = openDeadline({ timeoutMs, signal, expired })
  let agent: SocketAgent | undefined
  try {
    // First the socket alone: without an engine, the client library is not worth loading.
    ;(await connect(socketPath, deadline.signal)).destroy()
    const [{ default: Docker }, { SocketAgent }] = await Promise.all([import('dockerode'), import('./socket-agent.ts')])
    agent = new SocketAgent(() => connect(socketPath))
    // The given host, protocol and socket keep the library from reading DOCKER_HOST by its own rules.
    const fixed = { host: undefined, protocol: 'http', socketPath }
    const docker = new Docker({ ...fixed, agent } as Dockerode.DockerOptions)
    await raceAbort(docker.ping(), deadline.signal)
    return docker
  } catch (error) {
    agent?.destroy()
    throw engineError(error, name)
  } finally {
    deadline.clear()
  }
}

function defaultSocket({ kind }: Host): string {
  const configured = process.env['DOCKER_HOST'] ?? ''
  return kind === 'local' && configured.startsWith('unix://') ? configured.slice('unix://'.length) : DEFAULT_SOCKET
}

/** An error of the client library as ours. */
export function engineError(error: unknown, host: string): OpsError {
  if (isOpsError(error)) return error
  const status = statusOf(error)
  const said = status === undefined ? messageOf(error) : `status ${status}: ${messageOf(error)}`
  return new OpsError(status === undefined ? 'UNREACHABLE' : 'FAILED', `the Docker engine of ${host}: ${said.trim()}`, {
    host,
    cause: error,
  })
}

/** The HTTP status that the engine answered with; undefined when it did not answer. */
export function statusOf(error: unknown): number | undefined {
  if (typeof error !== 'object' || error === null || !('statusCode' in error)) return undefined
  return typeof error.statusCode === 'number' ? error.statusCode : undefined
}

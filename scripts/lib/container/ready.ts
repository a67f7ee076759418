/**
 * Whether a container that was just started does its work: its health check says so, or, without one, it has been running
 * for a while without a restart.
 */
import type { Clock } from '../core/clock.ts'
import { formatDuration } from '../core/duration.ts'
import { OpsError } from '../core/errors.ts'
import type { Docker } from '../host/container/docker.ts'

export interface Limits {
  readonly healthyWithinMs: number
  /** Without a health check: this long without a restart. */
  readonly runningForMs: number
}

/** How a container is, with what it takes to judge it. */
export type State = Pick<Docker.ContainerInspectInfo['State'], 'Status' | 'Running' | 'Restarting' | 'ExitCode'> & {
  readonly Health?:
    { readonly Status: string; readonly Log?: readonly { readonly Output: string }[] | null } | undefined
  readonly StartedAt: string
}

export interface Readiness {
  /** `over`: it will not become ready by itself. */
  readonly is: 'ready' | 'not-yet' | 'over'
  readonly because: string
}

/** @param runningForMs how long it has been seen running since its last start */
export function decideReady(state: State, runningForMs: number, limits: Limits): Readiness {
  const { Status, Running, Restarting, ExitCode, Health } = state
  if (Restarting) return { is: 'not-yet', because: `it ended with ${ExitCode} and is being restarted` }
  if (!Running) return { is: 'over', because: `it is ${Status} (exit code ${ExitCode})` }
  if (Health && Health.Status !== 'none') {
    if (Health.Status === 'healthy') return { is: 'ready', because: 'its health check says healthy' }
    const said = Health.Log?.at(-1)?.Output.trim().split('\n').at(-1)
    return { is: 'not-yet', because: `its health check says ${Health.Status}${said ? ` (${said.slice(0, 200)})` : ''}` }
  }
  const long = formatDuration(Math.max(1_000, Math.floor(runningForMs / 1_000) * 1_000))
  if (runningForMs >= limits.runningForMs) return { is: 'ready', because: `it has been running for ${long}` }
  return { is: 'not-yet', because: `it has been running for ${long} only` }
}

/** Between two looks. */
const PAUSE_MS = 500

/**
 * @returns why it is ready
 * @throws OpsError FAILED with what was seen last
 */
export async function waitUntilReady(
  read: () => Promise<State>,
  limits: Limits,
  { clock, signal }: { readonly clock: Clock; readonly signal: AbortSignal },
): Promise<string> {
  const begunAt = clock.monotonic()
  let seen = { startedAt: '', since: begunAt }
  for (;;) {
    signal.throwIfAborted()
    const state = await read()
    const now = clock.monotonic()
    if (state.StartedAt !== seen.startedAt || !state.Running) seen = { startedAt: state.StartedAt, since: now }
    const { is, because } = decideReady(state, now - seen.since, limits)
    if (is === 'ready') return because
    if (is === 'over') throw new OpsError('FAILED', because)
    if (now - begunAt >= limits.healthyWithinMs) {
      throw new OpsError('FAILED', `not ready within ${formatDuration(limits.healthyWithinMs)}: ${because}`)
    }
    await clock.sleep(PAUSE_MS, signal)
  }
}

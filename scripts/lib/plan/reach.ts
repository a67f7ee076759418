/** Every host of a plan, reached and answering, before the first of them is changed. */
import type { Clock } from '../core/clock.ts'
import { isOpsError, messageOf, OpsError } from '../core/errors.ts'
import type { Host, Hosts } from '../host/types.ts'
import { withDeadline } from './deadline.ts'
import type { Plan } from './types.ts'

/** An SSH connection through two jump hosts at the default connect timeout of 5 s each, and an answer. */
const REACH_TIMEOUT_MS = 20_000

export interface ReachOptions {
  readonly hosts: Hosts
  readonly clock: Clock
  readonly signal: AbortSignal
}

/**
 * @returns the hosts by name
 * @throws OpsError of the first host that failed, naming all of them: UNREACHABLE, TIMEOUT, HOST_KEY, NOT_PERMITTED, USAGE
 */
export async function reachHosts(plan: Plan, options: ReachOptions): Promise<ReadonlyMap<string, Host>> {
  const names = [...new Set(plan.steps.map((step) => step.on))]
  const attempts = await Promise.allSettled(names.map((name) => reachHost(name, options)))
  options.signal.throwIfAborted()
  const failures = attempts.flatMap((attempt, index) =>
    attempt.status === 'rejected' ? [{ name: names[index] ?? '', error: attempt.reason as unknown }] : [],
  )
  const [first] = failures
  if (first) throw unreachableError(first, failures)
  return new Map(
    attempts.flatMap((attempt, index) =>
      attempt.status === 'fulfilled' ? [[names[index] ?? '', attempt.value] as const] : [],
    ),
  )
}

function reachHost(name: string, { hosts, clock, signal }: ReachOptions): Promise<Host> {
  const reach = async (stop: AbortSignal) => {
    const host = await hosts.open(name, { signal: stop })
    try {
      // A connection from before may be dead by now, so something has to come back over it.
      await host.read(['true'], { signal: stop })
    } catch (error) {
      // A container without a shell has answered, too.
      if (!isOpsError(error, 'MISSING_TOOL')) throw error
    }
    return host
  }
  return withDeadline(reach, { what: `Reaching ${name}`, timeoutMs: REACH_TIMEOUT_MS, clock, signal })
}

interface Failure {
  readonly name: string
  readonly error: unknown
}

function unreachableError({ name, error }: Failure, all: readonly Failure[]): OpsError {
  const known = isOpsError(error) ? error : undefined
  const reasons = all.map((failure) => `${failure.name} (${messageOf(failure.error)})`).join(', ')
  return new OpsError(known?.code ?? 'UNREACHABLE', `Nothing was changed, because not every host answers: ${reasons}`, {
    ...known?.details,
    host: name,
    cause: error,
  })
}

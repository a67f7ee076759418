/** Every machine that a run may change, reached and answering before it begins. */
import { formatDuration } from '../../core/duration.ts'
import { isOpsError, messageOf, OpsError } from '../../core/errors.ts'
import type { ActionContext } from '../../action/types.ts'
import type { Renderer } from '../render.ts'
import type { Runbook, Task } from '../types.ts'
import { isLook } from './session.ts'
import { hostOf } from './task.ts'

/** Two jump hosts at the default connect timeout of 5 s each. */
const DEADLINE_MS = 12_000

export interface HostsInUse {
  /** Sorted. */
  readonly changed: readonly string[]
  /** Only looked at: they may be what is down. */
  readonly looked: readonly string[]
}

/** Which machines the steps that apply would touch. Actions reach theirs themselves. */
export function hostsOf(runbook: Runbook, words: Renderer): HostsInUse {
  const changed = new Set<string>()
  const looked = new Set<string>()
  const steps = runbook.phases.flatMap((phase) => phase.steps).filter(({ when }) => !when || words.holds(when))
  for (const { task, verify, rollback, readOnly } of steps) {
    const add = (one: Task | undefined, names: Set<string>) => {
      if (one && one.work.kind !== 'action') names.add(hostOf(one, words))
    }
    add(task, isLook({ task, readOnly }) ? looked : changed)
    add(rollback, changed)
    add(verify, looked)
  }
  return { changed: [...changed].sort(), looked: [...looked].filter((name) => !changed.has(name)).sort() }
}

/**
 * Asks all of them at once.
 * @returns sentences about machines that are only looked at and do not answer
 * @throws OpsError UNREACHABLE, TIMEOUT, HOST_KEY, NOT_PERMITTED, USAGE, naming every machine that would be changed and is not there
 */
export async function reachHosts(
  { hosts, signal }: Pick<ActionContext, 'hosts' | 'signal'>,
  use: HostsInUse,
): Promise<string[]> {
  const [changed, looked] = await Promise.all([
    Promise.all(use.changed.map((name) => tryHost(hosts, name, signal))),
    Promise.all(use.looked.map((name) => tryHost(hosts, name, signal))),
  ])
  signal.throwIfAborted()
  const failed = changed.flatMap((problem) => problem ?? [])
  const [first] = failed
  if (first) {
    const known = isOpsError(first.error) ? first.error : undefined
    const all = failed.map(({ name, error }) => `${name} (${messageOf(error)})`).join(', ')
    throw new OpsError(known?.code ?? 'UNREACHABLE', `nothing was begun, because not every host answers: ${all}`, {
      ...known?.details,
      host: first.name,
      cause: first.error,
    })
  }
  return looked.flatMap((problem) => (problem ? [`${problem.name} does not answer: ${messageOf(problem.error)}`] : []))
}

async function tryHost(
  hosts: ActionContext['hosts'],
  name: string,
  signal: AbortSignal,
): Promise<{ readonly name: string; readonly error: unknown } | undefined> {
  // This machine answers: it runs us.
  if (name === 'localhost') return undefined
  const deadline = AbortSignal.timeout(DEADLINE_MS)
  const stop = AbortSignal.any([signal, deadline])
  try {
    const host = await hosts.open(name, { signal: stop })
    await host.read(['true'], { signal: stop })
    return undefined
  } catch (error) {
    // A container without a shell has answered, too.
    if (isOpsError(error, 'MISSING_TOOL')) return undefined
    if (!deadline.aborted || isOpsError(error)) return { name, error }
    return {
      name,
      error: new OpsError('TIMEOUT', `no answer within ${formatDuration(DEADLINE_MS)}`, { host: name, cause: error }),
    }
  }
}

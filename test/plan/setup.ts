/** What the tests of applying a plan have in common: machines in memory, a clock by hand, a list of events. */
import { createManualClock, type ManualClock } from '../../scripts/lib/core/clock.ts'
import { OpsError } from '../../scripts/lib/core/errors.ts'
import { applyPlan, PlanFailure, type ApplyOptions, type PlanEvent, type Step } from '../../scripts/lib/plan/index.ts'
import { createMemoryHosts } from '../support/memory-host.ts'

/** A step that creates a file, and takes it away again. */
export function fileStep(on: string, path: string, more: Partial<Step> = {}): Step {
  return {
    on,
    title: `Create ${path}`,
    apply: (host) => host.put(path, 'new'),
    undo: async (host) => void (await host.run(['rm', path])),
    ...more,
  }
}

export const fails = (message: string) => async (): Promise<never> => {
  throw new OpsError('FAILED', message)
}

/** Never ends by itself, ends when told to. */
export const hangs = (_host: unknown, signal: AbortSignal) =>
  new Promise<void>((_resolve, reject) => signal.addEventListener('abort', () => reject(new Error('killed'))))

/** Does not listen. */
export const ignoresEverything = () => new Promise<void>(() => undefined)

interface Setup extends Partial<ApplyOptions> {
  readonly clock?: ManualClock
}

export function setUp(options: Setup = {}) {
  const hosts = createMemoryHosts(['web-1', 'web-2', 'db-1'])
  const clock = createManualClock()
  const events: PlanEvent[] = []
  const full = { hosts, clock, record: (event: PlanEvent) => void events.push(event), ...options }
  const run = (...steps: Step[]) => {
    const plan = { title: 'The plan', because: 'it is asked for', steps }
    return applyPlan(plan, { signal: new AbortController().signal, ...full })
  }
  const kinds = () => events.map(({ kind, details }) => [kind, details['step']].filter(Boolean).join(' '))
  const calls = (name: string) => hosts.machines.get(name)?.calls.filter((call) => call !== 'read true')
  return { hosts, clock, events, kinds, calls, run }
}

export async function failureOf(work: Promise<unknown>): Promise<PlanFailure> {
  const error = await work.then(
    () => new Error('it succeeded'),
    (thrown: unknown) => thrown,
  )
  if (error instanceof PlanFailure) return error
  throw error
}

export const outcomes = (failure: PlanFailure) => failure.result.steps.map((step) => step.outcome)

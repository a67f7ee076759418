/** Random plans with random failures against a model: machines that are maps of files. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { createManualClock } from '../../scripts/lib/core/clock.ts'
import { OpsError } from '../../scripts/lib/core/errors.ts'
import type { Host } from '../../scripts/lib/host/types.ts'
import { applyPlan, PlanFailure, type PlanEvent, type PlanResult, type Step } from '../../scripts/lib/plan/index.ts'
import { createMemoryHosts, type MemoryHosts } from '../support/memory-host.ts'

const HOSTS = ['web-1', 'web-2', 'db-1']

interface Draft {
  readonly on: string
  readonly path: string
  readonly fault: 'none' | 'before' | 'half' | 'after' | 'verify' | 'abort'
  readonly undo: 'works' | 'fails' | 'none'
}

const draft = fc.record<Draft>({
  on: fc.constantFrom(...HOSTS),
  path: fc.constantFrom('/a', '/b', '/c'),
  fault: fc.oneof(
    { weight: 8, arbitrary: fc.constant('none' as const) },
    { weight: 3, arbitrary: fc.constantFrom('before', 'half', 'after', 'verify', 'abort') },
  ),
  undo: fc.oneof(
    { weight: 12, arbitrary: fc.constant('works' as const) },
    { weight: 1, arbitrary: fc.constantFrom('fails', 'none') },
  ),
})

describe('any plan with any failures', () => {
  it('is applied whole, or undone whole in exact reverse, or says what is left', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(draft, { minLength: 1, maxLength: 8 }), async (drafts) => {
        const { before, after, result, error, undone, events } = await carryOut(drafts)
        const begun = events.filter((event) => event.kind === 'step.started').map((event) => numberOf(event))

        if (error === undefined) {
          expect(result.steps.every((step) => step.outcome === 'verified')).toBe(true)
          expect(undone).toEqual([])
        } else if (error.code === 'STUCK') {
          expect(error.nextActions.length).toBeGreaterThan(0)
          expect(undone).toEqual(begun.toReversed().slice(0, undone.length))
        } else {
          expect(['ROLLED_BACK', 'INTERRUPTED']).toContain(error.code)
          expect(after).toEqual(before)
          expect(undone).toEqual(begun.toReversed())
        }
        expectEveryAppliedStepAccountedFor(events, result)
      }),
      { numRuns: 400 },
    )
  })
})

async function carryOut(drafts: readonly Draft[]) {
  const hosts = createMemoryHosts(HOSTS)
  for (const [index, name] of HOSTS.entries()) hosts.machines.get(name)?.files.set('/a', `original ${index}`)
  const before = hosts.snapshot()
  const stop = new AbortController()
  const events: PlanEvent[] = []
  const undone: number[] = []
  const steps = drafts.map((step, index) => toStep(step, { index, hosts, stop, undone }))
  const options = {
    hosts,
    clock: createManualClock(),
    signal: stop.signal,
    record: (e: PlanEvent) => void events.push(e),
  }
  const outcome = await applyPlan({ title: 'Random', because: 'why not', steps }, options).then(
    (result) => ({ result, error: undefined }),
    (error: unknown) => {
      if (!(error instanceof PlanFailure)) throw error
      return { result: error.result, error }
    },
  )
  return { before, after: hosts.snapshot(), undone, events, ...outcome }
}

interface World {
  readonly index: number
  readonly hosts: MemoryHosts
  readonly stop: AbortController
  readonly undone: number[]
}

/** Writes two files, so that it can stop half-way; remembers what was there, so that it can put it back. */
function toStep({ on, path, fault, undo }: Draft, { index, hosts, stop, undone }: World): Step {
  const saved = new Map<string, string | undefined>()
  const files = hosts.machines.get(on)?.files ?? new Map<string, string>()
  const write = async (host: Host, target: string) => {
    saved.set(target, files.get(target))
    await host.put(target, `written by ${index}`)
  }
  const broken = () => new OpsError('FAILED', `fault ${fault}`)
  const takeBack = async () => {
    if (undo === 'fails') throw new OpsError('FAILED', 'the undo broke')
    undone.push(index + 1)
    for (const [target, text] of saved) {
      if (text === undefined) files.delete(target)
      else files.set(target, text)
    }
  }
  return {
    on,
    title: `Write ${path} and more (${index})`,
    apply: async (host) => {
      if (fault === 'before') throw broken()
      await write(host, path)
      if (fault === 'half') throw broken()
      if (fault === 'abort') stop.abort()
      await write(host, `${path}.more`)
      if (fault === 'after') throw broken()
    },
    verify: async () => ({ ok: fault !== 'verify', because: `verified ${index}` }),
    ...(undo === 'none' ? { pointOfNoReturn: true } : { undo: takeBack }),
  }
}

/** Every step.applied is followed by its step.undone, or its step is still in effect in the final state. */
function expectEveryAppliedStepAccountedFor(events: readonly PlanEvent[], result: PlanResult): void {
  const numbers = (kind: PlanEvent['kind']) => events.filter((event) => event.kind === kind).map(numberOf)
  const undone = numbers('step.undone')
  for (const number of numbers('step.applied')) {
    const { outcome } = result.steps[number - 1] ?? {}
    expect(undone.includes(number)).toBe(outcome === 'undone')
  }
  expect(events.at(0)?.kind).toBe('plan.started')
  expect(events.at(-1)?.kind).toBe('plan.finished')
}

function numberOf(event: PlanEvent): number {
  return Number(event.details['step'])
}

import { describe, expect, it } from 'vitest'
import { OpsError } from '../../scripts/lib/core/errors.ts'
import type { Hosts } from '../../scripts/lib/host/types.ts'
import type { PlanEvent, Step } from '../../scripts/lib/plan/index.ts'
import { createMemoryHosts } from '../support/memory-host.ts'
import { failureOf, fails, fileStep, hangs, outcomes, setUp } from './setup.ts'

describe('a plan that works', () => {
  it('applies and proves each step in turn, and tells the journal', async () => {
    const { run, kinds, events } = setUp()
    const verify = async () => ({ ok: true, because: '200 from the backend' })
    const result = await run(fileStep('web-1', '/a', { verify }), fileStep('web-2', '/b'))
    expect(result).toEqual({
      title: 'The plan',
      changed: true,
      because: 'it is asked for',
      steps: [
        { on: 'web-1', title: 'Create /a', outcome: 'verified', message: '200 from the backend', durationMs: 0 },
        { on: 'web-2', title: 'Create /b', outcome: 'applied', message: 'Create /b', durationMs: 0 },
      ],
    })
    expect(kinds()).toEqual([
      ...['plan.started', 'step.started 1', 'step.applied 1', 'step.verified 1'],
      ...['step.started 2', 'step.applied 2', 'plan.finished'],
    ])
    expect(events.find((event) => event.kind === 'step.verified')).toEqual({
      kind: 'step.verified',
      host: 'web-1',
      result: 'ok',
      message: 'Create /a: 200 from the backend',
      details: { plan: 'The plan', step: 1, of: 2, durationMs: 0 },
    })
  })

  it('with no steps changes nothing and says why', async () => {
    const { run, events } = setUp()
    expect(await run()).toEqual({ title: 'The plan', changed: false, because: 'it is asked for', steps: [] })
    expect(events).toEqual([])
  })

  it('shows its progress', async () => {
    const seen: string[] = []
    const { run } = setUp({ onStep: ({ number, total, outcome }) => seen.push(`${number}/${total} ${outcome}`) })
    await run(fileStep('web-1', '/a'), fileStep('web-1', '/b'))
    expect(seen).toEqual(['1/2 started', '1/2 applied', '2/2 started', '2/2 applied'])
  })

  it('stands although its end could not be recorded, and says so', async () => {
    const record = ({ kind }: PlanEvent) => {
      if (kind === 'plan.finished') throw new OpsError('CANNOT_WRITE', 'the disk is full')
    }
    const { run, hosts } = setUp({ record })
    expect(await run(fileStep('web-1', '/a'))).toMatchObject({ changed: true, unrecorded: 'the disk is full' })
    expect(hosts.machines.get('web-1')?.files.has('/a')).toBe(true)
  })
})

describe('before the first change', () => {
  it('a plan that is not sound is refused', async () => {
    const { run, events } = setUp()
    const last = { on: 'web-1', title: 'Promote', apply: async () => undefined }
    await expect(run(last, fileStep('web-1', '/a'))).rejects.toMatchObject({
      code: 'FAILED',
      message: expect.stringContaining('step 1 cannot be undone, but step 2 after it can') as string,
    })
    expect(events).toEqual([])
  })

  it('every host is reached: one that is not leaves all as they were', async () => {
    const hosts = createMemoryHosts(['web-1', 'web-2'], ['web-2'])
    const { run, kinds } = setUp({ hosts })
    await expect(run(fileStep('web-1', '/a'), fileStep('web-2', '/b'))).rejects.toMatchObject({
      code: 'UNREACHABLE',
      message: 'Nothing was changed, because not every host answers: web-2 (no route to host)',
      details: { host: 'web-2', hint: 'Ping web-2.' },
    })
    expect(hosts.snapshot()).toEqual({ 'web-1': {}, 'web-2': {} })
    expect(kinds()).toEqual(['plan.started', 'plan.finished'])
  })

  it('a host that opens and never answers is not reached', async () => {
    const silent: Hosts = { ...createMemoryHosts(['web-1']), open: () => new Promise(() => undefined) }
    const { run, clock } = setUp({ hosts: silent })
    const work = run(fileStep('web-1', '/a'))
    const caught = expect(work).rejects.toMatchObject({ message: expect.stringContaining('web-1') as string })
    for (let second = 0; second < 70; second += 1) await clock.advance(1_000)
    await caught
  })

  it('an interruption changes nothing', async () => {
    const { run, kinds } = setUp({ signal: AbortSignal.abort() })
    await expect(run(fileStep('web-1', '/a'))).rejects.toMatchObject({ code: 'INTERRUPTED' })
    expect(kinds()).toEqual([])
  })

  it('a journal that cannot be written changes nothing', async () => {
    const { run, hosts } = setUp({ record: () => raise(new OpsError('CANNOT_WRITE', 'the disk is full')) })
    await expect(run(fileStep('web-1', '/a'))).rejects.toMatchObject({ code: 'CANNOT_WRITE' })
    expect(hosts.snapshot()['web-1']).toEqual({})
  })
})

describe('a step that fails', () => {
  it('is undone first, then those before it, in reverse', async () => {
    const order: string[] = []
    const noted = (name: string, more: Partial<Step> = {}) =>
      fileStep('web-1', `/${name}`, { undo: async () => void order.push(name), ...more })
    const { run, kinds } = setUp()
    const failure = await failureOf(run(noted('a'), noted('b'), noted('c', { apply: fails('no space') }), noted('d')))
    expect(failure.code).toBe('ROLLED_BACK')
    expect(failure.message).toBe('The plan: step 3 of 4 failed on web-1 (Create /c: no space); everything was undone')
    expect(order).toEqual(['c', 'b', 'a'])
    expect(outcomes(failure)).toEqual(['undone', 'undone', 'undone', 'not-reached'])
    expect(failure.result.changed).toBe(false)
    expect(kinds().slice(-5)).toEqual([
      'step.failed 3',
      'step.undone 3',
      'step.undone 2',
      'step.undone 1',
      'plan.finished',
    ])
  })

  it('gives the hint of what made it fail', async () => {
    const { run } = setUp()
    const apply = () => raise(new OpsError('FAILED', 'bad config', { hint: 'Run nginx -t.' }))
    expect((await failureOf(run(fileStep('web-1', '/a', { apply })))).details.hint).toBe('Run nginx -t.')
  })

  it('may be one whose effect is not seen, with the reason', async () => {
    const { run, calls } = setUp()
    const verify = async () => ({ ok: false, because: 'still 502 from 192.0.2.10' })
    const failure = await failureOf(run(fileStep('web-1', '/a', { verify })))
    expect(failure.message).toContain('still 502 from 192.0.2.10')
    expect(failure.result.steps[0]?.message).toBe('failed (still 502 from 192.0.2.10), then undone')
    expect(calls('web-1')).toEqual(['put /a', 'run rm /a'])
  })

  it('may be one that the journal could not note: what is not recorded is not done', async () => {
    const record = ({ kind }: PlanEvent) => {
      if (kind === 'step.applied') throw new OpsError('CANNOT_WRITE', 'the disk is full')
    }
    const { run, calls } = setUp({ record })
    const failure = await failureOf(run(fileStep('web-1', '/a')))
    expect(failure.code).toBe('ROLLED_BACK')
    expect(calls('web-1')).toEqual(['put /a', 'run rm /a'])
  })

  it('may be one that does not end: it is told to stop, then undone', async () => {
    const { run, clock, calls } = setUp()
    const work = failureOf(run(fileStep('web-1', '/a', { apply: hangs, timeoutMs: 5_000 })))
    await clock.advance(5_000)
    expect((await work).message).toContain('Create /a (apply) did not end within 5 s')
    expect(calls('web-1')).toEqual(['run rm /a'])
  })
})

describe('the effect of a step', () => {
  it('is looked for until it shows, within the time it may take', async () => {
    const { run, clock } = setUp()
    let asked = 0
    const verify = async () => {
      asked += 1
      if (asked === 1) throw new OpsError('UNREACHABLE', 'connection refused')
      return asked < 4 ? { ok: false, because: 'old workers answer' } : { ok: true, because: 'new workers answer' }
    }
    const work = run(fileStep('web-1', '/a', { verify, verifyWithinMs: 2_000 }))
    await clock.advance(2_000)
    expect((await work).steps[0]).toMatchObject({ outcome: 'verified', message: 'new workers answer' })
    expect(asked).toBe(4)
  })

  it('is a failure with the last reason when that time has passed', async () => {
    const { run, clock } = setUp()
    const work = failureOf(run(fileStep('web-1', '/a', { verify: fails('connection refused'), verifyWithinMs: 500 })))
    await clock.advance(2_000)
    expect((await work).message).toContain('connection refused')
  })

  it('that is asked for and never answered is a failure', async () => {
    const { run, clock } = setUp()
    const verify = (host: unknown, signal: AbortSignal) => hangs(host, signal).then(() => ({ ok: true, because: '' }))
    const work = failureOf(run(fileStep('web-1', '/a', { verify })))
    await clock.advance(30_000)
    expect((await work).message).toContain('Create /a (verify) did not end within 30 s')
  })
})

describe('an undo that fails', () => {
  it('ends the undoing, and every thing that a human must look at is named, in order', async () => {
    const { run, calls } = setUp()
    const failure = await failureOf(
      run(
        fileStep('web-1', '/a'),
        fileStep('web-2', '/b', { undo: fails('permission denied') }),
        fileStep('db-1', '/c', { apply: fails('no space') }),
      ),
    )
    expect(failure.code).toBe('STUCK')
    expect(failure.message).toContain('a human must look at web-2, web-1')
    expect(failure.nextActions).toEqual([
      'on web-2: take back "Create /b" by hand, its undo failed: permission denied',
      'on web-1: "Create /a" is still in effect; keep it or take it back',
    ])
    expect(failure.details.hint).toContain('(1) on web-2: take back "Create /b"')
    expect(outcomes(failure)).toEqual(['applied', 'undo-failed', 'undone'])
    expect(failure.result.changed).toBe(true)
    expect(calls('web-1')).toEqual(['put /a'])
  })

  it('by never ending has a deadline of its own', async () => {
    const { run, clock } = setUp()
    const work = failureOf(run(fileStep('web-1', '/a', { apply: fails('no'), undo: hangs })))
    await clock.advance(2 * 60_000)
    expect((await work).nextActions).toEqual([
      'on web-1: take back "Create /a" by hand, its undo failed: Create /a (undo) did not end within 2 min',
    ])
  })
})

describe('a point of no return', () => {
  const promote = (more: Partial<Step> = {}): Step => {
    return { on: 'db-1', title: 'Promote', apply: async () => undefined, pointOfNoReturn: true, ...more }
  }

  it('that fails leaves what is before it alone: nobody knows how far it got', async () => {
    const { run, calls } = setUp()
    const failure = await failureOf(run(fileStep('web-1', '/fence'), promote({ apply: fails('connection lost') })))
    expect(failure.code).toBe('STUCK')
    expect(failure.nextActions).toEqual([
      'on db-1: look how far "Promote" got, it cannot be undone',
      'on web-1: "Create /fence" is still in effect; keep it or take it back',
    ])
    expect(calls('web-1')).toEqual(['put /fence'])
  })

  it('that is passed bounds the undoing, and what is left to do is said', async () => {
    const { run, calls } = setUp()
    const failure = await failureOf(
      run(fileStep('web-1', '/fence'), promote(), fileStep('web-2', '/dns', { apply: fails('refused') })),
    )
    expect(outcomes(failure)).toEqual(['applied', 'applied', 'undone'])
    expect(failure.nextActions).toEqual([
      'on db-1: "Promote" is in effect and cannot be undone',
      'on web-2: "Create /dns" is not done; there is no way back, so do it',
      'on web-1: "Create /fence" is still in effect; keep it or take it back',
    ])
    expect(calls('web-2')).toEqual(['run rm /dns'])
  })
})

describe('a journal that fails after a point of no return', () => {
  it('does not stop what has no way back, and is said in the result', async () => {
    let promoted = false
    const record = () => {
      if (promoted) throw new OpsError('CANNOT_WRITE', 'the disk is full')
    }
    const { run, calls } = setUp({ record })
    const apply = async () => void (promoted = true)
    const promote: Step = { on: 'db-1', title: 'Promote', apply, pointOfNoReturn: true }
    const result = await run(promote, fileStep('web-2', '/dns'))
    expect(result).toMatchObject({ changed: true, unrecorded: 'the disk is full' })
    expect(calls('web-2')).toEqual(['put /dns'])
  })
})

function raise(error: Error): never {
  throw error
}

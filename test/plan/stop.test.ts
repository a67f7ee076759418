import { describe, expect, it } from 'vitest'
import { OpsError } from '../../scripts/lib/core/errors.ts'
import type { ApplyOptions, Step } from '../../scripts/lib/plan/index.ts'
import { failureOf, fileStep, hangs, ignoresEverything, setUp } from './setup.ts'

describe('an interruption', () => {
  it.each([
    [new OpsError('INTERRUPTED', 'SIGINT'), 'INTERRUPTED'],
    [new OpsError('TERMINATED', 'SIGTERM'), 'TERMINATED'],
    [new OpsError('TIMEOUT', 'the runbook gives 5 min'), 'ROLLED_BACK'],
    [undefined, 'INTERRUPTED'],
  ] as const)('between steps (%s) undoes what was done and ends as %s', async (reason, code) => {
    const stop = new AbortController()
    const onStep: ApplyOptions['onStep'] = ({ number, outcome }) => {
      if (number === 1 && outcome === 'applied') stop.abort(reason)
    }
    const { run, calls } = setUp({ signal: stop.signal, onStep })
    const failure = await failureOf(run(fileStep('web-1', '/a'), fileStep('web-2', '/b')))
    expect(failure.code).toBe(code)
    expect(failure.message).toContain('stopped after step 1 of 2')
    expect(calls('web-1')).toEqual(['put /a', 'run rm /a'])
    expect(calls('web-2')).toEqual([])
  })

  it('within a step ends what the step runs, and the undo runs to its end', async () => {
    const stop = new AbortController()
    const { run, calls, clock } = setUp({ signal: stop.signal })
    const undo: Step['undo'] = async (host, signal) => {
      await clock.sleep(60_000, signal)
      await host.run(['rm', '/a'])
    }
    const work = failureOf(run(fileStep('web-1', '/a', { apply: hangs, undo })))
    await clock.advance(1_000)
    stop.abort(new OpsError('INTERRUPTED', 'SIGINT'))
    await clock.advance(61_000)
    const failure = await work
    expect(failure.code).toBe('INTERRUPTED')
    expect(failure.message).toContain('stopped in step 1 of 1')
    expect(calls('web-1')).toEqual(['run rm /a'])
  })

  it('reaches every command of a step without the step passing it on', async () => {
    const stop = new AbortController()
    const { run, calls } = setUp({ signal: stop.signal })
    const apply: Step['apply'] = async (host) => {
      await host.put('/a', '1')
      stop.abort()
      await host.put('/b', '2')
    }
    expect((await failureOf(run(fileStep('web-1', '/a', { apply })))).code).toBe('INTERRUPTED')
    expect(calls('web-1')).toEqual(['put /a', 'run rm /a'])
  })

  it('of a step that does not listen undoes nothing beside it, and says that it may still run', async () => {
    const stop = new AbortController()
    const { run, calls, clock } = setUp({ signal: stop.signal })
    const work = failureOf(run(fileStep('web-1', '/a'), fileStep('web-2', '/b', { apply: ignoresEverything })))
    await clock.advance(1_000)
    stop.abort()
    await clock.advance(45_000)
    const failure = await work
    expect(failure.code).toBe('STUCK')
    expect(failure.nextActions[0]).toContain('on web-2: "Create /b" was told to stop and may still be running')
    expect(calls('web-1')).toEqual(['put /a'])
  })

  it('that comes too late changes nothing: what is proved stands', async () => {
    const stop = new AbortController()
    const verify = async () => {
      stop.abort()
      return { ok: true, because: 'it answers' }
    }
    const { run } = setUp({ signal: stop.signal })
    expect((await run(fileStep('web-1', '/a', { verify }))).changed).toBe(true)
  })
})

describe('a lost lease', () => {
  it('ends the plan and touches nothing any more', async () => {
    const fence = new AbortController()
    const onStep: ApplyOptions['onStep'] = ({ outcome }) => {
      if (outcome === 'applied') fence.abort(new OpsError('LOCKED', 'the lease went to web-9'))
    }
    const { run, calls } = setUp({ fenced: fence.signal, onStep })
    const failure = await failureOf(run(fileStep('web-1', '/a'), fileStep('web-2', '/b')))
    expect(failure.code).toBe('STUCK')
    expect(failure.nextActions[0]).toContain('the lease went to web-9')
    expect(calls('web-1')).toEqual(['put /a'])
  })
})

import { getEventListeners } from 'node:events'
import { describe, expect, it } from 'vitest'
import { systemClock } from '../../scripts/lib/core/clock.ts'
import { OpsError } from '../../scripts/lib/core/errors.ts'
import { runChecks, type RunChecks } from '../../scripts/lib/diagnose/run.ts'
import type { Check, CheckContext } from '../../scripts/lib/diagnose/types.ts'

function check(name: string, run: Check['run'], timeoutMs?: number): Check {
  return { name, group: 'host', scope: 'machine', run, ...(timeoutMs === undefined ? {} : { timeoutMs }) }
}

function setup(checks: Check[], more: Partial<RunChecks> = {}): RunChecks {
  const context = {
    name: 'web-1',
    clock: systemClock,
    settings: { check_timeout: 40 },
  } as unknown as RunChecks['context']
  return { checks, context, deadlineMs: 1_000, signal: new AbortController().signal, ...more }
}

const healthy = check('host.load', async () => ({
  findings: [{ severity: 'ok', title: 'load is fine' }],
  facts: [['load', '0.1']],
}))
const hanging = check('http.check', () => new Promise(() => {}))

describe('runChecks', () => {
  it('names host and check in every finding and keeps the facts', async () => {
    const result = await runChecks(setup([healthy]))
    expect(result.findings).toMatchObject([{ check: 'host.load', host: 'web-1', severity: 'ok' }])
    expect(result.facts).toEqual([['load', '0.1']])
  })

  it('turns a check that is late into unknown with its name and its time, and lets the others answer', async () => {
    const result = await runChecks(setup([hanging, healthy]))
    expect(result.findings).toMatchObject([
      { check: 'http.check', severity: 'unknown', title: 'http.check did not finish', evidence: 'no answer in 40 ms' },
      { check: 'host.load', severity: 'ok' },
    ])
  })

  it('gives no check more time than the total deadline', async () => {
    const seen: number[] = []
    const curious = check(
      'host.cpu',
      async ({ timeoutMs }: CheckContext) => (seen.push(timeoutMs), { findings: [] }),
      60_000,
    )
    await runChecks(setup([curious], { deadlineMs: 25 }))
    expect(seen).toEqual([25])
  })

  it('tells a late check to stop through its signal', async () => {
    let reason: unknown
    const polite = check('network.target', ({ signal }) => {
      signal.addEventListener('abort', () => {
        reason = signal.reason
      })
      return new Promise(() => {})
    })
    await runChecks(setup([polite]))
    expect(reason).toBeInstanceOf(Error)
  })

  it.each([
    [
      'a missing tool',
      new OpsError('MISSING_TOOL', 'nginx is not installed'),
      'skipped',
      'skipped, because nginx is not installed',
    ],
    ['a refusal', new OpsError('NOT_PERMITTED', 'may not read /etc/x'), 'unknown', 'may not read /etc/x'],
    ['a defect', new TypeError('x is not a function'), 'unknown', 'x is not a function'],
  ])('turns %s into a finding', async (_, error, severity, evidence) => {
    const result = await runChecks(setup([check('nginx.config', () => Promise.reject(error))]))
    expect(result.findings).toMatchObject([{ severity, evidence }])
  })

  it('drops what a late check says after its deadline', async () => {
    let late: (error: Error) => void = () => {}
    const slow = check('host.disk', () => new Promise((_, reject) => (late = reject)))
    const result = await runChecks(setup([slow]))
    late(new Error('too late'))
    await new Promise((resolve) => setImmediate(resolve))
    expect(result.findings).toHaveLength(1)
  })

  it('ends at once when the operator interrupts, and leaves no listener behind', async () => {
    const controller = new AbortController()
    const running = runChecks(
      setup([{ ...hanging, timeoutMs: 60_000 }], { signal: controller.signal, deadlineMs: 60_000 }),
    )
    controller.abort(new OpsError('INTERRUPTED', 'interrupted'))
    expect((await running).findings).toMatchObject([{ severity: 'unknown', evidence: 'interrupted' }])
    expect(getEventListeners(controller.signal, 'abort')).toEqual([])
  })
})

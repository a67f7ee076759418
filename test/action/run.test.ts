import { describe, expect, it, onTestFinished, vi } from 'vitest'
import { z } from 'zod'
import { runAction } from '../../scripts/lib/action/run.ts'
import type { ActionContext, ChangeAction, LookAction } from '../../scripts/lib/action/types.ts'
import { configSchema } from '../../scripts/lib/config/schema/index.ts'
import { createManualClock } from '../../scripts/lib/core/clock.ts'
import { OpsError } from '../../scripts/lib/core/errors.ts'
import { silentLog } from '../../scripts/lib/core/log.ts'
import { openJournal, openMemoryJournal, type Journal } from '../../scripts/lib/journal/index.ts'
import type { Report } from '../../scripts/lib/report/types.ts'
import { createMemoryHosts, type MemoryHosts } from '../support/memory-host.ts'
import { tempDir } from '../support/temp.ts'

const params = z.strictObject({
  server: z.string(),
  weight: z.int().default(1),
  probe: z.strictObject({ port: z.int() }).optional(),
})
type Params = z.output<typeof params>

/** Writes the server's name into a file of web-1, unless it stands there already. */
const disable: ChangeAction<Params> = {
  name: 'upstream.disable',
  summary: 'Takes a server out of an upstream',
  changes: true,
  params,
  lease: () => 'upstream:web-1',
  async plan({ hosts }, { server }) {
    const host = await hosts.open('web-1')
    const now = Buffer.from((await host.get('/down')) ?? []).toString()
    if (now === server) return { title: 'Disable', because: `${server} is down already`, steps: [] }
    const step = {
      on: 'web-1',
      title: `Disable ${server}`,
      apply: (on: typeof host) => on.put('/down', server),
      verify: async () => ({ ok: server !== 'cursed', because: `${server} gets no requests` }),
      undo: (on: typeof host) => on.put('/down', now),
    }
    return { title: 'Disable', because: 'it was asked for', steps: [step] }
  },
}

const report: Report = {
  title: 'Diagnosis of web-1',
  startedAt: 0,
  durationMs: 1,
  findings: [
    { check: 'host.disk', host: 'web-1', severity: 'critical', title: '/var is full' },
    { check: 'host.load', host: 'web-1', severity: 'ok', title: 'load is low' },
  ],
}
const look: LookAction<object> = {
  name: 'diagnose.run',
  summary: 'Looks',
  changes: false,
  params: z.strictObject({}),
  look: async () => report,
}

async function setUp(change: Partial<ActionContext> = {}) {
  const journal = openJournal({ dir: await tempDir() })
  onTestFinished(() => journal.close())
  const hosts = createMemoryHosts(['web-1'])
  const { signal } = new AbortController()
  const config = configSchema.parse({})
  const context: ActionContext = {
    config,
    localName: 'web-0',
    hosts,
    journal,
    clock: createManualClock(),
    log: silentLog,
    signal,
    resolveSecret: () => Promise.reject(new Error('no secret is expected')),
    redact: (text) => text,
    ...change,
  }
  return { context, journal, hosts }
}

const kinds = (journal: Journal) => journal.events({ order: 'oldest' }).map((event) => event.kind)
const fileOf = (hosts: MemoryHosts) => hosts.machines.get('web-1')?.files.get('/down')

describe('parameters', () => {
  it.each<[string, unknown, string, string]>([
    [
      'a mistyped name',
      { server: 'a', wieght: 2 },
      'upstream.disable: there is no parameter "wieght"',
      'Did you mean "weight"?',
    ],
    [
      'a mistyped name further in',
      { server: 'a', probe: { prot: 1, port: 1 } },
      'upstream.disable: there is no parameter "probe.prot"',
      'Did you mean "port"?',
    ],
    [
      'a name like no other',
      { server: 'a', colour: 1 },
      'upstream.disable: there is no parameter "colour"',
      'Known: server, weight, probe.',
    ],
    [
      'a wrong value',
      { server: 'a', probe: { port: 'x' } },
      'upstream.disable: probe.port: Invalid input: expected number, received string',
      'Look at the parameters of upstream.disable.',
    ],
    [
      'nothing at all',
      undefined,
      'upstream.disable: Invalid input: expected object, received undefined',
      'Look at the parameters of upstream.disable.',
    ],
  ])('%s: refused by its path before anything is touched', async (_title, raw, message, hint) => {
    const { context, journal } = await setUp()
    await expect(runAction(disable, raw, context)).rejects.toMatchObject({ code: 'USAGE', message, details: { hint } })
    expect(kinds(journal)).toEqual([])
  })
})

describe('an action that looks', () => {
  it('returns its report and is recorded once', async () => {
    const { context, journal } = await setUp()
    expect(await runAction(look, {}, context)).toEqual({ kind: 'report', report })
    expect(journal.events()).toMatchObject([
      {
        ...{ kind: 'action.finished', action: 'diagnose.run', result: 'ok' },
        message: 'Diagnosis of web-1: 1 critical, 1 ok',
        details: { findings: { critical: 1, ok: 1 }, durationMs: 0 },
      },
    ])
  })

  it('returns its report although the journal cannot be written', async () => {
    const { context, journal } = await setUp()
    const record = () => {
      throw new OpsError('CANNOT_WRITE', 'the disk is full')
    }
    const result = await runAction(look, {}, { ...context, journal: { ...journal, record } })
    expect(result).toEqual({ kind: 'report', report, unrecorded: 'the disk is full' })
  })

  it('is recorded when it fails, and throws what it threw', async () => {
    const { context, journal } = await setUp()
    const error = new OpsError('UNREACHABLE', 'no route to web-1')
    await expect(runAction({ ...look, look: () => Promise.reject(error) }, {}, context)).rejects.toBe(error)
    expect(journal.events()[0]).toMatchObject({ result: 'failed', details: { code: 'UNREACHABLE' } })
  })
})

describe('an action that changes something', () => {
  it('in a dry run is described, changes nothing and leaves no trace', async () => {
    const { context, journal, hosts } = await setUp()
    const result = await runAction(disable, { server: 'web-2' }, context, { dryRun: true })
    expect(result).toMatchObject({ kind: 'plan', description: { steps: [{ number: 1, title: 'Disable web-2' }] } })
    expect(fileOf(hosts)).toBeUndefined()
    expect(kinds(journal)).toEqual([])
  })

  it('is applied under its lease and recorded from beginning to end', async () => {
    const { context, journal, hosts } = await setUp()
    const onStep = vi.fn(() => expect(journal.leases()).toMatchObject([{ name: 'upstream:web-1', reason: 'drill' }]))
    const result = await runAction(disable, { server: 'web-2' }, context, { reason: 'drill', onStep })
    expect(result).toMatchObject({ kind: 'applied', result: { changed: true, because: 'it was asked for' } })
    expect(onStep).toHaveBeenCalledTimes(3)
    expect(fileOf(hosts)).toBe('web-2')
    expect(journal.leases()).toEqual([])
    expect(kinds(journal)).toEqual([
      ...['action.started', 'plan.started', 'step.started', 'step.applied', 'step.verified'],
      ...['plan.finished', 'action.finished'],
    ])
    expect(new Set(journal.events().map((event) => event.action))).toEqual(new Set(['upstream.disable']))
    expect(journal.events({ kind: 'action.started' })[0]?.details).toMatchObject({
      params: { server: 'web-2', weight: 1 },
      lease: 'upstream:web-1',
    })
  })

  it('a second time changes nothing and says so', async () => {
    const { context, hosts } = await setUp()
    await runAction(disable, { server: 'web-2' }, context)
    const calls = hosts.machines.get('web-1')?.calls.length
    const result = await runAction(disable, { server: 'web-2' }, context)
    expect(result).toMatchObject({ result: { changed: false, because: 'web-2 is down already' } })
    expect(hosts.machines.get('web-1')?.calls).toHaveLength(calls ?? -1)
  })

  it('that cannot be proved is undone, recorded as undone, and its lease is free', async () => {
    const { context, journal, hosts } = await setUp()
    hosts.machines.get('web-1')?.files.set('/down', 'before')
    await expect(runAction(disable, { server: 'cursed' }, context)).rejects.toMatchObject({ code: 'ROLLED_BACK' })
    expect(fileOf(hosts)).toBe('before')
    expect(journal.leases()).toEqual([])
    expect(journal.events({ kind: 'action.finished' })[0]).toMatchObject({
      result: 'undone',
      details: { code: 'ROLLED_BACK', changed: false },
    })
  })

  it('waits for nobody: another run of it is refused, and that is recorded', async () => {
    const { context, journal, hosts } = await setUp()
    journal.acquire({ name: 'upstream:web-1', reason: 'upstream.enable' })
    await expect(runAction(disable, { server: 'web-2' }, context)).rejects.toMatchObject({ code: 'LOCKED' })
    expect(fileOf(hosts)).toBeUndefined()
    expect(journal.events()[0]).toMatchObject({ kind: 'action.refused', result: 'skipped' })
  })

  it('is not made without a journal that lasts, but may be planned', async () => {
    const journal = openMemoryJournal()
    onTestFinished(() => journal.close())
    const { context, hosts } = await setUp({ journal })
    await expect(runAction(disable, { server: 'web-2' }, context)).rejects.toMatchObject({ code: 'CANNOT_WRITE' })
    expect(fileOf(hosts)).toBeUndefined()
    expect((await runAction(disable, { server: 'web-2' }, context, { dryRun: true })).kind).toBe('plan')
  })

  it('is not applied when its lease went to another while it was planned', async () => {
    const { context, journal, hosts } = await setUp()
    const plan: typeof disable.plan = async (inside, wanted) => {
      journal.sql.run('DELETE FROM leases')
      return disable.plan(inside, wanted)
    }
    await expect(runAction({ ...disable, plan }, { server: 'web-2' }, context)).rejects.toMatchObject({
      code: 'LOCKED',
    })
    expect(fileOf(hosts)).toBeUndefined()
  })
})

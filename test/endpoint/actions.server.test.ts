import { describe, expect, it, onTestFinished } from 'vitest'
import { createRunByName } from '../../scripts/lib/action/by-name.ts'
import { runAction } from '../../scripts/lib/action/run.ts'
import type { Action, ActionContext } from '../../scripts/lib/action/types.ts'
import { findAction } from '../../scripts/lib/catalog.ts'
import { configSchema } from '../../scripts/lib/config/schema/index.ts'
import { systemClock } from '../../scripts/lib/core/clock.ts'
import { silentLog } from '../../scripts/lib/core/log.ts'
import { createCheckAction } from '../../scripts/lib/endpoint/action-look.ts'
import { planHooks } from '../../scripts/lib/endpoint/hooks.ts'
import { openJournal } from '../../scripts/lib/journal/index.ts'
import { createMemoryHosts } from '../support/memory-host.ts'
import { freePort } from '../support/ports.ts'
import { startHttpServer } from '../support/tcp.ts'
import { tempDir } from '../support/temp.ts'

async function setUp(client: Record<string, unknown>): Promise<ActionContext> {
  const journal = openJournal({ dir: await tempDir() })
  onTestFinished(() => journal.close())
  return {
    config: configSchema.parse({ endpoint: { client: { allow_private: true, timeout: '500ms', ...client } } }),
    localName: 'web-0',
    hosts: createMemoryHosts(['localhost']),
    journal,
    clock: systemClock,
    log: silentLog,
    signal: new AbortController().signal,
    resolveSecret: () => Promise.reject(new Error('no secret is expected')),
    redact: (text) => text,
  }
}

async function run(name: string, params: unknown, context: ActionContext) {
  return runAction(await findAction(name), params, context)
}

async function reportOf(name: string, params: unknown, context: ActionContext) {
  const result = await run(name, params, context)
  if (result.kind !== 'report') throw new Error('no report')
  return result.report
}

const twoServers = async () => {
  const backup = await startHttpServer('ok')
  onTestFinished(() => backup.close())
  return { dead: `http://127.0.0.1:${await freePort()}`, up: `http://${backup.address}` }
}

describe('endpoint.check', () => {
  it('runs the action that is configured for a switch, once, with what it is about', async () => {
    const { dead, up } = await twoServers()
    const onSwitch = { action: 'endpoint.add', params: { url: '{to}/after/{kind}/{from_host}', priority: 9 } }
    const context = await setUp({ api: [dead, up], on_switch: onSwitch })
    const hooks = async () =>
      (await reportOf('endpoint.check', {}, context)).findings.filter(({ check }) => check === 'endpoint.hook')
    expect(await hooks()).toEqual([])
    expect(await hooks()).toEqual([])
    expect(await hooks()).toMatchObject([{ subject: 'on_switch', severity: 'ok', title: 'Ran endpoint.add' }])
    expect(await hooks()).toEqual([])
    const list = context.journal.getState('endpoint.list') as string
    expect(list).toContain(`${up}/after/api/127.0.0.1`)
    const switched = context.journal.events({ kind: 'endpoint.switched' })
    expect(switched).toMatchObject([{ details: { from: dead, to: up, kind: 'api' } }])
  })

  it('only says what it would run with dryRun, and remembers nothing', async () => {
    const { dead, up } = await twoServers()
    const context = await setUp({
      api: [dead, up],
      failures: 1,
      on_switch: { action: 'endpoint.use', params: { url: '{to}' } },
    })
    for (let i = 0; i < 2; i += 1) {
      const { findings } = await reportOf('endpoint.check', { dryRun: true }, context)
      expect(findings.find(({ check }) => check === 'endpoint.hook')).toMatchObject({
        title: 'Would run endpoint.use',
        evidence: `Use the API endpoint ${up}: 1 steps`,
      })
    }
    expect(context.journal.getState('endpoint.health')).toBeUndefined()
    expect(context.journal.events({ kind: 'endpoint' })).toEqual([])
  })

  it('tells of a hook that fails, and has checked all the same', async () => {
    const { dead, up } = await twoServers()
    const context = await setUp({ api: [dead, up], failures: 1, on_switch: { action: 'endpoint.ues' } })
    const { findings } = await reportOf('endpoint.check', {}, context)
    expect(findings.find(({ check }) => check === 'endpoint.hook')).toMatchObject({
      severity: 'critical',
      evidence: 'there is no action "endpoint.ues"',
    })
    expect(findings.find(({ subject }) => subject === up)).toMatchObject({ severity: 'ok' })
  })

  it('alerts once when all are down, and once on recovery', async () => {
    const port = await freePort()
    const calls: string[] = []
    const hook = (name: string) => ({ action: `test.${name}`, params: { url: '{to}' } })
    const url = `http://127.0.0.1:${port}`
    const context = await setUp({ api: [url], failures: 2, on_all_down: hook('down'), on_recovery: hook('up') })
    const action = createCheckAction(async (name, params) => {
      calls.push(`${name} ${String(params['url'])}`)
      return { summary: '' }
    })
    for (let i = 0; i < 4; i += 1) await runAction(action, {}, context)
    expect(calls).toEqual(['test.down {to}'])
    const server = await startHttpServer('ok', { port })
    onTestFinished(() => server.close())
    for (let i = 0; i < 3; i += 1) await runAction(action, {}, context)
    expect(calls).toEqual(['test.down {to}', `test.up ${url}`])
    expect(context.journal.events({ kind: 'endpoint' }).map(({ kind }) => kind)).toEqual([
      'endpoint.recovered',
      'endpoint.all-down',
    ])
  })

  it('is not run twice at once', async () => {
    const context = await setUp({})
    const lease = context.journal.acquire({ name: 'endpoint:check', reason: 'the other' })
    await expect(run('endpoint.check', {}, context)).rejects.toMatchObject({ code: 'LOCKED' })
    lease.release()
  })

  it('says so when there is nothing to check', async () => {
    expect((await reportOf('endpoint.check', {}, await setUp({}))).findings).toMatchObject([
      { severity: 'skipped', title: 'there are no endpoints' },
    ])
  })
})

describe('planHooks', () => {
  it('fills in what it knows, at any depth, and leaves other braces alone', () => {
    const on_switch = { action: 'a', params: { list: ['{from_host}', 7], deep: { text: '{to} {unknown} {kind}' } } }
    const config = configSchema.parse({ endpoint: { client: { on_switch } } }).endpoint
    const event = {
      type: 'switch',
      kind: 'api',
      from: 'https://a.example.com/v1',
      to: 'https://b.example.com',
      because: 'x',
    } as const
    expect(planHooks([event], config)).toMatchObject([
      { params: { list: ['a.example.com', 7], deep: { text: 'https://b.example.com {unknown} api' } } },
    ])
  })
})

describe('the list of this machine', () => {
  it('is changed by one step that can be undone, and not twice', async () => {
    const context = await setUp({ api: ['http://127.0.0.1:1'] })
    const add = await findAction('endpoint.add')
    const plan = await runAction(add, { url: 'http://127.0.0.1:2', priority: 3 }, context, { dryRun: true })
    expect(plan).toMatchObject({
      description: { steps: [{ preview: '+ api 3 http://127.0.0.1:2', undoable: true, verified: true }] },
    })
    expect(context.journal.getState('endpoint.list')).toBeUndefined()
    await runAction(add, { url: 'http://127.0.0.1:2', priority: 3 }, context)
    expect(await runAction(add, { url: 'http://127.0.0.1:2/', priority: 3 }, context)).toMatchObject({
      result: { changed: false },
    })
    expect(await runAction(await findAction('endpoint.use'), { url: 'auto' }, context)).toMatchObject({
      result: { changed: false },
    })
  })

  it.each([
    ['endpoint.add', { url: 'ftp://a.example.com' }, 'neither http nor https'],
    ['endpoint.add', { url: 'https://a.example.com', priority: -1 }, 'the priority'],
    ['endpoint.add', { url: 'https://a.example.com', kind: 'smtp' }, 'kind'],
    ['endpoint.remove', { url: 'https://a.example.com' }, 'is not one of the API endpoints'],
    ['endpoint.remove', { url: 'http://127.0.0.1:1' }, 'stands in opskit.yaml'],
    ['endpoint.use', { url: 'https://a.example.com' }, 'is not one of the API endpoints'],
  ])('refuses %s %o as wrong usage', async (name, params, message) => {
    const context = await setUp({ api: ['http://127.0.0.1:1'] })
    const refused = run(name, params, context)
    await expect(refused).rejects.toMatchObject({ code: 'USAGE' })
    await expect(refused).rejects.toThrow(message)
  })

  it('refuses private addresses unless the config allows them', async () => {
    const context = await setUp({ allow_private: false })
    await expect(run('endpoint.add', { url: 'http://10.0.0.1' }, context)).rejects.toMatchObject({
      code: 'USAGE',
      details: { hint: 'Set endpoint.client.allow_private in opskit.yaml.' },
    })
  })

  it('is taken over from a server, shown before, and stays when the server has none', async () => {
    const server = await startHttpServer(JSON.stringify({ api_endpoints: ['https://new.example.com'] }))
    onTestFinished(() => server.close())
    const { dead } = await twoServers()
    const context = await setUp({
      api: [dead],
      update: { url: dead, fallback_url: `http://${server.address}`, timeout: '2s' },
    })
    const update = await findAction('endpoint.update')
    const plan = await runAction(update, {}, context, { dryRun: true })
    expect(plan).toMatchObject({
      description: { steps: [{ preview: `- api 0 ${dead}\n+ api 0 https://new.example.com` }] },
    })
    await runAction(update, {}, context)
    const before = context.journal.getState('endpoint.list')
    await expect(run('endpoint.update', { url: dead, fallbackUrl: dead }, context)).rejects.toMatchObject({
      code: 'UNREACHABLE',
    })
    expect(context.journal.getState('endpoint.list')).toBe(before)
    expect(await runAction(update, {}, context)).toMatchObject({ result: { changed: false } })
  })
})

describe('the diagnosis', () => {
  it('tells of endpoints that are out, and nothing where there are none', async () => {
    const { dead, up } = await twoServers()
    const look = async (api: string[]) =>
      (await reportOf('diagnose.run', { only: ['endpoint'] }, { ...(await setUp({ api })), localName: 'localhost' }))
        .findings
    expect(await look([dead, up])).toMatchObject([
      { check: 'endpoint.api', subject: dead, severity: 'warning' },
      { check: 'endpoint.api', subject: up, severity: 'ok' },
    ])
    expect(await look([dead])).toMatchObject([{ subject: dead, severity: 'critical' }])
    expect(await look([])).toMatchObject([{ severity: 'skipped' }])
  })
})

describe('an action by its name', () => {
  const look: Action = {
    name: 'x.look',
    summary: 'Looks',
    changes: false,
    params: configSchema.partial(),
    look: async () => ({
      title: 'X',
      startedAt: 0,
      durationMs: 0,
      findings: [{ check: 'x', host: 'h', severity: 'critical', title: 'it burns' }],
    }),
  }

  it('tells what a look found, and is not looked with for a dry run', async () => {
    const context = await setUp({})
    const runByName = createRunByName(async () => look)
    const options = { dryRun: false, reason: 'test' }
    expect(await runByName('x.look', {}, context, options)).toEqual({ summary: 'X: 1 findings, 1 critical' })
    expect(await runByName('x.look', {}, context, { ...options, dryRun: true })).toEqual({ summary: 'it only looks' })
  })
})

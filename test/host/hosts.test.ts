import { spawnSync } from 'node:child_process'
import { describe, expect, it } from 'vitest'
import type { OpsError } from '../../scripts/lib/core/errors.ts'
import { Secret } from '../../scripts/lib/core/secret.ts'
import { hostsSection } from '../../scripts/lib/config/schema/hosts.ts'
import { createHosts } from '../../scripts/lib/host/index.ts'

const hostsFrom = (hosts: object, name?: string) =>
  createHosts({
    config: { hosts: hostsSection.parse(hosts), name },
    resolveSecret: async (ref) => new Secret('x', JSON.stringify(ref)),
  })
const errorOf = (promise: Promise<unknown>) =>
  promise.then(
    () => expect.unreachable('it should have failed'),
    (error: OpsError) => ({ code: error.code, message: error.message, hint: error.details.hint }),
  )

describe('hosts by name', () => {
  const web = { ssh: { host: 'web.example.com' } }

  it('lists what the config names', () => {
    expect(hostsFrom({ 'web-1': web, app: { container: { name: 'app' } } }).names()).toEqual(['web-1', 'app'])
  })

  it('takes localhost and the name of this machine for this machine', async () => {
    const hosts = hostsFrom({}, 'ops-1')
    expect(await hosts.open('localhost')).toMatchObject({ kind: 'local', name: 'localhost' })
    expect(await hosts.open('ops-1')).toMatchObject({ kind: 'local', name: 'ops-1' })
    await hosts.close()
  })

  it('opens a host once, however many ask', async () => {
    const hosts = hostsFrom({})
    const [one, two] = await Promise.all([hosts.open('localhost'), hosts.open('localhost')])
    expect(one).toBe(two)
    await hosts.close()
  })

  it('names the nearest of an unknown name', async () => {
    expect(await errorOf(hostsFrom({ 'web-1': web, 'db-1': web }).open('wbe-1'))).toEqual({
      code: 'USAGE',
      message: 'there is no host "wbe-1"',
      hint: 'Did you mean "web-1"? Known: localhost, web-1, db-1.',
    })
  })

  it('refuses a way that leads in a circle', async () => {
    const jump = (to: string) => ({ ssh: { host: '192.0.2.1', proxy_jump: to } })
    expect(await errorOf(hostsFrom({ a: jump('b'), b: jump('a') }).open('a'))).toMatchObject({
      code: 'CONFIG_INVALID',
      message: 'the way to a is a circle: a -> b -> a',
    })
    const inside = (on: string) => ({ container: { name: 'x', on } })
    expect(await errorOf(hostsFrom({ a: inside('b'), b: inside('a') }).open('a'))).toMatchObject({
      code: 'CONFIG_INVALID',
    })
  })

  it('does not open anything after it is closed', async () => {
    const hosts = hostsFrom({})
    await hosts.close()
    expect(await errorOf(hosts.open('localhost'))).toMatchObject({ code: 'FAILED' })
  })
})

describe('what is loaded', () => {
  it('is neither zx nor ssh2 nor dockerode for a host that runs no command', () => {
    const traced = spawnSync(
      process.execPath,
      [
        '--input-type=module',
        '-e',
        `
        import { registerHooks } from 'node:module'
        const seen = []
        registerHooks({ resolve: (specifier, context, next) => { seen.push(specifier); return next(specifier, context) } })
        const { openLocalHost } = await import(${JSON.stringify(new URL('../../scripts/lib/host/index.ts', import.meta.url).href)})
        const host = openLocalHost()
        await host.get('/proc/uptime')
        console.log(JSON.stringify(seen.filter((name) => /^(zx|ssh2|dockerode|ssh-config|zod)/.test(name))))
      `,
      ],
      { encoding: 'utf8' },
    )
    expect(traced.stdout.trim()).toBe('[]')
  })
})

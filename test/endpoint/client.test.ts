import { describe, expect, it } from 'vitest'
import type { EndpointManager } from '../../scripts/lib/endpoint/client/index.ts'
import { decideEndpoint } from '../../scripts/lib/endpoint/client/decide.ts'
import { createWebStorage } from '../../scripts/lib/endpoint/client/storage.ts'
import { lookupAll } from '../../scripts/lib/endpoint/client/names.ts'
import { alive, createWorld, type World } from './world.ts'

const A = 'https://a.example.com'
const B = 'https://b.example.com'
const C = 'https://c.example.com'
const api = (...urls: string[]) => ({ initial: { api: urls } })

const checkTimes = async (manager: EndpointManager, times: number) => {
  for (let i = 0; i < times; i += 1) await manager.check()
}
const types = (world: World) => world.events.map(({ type }) => type)
const status = (manager: EndpointManager, url: string) => manager.status('api').find((one) => one.url === url)

describe('decideEndpoint', () => {
  const at = (url: string, latencyMs: number | undefined, more: { priority?: number; usable?: boolean } = {}) => ({
    url,
    latencyMs,
    priority: 0,
    usable: true,
    ...more,
  })
  it.each([
    ['the lowest priority number, however slow', [at(A, 900), at(B, 5, { priority: 1 })], undefined, undefined, A],
    ['the fastest among equals', [at(A, 90), at(B, 30), at(C, 60)], undefined, undefined, B],
    ['the one in use, while another is only a little faster', [at(A, 90), at(B, 80)], A, undefined, A],
    ['another that is clearly faster', [at(A, 90), at(B, 30)], A, undefined, B],
    ['the one in use, when both are fast and differ by noise', [at(A, 3), at(B, 1)], A, undefined, A],
    ['the next when the first is out', [at(A, 9, { usable: false }), at(B, 90, { priority: 1 })], A, undefined, B],
    ['a higher priority that is back', [at(A, 9), at(B, 90, { priority: 1 })], B, undefined, A],
    ['the one chosen by hand', [at(A, 9), at(B, 90, { priority: 1 })], A, B, B],
    ['another when the chosen one is out', [at(A, 9), at(B, 90, { priority: 1, usable: false })], B, B, A],
    ['none when all are out', [at(A, 9, { usable: false })], A, undefined, undefined],
  ])('takes %s', (...[, endpoints, current, chosen, expected]) => {
    expect(decideEndpoint(endpoints, { current, chosen }).url).toBe(expected)
  })

  it('says why', () => {
    const endpoints = [at(A, 9), at(B, 90, { priority: 1, usable: false })]
    expect(decideEndpoint(endpoints, { current: B, chosen: B }).because).toBe(
      `${B}, chosen by hand, is out; ${B} is out, ${A} is the best left`,
    )
  })
})

describe('health checks', () => {
  it('ask /health of the host, and put an endpoint out after three failures in a row', async () => {
    const world = createWorld()
    alive(world, B)
    const manager = await world.open(api(`${A}/api/v1`, B))
    await checkTimes(manager, 2)
    expect(manager.current('api')).toBe(`${A}/api/v1`)
    expect(status(manager, `${A}/api/v1`)).toMatchObject({
      state: 'suspect',
      failures: 2,
      because: 'connect ECONNREFUSED',
    })
    await manager.check()
    expect(manager.current('api')).toBe(B)
    expect(world.requests).toContain(`GET ${A}/health`)
    expect(types(world)).toEqual(['health', 'health', 'switch'])
    expect(world.events.at(-1)).toMatchObject({ kind: 'api', from: `${A}/api/v1`, to: B })
  })

  it.each([
    ['beneath the endpoint, without a slash', 'health', `GET ${A}/api/v1/health`],
    ['from the host, with one', '/status/live', `GET ${A}/status/live`],
  ])('can be elsewhere: %s', async (_where, healthPath, request) => {
    const world = createWorld()
    await (await world.open({ ...api(`${A}/api/v1`), healthPath })).check()
    expect(world.requests).toEqual([request])
  })

  it.each([
    ['a server error', () => new Response('', { status: 503 }), 'HTTP status 503'],
    ['a missing page', () => new Response('', { status: 404 }), 'HTTP status 404'],
    [
      'a redirect, as a captive portal sends',
      () => new Response('', { status: 302, headers: { location: C } }),
      'HTTP status 302',
    ],
  ])('fail on %s', async (_what, answer, because) => {
    const world = createWorld()
    world.servers.set(A, answer)
    const manager = await world.open(api(A))
    await manager.check()
    expect(status(manager, A)).toMatchObject({ state: 'suspect', because })
  })

  it('come every five minutes, and bring back the higher priority as soon as one passes', async () => {
    const world = createWorld()
    alive(world, B)
    const manager = await world.open({ ...api(A, B), autoCheck: true })
    await world.clock.advance(2 * 300_000)
    expect(manager.current('api')).toBe(B)
    alive(world, A)
    await world.clock.advance(299_000)
    expect(manager.current('api')).toBe(B)
    await world.clock.advance(1_000)
    expect(manager.current('api')).toBe(A)
    await manager.close()
    const asked = world.requests.length
    await world.clock.advance(600_000)
    expect(world.requests).toHaveLength(asked)
  })

  it('hold nothing against the endpoints while the device is offline', async () => {
    const world = createWorld()
    const manager = await world.open({ ...api(A, B), isOnline: () => false })
    await checkTimes(manager, 5)
    await expect(manager.fetch('/x')).rejects.toThrow('fetch failed')
    expect(manager.status('api').map(({ state }) => state)).toEqual(['healthy', 'healthy'])
    expect(world.events).toEqual([])
  })

  it('choose the fastest of equal priority, and do not swing when they are alike', async () => {
    const world = createWorld()
    const latency = { a: 40, b: 40 }
    const manager = await world.open({
      initial: {
        api: [
          { url: A, priority: 0 },
          { url: B, priority: 0 },
        ],
      },
    })
    const checkBoth = async () => {
      for (const [url, ms] of [
        [A, latency.a],
        [B, latency.b],
      ] as const)
        alive(world, url, ms)
      world.servers.set(A, slow(world, latency.a))
      world.servers.set(B, slow(world, latency.b))
      const checking = manager.check()
      await world.clock.advance(1_000)
      await checking
    }
    for (let i = 0; i < 40; i += 1) {
      latency.a = 40 + (i % 2) * 8
      latency.b = 48 - (i % 2) * 8
      await checkBoth()
    }
    expect(world.events).toEqual([])
    expect(manager.current('api')).toBe(A)
    latency.b = 5
    for (let i = 0; i < 10; i += 1) await checkBoth()
    expect(world.events.filter(({ type }) => type === 'switch')).toHaveLength(1)
    expect(manager.current('api')).toBe(B)
  })

  it('tell once that all are down, and once that one is back', async () => {
    const world = createWorld()
    const manager = await world.open(api(A, B))
    await checkTimes(manager, 8)
    expect(types(world).filter((type) => type === 'all-down')).toHaveLength(1)
    expect(manager.current('api')).toBe(B)
    alive(world, B)
    await checkTimes(manager, 3)
    alive(world, A)
    await checkTimes(manager, 3)
    expect(types(world).filter((type) => type === 'recovered')).toHaveLength(1)
    expect(world.events.find(({ type }) => type === 'recovered')).toEqual({ type: 'recovered', kind: 'api', url: B })
    expect(manager.current('api')).toBe(A)
  })
})

describe('a request', () => {
  it('goes on to the next endpoint at once, and the failure counts', async () => {
    const world = createWorld()
    alive(world, B)
    const manager = await world.open(api(A, B))
    for (let i = 0; i < 3; i += 1) expect(await (await manager.fetch('/users?x=1')).text()).toBe(B)
    expect(world.requests.slice(0, 2)).toEqual([`GET ${A}/users?x=1`, `GET ${B}/users?x=1`])
    expect(world.clock.monotonic()).toBe(0)
    expect(manager.current('api')).toBe(B)
    await manager.fetch('/users')
    expect(world.requests.slice(6)).toEqual([`GET ${B}/users`])
  })

  it.each([500, 502, 503, 504])('takes %d for a failure of the endpoint', async (code) => {
    const world = createWorld()
    world.servers.set(A, () => new Response('broken', { status: code }))
    alive(world, B)
    expect(await (await (await world.open(api(A, B))).fetch('/x')).text()).toBe(B)
  })

  it.each([200, 204, 304, 400, 401, 404, 409, 429])('takes %d for an answer', async (code) => {
    const world = createWorld()
    world.servers.set(A, () => new Response(null, { status: code }))
    const manager = await world.open(api(A, B))
    expect((await manager.fetch('/x')).status).toBe(code)
    expect(world.requests).toHaveLength(1)
  })

  it('hands over the last server error when all have one', async () => {
    const world = createWorld()
    for (const url of [A, B]) world.servers.set(url, () => new Response(url, { status: 503 }))
    const answer = await (await world.open(api(A, B))).fetch('/x')
    expect([answer.status, await answer.text()]).toEqual([503, B])
  })

  it('that may have reached the server is not repeated unless it is idempotent', async () => {
    const world = createWorld()
    world.servers.set(A, () => Promise.reject(new TypeError('fetch failed', { cause: new Error('socket hang up') })))
    alive(world, B)
    const manager = await world.open(api(A, B))
    await expect(manager.fetch('/order', { method: 'POST', body: '1' })).rejects.toThrow('fetch failed')
    expect(await (await manager.fetch('/order', { method: 'POST', body: '1', idempotent: true })).text()).toBe(B)
  })

  it('that was refused is repeated even when it is not idempotent', async () => {
    const world = createWorld()
    alive(world, B)
    const manager = await world.open(api(A, B))
    expect(await (await manager.fetch('/order', { method: 'POST', body: '1' })).text()).toBe(B)
  })

  it('still tries when every endpoint is out', async () => {
    const world = createWorld()
    const manager = await world.open(api(A, B))
    await checkTimes(manager, 3)
    alive(world, B)
    expect(await (await manager.fetch('/x')).text()).toBe(B)
  })

  it('says so when there are no endpoints', async () => {
    await expect((await createWorld().open()).fetch('/x')).rejects.toThrow('there are no endpoints')
  })

  it('follows a redirect within its scheme, and leaves the token behind at another server', async () => {
    const world = createWorld()
    const seen: (string | null)[] = []
    world.servers.set(A, () => new Response(null, { status: 307, headers: { location: `${C}/y` } }))
    world.servers.set(C, (_url, init) => {
      seen.push(new Headers(init.headers).get('authorization'))
      return new Response('c')
    })
    const manager = await world.open(api(A))
    expect(await (await manager.fetch('/x', { headers: { authorization: 'Bearer t' } })).text()).toBe('c')
    expect(seen).toEqual([null])
  })

  it.each([
    ['to another scheme', 'http://c.example.com/'],
    ['to something that is not http', 'ftp://c.example.com/'],
    ['to a private address', 'https://10.0.0.1/'],
    ['with a user name', 'https://joe@c.example.com/'],
    ['to itself for ever', A],
  ])('is not redirected %s', async (_where, location) => {
    const world = createWorld()
    world.servers.set(A, () => new Response(null, { status: 302, headers: { location } }))
    alive(world, B)
    expect(await (await (await world.open(api(A, B))).fetch('/x')).text()).toBe(B)
  })

  it.each([
    ['first', ['10.0.0.1']],
    ['first of several', ['192.0.2.7', '10.0.0.1']],
    ['first, in IPv6', ['fe80::1']],
    [
      'first, as IPv4 within IPv6',
      ['::ffff:169.254.169.254'].map((address) => new URL(`http://[${address}]`).hostname.slice(1, -1)),
    ],
  ])('does not ask a name that leads to a private address: %s', async (_which, addresses) => {
    const world = createWorld()
    for (const url of [A, B]) alive(world, url)
    const lookup = async (name: string) => (name === 'a.example.com' ? addresses : ['192.0.2.9'])
    const manager = await world.open({ ...api(A, B), lookup })
    expect(await (await manager.fetch('/x')).text()).toBe(B)
    expect(world.requests.filter((request) => request.includes(A))).toEqual([])
    await checkTimes(manager, 3)
    expect(status(manager, A)?.because).toMatch(/a\.example\.com leads to the private address/)
  })

  it('is not redirected to a name that leads to a private address', async () => {
    const world = createWorld()
    world.servers.set(A, () => new Response(null, { status: 302, headers: { location: `${C}/` } }))
    for (const url of [B, C]) alive(world, url)
    const lookup = async (name: string) => [name === 'c.example.com' ? '127.0.0.1' : '192.0.2.9']
    expect(await (await (await world.open({ ...api(A, B), lookup })).fetch('/x')).text()).toBe(B)
  })

  it('asks such a name where private addresses are allowed', async () => {
    const world = createWorld()
    alive(world, A)
    const manager = await world.open({ ...api(A), allowPrivate: true, lookup: async () => ['10.0.0.1'] })
    expect(await (await manager.fetch('/x')).text()).toBe(A)
  })

  it('stops waiting for a name when its time is up', async () => {
    const world = createWorld()
    alive(world, B)
    const lookup = (name: string) => (name === 'a.example.com' ? new Promise<string[]>(() => {}) : Promise.resolve([]))
    const manager = await world.open({ ...api(A, B), lookup, requestTimeoutMs: 100 })
    const answer = manager.fetch('/x')
    await world.clock.advance(200)
    expect(await (await answer).text()).toBe(B)
  })

  it('is kept off an endpoint by the choice of a person, until that fails', async () => {
    const world = createWorld()
    for (const url of [A, B]) alive(world, url)
    const manager = await world.open(api(A, B))
    await manager.use('api', B)
    expect(manager.current('api')).toBe(B)
    expect(status(manager, B)).toMatchObject({ chosen: true, current: true })
    world.servers.delete(B)
    await checkTimes(manager, 3)
    expect(manager.current('api')).toBe(A)
    alive(world, B)
    await manager.check()
    expect(manager.current('api')).toBe(B)
    await manager.use('api', undefined)
    expect(manager.current('api')).toBe(A)
  })
})

describe('the list', () => {
  it('may be added to and taken from', async () => {
    const world = createWorld()
    const manager = await world.open(api(B))
    await manager.add('api', `${A}/`, 0)
    await manager.add('socketio', C, 2)
    expect(manager.status('api').map(({ url, source }) => [url, source])).toEqual([
      [B, 'initial'],
      [A, 'manual'],
    ])
    await manager.add('api', A, 7)
    expect(status(manager, A)).toMatchObject({ priority: 7 })
    await manager.remove('api', B)
    expect(manager.current('api')).toBe(A)
    await expect(manager.remove('api', B)).rejects.toThrow('not in the api list')
    await expect(manager.use('api', B)).rejects.toThrow('not in the api list')
    await expect(manager.add('api', 'http://10.0.0.1')).rejects.toThrow('private address')
  })

  it('is fetched with a token, from the endpoint in use, and replaces the old one', async () => {
    const world = createWorld()
    world.servers.set(A, (_url, init) => {
      const isKnown = new Headers(init.headers).get('authorization') === 'Bearer secret'
      return isKnown ? Response.json({ api_endpoints: [{ url: C, priority: 0 }] }) : new Response('', { status: 401 })
    })
    const manager = await world.open({ initial: { api: [`${A}/api/v1`], socketio: [A] } })
    await expect(manager.update()).rejects.toThrow('HTTP status 401 (is the token right?)')
    await manager.update({ token: 'secret' })
    expect(world.requests.at(-1)).toBe(`GET ${A}/api/v1/config/endpoints`)
    expect(manager.current('api')).toBe(C)
    expect(manager.current('socketio')).toBe(A)
    expect(manager.updated()).toEqual({ at: world.clock.now(), from: `${A}/api/v1/config/endpoints` })
    expect(types(world)).toContain('updated')
  })

  it('is fetched from the fallback when nobody else has it', async () => {
    const world = createWorld()
    world.servers.set(B, () => Response.json({ api_endpoints: [C] }))
    const manager = await world.open(api(A))
    await manager.update({ fallbackUrl: B })
    expect(world.requests).toEqual(
      [`GET ${A}/config/endpoints`, `GET ${B}/api/v1/config/endpoints`].map((r) =>
        r.replace(`${A}/config`, `${A}/api/v1/config`),
      ),
    )
    expect(manager.current('api')).toBe(C)
  })

  it('keeps what is known of an endpoint that is in the new list too', async () => {
    const world = createWorld()
    alive(world, B)
    const manager = await world.open(api(A, B))
    await checkTimes(manager, 3)
    await manager.apply(
      {
        api: [
          { url: A, priority: 0 },
          { url: B, priority: 1 },
        ],
      },
      'a QR code',
    )
    expect(manager.current('api')).toBe(B)
    expect(status(manager, A)).toMatchObject({ state: 'unhealthy', source: 'list' })
  })

  it.each<[string, () => Response | Promise<Response>, string]>([
    ['a server error', () => new Response('', { status: 500 }), 'HTTP status 500'],
    ['HTML', () => new Response('<html>'), 'not JSON'],
    ['nothing', () => new Response(''), 'not JSON'],
    ['an empty object', () => Response.json({}), 'names no endpoint'],
    ['empty lists', () => Response.json({ api_endpoints: [], socketio_endpoints: [] }), 'names no endpoint'],
    ['wrong types', () => Response.json({ api_endpoints: [{ url: 7 }] }), 'api_endpoints[0].url is not text'],
    ['a private address', () => Response.json({ api_endpoints: ['http://169.254.169.254/latest'] }), 'private address'],
    [
      'a password',
      () => Response.json({ api_endpoints: ['https://joe:pw@a.example.com'] }),
      'a user name or a password',
    ],
    ['50 MB', () => new Response(endless(50_000_000)), 'longer than'],
    ['no UTF-8', () => new Response(new Uint8Array([0x7b, 0xff, 0x7d])), 'not text in UTF-8'],
    [
      'a redirect loop',
      () => new Response(null, { status: 302, headers: { location: A } }),
      'redirects more than 5 times',
    ],
    [
      'a redirect to http',
      () => new Response(null, { status: 302, headers: { location: 'http://c.example.com' } }),
      'another scheme',
    ],
    [
      'a connection that breaks',
      () => Promise.reject(new TypeError('fetch failed', { cause: new Error('socket hang up') })),
      'socket hang up',
    ],
  ])('stays as it was when the answer is %s', async (_what, answer, because) => {
    const world = createWorld()
    world.servers.set(A, answer)
    const manager = await world.open(api(B))
    const before = world.storage.kept.get('list')
    await expect(manager.update({ url: A })).rejects.toThrow(because)
    expect(manager.status('api').map(({ url }) => url)).toEqual([B])
    expect(world.storage.kept.get('list')).toBe(before)
    expect(types(world)).toEqual(['update-failed'])
  })

  it('stays as it was when no answer comes in time', async () => {
    const world = createWorld()
    world.servers.set(
      A,
      (_url, { signal }) =>
        new Promise((_, reject) => signal?.addEventListener('abort', () => reject(new Error('aborted')))),
    )
    const manager = await world.open(api(B))
    const updating = manager.update({ url: A })
    updating.catch(() => undefined)
    await world.clock.advance(10_000)
    await expect(updating).rejects.toThrow('no answer within 10 s')
    expect(manager.current('api')).toBe(B)
  })
})

describe('a restart', () => {
  it('finds lists, choice, health and the endpoint in use as they were', async () => {
    const world = createWorld()
    alive(world, B)
    alive(world, C)
    const first = await world.open(api(A, B))
    await first.add('api', C, 5)
    await checkTimes(first, 3)
    await first.close()
    const again = await world.open(api(A, B))
    expect(again.current('api')).toBe(B)
    expect(status(again, A)).toMatchObject({ state: 'unhealthy' })
    expect(status(again, C)).toMatchObject({ source: 'manual', checkedAt: expect.any(Number) as number })
    await again.use('api', C)
    await again.close()
    expect((await world.open(api(A, B))).current('api')).toBe(C)
  })

  it('does not tell a second time that all are down', async () => {
    const world = createWorld()
    const first = await world.open(api(A))
    await checkTimes(first, 3)
    await first.close()
    const again = await world.open(api(A))
    await again.check()
    expect(types(world).filter((type) => type === 'all-down')).toHaveLength(1)
  })

  it('counts failures on where it left off, as checks from cron need', async () => {
    const world = createWorld()
    alive(world, B)
    for (let i = 0; i < 3; i += 1) {
      const manager = await world.open(api(A, B))
      await manager.check()
      await manager.close()
      await world.clock.advance(300_000)
    }
    expect((await world.open(api(A, B))).current('api')).toBe(B)
    expect(types(world)).toContain('switch')
  })

  it.each([
    ['not JSON', '{"version":'],
    ['another version', '{"version":2}'],
    ['wrong types', '{"version":1,"api":[],"socketio":{}}'],
    [
      'an address that must not be used',
      '{"version":1,"api":{"manual":[{"url":"http://10.0.0.1","priority":0}]},"socketio":{"manual":[]}}',
    ],
    ['empty', ''],
  ])('begins anew, and says so, when what was kept is %s', async (_what, text) => {
    const world = createWorld()
    world.storage.kept.set('list', text).set('health', text)
    const manager = await world.open(api(A))
    expect(manager.current('api')).toBe(A)
    expect(types(world)).toEqual(['problem', 'problem'])
  })

  it('works on, and says so, when nothing can be kept', async () => {
    const world = createWorld()
    const manager = await world.open({
      ...api(A),
      storage: { read: async () => undefined, write: () => Promise.reject(new Error('disk full')) },
    })
    await manager.add('api', B)
    expect(manager.status('api')).toHaveLength(2)
    expect(world.events).toEqual([{ type: 'problem', because: 'the list could not be kept: disk full' }])
  })

  it('finds what a browser kept', async () => {
    const items = new Map<string, string>()
    const storage = createWebStorage({
      getItem: (key) => items.get(key) ?? null,
      setItem: (key, value) => void items.set(key, value),
    })
    const world = createWorld()
    await (await world.open({ storage })).add('api', A)
    expect([...items.keys()]).toContain('endpoints.list')
    expect((await world.open({ storage })).current('api')).toBe(A)
  })
})

describe('listeners', () => {
  it('may leave, and may throw', async () => {
    const world = createWorld()
    alive(world, B)
    const manager = await world.open(api(A, B))
    const heard: string[] = []
    manager.on(() => {
      throw new Error('a mistake')
    })
    const leave = manager.on(({ type }) => heard.push(type))
    await manager.check()
    leave()
    await checkTimes(manager, 2)
    expect(heard).toEqual(['health'])
    expect(manager.current('api')).toBe(B)
  })
})

describe('options', () => {
  it.each([
    [{ failures: 0 }, 'failures is 0'],
    [{ checkIntervalMs: 0 }, 'checkIntervalMs is 0'],
    [{ hedgeMs: -1 }, 'hedgeMs is -1'],
    [{ initial: { api: ['ftp://x'] } }, 'initial.api[0]'],
  ])('%o are refused', async (options, message) => {
    await expect(createWorld().open(options)).rejects.toThrow(message)
  })
})

function slow(world: World, latencyMs: number) {
  return async () => {
    await world.clock.sleep(latencyMs)
    return new Response('')
  }
}

function endless(bytes: number): ReadableStream<Uint8Array> {
  let left = bytes
  return new ReadableStream({
    pull(controller) {
      if (left <= 0) return controller.close()
      left -= 65_536
      controller.enqueue(new Uint8Array(65_536).fill(32))
    },
  })
}

describe('lookupAll', () => {
  it('knows what the system knows, and nothing of a name that is not there', async () => {
    expect(await lookupAll('localhost')).toEqual(
      expect.arrayContaining([expect.stringMatching(/^(127\.0\.0\.1|::1)$/)]),
    )
    expect(await lookupAll('nowhere.invalid')).toEqual([])
  })
})

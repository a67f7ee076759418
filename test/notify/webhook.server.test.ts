/** Webhooks to a real web server: answers that lie, redirects, silence, and the limits a far side asks for. */
import { createHmac } from 'node:crypto'
import { describe, expect, it, onTestFinished } from 'vitest'
import { startReceiver, type Reply } from '../support/receiver.ts'
import { setUp, type BenchOptions } from './setup.ts'

async function receiver(reply?: Parameters<typeof startReceiver>[0]) {
  const server = await startReceiver(reply)
  onTestFinished(() => server.close())
  return server
}

const hook = (url: string, more = '', options: BenchOptions = {}) =>
  setUp(`channels: { hook: { type: webhook, url: "${url}"${more} } }`, options)

describe('a webhook', () => {
  it('gets the message as JSON, with its id, signed', async () => {
    const server = await receiver()
    const { url, requests } = server
    const bench = hook(
      `${url}/alerts?team=ops`,
      ', secret: { env: KEY }, headers: { X-Team: ops, Authorization: { env: TOKEN } }',
      {
        secrets: { KEY: 'hook-secret', TOKEN: 'Bearer abc' },
      },
    )
    bench.raise()
    expect(await bench.flush()).toMatchObject({ sent: 1, channels: [{ answer: 'status 200' }] })
    const [request] = requests
    const [stored] = bench.outbox()
    expect(request).toMatchObject({ method: 'POST', path: '/alerts?team=ops' })
    expect(request?.headers).toMatchObject({
      'x-team': 'ops',
      authorization: 'Bearer abc',
      'webhook-id': stored?.id,
      'content-type': 'application/json',
    })
    expect(server.json(0)).toMatchObject({
      id: stored?.id,
      severity: 'critical',
      host: 'web-1',
      attempt: 1,
      tags: ['database'],
    })
    const signed = `${stored?.id}.${String(request?.headers['webhook-timestamp'])}.${request?.body}`
    expect(request?.headers['webhook-signature']).toBe(
      `v1,${createHmac('sha256', 'hook-secret').update(signed).digest('base64')}`,
    )
  })

  it('that answers 200 with errcode has not taken it', async () => {
    const { url, requests } = await receiver(() => ({ body: '{"errcode":310000,"errmsg":"sign not match"}' }))
    const bench = setUp('channels: { chat: { type: dingtalk, url: { env: URL }, secret: { env: KEY } } }', {
      secrets: { URL: `${url}/robot/send?access_token=very-secret-token`, KEY: 'SECtest' },
    })
    bench.raise()
    expect(await bench.flush()).toMatchObject({ sent: 0, dead: 1, undelivered: [{ alert: 'backup:orders' }] })
    expect(bench.outbox()).toMatchObject([
      { state: 'dead', answer: expect.stringContaining('sign not match') as string },
    ])
    const query = new URLSearchParams(requests[0]?.path.split('?')[1])
    expect([...query.keys()]).toEqual(['access_token', 'timestamp', 'sign'])
    expect(JSON.stringify([bench.outbox(), bench.journal.events()])).not.toContain('very-secret-token')
  })

  it('that is busy is left alone as long as it asks, for every message', async () => {
    const { url, requests } = await receiver((number): Reply =>
      number === 1 ? { status: 429, headers: { 'retry-after': '120' } } : {},
    )
    const bench = hook(url)
    bench.raise({ key: 'a' })
    expect(await bench.flush()).toMatchObject({ failed: 1, nextDueAt: bench.clock.now() + 120_000 })
    bench.raise({ key: 'b' })
    await bench.clock.advance(119_000)
    expect(await bench.flush()).toMatchObject({ sent: 0, failed: 0 })
    expect(requests).toHaveLength(1)
    await bench.clock.advance(1_000)
    expect(await bench.flush()).toMatchObject({ sent: 2 })
    expect(new Set(requests.map(({ headers }) => headers['webhook-id'])).size).toBe(2)
  })

  it('that stays silent has its time limit', async () => {
    const { url } = await receiver(() => 'silent')
    const bench = hook(url, ', timeout: 300ms')
    bench.raise()
    const startedAt = performance.now()
    expect(await bench.flush()).toMatchObject({ failed: 1, channels: [{ answer: 'no answer within 300 ms' }] })
    expect(performance.now() - startedAt).toBeLessThan(5_000)
  })

  it('that fails has others in its place', async () => {
    const broken = await receiver(() => ({ status: 503 }))
    const good = await receiver()
    const bench = hook(broken.url, `, fallback_urls: ["http://127.0.0.1:9", "${good.url}"]`)
    bench.raise()
    expect(await bench.flush()).toMatchObject({ sent: 1, failed: 0 })
    expect(good.requests).toHaveLength(1)
    bench.raise({ key: 'another' })
    await bench.flush()
    expect([broken.requests.length, good.requests.length]).toEqual([1, 2])
  })

  it('that refuses this message is not asked at another address', async () => {
    const strict = await receiver(() => ({ status: 422, body: 'no such field' }))
    const other = await receiver()
    const bench = hook(strict.url, `, fallback_urls: ["${other.url}"]`)
    bench.raise()
    expect(await bench.flush()).toMatchObject({ dead: 1, channels: [{ answer: 'status 422: no such field' }] })
    expect(other.requests).toHaveLength(0)
  })

  it('that answers without end is read up to a bound', async () => {
    const { url } = await receiver(() => ({ body: 'x'.repeat(10_000_000) }))
    const bench = hook(url)
    bench.raise()
    expect(await bench.flush()).toMatchObject({ sent: 1 })
    expect(bench.outbox()[0]?.answer?.length).toBeLessThan(1_001)
  })
})

describe('a redirect', () => {
  it('to a private address is not followed, unless that is allowed', async () => {
    const inside = await receiver()
    const outside = await receiver(() => ({ status: 307, headers: { location: `${inside.url}/latest/meta-data` } }))
    const careful = hook(outside.url)
    careful.raise()
    expect(await careful.flush()).toMatchObject({
      dead: 1,
      channels: [{ answer: expect.stringContaining('private address 127.0.0.1') as string }],
    })
    expect(inside.requests).toEqual([])
    const allowed = hook(
      outside.url,
      ', allow_private_redirects: true, headers: { Authorization: { env: TOKEN }, X-Key: k }',
      {
        secrets: { TOKEN: 'Bearer abc' },
      },
    )
    allowed.raise()
    expect(await allowed.flush()).toMatchObject({ sent: 1 })
    expect(inside.requests).toMatchObject([{ method: 'POST', path: '/latest/meta-data' }])
    expect(inside.requests[0]?.body).toBe(outside.requests[1]?.body)
    // Another origin gets no headers of the config.
    expect(inside.requests[0]?.headers).not.toHaveProperty('authorization')
    expect(inside.requests[0]?.headers).not.toHaveProperty('x-key')
  })

  it.each([
    ['by name', 'http://localhost:9/'],
    ['as a number', 'http://2130706433:9/'],
    ['as IPv6', 'http://[::1]:9/'],
    ['as a mapped IPv4 address', 'http://[::ffff:127.0.0.1]:9/'],
  ])('to this machine %s is not followed', async (_name, location) => {
    const { url } = await receiver(() => ({ status: 308, headers: { location } }))
    const bench = hook(url)
    bench.raise()
    expect(await bench.flush()).toMatchObject({
      dead: 1,
      channels: [{ answer: expect.stringContaining('private address') as string }],
    })
  })

  it.each([
    [302, 'http://127.0.0.1:9/', 'would lose the message'],
    [307, 'file:///etc/passwd', 'no address to go to'],
    [307, undefined, 'no address to go to'],
  ])('%s to %s is an error', async (status, location, said) => {
    const { url } = await receiver(() => ({ status, ...(location !== undefined && { headers: { location } }) }))
    const bench = hook(url)
    bench.raise()
    expect(await bench.flush()).toMatchObject({
      dead: 1,
      channels: [{ answer: expect.stringContaining(said) as string }],
    })
  })

  it('that leads in a circle ends', async () => {
    const { url, requests } = await receiver(() => ({ status: 307, headers: { location: '/again' } }))
    const bench = hook(url, ', allow_private_redirects: true')
    bench.raise()
    expect(await bench.flush()).toMatchObject({
      dead: 1,
      channels: [{ answer: 'not followed: more than 3 redirects' }],
    })
    expect(requests).toHaveLength(4)
  })
})

describe('a secret', () => {
  it('that is missing keeps the message until it is there', async () => {
    const { url } = await receiver()
    const bench = setUp('channels: { hook: { type: webhook, url: { env: HOOK } } }')
    bench.raise()
    expect(await bench.flush()).toMatchObject({
      failed: 1,
      channels: [{ answer: 'the address in url does not begin with http:// or https://' }],
    })
    const mended = setUp('channels: { hook: { type: webhook, url: { env: HOOK } } }', {
      journal: bench.journal,
      secrets: { HOOK: url },
    })
    await mended.clock.advance(60_000)
    expect(await mended.flush()).toMatchObject({ sent: 1 })
  })

  it('with a line break adds no header', async () => {
    const { url, requests } = await receiver()
    const bench = hook(url, ', headers: { X-Key: { env: KEY } }', { secrets: { KEY: 'a\r\nX-Evil: 1' } })
    bench.raise()
    expect(await bench.flush()).toMatchObject({ dead: 1 })
    expect(requests).toEqual([])
  })
})

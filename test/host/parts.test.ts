/** The small parts that hosts are made of: queue of sessions, bounded capture, splitter, deadlines, names of containers. */
import { PassThrough } from 'node:stream'
import { buffer } from 'node:stream/consumers'
import { describe, expect, it } from 'vitest'
import { OpsError } from '../../scripts/lib/core/errors.ts'
import { createCapture } from '../../scripts/lib/host/capture.ts'
import { demux } from '../../scripts/lib/host/container/demux.ts'
import { decideContainer } from '../../scripts/lib/host/container/find.ts'
import { abortError, openDeadline, raceAbort } from '../../scripts/lib/host/deadline.ts'
import { createSessionQueue } from '../../scripts/lib/host/ssh/sessions.ts'

const patience = () => new AbortController().signal
const settled = async (promise: Promise<unknown>) => {
  let done = false
  void promise.then(() => (done = true))
  await new Promise((resolve) => setImmediate(resolve))
  return done
}

describe('the queue of sessions', () => {
  it('lets the next one in when a place is given back, in order', async () => {
    const queue = createSessionQueue(1)
    const order: number[] = []
    const first = await queue.acquire(patience())
    const others = [2, 3].map((n) => queue.acquire(patience()).then((release) => (order.push(n), release)))
    expect(await settled(Promise.race(others))).toBe(false)
    first()
    first()
    ;(await others[0])?.()
    await others[1]
    expect(order).toEqual([2, 3])
  })

  it('learns a lower limit from a refusal, but never waits for nobody', async () => {
    const queue = createSessionQueue(9)
    const places = await Promise.all([1, 2, 3].map(() => queue.acquire(patience())))
    expect(queue.shrink()).toBe(true)
    places[2]?.()
    expect(await settled(queue.acquire(patience()))).toBe(false)
    places[1]?.()
    places[0]?.()
    const alone = createSessionQueue(9)
    await alone.acquire(patience())
    expect(alone.shrink()).toBe(false)
  })

  it('forgets who gave up waiting', async () => {
    const queue = createSessionQueue(1)
    const first = await queue.acquire(patience())
    const controller = new AbortController()
    const impatient = queue.acquire(controller.signal)
    const patient = queue.acquire(patience())
    controller.abort()
    await expect(impatient).rejects.toMatchObject({ code: 'INTERRUPTED' })
    first()
    expect(await settled(patient)).toBe(true)
  })
})

describe('a bounded capture', () => {
  it('keeps the head, says that it dropped the rest, and knows the end', () => {
    const capture = createCapture(10)
    for (const part of ['12345', '678', '90abc', 'the end']) capture.push(Buffer.from(part))
    expect(capture.bytes().toString()).toBe('1234567890')
    expect(capture.truncated).toBe(true)
    expect(capture.tail()).toBe('1234567890abcthe end')
  })

  it('is not truncated by an output that just fits', () => {
    const capture = createCapture(3)
    capture.push(Buffer.from('123'))
    expect([capture.bytes().toString(), capture.truncated]).toEqual(['123', false])
  })

  it('keeps nothing when told so', () => {
    const capture = createCapture(0)
    capture.push(Buffer.from('x'))
    expect([capture.bytes().length, capture.truncated, capture.tail()]).toEqual([0, true, 'x'])
  })
})

describe('the splitter of container output', () => {
  const frame = (stream: number, body: string) => {
    const header = Buffer.alloc(8)
    header[0] = stream
    header.writeUInt32BE(Buffer.byteLength(body), 4)
    return Buffer.concat([header, Buffer.from(body)])
  }
  it.each([1, 3, 7, 8, 9, 1000])('puts frames together that come in pieces of %i bytes', async (size) => {
    const all = Buffer.concat([frame(1, 'out'), frame(2, 'err'), frame(1, ''), frame(1, ' more'), frame(2, '!')])
    const source = new PassThrough()
    const { stdout, stderr } = demux(source)
    const both = Promise.all([buffer(stdout), buffer(stderr)])
    for (let at = 0; at < all.length; at += size) source.write(all.subarray(at, at + size))
    source.end()
    expect((await both).map(String)).toEqual(['out more', 'err!'])
  })

  it('ends when the connection breaks', async () => {
    const source = new PassThrough()
    const { stdout, stderr } = demux(source)
    const both = Promise.all([buffer(stdout), buffer(stderr)])
    source.write(frame(1, 'half'))
    await new Promise((resolve) => setImmediate(resolve))
    source.destroy()
    expect((await both).map(String)).toEqual(['half', ''])
  })
})

describe('a deadline', () => {
  const expired = () => new OpsError('TIMEOUT', 'late')

  it('gives its own error when it passes and the caller’s when he aborts', async () => {
    const late = openDeadline({ timeoutMs: 0, expired })
    await expect(raceAbort(new Promise(() => undefined), late.signal)).rejects.toThrow('late')
    const reason = new OpsError('TERMINATED', 'SIGTERM')
    const stopped = openDeadline({ timeoutMs: 60_000, signal: AbortSignal.abort(reason), expired })
    await expect(raceAbort(new Promise(() => undefined), stopped.signal)).rejects.toBe(reason)
    stopped.clear()
  })

  it('takes Infinity for no deadline', async () => {
    const endless = openDeadline({ timeoutMs: Infinity, expired })
    await new Promise((resolve) => setImmediate(resolve))
    expect(endless.signal.aborted).toBe(false)
    endless.clear()
  })

  it('hands a late value over to be released', async () => {
    let released: string | undefined
    let arrive: (value: string) => void = () => undefined
    const slow = new Promise<string>((resolve) => (arrive = resolve))
    const racing = raceAbort(slow, AbortSignal.abort(), (value) => (released = value))
    await expect(racing).rejects.toMatchObject({ code: 'INTERRUPTED' })
    arrive('connection')
    await new Promise((resolve) => setImmediate(resolve))
    expect(released).toBe('connection')
  })

  it.each([
    [AbortSignal.abort(), 'INTERRUPTED'],
    [AbortSignal.abort(new Error('enough')), 'INTERRUPTED'],
    [AbortSignal.abort(new DOMException('late', 'TimeoutError')), 'TIMEOUT'],
    [AbortSignal.abort(new OpsError('LOCKED', 'x')), 'LOCKED'],
  ])('names a reason to stop (%#)', (signal, code) => {
    expect(abortError(signal).code).toBe(code)
  })
})

describe('the name of a container', () => {
  const container = (name: string, State = 'running', service?: string) => {
    const labels = { 'com.docker.compose.project': 'shop', 'com.docker.compose.service': service ?? '' }
    const Labels: Record<string, string> = service ? labels : {}
    return { Id: `id-${name}`, Names: [`/${name}`], State, Labels }
  }
  const all = [container('shop-web-1', 'running', 'web'), container('shop-web-0', 'exited', 'web'), container('db')]

  it.each([
    ['a service that runs once, beside a stopped one', 'web', 'id-shop-web-1'],
    ['a service with its project', 'shop/web', 'id-shop-web-1'],
  ])('is %s', (_, wanted, id) => {
    expect(decideContainer(all, wanted, 'web-1')).toBe(id)
  })

  it('is refused when it means several', () => {
    const two = [...all, container('shop-web-2', 'running', 'web')]
    expect(() => decideContainer(two, 'web', 'web-1')).toThrow(/means 2 containers on web-1: shop-web-1, shop-web-2/)
  })

  it('is refused with the nearest when there is none', () => {
    expect(() => decideContainer(all, 'bd', 'web-1')).toThrow(/no container "bd" on web-1/)
    try {
      decideContainer(all, 'shop/wep', 'web-1')
    } catch (error) {
      expect((error as OpsError).details.hint).toContain('Did you mean "shop/web"')
    }
  })
})

import { getEventListeners, once } from 'node:events'
import { connect } from 'node:net'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { probeHttp, probeTcp, probeWithin } from '../../scripts/lib/health/index.ts'
import { freePort } from '../support/ports.ts'
import { startBlackHole, startHttpServer, startSilentServer, type BadServer } from '../support/tcp.ts'

const host = '127.0.0.1'
let silent: BadServer
let blackHole: BadServer

beforeAll(async () => {
  ;[silent, blackHole] = await Promise.all([startSilentServer(), startBlackHole()])
})
afterAll(() => Promise.all([silent.close(), blackHole.close()]))

describe('a TCP probe', () => {
  it('passes where something listens, with the time of the handshake', async () => {
    const result = await probeTcp({ host, port: silent.port, timeoutMs: 2_000 })
    expect(result).toEqual({ outcome: 'pass', latencyMs: expect.any(Number) as number })
  })

  it('says that a connection was refused', async () => {
    expect(await probeTcp({ host, port: await freePort(), timeoutMs: 2_000 })).toEqual({
      outcome: 'fail',
      because: 'connection refused',
    })
  })

  it('ends at its deadline when the SYN is swallowed', async () => {
    const startedMs = performance.now()
    expect(await probeTcp({ host, port: blackHole.port, timeoutMs: 200 })).toEqual({
      outcome: 'fail',
      because: 'no answer within 200 ms',
    })
    expect(performance.now() - startedMs).toBeLessThan(2_000)
  })

  it('says that a name does not resolve', async () => {
    const result = await probeTcp({ host: 'no-such-host.invalid', port: 80, timeoutMs: 5_000 })
    expect(result.outcome).toBe('fail')
  })

  it('finds nothing out when the caller gives up, and leaves no listener behind', async () => {
    const controller = new AbortController()
    const looking = probeTcp({ host, port: blackHole.port, timeoutMs: 5_000, signal: controller.signal })
    controller.abort()
    expect(await looking).toEqual({ outcome: 'unknown', because: 'aborted' })
    expect(getEventListeners(controller.signal, 'abort')).toEqual([])
  })
})

describe('an HTTP probe', () => {
  it.each([
    [200, { outcome: 'pass' }],
    [301, { outcome: 'pass' }],
    [404, { outcome: 'fail', because: 'HTTP status 404' }],
    [503, { outcome: 'fail', because: 'HTTP status 503' }],
  ])('of a server that answers %i', async (status, expected) => {
    const server = await startHttpServer('hello', { status })
    expect(await probeHttp({ url: `http://${server.address}/health`, timeoutMs: 2_000 })).toMatchObject(expected)
    await server.close()
  })

  it('ends at its deadline when the server accepts and says nothing', async () => {
    expect(await probeHttp({ url: `http://${silent.address}/`, timeoutMs: 200 })).toEqual({
      outcome: 'fail',
      because: 'no answer within 200 ms',
    })
  })

  it('names the cause and not just "fetch failed"', async () => {
    const result = await probeHttp({ url: `http://${host}:${await freePort()}/`, timeoutMs: 2_000 })
    expect(result).toMatchObject({ outcome: 'fail', because: expect.stringContaining('ECONNREFUSED') as string })
  })
})

describe('a look under a deadline', () => {
  it('does not take a stalled event loop for a dead target', async () => {
    // From here the event loop goes on to its timers, and to its input only then.
    await new Promise((resolve) => setImmediate(resolve))
    const result = await probeWithin({ timeoutMs: 20 }, (signal) => {
      const socket = connect(silent.port, host)
      signal.addEventListener('abort', () => socket.destroy())
      // The handshake ends in the kernel at once, but the timer is due before the program gets to see it.
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 100)
      return once(
        socket.on('error', () => undefined),
        'connect',
      ).then(() => {
        socket.destroy()
        return { outcome: 'pass' }
      })
    })
    expect(result).toEqual({ outcome: 'pass' })
  })

  it('leaves behind a look that ignores its signal', async () => {
    expect(await probeWithin({ timeoutMs: 20 }, () => new Promise(() => undefined))).toEqual({
      outcome: 'fail',
      because: 'no answer within 20 ms',
    })
  })

  it('takes a look that throws for a failure', async () => {
    const result = await probeWithin({ timeoutMs: 1_000 }, () => Promise.reject(new Error('no such check')))
    expect(result).toEqual({ outcome: 'fail', because: 'no such check' })
  })
})

/** Failover between real TCP and HTTP servers: black holes, silence, resets, refusals. */
import { execFile } from 'node:child_process'
import { getEventListeners } from 'node:events'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import {
  createFailover,
  createTimeoutDetector,
  parseInstance,
  type Attempt,
  type Instance,
} from '../../scripts/lib/resilience/index.ts'
import { freePort } from '../support/ports.ts'
import {
  startBlackHole,
  startHttpServer,
  startResettingServer,
  startSilentServer,
  type BadServer,
} from '../support/tcp.ts'
import { waitFor } from '../support/wait.ts'

let blackHole: BadServer
let silent: BadServer
let resetting: BadServer
let good: BadServer

beforeAll(async () => {
  ;[blackHole, silent, resetting, good] = await Promise.all([
    startBlackHole(),
    startSilentServer(),
    startResettingServer(),
    startHttpServer('hello'),
  ])
})
afterAll(() => Promise.all([blackHole, silent, resetting, good].map((server) => server.close())))

const get = async ({ address }: Instance, { signal }: Attempt) => {
  const response = await fetch(`http://${address}/`, { signal })
  return response.text()
}
const list = (...servers: readonly { address: string }[]) => servers.map(({ address }) => parseInstance(address))

describe('a request', () => {
  it('to a black hole is answered by the backup within 300 ms when hedged', async () => {
    const failover = createFailover({ hedge: { delayMs: 150 } })
    const result = await failover.execute(list(blackHole, good), get, { idempotent: true })
    expect(result).toMatchObject({ success: true, value: 'hello', failedNodes: [blackHole.address] })
    expect(result.durationMs).toBeLessThan(300 + BUSY_MS)
  })

  it.each<[string, () => BadServer]>([
    ['a black hole', () => blackHole],
    ['a server that accepts and says nothing', () => silent],
  ])('to %s goes to the backup when its time is up, and no later', async (...[, server]) => {
    const failover = createFailover({ attemptTimeoutMs: 400 })
    const result = await failover.execute(list(server(), good), get, { idempotent: true })
    expect(result).toMatchObject({ success: true, value: 'hello', failedNodes: [server().address] })
    expect(result.durationMs).toBeGreaterThanOrEqual(399)
    expect(result.durationMs).toBeLessThan(500 + BUSY_MS)
  })

  it('that was refused is repeated even when it is not idempotent', async () => {
    const dead = { address: `127.0.0.1:${await freePort()}` }
    expect(await createFailover().execute(list(dead, good), get)).toMatchObject({
      success: true,
      failedNodes: [dead.address],
    })
  })

  it('that was reset after it had been sent is repeated only when it is idempotent', async () => {
    const failover = createFailover()
    expect(await failover.execute(list(resetting, good), get)).toMatchObject({
      success: false,
      because: 'it may have reached the server and is not idempotent',
    })
    expect(await failover.execute(list(resetting, good), get, { idempotent: true })).toMatchObject({ value: 'hello' })
  })

  it('given up by the caller leaves no listener and no socket behind', async () => {
    const { signal, abort } = abortable()
    const call = createFailover().execute(list(silent), get, { signal })
    await waitFor('the connection', () => silent.connections() > 0)
    abort()
    expect(await call).toMatchObject({ success: false, because: 'the caller gave up' })
    expect(getEventListeners(signal, 'abort')).toEqual([])
    await waitFor('the socket to close', () => silent.connections() === 0)
  })

  it('to a server that keeps failing is not made any more, until its probes pass', async () => {
    const port = await freePort()
    const dead = { id: 'flaky', address: `127.0.0.1:${port}` }
    const detector = createTimeoutDetector({ policy: { fall: 2, rise: 1 }, probeTimeoutMs: 500 })
    const failover = createFailover({
      detector,
      breakerTimeoutMs: 100,
      breakerThreshold: 50,
      recovery: 'probing',
      recoveryProbes: 2,
    })
    const instances = [dead, ...list(good)]
    for (let i = 0; i < 3; i += 1) await failover.execute(instances, get, { idempotent: true })
    expect(await failover.execute(instances, get)).toMatchObject({ value: 'hello', retryCount: 0 })

    const revived = await startHttpServer('back', { port })
    await waitFor('the instance to be used again', async () => {
      const result = await failover.execute(instances, get)
      return result.success && result.value === 'back'
    })
    await revived.close()
  })
})

describe('the monitor', () => {
  it('finds a dead instance between calls, and stops without a trace', async () => {
    const dead = parseInstance(`127.0.0.1:${await freePort()}`)
    const failover = createFailover({ detector: 'timeout', failureThreshold: 2, probeTimeoutMs: 500 })
    failover.monitor.start([dead, ...list(good)], { intervalMs: 20 })
    expect(() => failover.monitor.start([])).toThrow('running already')
    await waitFor('the dead instance to be found', () => failover.monitor.status(dead).state === 'unhealthy')
    expect(await failover.execute([dead, ...list(good)], get)).toMatchObject({ value: 'hello', retryCount: 0 })
    await failover.close()
    expect(failover.monitor.isRunning).toBe(false)
  })

  it('goes on with the last list when the list cannot be had', async () => {
    const failover = createFailover({ detector: 'timeout', failureThreshold: 3, probeTimeoutMs: 500 })
    const dead = parseInstance(`127.0.0.1:${await freePort()}`)
    let asked = 0
    failover.monitor.start(
      () => {
        asked += 1
        if (asked > 1) throw new Error('the registry is down')
        return [dead]
      },
      { intervalMs: 10 },
    )
    await waitFor('three looks', () => failover.monitor.status(dead).state === 'unhealthy')
    await failover.close()
    expect(asked).toBeGreaterThan(1)
  })

  it('looks at all of them at once when asked', async () => {
    const failover = createFailover({ detector: { healthCheck: '/health' }, failureThreshold: 1, probeTimeoutMs: 300 })
    const statuses = await failover.monitor.check(list(good, silent, blackHole))
    expect(statuses.map(({ state }) => state)).toEqual(['healthy', 'unhealthy', 'unhealthy'])
  })

  it('refuses a detector that cannot look', () => {
    expect(() => createFailover().monitor.start([])).toThrow('there is nothing to monitor')
  })
})

describe('a process that uses it', () => {
  it('ends when its calls have ended, whatever their time limits', async () => {
    const library = new URL('../../scripts/lib/resilience/index.ts', import.meta.url).pathname
    const program = `
      const { createFailover } = await import(${JSON.stringify(library)})
      const failover = createFailover({ attemptTimeoutMs: 600_000, hedge: { delayMs: 300_000 } })
      const result = await failover.execute([{ id: 'a', address: 'a:1' }], async () => 'fine', { idempotent: true })
      console.log(result.value)`
    const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '-e', program], {
      timeout: 15_000,
    })
    expect(stdout).toBe('fine\n')
  })

  it('does not end before a call that nothing else keeps alive has timed out', async () => {
    const library = new URL('../../scripts/lib/resilience/index.ts', import.meta.url).pathname
    const program = `
      const { createFailover } = await import(${JSON.stringify(library)})
      const failover = createFailover({ attemptTimeoutMs: 200, maxRetries: 0 })
      await failover.execute([{ id: 'a', address: 'a:1' }], async () => 'fine')
      const result = await failover.execute([{ id: 'a', address: 'a:1' }], () => new Promise(() => {}))
      console.log(result.error.message)`
    const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '-e', program], {
      timeout: 15_000,
    })
    expect(stdout).toBe('no answer within 200 ms\n')
  })
})

// What a busy machine may add to a figure that is otherwise a promise.
const BUSY_MS = 700

function abortable() {
  const controller = new AbortController()
  return { signal: controller.signal, abort: () => controller.abort(new Error('enough')) }
}

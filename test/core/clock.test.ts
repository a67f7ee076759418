import { getEventListeners } from 'node:events'
import { describe, expect, it } from 'vitest'
import { createManualClock, systemClock } from '../../scripts/lib/core/clock.ts'

describe('the manual clock', () => {
  it('moves only when told to', async () => {
    const clock = createManualClock(1_000)
    expect([clock.now(), clock.monotonic()]).toEqual([1_000, 0])
    await clock.advance(250)
    expect([clock.now(), clock.monotonic()]).toEqual([1_250, 250])
  })

  it('wakes sleepers in the order of their deadlines, each at its own time', async () => {
    const clock = createManualClock(0)
    const woken: [string, number][] = []
    const sleep = (name: string, ms: number) => clock.sleep(ms).then(() => woken.push([name, clock.monotonic()]))
    const all = [sleep('late', 300), sleep('early', 100), sleep('middle', 200), sleep('never', 1_000)]
    await clock.advance(300)
    expect(woken).toEqual([
      ['early', 100],
      ['middle', 200],
      ['late', 300],
    ])
    await clock.advance(700)
    await Promise.all(all)
  })

  it('wakes a sleeper that goes to sleep again within the same advance', async () => {
    const clock = createManualClock(0)
    let rounds = 0
    const loop = (async () => {
      while (rounds < 5) {
        await clock.sleep(100)
        rounds += 1
      }
    })()
    await clock.advance(500)
    await loop
    expect(rounds).toBe(5)
  })

  it('does not wake anyone when the wall clock is stepped, in either direction', async () => {
    const clock = createManualClock(1_000_000)
    let woken = false
    const sleeping = clock.sleep(100).then(() => (woken = true))
    clock.step(86_400_000)
    await clock.advance(0)
    clock.step(-90_000_000)
    await clock.advance(99)
    expect(woken).toBe(false)
    expect(clock.monotonic()).toBe(99)
    expect(clock.now()).toBe(1_000_000 + 86_400_000 - 90_000_000 + 99)
    await clock.advance(1)
    await sleeping
    expect(woken).toBe(true)
  })

  it('rejects an aborted sleep with the reason of the signal, before or during it', async () => {
    const clock = createManualClock()
    const reason = new Error('deadline')
    await expect(clock.sleep(100, AbortSignal.abort(reason))).rejects.toBe(reason)
    const controller = new AbortController()
    const sleeping = clock.sleep(100, controller.signal)
    controller.abort(reason)
    await expect(sleeping).rejects.toBe(reason)
  })

  it('leaves nothing on the signal once it has woken', async () => {
    const clock = createManualClock()
    const { signal } = new AbortController()
    const sleeping = clock.sleep(10, signal)
    expect(getEventListeners(signal, 'abort')).toHaveLength(1)
    await clock.advance(10)
    await sleeping
    expect(getEventListeners(signal, 'abort')).toHaveLength(0)
  })
})

describe('the system clock', () => {
  it('sleeps at least as long as asked by the monotonic clock', async () => {
    const start = systemClock.monotonic()
    await systemClock.sleep(15)
    expect(systemClock.monotonic() - start).toBeGreaterThanOrEqual(13)
  })

  it('rejects with the reason of the signal', async () => {
    const reason = new Error('stop')
    await expect(systemClock.sleep(60_000, AbortSignal.abort(reason))).rejects.toBe(reason)
    const controller = new AbortController()
    const sleeping = systemClock.sleep(60_000, controller.signal)
    controller.abort(reason)
    await expect(sleeping).rejects.toBe(reason)
  })

  it('does not wake at once from a sleep of more than 24.8 days', async () => {
    const controller = new AbortController()
    const ended = systemClock.sleep(40 * 86_400_000, controller.signal).then(
      () => 'woke',
      () => 'aborted',
    )
    await systemClock.sleep(20)
    controller.abort()
    expect(await ended).toBe('aborted')
  })
})

/**
 * Time as an argument. Durations are measured on the monotonic clock, dates come from the wall clock,
 * so a clock step neither fires nor skips anything.
 */
import { setTimeout as delay } from 'node:timers/promises'

export interface Clock {
  /** Wall clock, milliseconds since the epoch, UTC. For dates only: it can jump. */
  now(): number
  /** Monotonic clock, milliseconds since an arbitrary moment. For durations. */
  monotonic(): number
  /** Resolves after `ms`; rejects with the signal's reason when aborted. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>
}

export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  sleep: async (ms, signal) => {
    try {
      await delay(ms, undefined, signal ? { signal } : undefined)
    } catch (error) {
      throw signal?.aborted ? signal.reason : error
    }
  },
}

/** A clock for tests: time moves only when `advance` is called, and sleepers wake in order. */
export interface ManualClock extends Clock {
  /** Moves both clocks forward and wakes whoever was due, in the order of their deadlines. */
  advance(ms: number): Promise<void>
  /** Steps the wall clock alone, as NTP or an administrator would. */
  step(ms: number): void
}

export function createManualClock(startMs = Date.UTC(2026, 0, 1)): ManualClock {
  let wall = startMs
  let mono = 0
  let sleepers: { dueAt: number; wake: () => void }[] = []

  const settle = () => new Promise<void>((resolve) => setImmediate(resolve))

  return {
    now: () => wall,
    monotonic: () => mono,
    step: (ms) => {
      wall += ms
    },
    sleep: (ms, signal) =>
      new Promise((resolve, reject) => {
        // An abort reason is the caller's own value and is passed on as it is.
        // eslint-disable-next-line @typescript-eslint/prefer-promise-reject-errors
        if (signal?.aborted) return reject(signal.reason)
        const sleeper = { dueAt: mono + ms, wake: resolve }
        sleepers.push(sleeper)
        signal?.addEventListener('abort', () => {
          sleepers = sleepers.filter((other) => other !== sleeper)
          // eslint-disable-next-line @typescript-eslint/prefer-promise-reject-errors
          reject(signal.reason)
        })
      }),
    async advance(ms) {
      const end = mono + ms
      for (;;) {
        await settle()
        const next = sleepers.filter((s) => s.dueAt <= end).sort((a, b) => a.dueAt - b.dueAt)[0]
        if (!next) break
        sleepers = sleepers.filter((s) => s !== next)
        wall += Math.max(0, next.dueAt - mono)
        mono = Math.max(mono, next.dueAt)
        next.wake()
      }
      wall += end - mono
      mono = end
      await settle()
    },
  }
}

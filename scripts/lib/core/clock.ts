/**
 * Time as an argument. Durations are measured on the monotonic clock, dates come from the wall clock,
 * so a clock step neither fires nor skips anything.
 */

// The longest delay a timer takes: one millisecond more and it fires at once (HTML standard, and Node's timers).
const LONGEST_TIMER_MS = 2 ** 31 - 1

export interface Clock {
  /** Wall clock, milliseconds since the epoch, UTC. For dates only: it can jump. */
  now(): number
  /** Monotonic clock, milliseconds since an arbitrary moment. For durations. */
  monotonic(): number
  /** Resolves after `ms`; rejects with the signal's reason when aborted. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>
}

/** The machine's own clocks. Nothing here is Node's alone: browsers have the same timers. */
export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  sleep: (ms, signal) =>
    new Promise((resolve, reject) => {
      // An abort reason is the caller's own value and is passed on as it is.
      // eslint-disable-next-line @typescript-eslint/prefer-promise-reject-errors
      if (signal?.aborted) return reject(signal.reason)
      const endsAt = performance.now() + ms
      let timer: ReturnType<typeof setTimeout>
      const stop = () => {
        clearTimeout(timer)
        // eslint-disable-next-line @typescript-eslint/prefer-promise-reject-errors
        reject(signal?.reason)
      }
      const wait = (leftMs: number) => {
        timer = setTimeout(
          () => {
            if (leftMs > LONGEST_TIMER_MS) return wait(endsAt - performance.now())
            signal?.removeEventListener('abort', stop)
            resolve()
          },
          Math.min(leftMs, LONGEST_TIMER_MS),
        )
      }
      signal?.addEventListener('abort', stop, { once: true })
      wait(ms)
    }),
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
        const stop = () => {
          sleepers = sleepers.filter((other) => other !== sleeper)
          // eslint-disable-next-line @typescript-eslint/prefer-promise-reject-errors
          reject(signal?.reason)
        }
        const wake = () => {
          signal?.removeEventListener('abort', stop)
          resolve()
        }
        const sleeper = { dueAt: mono + ms, wake }
        sleepers.push(sleeper)
        signal?.addEventListener('abort', stop, { once: true })
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

/** Waiting for a condition with a deadline, in place of sleeping and hoping. */
import { setTimeout as delay } from 'node:timers/promises'

/**
 * Polls `condition` until it returns something truthy.
 * @throws Error naming `what` and the last error when the deadline passes
 */
export async function waitFor<T>(
  what: string,
  condition: () => T | Promise<T>,
  timeoutMs = 10_000,
): Promise<NonNullable<T>> {
  const deadline = performance.now() + timeoutMs
  let last: unknown
  for (;;) {
    try {
      const value = await condition()
      if (value) return value
    } catch (error) {
      last = error
    }
    if (performance.now() > deadline)
      throw new Error(`gave up after ${timeoutMs} ms waiting for ${what}`, { cause: last })
    await delay(20)
  }
}

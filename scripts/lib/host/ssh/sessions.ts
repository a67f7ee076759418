/**
 * How many commands one SSH connection carries at once. The server's limit (sshd MaxSessions, 10 unless changed) is not
 * told to clients: we start below it, and learn a lower one when the server refuses to open a session.
 */
import { abortError } from '../deadline.ts'

/** sshd's default, less one that stays free to kill a command that runs over time. */
export const DEFAULT_SESSIONS = 9

export interface SessionQueue {
  /** Waits for a place, first come first served. @returns what gives it back */
  acquire(signal: AbortSignal): Promise<() => void>
  /** The server refused one more. @returns false when there is nothing to wait for: no other session is open */
  shrink(): boolean
}

export function createSessionQueue(initial = DEFAULT_SESSIONS): SessionQueue {
  let limit = initial
  let active = 0
  const waiting: (() => void)[] = []

  const wakeNext = () => {
    if (active < limit) waiting.shift()?.()
  }
  const take = () => {
    active += 1
    let given = false
    return () => {
      if (given) return
      given = true
      active -= 1
      wakeNext()
    }
  }
  return {
    acquire: (signal) =>
      new Promise((resolve, reject) => {
        if (signal.aborted) return reject(abortError(signal))
        if (active < limit && waiting.length === 0) return resolve(take())
        const onTurn = () => {
          signal.removeEventListener('abort', onAbort)
          resolve(take())
        }
        const onAbort = () => {
          waiting.splice(waiting.indexOf(onTurn), 1)
          reject(abortError(signal))
        }
        waiting.push(onTurn)
        signal.addEventListener('abort', onAbort, { once: true })
      }),
    shrink() {
      if (active <= 1) return false
      limit = active - 1
      return true
    },
  }
}

/** Tells a dead-man's switch that a run began or how it ended. Whatever it answers changes nothing but a line in the log. */
import { messageOf } from '../core/errors.ts'
import type { Log } from '../core/log.ts'
import type { Job } from './types.ts'

/** As much of a failure as such services show. */
const MAX_BODY = 10_000

/** Never rejects. */
export async function sendPing(
  { name, pings }: Job,
  what: 'start' | 'success' | 'failure',
  { log, body = '' }: { readonly log: Log; readonly body?: string },
): Promise<void> {
  const url = pings[what]
  if (url === undefined) return
  try {
    const signal = AbortSignal.timeout(pings.timeoutMs)
    const response = await fetch(url, { method: 'POST', body: body.slice(0, MAX_BODY), signal, redirect: 'follow' })
    await response.body?.cancel()
    if (!response.ok) log.warn(`${name}: the ${what} ping was answered with ${response.status}`)
  } catch (error) {
    // The address is a secret of sorts, and fetch keeps it out of its messages.
    log.warn(`${name}: the ${what} ping failed: ${messageOf(error)}`)
  }
}

/** Does an endpoint answer its health check? Any status from 200 to 299; a redirect is how captive portals look. */
import type { Clock } from '../../core/clock.ts'
import type { ProbeResult } from '../../health/types.ts'
import type { Fetch } from './fetch.ts'
import { reasonOf } from './remote.ts'

/**
 * @param path from the host when it begins with a slash (`/health`), else below the endpoint's own path (`health`)
 */
export function healthAddressOf(endpoint: string, path: string): string {
  return path.startsWith('/') ? `${new URL(endpoint).origin}${path}` : `${endpoint}/${path}`
}

export interface ProbeRequest {
  readonly address: string
  readonly fetch: Fetch
  readonly clock: Clock
  readonly signal: AbortSignal
}

/** Never rejects. */
export async function probeEndpoint({ address, fetch, clock, signal }: ProbeRequest): Promise<ProbeResult> {
  const startedMs = clock.monotonic()
  try {
    const response = await fetch(address, { signal, redirect: 'manual', cache: 'no-store' })
    const latencyMs = clock.monotonic() - startedMs
    void response.body?.cancel().catch(() => undefined)
    if (response.ok) return { outcome: 'pass', latencyMs }
    return { outcome: 'fail', because: response.status === 0 ? 'it redirects' : `HTTP status ${response.status}` }
  } catch (error) {
    return { outcome: 'fail', because: reasonOf(error) }
  }
}

/** Does a URL answer as it should? Status only; redirects are an answer and are not followed. Works in browsers too. */
import { messageOf } from '../core/errors.ts'
import { probeWithin, type ProbeLimits } from './deadline.ts'
import type { ProbeResult } from './types.ts'

export interface HttpTarget extends ProbeLimits {
  readonly url: string
  readonly headers?: Readonly<Record<string, string>>
  /** Which status codes pass; default 200 to 399. */
  readonly accepts?: (status: number) => boolean
}

export async function probeHttp({ url, headers, accepts = isFine, ...limits }: HttpTarget): Promise<ProbeResult> {
  return probeWithin(limits, async (signal) => {
    const startedMs = performance.now()
    try {
      const response = await fetch(url, { signal, redirect: 'manual', ...(headers && { headers }) })
      const latencyMs = performance.now() - startedMs
      await response.body?.cancel().catch(() => undefined)
      return accepts(response.status)
        ? { outcome: 'pass', latencyMs }
        : { outcome: 'fail', because: `HTTP status ${response.status}` }
    } catch (error) {
      return { outcome: 'fail', because: reasonOf(error) }
    }
  })
}

function isFine(status: number): boolean {
  return status >= 200 && status < 400
}

/** fetch says "fetch failed" and keeps what happened in `cause`. */
function reasonOf(error: unknown): string {
  return error instanceof Error && error.cause instanceof Error ? messageOf(error.cause) : messageOf(error)
}

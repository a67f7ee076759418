/** Which endpoint is used now, and why. Pure. */
import { decidePreferred } from '../../health/score.ts'

export interface EndpointFacts {
  readonly url: string
  readonly priority: number
  readonly usable: boolean
  /** Smoothed time of its health checks; undefined while none was measured. */
  readonly latencyMs: number | undefined
}

export interface Choice {
  /** Undefined when none is usable. */
  readonly url: string | undefined
  readonly because: string
}

/**
 * One that was chosen by hand, while it answers; else the usable one of the lowest priority number; among equals the one
 * in use, unless another is clearly faster.
 */
export function decideEndpoint(
  endpoints: readonly EndpointFacts[],
  { current, chosen }: { readonly current: string | undefined; readonly chosen: string | undefined },
): Choice {
  const byHand = endpoints.find(({ url }) => url === chosen)
  if (byHand?.usable) return { url: byHand.url, because: `${byHand.url} was chosen by hand` }
  const candidates = endpoints.map(({ url, priority, usable, latencyMs }) => ({
    id: url,
    priority,
    usable,
    score: speedOf(latencyMs),
  }))
  const { id, because } = decidePreferred(candidates, current, MARGIN)
  return { url: id, because: byHand ? `${byHand.url}, chosen by hand, is out; ${because}` : because }
}

/**
 * Points for speed: half the time (beyond 10 ms, where differences are noise) is 20 points. One that was never measured
 * gets what 320 ms would: it is tried before the slow ones.
 */
function speedOf(latencyMs: number | undefined): number {
  return latencyMs === undefined ? 0 : 100 - 20 * Math.log2(1 + latencyMs / 10)
}

/** About a third faster: two that are alike never take turns. */
const MARGIN = 8

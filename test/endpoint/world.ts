/** Servers that exist only as functions: a `fetch` that answers for them, and whatever a test does to them. */
import { createManualClock, type ManualClock } from '../../scripts/lib/core/clock.ts'
import { openEndpointManager, type EndpointManager } from '../../scripts/lib/endpoint/client/manager.ts'
import type { EndpointOptions } from '../../scripts/lib/endpoint/client/options.ts'
import type { EndpointEvent, EndpointStorage } from '../../scripts/lib/endpoint/client/types.ts'

export type Behaviour = (url: URL, init: RequestInit) => Response | Promise<Response>

export interface World {
  readonly clock: ManualClock
  /** What each origin does; one that is not here refuses connections. */
  readonly servers: Map<string, Behaviour>
  /** Every request, oldest first: `GET https://…`. */
  readonly requests: string[]
  readonly storage: EndpointStorage & { readonly kept: Map<string, string> }
  readonly events: EndpointEvent[]
  open(options?: EndpointOptions): Promise<EndpointManager>
}

export function createWorld(): World {
  const clock = createManualClock()
  const servers = new Map<string, Behaviour>()
  const requests: string[] = []
  const events: EndpointEvent[] = []
  const kept = new Map<string, string>()
  const storage = {
    kept,
    read: async (part: string) => kept.get(part),
    write: async (part: string, text: string) => void kept.set(part, text),
  }
  const fetch = async (address: string, init: RequestInit): Promise<Response> => {
    const url = new URL(address)
    requests.push(`${init.method ?? 'GET'} ${address}`)
    init.signal?.throwIfAborted()
    const behaviour = servers.get(url.origin)
    if (behaviour) return behaviour(url, init)
    throw new TypeError('fetch failed', {
      cause: Object.assign(new Error('connect ECONNREFUSED'), { code: 'ECONNREFUSED' }),
    })
  }
  return {
    clock,
    servers,
    requests,
    storage,
    events,
    open: (options = {}) =>
      openEndpointManager({ clock, fetch, storage, autoCheck: false, hedgeMs: false, ...options }, (event) =>
        events.push(event),
      ),
  }
}

/** Answers everything with 200 and its own name, after `latencyMs` of the world's clock. */
export function alive(world: World, origin: string, latencyMs = 0): void {
  world.servers.set(origin, async () => {
    if (latencyMs > 0) {
      const slept = world.clock.sleep(latencyMs)
      void world.clock.advance(latencyMs)
      await slept
    }
    return new Response(origin)
  })
}

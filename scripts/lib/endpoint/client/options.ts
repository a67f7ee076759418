/** How the client behaves: what each option means and what it is when left out. */
import { systemClock, type Clock } from '../../core/clock.ts'
import { OpsError } from '../../core/errors.ts'
import type { FlapRule } from '../../health/types.ts'
import { guardNames, type Fetch, type Lookup } from './fetch.ts'
import { parseEndpointUrl } from './url.ts'
import { KINDS, type Endpoint, type EndpointKind, type EndpointStorage } from './types.ts'

export interface EndpointOptions {
  /** Used until a list is fetched, scanned or added. Addresses, in order of priority, or with their priorities. */
  readonly initial?: Readonly<Partial<Record<EndpointKind, readonly (string | Endpoint)[]>>>
  /** Without it nothing survives a restart. */
  readonly storage?: EndpointStorage
  /** Default: the global `fetch`. */
  readonly fetch?: Fetch
  /** Checks all endpoints every `checkIntervalMs`, from now on; default true. */
  readonly autoCheck?: boolean
  /** Default 5 minutes. */
  readonly checkIntervalMs?: number
  /** For one health check; default 5 s. */
  readonly checkTimeoutMs?: number
  /** Failures in a row, of checks and requests together, that put an endpoint out; default 3. */
  readonly failures?: number
  /** Health check of each kind: from the host with a slash, below the endpoint without; default `/health`. */
  readonly healthPath?: Readonly<Partial<Record<EndpointKind, string>>> | string
  /** For one attempt of a request, until its headers are there; default 5 s. */
  readonly requestTimeoutMs?: number
  /** For a request with all its attempts; default 30 s. */
  readonly totalTimeoutMs?: number
  /** A second endpoint is asked beside one that has not answered for so long (idempotent requests); default 200 ms, false: never. */
  readonly hedgeMs?: number | false
  /** For one source of `update`; default 10 s. */
  readonly updateTimeoutMs?: number
  /** Loopback, private and link-local addresses; default false. */
  readonly allowPrivate?: boolean
  /** With it, names that lead to such addresses are refused, too. In Node: `lookupAll` of `opskit/endpoint/names`. */
  readonly lookup?: Lookup
  /** What an endpoint that keeps going out has to wait for; see room health. */
  readonly flap?: Partial<FlapRule> | false
  /** False while this device has no network: nothing is held against the endpoints then. In a browser: `() => navigator.onLine`. */
  readonly isOnline?: () => boolean
  readonly clock?: Clock
}

export interface EndpointSettings {
  readonly initial: Readonly<Record<EndpointKind, readonly Endpoint[]>>
  readonly storage: EndpointStorage | undefined
  readonly fetch: Fetch
  readonly autoCheck: boolean
  readonly checkIntervalMs: number
  readonly checkTimeoutMs: number
  readonly failures: number
  readonly healthPath: Readonly<Record<EndpointKind, string>>
  readonly requestTimeoutMs: number
  readonly totalTimeoutMs: number
  readonly hedgeMs: number | undefined
  readonly updateTimeoutMs: number
  readonly allowPrivate: boolean
  readonly flap: Partial<FlapRule> | false | undefined
  readonly isOnline: () => boolean
  readonly clock: Clock
}

/** @throws OpsError USAGE for a number that makes no sense, DATA_MISMATCH for an address that must not be used */
export function readEndpointOptions(options: EndpointOptions): EndpointSettings {
  const { hedgeMs = 200, healthPath = '/health', allowPrivate = false } = options
  const fetch: Fetch = options.fetch ?? ((url, init) => globalThis.fetch(url, init))
  const pathOf = (kind: EndpointKind) => (typeof healthPath === 'string' ? healthPath : (healthPath[kind] ?? '/health'))
  const initialOf = (kind: EndpointKind) =>
    (options.initial?.[kind] ?? []).map((item, index): Endpoint => {
      const { url, priority } = typeof item === 'string' ? { url: item, priority: index } : item
      return { url: parseEndpointUrl(url, `initial.${kind}[${index}]`, { allowPrivate }), priority }
    })
  const settings = {
    initial: { api: initialOf('api'), socketio: initialOf('socketio') },
    storage: options.storage,
    fetch: options.lookup && !allowPrivate ? guardNames(fetch, options.lookup) : fetch,
    autoCheck: options.autoCheck ?? true,
    checkIntervalMs: options.checkIntervalMs ?? 300_000,
    checkTimeoutMs: options.checkTimeoutMs ?? 5_000,
    failures: options.failures ?? 3,
    healthPath: { api: pathOf('api'), socketio: pathOf('socketio') },
    requestTimeoutMs: options.requestTimeoutMs ?? 5_000,
    totalTimeoutMs: options.totalTimeoutMs ?? 30_000,
    hedgeMs: hedgeMs === false ? undefined : hedgeMs,
    updateTimeoutMs: options.updateTimeoutMs ?? 10_000,
    allowPrivate,
    flap: options.flap,
    isOnline: options.isOnline ?? (() => true),
    clock: options.clock ?? systemClock,
  } satisfies EndpointSettings
  checkNumbers(settings)
  return settings
}

function checkNumbers(settings: EndpointSettings): void {
  const times = ['checkIntervalMs', 'checkTimeoutMs', 'requestTimeoutMs', 'totalTimeoutMs', 'updateTimeoutMs'] as const
  for (const name of times) if (!(settings[name] > 0)) refuse(name, settings[name], 'over 0')
  const { hedgeMs, failures } = settings
  if (hedgeMs !== undefined && !(hedgeMs >= 0 && Number.isFinite(hedgeMs)))
    refuse('hedgeMs', hedgeMs, 'from 0, or false')
  if (!Number.isInteger(failures) || failures < 1) refuse('failures', failures, 'a whole number from 1')
  for (const kind of KINDS) {
    if (settings.healthPath[kind] === '') refuse('healthPath', settings.healthPath[kind], 'a path such as /health')
  }
}

function refuse(name: string, value: unknown, allowed: string): never {
  throw new OpsError('USAGE', `endpoint client: ${name} is ${String(value)}`, { hint: `It must be ${allowed}.` })
}

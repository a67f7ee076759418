/**
 * The words of the endpoint client. Nothing under client/ needs Node: it runs in browsers and on phones as well, with
 * `fetch`, storage and clock handed in.
 *
 * An endpoint is an address under which the same service can be had. Each has a priority: the lower number is used first.
 * Among equals the faster one is used, and stays until another is clearly faster.
 */
import type { HealthState } from '../../health/types.ts'

/** An application has two lists: its HTTP API, and its Socket.io servers. */
export type EndpointKind = 'api' | 'socketio'

export const KINDS: readonly EndpointKind[] = ['api', 'socketio']

export interface Endpoint {
  /** http or https, without a slash at its end. */
  readonly url: string
  readonly priority: number
}

/** What a QR code or a server says: a kind that it does not speak of is absent. */
export interface EndpointList {
  readonly api?: readonly Endpoint[]
  readonly socketio?: readonly Endpoint[]
  /** Only in QR codes. */
  readonly roomId?: string
}

/**
 * Where an endpoint of the list came from: the program, a fetched or scanned list (which replaces those of the program),
 * or a person (kept whatever list is fetched).
 */
export type EndpointSource = 'initial' | 'list' | 'manual'

export interface EndpointStatus extends Endpoint {
  readonly source: EndpointSource
  readonly state: HealthState
  /** Failures in a row while it is suspect; 0 otherwise. */
  readonly failures: number
  /** Smoothed time of its health checks. */
  readonly latencyMs: number | undefined
  /** Wall clock of the last health check, milliseconds since the epoch. */
  readonly checkedAt: number | undefined
  /** Why the last check or request failed; undefined when it did not. */
  readonly because: string | undefined
  readonly current: boolean
  /** Chosen by hand. */
  readonly chosen: boolean
}

export type EndpointEvent =
  /** Another endpoint is used from now on. `from` is undefined when there was none. */
  | {
      readonly type: 'switch'
      readonly kind: EndpointKind
      readonly from: string | undefined
      readonly to: string
      readonly because: string
    }
  | {
      readonly type: 'health'
      readonly kind: EndpointKind
      readonly url: string
      readonly from: HealthState
      readonly to: HealthState
      readonly because: string
    }
  /** Once, when the last endpoint of a kind went down. */
  | { readonly type: 'all-down'; readonly kind: EndpointKind; readonly urls: readonly string[] }
  /** Once, when one answers again. */
  | { readonly type: 'recovered'; readonly kind: EndpointKind; readonly url: string }
  /** A list was taken over. */
  | { readonly type: 'updated'; readonly from: string; readonly api: number; readonly socketio: number }
  | { readonly type: 'update-failed'; readonly because: string }
  /** Something that does not stop the client: storage that cannot be read or written. */
  | { readonly type: 'problem'; readonly because: string }

/** Where the client keeps what must survive a restart: a list that rarely changes, and health that often does. */
export interface EndpointStorage {
  /** @returns undefined when nothing was kept */
  read(part: StoragePart): Promise<string | undefined>
  write(part: StoragePart, text: string): Promise<void>
}

export type StoragePart = 'list' | 'health'

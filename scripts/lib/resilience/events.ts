/** What happens inside a failover, for whoever wants to watch. A listener that throws breaks nothing but is counted. */
import type { AttemptRecord, BreakerStateName } from './types.ts'
import type { HealthState } from '../health/index.ts'

export type FailoverEvent =
  | ({ readonly type: 'attempt'; readonly number: number } & AttemptRecord)
  /** Another attempt follows, on whichever instance, after `waitMs`. */
  | { readonly type: 'retry'; readonly instance: string; readonly waitMs: number; readonly because: string }
  /** The next attempt goes to another instance. */
  | { readonly type: 'failover'; readonly from: string; readonly to: string }
  /** A second attempt runs beside the first, which has not answered for `afterMs`. */
  | { readonly type: 'hedge'; readonly from: string; readonly to: string; readonly afterMs: number }
  | {
      readonly type: 'detection'
      readonly instance: string
      readonly from: HealthState
      readonly to: HealthState
      readonly because: string
    }
  | {
      readonly type: 'breaker'
      readonly instance: string
      readonly from: BreakerStateName
      readonly to: BreakerStateName
      readonly because: string
    }
  /** Health is set aside (or no longer), because `out` of `total` instances are out. */
  | { readonly type: 'panic'; readonly active: boolean; readonly out: number; readonly total: number }
  | { readonly type: 'call'; readonly success: boolean; readonly retryCount: number; readonly durationMs: number }

export type Listener = (event: FailoverEvent) => void

export interface Emitter<E> {
  /** True when somebody listens: events need not be made otherwise. */
  readonly watched: boolean
  emit(event: E): void
  /** @returns a function that ends the subscription */
  on(listener: (event: E) => void): () => void
}

export type Events = Emitter<FailoverEvent>

export function createEmitter<E>(onListenerError: (error: unknown) => void): Emitter<E> {
  let listeners: readonly { readonly hear: (event: E) => void }[] = []
  return {
    get watched() {
      return listeners.length > 0
    },
    emit(event) {
      for (const { hear } of listeners) {
        try {
          hear(event)
        } catch (error) {
          onListenerError(error)
        }
      }
    },
    on(listener) {
      // Wrapped, so that one function subscribed twice is two subscriptions.
      const entry = { hear: listener }
      listeners = [...listeners, entry]
      return () => {
        listeners = listeners.filter((other) => other !== entry)
      }
    },
  }
}

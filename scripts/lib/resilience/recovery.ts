/**
 * How an instance that is out comes back: when it is tried, and by what.
 *
 *   immediate  tried at once, then at a fixed interval
 *   gradual    the wait before each try grows, so that a dead instance costs less and less
 *   probing    at a fixed interval, and it must pass a few probes in a row
 *
 * A try is a probe of the detector where it has one (no live call reaches the instance before), else one live call at a
 * time. The breaker of the instance waits by the same delays.
 */
import { OpsError } from '../core/errors.ts'
import type { Detector } from './detectors.ts'
import type { Instance } from './types.ts'

export type RecoveryName = 'immediate' | 'gradual' | 'probing'

/** What a strategy looks at. */
export interface RecoveryView {
  readonly instance: Instance
  /** Failed tries since it went out. */
  readonly tries: number
  /** When it went out, or when the last try failed. */
  readonly waitingSinceMs: number
  readonly nowMs: number
}

export interface RecoveryStrategy {
  /** Wait before the next try, after so many failed ones. */
  recoveryDelayMs(tries: number): number
  /** May it be tried now? */
  canRecover(view: RecoveryView): boolean
  /** Tries it by probes. @returns true when it is healthy again */
  recover(instance: Instance, signal?: AbortSignal): Promise<boolean>
}

export interface RecoveryOptions {
  readonly strategy?: RecoveryName
  readonly detector: Detector
  /** The base of all delays; default 30 s. */
  readonly intervalMs?: number
  /** Growth of the gradual delay; default 2. */
  readonly factor?: number
  /** Longest gradual delay; default 5 min. */
  readonly maxIntervalMs?: number
  /** Probes in a row before it is given live calls; default 3. */
  readonly probes?: number
}

/** @throws OpsError USAGE for a delay that makes no sense */
export function createRecoveryStrategy(options: RecoveryOptions): RecoveryStrategy {
  const { strategy = 'gradual', detector, intervalMs = 30_000, factor = 2, probes = 3 } = options
  const maxIntervalMs = options.maxIntervalMs ?? Math.max(300_000, intervalMs)
  if (!(intervalMs > 0 && factor >= 1 && maxIntervalMs >= intervalMs && Number.isSafeInteger(probes) && probes >= 1)) {
    throw new OpsError('USAGE', 'recovery: a delay or a count makes no sense', {
      hint: 'intervalMs must be over 0, factor at least 1, maxIntervalMs at least intervalMs, probes a whole number from 1.',
    })
  }
  const delays: Readonly<Record<RecoveryName, (tries: number) => number>> = {
    immediate: (tries) => (tries === 0 ? 0 : intervalMs),
    gradual: (tries) => Math.min(maxIntervalMs, intervalMs * factor ** tries),
    probing: () => intervalMs,
  }
  const recoveryDelayMs = delays[strategy]
  const wantedProbes = strategy === 'probing' ? probes : 1

  return {
    recoveryDelayMs,
    canRecover: ({ tries, waitingSinceMs, nowMs }) => nowMs - waitingSinceMs >= recoveryDelayMs(tries),
    async recover(instance, signal) {
      if (!detector.canProbe) return false
      // Passes needed by the detector itself come on top: a probe that leaves it out is followed by another.
      const limit = Math.max(wantedProbes, detector.rise)
      for (let passed = 1; passed <= limit; passed += 1) {
        const result = await detector.probe(instance, signal)
        if (result.outcome !== 'pass') return false
        const state = detector.status(instance.id)
        if (passed >= wantedProbes && (state === 'healthy' || state === 'suspect')) return true
      }
      return false
    },
  }
}

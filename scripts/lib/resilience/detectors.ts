/**
 * Which instances are up. All detectors keep the same record per instance (room `health`) and count the calls that are made
 * anyway; they differ in whether and how they look for themselves.
 */
import { systemClock, type Clock } from '../core/clock.ts'
import * as health from '../health/index.ts'
import type { HealthPolicy, HealthState, Observation, ProbeResult, TargetHealth } from '../health/index.ts'
import { createEmitter } from './events.ts'
import { hostPortOf } from './instance.ts'
import type { Instance } from './types.ts'

export interface Detector {
  /** False: it only counts calls, and `probe` finds nothing out. */
  readonly canProbe: boolean
  /** Passes in a row that bring an instance back. */
  readonly rise: number
  /** Looks now and says what is believed then. */
  detect(instance: Instance, signal?: AbortSignal): Promise<HealthState>
  /** Looks now, counts what it saw, and returns it. */
  probe(instance: Instance, signal?: AbortSignal): Promise<ProbeResult>
  markSuccess(instance: Instance, latencyMs?: number): void
  markFailed(instance: Instance, because: string): void
  /** What is believed now; `healthy` of an instance that it never heard of. */
  status(id: string): HealthState
  read(id: string): TargetHealth | undefined
  /** Takes it out by hand until `release`. */
  isolate(id: string, because: string): void
  /** Puts it back by hand, on probation. */
  release(id: string): void
  forget(id: string): void
  /** Told when what is believed of an instance changed. @returns a function that ends the subscription */
  on(listener: (detection: Detection) => void): () => void
  /** JSON data with its moments relative to now. */
  save(): Readonly<Record<string, TargetHealth>>
  /** @throws OpsError DATA_MISMATCH for data that `save` did not write */
  restore(saved: Readonly<Record<string, unknown>>, elapsedMs: number): void
}

export interface Detection {
  readonly instance: string
  readonly from: HealthState
  readonly to: HealthState
  readonly because: string
}

export interface DetectorOptions {
  readonly policy?: health.HealthPolicyOptions
  readonly clock?: Clock
  /** Told of what a listener threw; nothing else notices. */
  readonly onListenerError?: (error: unknown) => void
  /** Limit of one probe; default 3 s. */
  readonly probeTimeoutMs?: number
}

/** How to look at an instance; should end when the signal aborts, and is left behind if it does not. */
export type Look = (instance: Instance, signal: AbortSignal) => Promise<ProbeResult>

/** Tries a TCP connection: says that something listens, no more. */
export function createTimeoutDetector(options: DetectorOptions = {}): Detector {
  return createDetector(options, (instance, signal) =>
    health.probeTcp({ ...hostPortOf(instance), timeoutMs: probeLimit(options), signal }),
  )
}

/** Looks at nothing by itself: only the share of failed calls, and failures in a row, count. */
export function createErrorRateDetector(options: DetectorOptions = {}): Detector {
  const loss = options.policy?.loss ?? { unhealthyRatio: 0.5, healthyRatio: 0.1, minimumResults: 10 }
  return createDetector({ ...options, policy: { ...options.policy, loss } })
}

/** Asks the instance itself: by a function, or by `GET path` when `check` is a path such as `/health`. */
export function createHealthCheckDetector(check: string | Look, options: DetectorOptions = {}): Detector {
  const look: Look = typeof check === 'function' ? check : httpLook(check, probeLimit(options))
  return createDetector(options, look)
}

function createDetector(options: DetectorOptions, look?: Look): Detector {
  const policy: HealthPolicy = health.createHealthPolicy(options.policy)
  const clock = options.clock ?? systemClock
  const timeoutMs = probeLimit(options)
  const targets = new Map<string, TargetHealth>()
  const changes = createEmitter<Detection>((error) => options.onListenerError?.(error))

  const targetOf = (id: string, nowMs: number) => targets.get(id) ?? health.startHealth(nowMs)
  const keep = (id: string, { target, because, changed }: Observation) => {
    targets.set(id, target)
    if (changed) changes.emit({ instance: id, because, ...changed })
  }
  const note = (id: string, result: ProbeResult) => {
    const nowMs = clock.monotonic()
    keep(id, health.observe(targetOf(id, nowMs), result, nowMs, policy))
  }
  const status = (id: string) => targets.get(id)?.health.state ?? 'healthy'
  const probe = async (instance: Instance, signal?: AbortSignal): Promise<ProbeResult> => {
    if (!look) return { outcome: 'unknown', because: 'this detector does not probe' }
    const result = await health.probeWithin({ timeoutMs, signal }, (limit) => look(instance, limit))
    note(instance.id, result)
    return result
  }

  return {
    canProbe: look !== undefined,
    rise: policy.rise,
    status,
    probe,
    async detect(instance, signal) {
      await probe(instance, signal)
      return status(instance.id)
    },
    markSuccess(instance, latencyMs) {
      note(instance.id, latencyMs === undefined ? { outcome: 'pass' } : { outcome: 'pass', latencyMs })
    },
    markFailed: (instance, because) => note(instance.id, { outcome: 'fail', because }),
    read: (id) => targets.get(id),
    isolate(id, because) {
      const nowMs = clock.monotonic()
      keep(id, health.isolate(targetOf(id, nowMs), nowMs, because))
    },
    release(id) {
      const nowMs = clock.monotonic()
      keep(id, health.release(targetOf(id, nowMs), nowMs, policy))
    },
    forget: (id) => void targets.delete(id),
    on: (listener) => changes.on(listener),
    save() {
      const nowMs = clock.monotonic()
      return Object.fromEntries([...targets].map(([id, target]) => [id, health.saveHealth(target, nowMs)]))
    },
    restore(saved, elapsedMs) {
      const nowMs = clock.monotonic()
      const restored = Object.entries(saved).map(
        ([id, target]) => [id, health.restoreHealth(target, nowMs, elapsedMs)] as const,
      )
      for (const [id, target] of restored) targets.set(id, target)
    },
  }
}

function httpLook(path: string, timeoutMs: number): Look {
  return ({ address }, signal) => {
    const base = address.includes('://') ? address : `http://${address}`
    return health.probeHttp({ url: new URL(path, base).href, timeoutMs, signal })
  }
}

function probeLimit({ probeTimeoutMs = 3_000 }: DetectorOptions): number {
  return probeTimeoutMs
}

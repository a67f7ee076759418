/**
 * Which instances can take an attempt now, and what one attempt's end changes: breaker, health, latency, recovery, metrics.
 * An instance can be used when it is enabled, its breaker is ready, and its health is good or it is due for a try.
 */
import type { Clock } from '../core/clock.ts'
import { messageOf } from '../core/errors.ts'
import type { HealthState } from '../health/index.ts'
import type { Permit } from './breaker.ts'
import type { Detector } from './detectors.ts'
import type { MetricsCollector } from './metrics.ts'
import type { RecoveryStrategy } from './recovery.ts'
import type { InstanceRecord, Registry } from './registry.ts'
import type { Option } from './select.ts'
import type { BreakerStateName, Instance } from './types.ts'

// Weight of the newest duration in the smoothed one.
const NEWEST_LATENCY = 0.25

/** An instance of a call that can be used now. */
export interface Usable extends Option {
  readonly record: InstanceRecord
}

export interface View {
  readonly usable: Usable[]
  readonly panic: boolean
  /** Enabled instances, and those of them that are out for their health. */
  readonly total: number
  readonly out: number
}

export interface PoolParts {
  readonly registry: Registry
  readonly detector: Detector
  readonly recovery: RecoveryStrategy
  readonly metrics: MetricsCollector
  readonly maxEjectedRatio: number
  readonly clock: Clock
}

export interface Pool {
  /** Looks at the caller's list as it is now. */
  view(instances: readonly Instance[], nowMs: number): View
  breakerState(id: string): BreakerStateName
  /** The verdict on an attempt, or on work done elsewhere. */
  succeed(instance: Instance, ended: Ended): void
  fail(instance: Instance, ended: Ended & { readonly error: unknown }): void
  /** A hedge answered while this one still had not: bad for its health, no verdict for its breaker. */
  overtake(instance: Instance, ended: Ended): void
}

export interface Ended {
  /** 0: the call was not made through the breaker. */
  readonly permit: Permit
  readonly record: InstanceRecord
  readonly durationMs: number
  readonly nowMs: number
}

export function createPool({ registry, detector, recovery, metrics, maxEjectedRatio, clock }: PoolParts): Pool {
  const isDue = (instance: Instance, { out }: InstanceRecord, nowMs: number) =>
    out !== undefined && recovery.canRecover({ instance, tries: out.tries, waitingSinceMs: out.waitingSinceMs, nowMs })

  /** Probes run beside the calls: nobody waits for them. */
  const tryByProbe = (instance: Instance, record: InstanceRecord, nowMs: number) => {
    const { out } = record
    if (!out || out.trying || !detector.canProbe || !isDue(instance, record, nowMs)) return
    out.trying = true
    recovery.recover(instance).then(
      (recovered) => endTry(out, recovered, clock.monotonic()),
      () => endTry(out, false, clock.monotonic()),
    )
  }

  const isOut = (instance: Instance, record: InstanceRecord, state: HealthState, nowMs: number) => {
    if (state === 'healthy' || state === 'suspect') {
      if (record.out !== undefined) record.out = undefined
      return false
    }
    record.out ??= { tries: 0, waitingSinceMs: nowMs, trying: false }
    tryByProbe(instance, record, nowMs)
    return true
  }
  /** One live call at a time may try an instance that is out, once it is due. */
  const mayTry = (instance: Instance, record: InstanceRecord, nowMs: number) =>
    !detector.canProbe && record.inFlight === 0 && isDue(instance, record, nowMs)

  const view = (instances: readonly Instance[], nowMs: number): View => {
    const usable: Usable[] = []
    const outside: Usable[] = []
    let total = 0
    let out = 0
    for (let index = 0; index < instances.length; index += 1) {
      const instance = instances[index]
      if (instance === undefined || instance.enabled === false) continue
      total += 1
      const record = registry.see(instance.id, nowMs)
      const state = detector.status(instance.id)
      const instanceIsOut = isOut(instance, record, state, nowMs)
      if (instanceIsOut) out += 1
      if (!record.breaker.isReady()) continue
      const { inFlight, latencyMs, latencyAtMs } = record
      const option = { index, record, inFlight, latencyMs, latencyAtMs, suspect: state === 'suspect' }
      if (!instanceIsOut) usable.push(option)
      else if (!isByHand(detector, instance.id)) {
        outside.push(option)
        if (mayTry(instance, record, nowMs)) usable.push(option)
      }
    }
    const panic = out > total * maxEjectedRatio && outside.length > 0
    if (panic) {
      usable.push(...outside.filter((option) => !usable.includes(option)))
      usable.sort((a, b) => a.index - b.index)
    }
    return { usable, panic, total, out }
  }

  const noteFailure = (instance: Instance, record: InstanceRecord, because: string, nowMs: number) => {
    detector.markFailed(instance, because)
    const state = detector.status(instance.id)
    if (state !== 'unhealthy' && state !== 'isolated') return
    const { out } = record
    if (out === undefined) record.out = { tries: 0, waitingSinceMs: nowMs, trying: false }
    else endTry(out, false, nowMs)
  }

  return {
    view,
    breakerState: (id) => registry.find(id)?.breaker.state.state ?? 'closed',
    succeed(instance, { permit, record, durationMs, nowMs }) {
      record.breaker.record(permit, 'success', { durationMs })
      detector.markSuccess(instance, durationMs)
      smooth(record, durationMs, nowMs)
      metrics.recordLatency(instance.id, durationMs)
    },
    fail(instance, { permit, record, durationMs, nowMs, error }) {
      record.breaker.record(permit, 'failure', { durationMs, error })
      noteFailure(instance, record, messageOf(error), nowMs)
      // A fast failure is not a fast instance.
      if (durationMs > (record.latencyMs ?? 0)) smooth(record, durationMs, nowMs)
      metrics.recordLatency(instance.id, durationMs)
    },
    overtake(instance, { permit, record, durationMs, nowMs }) {
      record.breaker.cancel(permit)
      noteFailure(instance, record, 'another instance answered first', nowMs)
      smooth(record, Math.max(durationMs, record.latencyMs ?? 0), nowMs)
    },
  }
}

function endTry(out: NonNullable<InstanceRecord['out']>, recovered: boolean, nowMs: number): void {
  out.trying = false
  if (recovered) return
  out.tries += 1
  out.waitingSinceMs = nowMs
}

function smooth(record: InstanceRecord, durationMs: number, nowMs: number): void {
  const { latencyMs } = record
  record.latencyMs = latencyMs === undefined ? durationMs : latencyMs + (durationMs - latencyMs) * NEWEST_LATENCY
  record.latencyAtMs = nowMs
}

function isByHand(detector: Detector, id: string): boolean {
  const health = detector.read(id)?.health
  return health?.state === 'isolated' && health.by === 'hand'
}

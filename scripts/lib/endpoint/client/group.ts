/**
 * The endpoints of one kind: who is healthy, which is used, and calls that go on to the next one. Health, retries and
 * hedging are those of the failover library; this adds priorities, the choice by hand and what is told to listeners.
 *
 * Only health checks are timed: requests take longer than checks, so an endpoint would look slower for being used, and
 * two equal ones would take turns.
 */
import type { HealthState, TargetHealth } from '../../health/types.ts'
import { createHealthCheckDetector, type Detection, type Detector } from '../../resilience/detectors.ts'
import { createFailover, type Evidence, type Failover } from '../../resilience/failover.ts'
import { createRetryPolicy, type RetryPolicy } from '../../resilience/retry.ts'
import type { CallOptions, FailoverResult, Instance, Operation } from '../../resilience/types.ts'
import { decideEndpoint } from './decide.ts'
import type { ListEntry } from './lists.ts'
import type { EndpointSettings } from './options.ts'
import { healthAddressOf, probeEndpoint } from './probe.ts'
import type { EndpointEvent, EndpointKind, EndpointStatus } from './types.ts'

/** JSON data; moments in `health` are relative to the moment of saving. */
export interface SavedGroup {
  readonly current?: string
  readonly isDown: boolean
  readonly checkedAt: Readonly<Record<string, number>>
  readonly health: Readonly<Record<string, unknown>>
}

export interface Group {
  /** The endpoint in use; when all are out, the last one that was. Undefined only while the list is empty. */
  current(): string | undefined
  status(): EndpointStatus[]
  setEntries(entries: readonly ListEntry[], chosen: string | undefined): void
  /** Looks at all of them once. */
  check(signal?: AbortSignal): Promise<void>
  startChecks(): void
  call<T>(operation: Operation<T>, options: CallOptions): Promise<FailoverResult<T>>
  report(url: string, evidence: Evidence): void
  save(): SavedGroup
  /** @throws OpsError DATA_MISMATCH for data that `save` did not write; nothing is restored then */
  restore(saved: SavedGroup, elapsedMs: number): void
  close(): Promise<void>
}

export interface GroupParts {
  readonly kind: EndpointKind
  readonly settings: EndpointSettings
  readonly emit: (event: EndpointEvent) => void
}

/** With at most 64 endpoints: health is set aside only when every one is out. */
const ALL_BUT_NONE = 0.99

export function createGroup({ kind, settings, emit }: GroupParts): Group {
  const { clock } = settings
  let entries: readonly ListEntry[] = []
  let instances: readonly Instance[] = []
  let chosen: string | undefined
  let current: string | undefined
  let isDown = false
  const checkedAt = new Map<string, number>()
  const reasons = new Map<string, string>()

  const onDetection = ({ instance: url, from, to, because }: Detection) => {
    emit({ type: 'health', kind, url, from, to, because })
    reconsider()
  }
  const base = createHealthCheckDetector(lookFor(kind, settings), {
    policy: policyOf(settings),
    clock,
    probeTimeoutMs: settings.checkTimeoutMs,
  })
  base.on(onDetection)
  const detector: Detector = {
    ...base,
    async probe(instance, signal) {
      const result = await base.probe(instance, signal)
      if (result.outcome === 'unknown') return result
      checkedAt.set(instance.id, clock.now())
      if (result.outcome === 'fail') reasons.set(instance.id, result.because)
      else reasons.delete(instance.id)
      reconsider()
      return result
    },
    markSuccess(instance) {
      reasons.delete(instance.id)
      base.markSuccess(instance)
    },
    markFailed(instance, because) {
      if (!settings.isOnline()) return
      reasons.set(instance.id, because)
      base.markFailed(instance, because)
    },
  }
  const failover = createGroupFailover(kind, { settings, detector, count: () => instances.length })
  const isUsable = (url: string) => isUp(detector.status(url))

  const reconsider = () => {
    const facts = entries.map(({ url, priority }) => ({
      url,
      priority,
      usable: isUsable(url),
      latencyMs: detector.read(url)?.latencyMs,
    }))
    const { url, because } = decideEndpoint(facts, { current, chosen })
    if (url === undefined) return goDown()
    if (isDown) {
      isDown = false
      emit({ type: 'recovered', kind, url })
    }
    if (url === current) return
    const from = current
    current = url
    order()
    if (from !== undefined) emit({ type: 'switch', kind, from, to: url, because })
  }
  const goDown = () => {
    const urls = entries.map(({ url }) => url)
    if (current === undefined || !urls.includes(current)) {
      current = urls[0]
      order()
    }
    if (isDown || urls.length === 0) return
    isDown = true
    emit({ type: 'all-down', kind, urls })
  }
  /** The one in use first, then by priority, then the faster one: a call goes through them in this order. */
  const order = () => {
    const latencyOf = (url: string) => detector.read(url)?.latencyMs ?? Infinity
    const rest = entries
      .filter(({ url }) => url !== current)
      .sort((a, b) => a.priority - b.priority || compare(latencyOf(a.url), latencyOf(b.url)))
    const sorted = [...entries.filter(({ url }) => url === current), ...rest]
    instances = sorted.map(({ url }) => ({ id: url, address: url }))
  }

  return {
    current: () => current,
    status: () =>
      entries.map((entry) => ({
        ...entry,
        ...healthFacts(detector.read(entry.url)),
        checkedAt: checkedAt.get(entry.url),
        because: reasons.get(entry.url),
        current: entry.url === current,
        chosen: entry.url === chosen,
      })),
    setEntries(next, nextChosen) {
      for (const { url } of entries) {
        if (next.some((entry) => entry.url === url)) continue
        detector.forget(url)
        checkedAt.delete(url)
        reasons.delete(url)
      }
      entries = next
      chosen = nextChosen
      order()
      if (entries.length === 0) current = undefined
      reconsider()
    },
    async check(signal) {
      await failover.monitor.check(instances, signal ? { signal } : {})
    },
    startChecks: () => failover.monitor.start(() => instances, { intervalMs: settings.checkIntervalMs }),
    call: (operation, options) => {
      order()
      return failover.execute(instances, operation, options)
    },
    report: (url, evidence) => failover.report({ id: url, address: url }, evidence),
    save: () => ({
      ...(current !== undefined && { current }),
      isDown,
      checkedAt: Object.fromEntries(checkedAt),
      health: base.save(),
    }),
    restore(saved, elapsedMs) {
      base.restore(
        Object.fromEntries(entries.flatMap(({ url }) => (saved.health[url] ? [[url, saved.health[url]]] : []))),
        elapsedMs,
      )
      isDown = saved.isDown && entries.length > 0
      for (const { url } of entries) {
        const at = saved.checkedAt[url]
        if (at !== undefined) checkedAt.set(url, at)
      }
      if (entries.some(({ url }) => url === saved.current)) current = saved.current
      order()
    },
    close: () => failover.close(),
  }
}

function lookFor(kind: EndpointKind, { healthPath, fetch, clock, isOnline }: EndpointSettings) {
  return async ({ address }: Instance, signal: AbortSignal) => {
    if (!isOnline()) return { outcome: 'unknown', because: 'this device is offline' } as const
    return probeEndpoint({ address: healthAddressOf(address, healthPath[kind]), fetch, clock, signal })
  }
}

/** Checks may be hours apart (from cron), and every pass between two failures begins the count anew. */
const IN_A_ROW_MS = 86_400_000

function policyOf({ failures, checkIntervalMs, flap }: EndpointSettings) {
  const windowMs = Math.max(IN_A_ROW_MS, 3 * checkIntervalMs)
  return { fall: failures, rise: 1, windowMs, ...(flap !== undefined && { flap }) }
}

interface FailoverParts {
  readonly settings: EndpointSettings
  readonly detector: Detector
  readonly count: () => number
}

function createGroupFailover(kind: EndpointKind, { settings, detector, count }: FailoverParts): Failover {
  const { clock, requestTimeoutMs, totalTimeoutMs, hedgeMs } = settings
  const policy = createRetryPolicy({ maxRetries: 100, retryIntervalMs: 200 })
  const retryPolicy: RetryPolicy = {
    ...policy,
    /** Each of the others once; a single one gets a second try. */
    get maxRetries() {
      return Math.max(1, count() - 1)
    },
  }
  return createFailover({
    service: kind,
    clock,
    detector,
    retryPolicy,
    attemptTimeoutMs: requestTimeoutMs,
    totalTimeoutMs: Math.max(totalTimeoutMs, requestTimeoutMs),
    // One detector decides; a breaker beside it would refuse calls that panic mode lets through.
    breakerThreshold: Infinity,
    // An endpoint is forgotten when it leaves the list, not when nobody calls for a while.
    forgetMs: Infinity,
    maxEjectedRatio: ALL_BUT_NONE,
    judge: judgeAnswer,
    ...(hedgeMs !== undefined && { hedge: { delayMs: hedgeMs } }),
  })
}

/** A server error is the endpoint's failure; any other answer is an answer. */
function judgeAnswer(value: unknown): string | undefined {
  return value instanceof Response && value.status >= 500 ? `HTTP status ${value.status}` : undefined
}

function healthFacts(target: TargetHealth | undefined) {
  const state: HealthState = target?.health.state ?? 'healthy'
  const failures = target?.health.state === 'suspect' ? target.health.failures : 0
  return { state, failures, latencyMs: target?.latencyMs }
}

function isUp(state: HealthState): boolean {
  return state === 'healthy' || state === 'suspect'
}

/** Infinity minus Infinity is no number. */
function compare(a: number, b: number): number {
  return a === b ? 0 : a < b ? -1 : 1
}

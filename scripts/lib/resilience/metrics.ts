/** Counts what a failover does, in bounded space: counters, state changes, a latency histogram and the newest latencies. */
import { createFieldReader, type Fields } from '../core/fields.ts'
import type { HealthState } from '../health/index.ts'
import { createCounters } from './counters.ts'
import type { BreakerStateName } from './types.ts'

export interface MetricsCollector {
  incrementRetries(service: string): void
  incrementFailovers(service: string, from: string, to: string): void
  incrementHedges(service: string): void
  recordDetection(instance: string, state: HealthState): void
  recordBreaker(instance: string, state: BreakerStateName): void
  /** Duration of an attempt that ended by itself, well or badly. */
  recordLatency(instance: string, latencyMs: number): void
  recordAttempt(instance: string, outcome: string): void
  recordCall(service: string, success: boolean): void
  recordPanic(service: string): void
  recordListenerError(): void
  /** Drops what is kept of an instance that is gone. */
  forget(instance: string): void
}

export interface MetricsReader {
  retryCount(service: string): number
  failoverCount(service: string): number
  /** Each pair that was switched between. */
  failovers(service: string): readonly { readonly from: string; readonly to: string; readonly count: number }[]
  /** Mean of the newest samples, in milliseconds; undefined without any. */
  averageLatencyMs(instance: string): number | undefined
  /** How often each state was entered. */
  detectionStats(instance: string): Readonly<Partial<Record<HealthState, number>>>
  breakerStats(instance: string): Readonly<Partial<Record<BreakerStateName, number>>>
  /** All counters, for a text format or for saving. */
  data(): MetricsData
}

export interface Metrics extends MetricsCollector, MetricsReader {
  /** @throws OpsError DATA_MISMATCH for data that `data` did not return */
  restore(data: unknown): void
}

/** One counter with its labels. */
export interface Counter {
  readonly name: CounterName
  readonly labels: Readonly<Record<string, string>>
  readonly value: number
}

export interface LatencyData {
  readonly instance: string
  readonly count: number
  readonly sumMs: number
  /** Not cumulative; one more than `LATENCY_BOUNDS_MS`, the last for what is longer. */
  readonly buckets: readonly number[]
  readonly samplesMs: readonly number[]
}

export interface MetricsData {
  readonly counters: readonly Counter[]
  readonly latencies: readonly LatencyData[]
}

export const COUNTERS = {
  retries: ['service'],
  failovers: ['service', 'from', 'to'],
  hedges: ['service'],
  calls: ['service', 'outcome'],
  attempts: ['instance', 'outcome'],
  detections: ['instance', 'state'],
  breaker_transitions: ['instance', 'state'],
  panics: ['service'],
  listener_errors: [],
} as const satisfies Record<string, readonly string[]>

export type CounterName = keyof typeof COUNTERS

/** Upper bounds, inclusive. */
export const LATENCY_BOUNDS_MS: readonly number[] = [
  1, 2.5, 5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 30_000,
]

// Labels come from the caller's instance ids: without a bound, a changing id would fill the memory.
const MAX_SERIES = 10_000

interface Latency {
  count: number
  sumMs: number
  readonly buckets: number[]
  readonly samples: number[]
  next: number
}

/** @param maxSamples how many of the newest latencies of each instance the average is made of */
export function createMetrics(maxSamples = 100): Metrics {
  const counters = createCounters<CounterName>(MAX_SERIES)
  const latencies = new Map<string, Latency>()

  const add = (name: CounterName, labels: readonly string[], by?: number) => counters.add(name, labels, by)
  const latencyOf = (instance: string): Latency | undefined => {
    const known = latencies.get(instance)
    if (known || latencies.size >= MAX_SERIES) return known
    const made: Latency = { count: 0, sumMs: 0, buckets: emptyBuckets(), samples: [], next: 0 }
    latencies.set(instance, made)
    return made
  }
  const select = (name: CounterName, first: string) =>
    counters.entries().filter((counter) => counter.name === name && counter.labels[0] === first)
  const total = (name: CounterName, first: string) => select(name, first).reduce((sum, { value }) => sum + value, 0)
  const byState = (name: CounterName, instance: string): Record<string, number> =>
    Object.fromEntries(select(name, instance).map(({ labels, value }) => [labels[1] ?? '', value] as const))

  return {
    incrementRetries: (service) => add('retries', [service]),
    incrementFailovers: (service, from, to) => add('failovers', [service, from, to]),
    incrementHedges: (service) => add('hedges', [service]),
    recordDetection: (instance, state) => add('detections', [instance, state]),
    recordBreaker: (instance, state) => add('breaker_transitions', [instance, state]),
    recordAttempt: (instance, outcome) => add('attempts', [instance, outcome]),
    recordCall: (service, success) => add('calls', [service, success ? 'success' : 'failure']),
    recordPanic: (service) => add('panics', [service]),
    recordListenerError: () => add('listener_errors', []),
    recordLatency(instance, latencyMs) {
      const latency = latencyOf(instance)
      if (!latency) return
      latency.count += 1
      latency.sumMs += latencyMs
      const bucket = bucketOf(latencyMs)
      latency.buckets[bucket] = (latency.buckets[bucket] ?? 0) + 1
      latency.samples[latency.next] = latencyMs
      latency.next = (latency.next + 1) % maxSamples
    },
    forget(instance) {
      latencies.delete(instance)
      counters.retain(({ name, labels }) => {
        const keys: readonly string[] = COUNTERS[name]
        return !keys.some((label, i) => label !== 'service' && labels[i] === instance)
      })
    },
    retryCount: (service) => total('retries', service),
    failoverCount: (service) => total('failovers', service),
    failovers: (service) =>
      select('failovers', service).map(({ labels, value }) => ({
        from: labels[1] ?? '',
        to: labels[2] ?? '',
        count: value,
      })),
    averageLatencyMs(instance) {
      const samples = latencies.get(instance)?.samples ?? []
      return samples.length === 0 ? undefined : samples.reduce((sum, ms) => sum + ms, 0) / samples.length
    },
    detectionStats: (instance) => byState('detections', instance),
    breakerStats: (instance) => byState('breaker_transitions', instance),
    data: () => ({
      counters: counters.entries().map(({ name, labels, value }) => ({
        name,
        labels: Object.fromEntries(COUNTERS[name].map((label, i) => [label, labels[i] ?? ''])),
        value,
      })),
      latencies: [...latencies].map(([instance, { count, sumMs, buckets, samples, next }]) => ({
        instance,
        count,
        sumMs,
        buckets: [...buckets],
        // Oldest first.
        samplesMs: [...samples.slice(next), ...samples.slice(0, next)],
      })),
    }),
    restore(data) {
      const record = read.object(data, 'metrics')
      const restored = readCounters(record)
      const kept = readLatencies(record, maxSamples)
      counters.clear()
      latencies.clear()
      for (const { name, labels, value } of restored) add(name, labels, value)
      for (const [instance, latency] of kept) if (latencies.size < MAX_SERIES) latencies.set(instance, latency)
    },
  }
}

const read = createFieldReader('saved metrics')

function readCounters(record: Fields): { name: CounterName; labels: string[]; value: number }[] {
  return read.list(record, 'counters').map((entry) => {
    const counter = read.object(entry, 'counter')
    const name = read.oneOf(counter, 'name', Object.keys(COUNTERS) as CounterName[])
    const labels = read.object(counter['labels'], 'labels')
    return {
      name,
      labels: COUNTERS[name].map((label) => read.text(labels, label)),
      value: read.number(counter, 'value'),
    }
  })
}

function readLatencies(record: Fields, maxSamples: number): [string, Latency][] {
  return read.list(record, 'latencies').map((entry) => {
    const latency = read.object(entry, 'latency')
    const buckets = readNumbers(latency, 'buckets')
    const samples = readNumbers(latency, 'samplesMs').slice(-maxSamples)
    return [
      read.text(latency, 'instance'),
      {
        count: read.number(latency, 'count'),
        sumMs: read.number(latency, 'sumMs'),
        buckets: emptyBuckets().map((_, i) => buckets[i] ?? 0),
        samples,
        next: samples.length % maxSamples,
      },
    ]
  })
}

function readNumbers(record: Fields, name: string): number[] {
  return read.list(record, name).map((value) => read.number({ [name]: value }, name))
}

function emptyBuckets(): number[] {
  return new Array<number>(LATENCY_BOUNDS_MS.length + 1).fill(0)
}

function bucketOf(latencyMs: number): number {
  let bucket = 0
  while (bucket < LATENCY_BOUNDS_MS.length && latencyMs > (LATENCY_BOUNDS_MS[bucket] ?? 0)) bucket += 1
  return bucket
}

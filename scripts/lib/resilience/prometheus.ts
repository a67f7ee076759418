/** Metrics as the Prometheus text format 0.0.4: https://prometheus.io/docs/instrumenting/exposition_formats/ */
import type { HealthState } from '../health/index.ts'
import { COUNTERS, LATENCY_BOUNDS_MS, type CounterName, type LatencyData, type MetricsData } from './metrics.ts'
import type { BreakerStateName } from './types.ts'

/** The state of one instance now, for the gauges. */
export interface InstanceGauges {
  readonly instance: string
  readonly breaker: BreakerStateName
  readonly health: HealthState
  readonly inFlight: number
}

const PREFIX = 'opskit_failover'
const BREAKER_STATES: readonly BreakerStateName[] = ['closed', 'open', 'half-open']
const HEALTH_STATES: readonly HealthState[] = ['healthy', 'suspect', 'unhealthy', 'isolated']

const HELP: Readonly<Record<CounterName, string>> = {
  retries: 'Attempts after the first of a call.',
  failovers: 'Retries that went to another instance.',
  hedges: 'Attempts started beside one that had not answered yet.',
  calls: 'Calls by how they ended.',
  attempts: 'Attempts by how they ended.',
  detections: 'Changes of what is believed of an instance, by the state entered.',
  breaker_transitions: 'Changes of a breaker, by the state entered.',
  panics: 'Times that so many instances were out that health was set aside.',
  listener_errors: 'Errors thrown by event listeners.',
}

/** @returns the whole exposition, families in a fixed order, ending in a newline */
export function formatPrometheus(data: MetricsData, gauges: readonly InstanceGauges[] = []): string {
  const names = Object.keys(COUNTERS) as CounterName[]
  return [
    ...names.flatMap((name) => formatCounter(name, data)),
    ...formatLatencies(data.latencies),
    ...formatGauges(gauges),
  ]
    .map((line) => `${line}\n`)
    .join('')
}

function formatCounter(name: CounterName, { counters }: MetricsData): string[] {
  const family = `${PREFIX}_${name}_total`
  const lines = counters
    .filter((counter) => counter.name === name)
    .map(({ labels, value }) => sample(family, labels, value))
  return lines.length === 0 ? [] : [...head(family, HELP[name], 'counter'), ...lines]
}

function formatLatencies(latencies: readonly LatencyData[]): string[] {
  if (latencies.length === 0) return []
  const family = `${PREFIX}_attempt_duration_seconds`
  return [
    ...head(family, 'Duration of attempts that ended by themselves.', 'histogram'),
    ...latencies.flatMap(({ instance, count, sumMs, buckets }) => {
      let below = 0
      const lines = LATENCY_BOUNDS_MS.map((boundMs, i) => {
        below += buckets[i] ?? 0
        return sample(`${family}_bucket`, { instance, le: String(boundMs / 1000) }, below)
      })
      return [
        ...lines,
        sample(`${family}_bucket`, { instance, le: '+Inf' }, count),
        sample(`${family}_sum`, { instance }, sumMs / 1000),
        sample(`${family}_count`, { instance }, count),
      ]
    }),
  ]
}

function formatGauges(gauges: readonly InstanceGauges[]): string[] {
  if (gauges.length === 0) return []
  const inFlight = `${PREFIX}_in_flight`
  return [
    ...stateSet(
      `${PREFIX}_breaker_state`,
      'State of the breaker: 1 for the one it is in.',
      BREAKER_STATES,
      gauges.map(({ instance, breaker }) => [instance, breaker]),
    ),
    ...stateSet(
      `${PREFIX}_instance_health`,
      'What is believed of the instance: 1 for the state it is in.',
      HEALTH_STATES,
      gauges.map(({ instance, health }) => [instance, health]),
    ),
    ...head(inFlight, 'Attempts under way.', 'gauge'),
    ...gauges.map((gauge) => sample(inFlight, { instance: gauge.instance }, gauge.inFlight)),
  ]
}

function stateSet(
  family: string,
  help: string,
  states: readonly string[],
  current: readonly (readonly [string, string])[],
): string[] {
  return [
    ...head(family, help, 'gauge'),
    ...current.flatMap(([instance, now]) =>
      states.map((state) => sample(family, { instance, state }, state === now ? 1 : 0)),
    ),
  ]
}

function head(family: string, help: string, type: 'counter' | 'gauge' | 'histogram'): string[] {
  return [`# HELP ${family} ${help}`, `# TYPE ${family} ${type}`]
}

function sample(name: string, labels: Readonly<Record<string, string>>, value: number): string {
  const pairs = Object.entries(labels).map(([label, text]) => `${label}="${escapeLabel(text)}"`)
  return pairs.length === 0 ? `${name} ${value}` : `${name}{${pairs.join(',')}} ${value}`
}

/** Backslash, quote and newline are all that must be escaped; a carriage return would still break a line for some readers. */
function escapeLabel(text: string): string {
  return text.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n').replaceAll('\r', ' ')
}

/** What a failover knows, as JSON data: breakers, health, metrics. For processes that restart, and for the command line. */
import { createFieldReader, type Fields } from '../core/fields.ts'
import type { TargetHealth } from '../health/index.ts'
import type { SavedBreaker } from './breaker-saved.ts'
import { createBreaker } from './breaker.ts'
import { createErrorRateDetector, type Detector } from './detectors.ts'
import { createMetrics, type Metrics, type MetricsData } from './metrics.ts'
import type { Registry } from './registry.ts'

/** Moments in it are relative to the moment of saving: whoever keeps it also keeps when that was. */
export interface SavedFailover {
  readonly version: 1
  readonly breakers: Readonly<Record<string, SavedBreaker>>
  readonly health: Readonly<Record<string, TargetHealth>>
  /** Instances that are out: how often they were tried in vain, and how long they have waited for the next try. */
  readonly recoveries: Readonly<Record<string, SavedRecovery>>
  /** Absent when the metrics are collected elsewhere. */
  readonly metrics?: MetricsData
}

export interface SavedRecovery {
  readonly tries: number
  readonly waitedMs: number
}

export interface StateParts {
  readonly registry: Registry
  readonly detector: Detector
  readonly own: Metrics | undefined
  readonly nowMs: number
}

export function saveState({ registry, detector, own, nowMs }: StateParts): SavedFailover {
  registry.prune(nowMs)
  const records = [...registry.all()]
  const recoveries = records.flatMap(({ id, out }) =>
    out ? [[id, { tries: out.tries, waitedMs: Math.max(0, nowMs - out.waitingSinceMs) }] as const] : [],
  )
  return {
    version: 1,
    breakers: Object.fromEntries(records.map(({ id, breaker }) => [id, breaker.save()])),
    health: detector.save(),
    recoveries: Object.fromEntries(recoveries),
    ...(own && { metrics: own.data() }),
  }
}

/** Tries the saved parts on spare ones first, so that a bad part leaves everything as it was. */
export function restoreState(saved: unknown, elapsedMs: number, { registry, detector, own, nowMs }: StateParts): void {
  const { breakers, health, recoveries, metrics } = readSavedFailover(saved)
  for (const breaker of Object.values(breakers)) createBreaker().restore(breaker, elapsedMs)
  createErrorRateDetector().restore(health, elapsedMs)
  if (metrics !== undefined && own) createMetrics().restore(metrics)

  for (const [id, breaker] of Object.entries(breakers)) registry.see(id, nowMs).breaker.restore(breaker, elapsedMs)
  for (const [id, { tries, waitedMs }] of Object.entries(recoveries)) {
    const waitingSinceMs = nowMs - waitedMs - Math.max(0, elapsedMs)
    registry.see(id, nowMs).out = { tries, waitingSinceMs, trying: false }
  }
  detector.restore(health, elapsedMs)
  if (metrics !== undefined) own?.restore(metrics)
}

const read = createFieldReader('saved failover')

/** @throws OpsError DATA_MISMATCH for another version or shape; the parts are checked by those who restore them */
function readSavedFailover(value: unknown): {
  readonly breakers: Readonly<Record<string, unknown>>
  readonly health: Readonly<Record<string, unknown>>
  readonly recoveries: Readonly<Record<string, SavedRecovery>>
  readonly metrics: unknown
} {
  const record = read.object(value, 'state')
  if (read.number(record, 'version') !== 1) read.oneOf(record, 'version', [])
  return {
    breakers: read.object(record['breakers'], 'breakers'),
    health: read.object(record['health'], 'health'),
    recoveries: readRecoveries(read.object(record['recoveries'], 'recoveries')),
    metrics: record['metrics'],
  }
}

function readRecoveries(record: Fields): Readonly<Record<string, SavedRecovery>> {
  const entries = Object.entries(record).map(([id, value]) => {
    const recovery = read.object(value, 'recovery')
    return [id, { tries: read.number(recovery, 'tries'), waitedMs: read.number(recovery, 'waitedMs') }] as const
  })
  return Object.fromEntries(entries)
}

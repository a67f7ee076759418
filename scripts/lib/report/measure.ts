/**
 * Numbers against thresholds, and thresholds as monitoring-plugin ranges.
 * Range syntax: monitoring-plugins.org/doc/guidelines.html, "Threshold and ranges":
 * `10` alerts outside 0..10, `10:` below 10, `~:10` above 10, `10:20` outside, `@10:20` inside, ends included.
 */
import type { Measure } from './types.ts'

/** Two limits; `critical` under `warning` means that smaller is worse (days left, bytes free). */
export interface Threshold {
  readonly warning: number
  readonly critical: number
}

export interface Range {
  readonly low: number
  readonly high: number
  /** False: alert outside of low..high. True (`@`): alert inside. Both ends belong to the inside. */
  readonly alertInside: boolean
}

/** @returns `critical` or `warning` from its limit on (the limit itself included); `unknown` for what is not a number */
export function decideThreshold(value: number, threshold: Threshold): 'ok' | 'warning' | 'critical' | 'unknown' {
  if (Number.isNaN(value)) return 'unknown'
  const reached = (limit: number) => (smallerIsWorse(threshold) ? value <= limit : value >= limit)
  if (reached(threshold.critical)) return 'critical'
  return reached(threshold.warning) ? 'warning' : 'ok'
}

/** A measure whose ranges say what `threshold` says: `~:85` where more is worse, `21:` where less is. */
export function measureOf(measure: Omit<Measure, 'warn' | 'crit'>, threshold?: Threshold): Measure {
  if (!threshold) return measure
  const range = (limit: number) => (smallerIsWorse(threshold) ? `${limit}:` : `~:${limit}`)
  return { ...measure, warn: range(threshold.warning), crit: range(threshold.critical) }
}

/** @returns undefined when `text` is not a range of the guidelines, or its start is beyond its end */
export function parseRange(text: string): Range | undefined {
  const number = String.raw`-?\d+(?:\.\d+)?`
  const match = new RegExp(`^(@)?(?:(~|${number})?(:))?(${number})?$`).exec(text)
  if (!match || !/\d/.test(text)) return undefined
  const [, inside, start, colon, end] = match
  const low = start === '~' ? Number.NEGATIVE_INFINITY : Number(start ?? 0)
  const high = end === undefined ? (colon ? Number.POSITIVE_INFINITY : Number.NaN) : Number(end)
  return low <= high ? { low, high, alertInside: inside !== undefined } : undefined
}

/** True when `value` raises the alert of `range`. */
export function decideRange(value: number, range: Range): boolean {
  const inside = value >= range.low && value <= range.high
  return range.alertInside ? inside : !inside
}

/** The one limit that a bar can mark, when the range has exactly one finite end. */
export function limitOf(range: string | undefined): number | undefined {
  const parsed = range === undefined ? undefined : parseRange(range)
  if (!parsed) return undefined
  const highOnly = parsed.low === Number.NEGATIVE_INFINITY || parsed.low === 0
  if (highOnly && Number.isFinite(parsed.high)) return parsed.high
  return parsed.high === Number.POSITIVE_INFINITY ? parsed.low : undefined
}

function smallerIsWorse({ warning, critical }: Threshold): boolean {
  return critical < warning
}

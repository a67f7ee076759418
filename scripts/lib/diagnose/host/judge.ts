/**
 * A number against its threshold, and the words and measures that go with it: the same in every host check.
 * A value counts from its threshold on (`critical from 95 %`), which is the monitoring-plugin range `@95:`.
 */
import type { Threshold } from '../../config/types.ts'
import type { Measure, Severity } from '../types.ts'

export type Judged = 'ok' | 'warning' | 'critical'

export function judge(value: number, threshold: Threshold): Judged {
  if (value >= threshold.critical) return 'critical'
  return value >= threshold.warning ? 'warning' : 'ok'
}

/** The worse of several verdicts; `ok` for none. */
export function worst(...verdicts: readonly Judged[]): Judged {
  return verdicts.includes('critical') ? 'critical' : verdicts.includes('warning') ? 'warning' : 'ok'
}

/** `critical from 95 %`: the threshold that was crossed, or the first that would be. */
export function limitText(verdict: Severity, threshold: Threshold, unit: string): string {
  return verdict === 'critical'
    ? `critical from ${threshold.critical}${unit}`
    : `warning from ${threshold.warning}${unit}`
}

export interface MeasureOptions {
  readonly unit?: Measure['unit']
  readonly threshold?: Threshold
  readonly max?: number
}

/** A measure that cannot be negative, with two decimals at most. */
export function measure(label: string, value: number, { unit, threshold, max }: MeasureOptions = {}): Measure {
  return {
    label,
    value: round(value, 2),
    ...(unit && { unit }),
    ...(threshold && { warn: `@${threshold.warning}:`, crit: `@${threshold.critical}:` }),
    min: 0,
    ...(max !== undefined && { max }),
  }
}

export function percent(ratio: number): string {
  return `${round(ratio * 100, 1)} %`
}

export function round(value: number, digits: number): number {
  const factor = 10 ** digits
  return Math.round(value * factor) / factor
}

/** `1 process`, `2 processes`. */
export function count(amount: number, one: string, many = `${one}s`): string {
  return `${amount} ${amount === 1 ? one : many}`
}

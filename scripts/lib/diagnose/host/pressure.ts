/**
 * Do tasks stall for lack of CPU, memory or I/O: pressure stall information.
 *
 * Source: kernel Documentation/accounting/psi.rst. For memory and I/O the `full` share is judged (nothing useful ran);
 * for CPU `some`, since `full` has no meaning for the whole machine there.
 */
import type { Thresholds } from '../../config/types.ts'
import type { CheckFinding } from '../types.ts'
import { judge, limitText, measure } from './judge.ts'

export const PRESSURE_RESOURCES = ['cpu', 'memory', 'io'] as const
export type PressureResource = (typeof PRESSURE_RESOURCES)[number]

/** Percent of time in which tasks were stalled. */
export interface Pressure {
  readonly resource: PressureResource
  readonly kind: 'some' | 'full'
  readonly avg10: number
  readonly avg60: number
  readonly avg300: number
}

const KIND = { cpu: 'some', memory: 'full', io: 'full' } as const
const TITLE = { cpu: 'tasks wait for CPU', memory: 'tasks stall for memory', io: 'tasks stall for disks' } as const
const NEXT = {
  cpu: 'top -b -n 1 -o %CPU | head -20',
  memory: 'ps -eo pid,rss,args --sort=-rss | head -20',
  io: "ps -eo pid,stat,wchan:24,args | awk '$2 ~ /D/'",
} as const

/** @returns undefined when the text holds no such line (kernel without PSI, or switched off) */
export function parsePressure(resource: PressureResource, text: string): Pressure | undefined {
  const kind = KIND[resource]
  const match = new RegExp(`^${kind} avg10=([\\d.]+) avg60=([\\d.]+) avg300=([\\d.]+)`, 'm').exec(text)
  return match
    ? { resource, kind, avg10: Number(match[1]), avg60: Number(match[2]), avg300: Number(match[3]) }
    : undefined
}

export function decidePressure(pressures: readonly Pressure[], thresholds: Thresholds): CheckFinding[] {
  const check = 'host.pressure'
  if (pressures.length === 0) {
    return [{ check, severity: 'skipped', title: 'this kernel gives no pressure stall information' }]
  }
  const threshold = thresholds.pressure_percent
  return pressures.map(({ resource, kind, avg10, avg60, avg300 }) => {
    const severity = judge(avg10, threshold)
    return {
      check,
      subject: resource,
      severity,
      title: severity === 'ok' ? `little waits for ${resource}` : TITLE[resource],
      evidence: `${kind} ${avg10} % of the last 10 s (60 s: ${avg60} %, 5 min: ${avg300} %), ${limitText(severity, threshold, ' %')}`,
      ...(severity !== 'ok' && { next: NEXT[resource] }),
      measures: [measure(`pressure_${resource}`, avg10, { unit: '%', threshold, max: 100 })],
    }
  })
}

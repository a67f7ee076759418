/**
 * Are the physical disks busy or slow: time in use and time per request over the window.
 *
 * Source: kernel Documentation/admin-guide/iostats.rst. Partitions, loop, memory and stacked devices (dm, md) are left
 * out: their work shows on the disks below. A disk that works in parallel (NVMe, RAID) can be 100 % busy and far from
 * its limit, so being busy alone is a warning at most; it is critical when requests are slow as well.
 */
import type { Thresholds } from '../../config/types.ts'
import { printableLine } from '../../core/printable.ts'
import type { CheckFinding } from '../types.ts'
import { growth } from './counters.ts'
import { judge, limitText, measure, percent, round, worst, type Judged } from './judge.ts'
import { nameOf, type ProcessFacts } from './processes.ts'

export interface DiskFacts {
  readonly name: string
  /** Share of the window with at least one request in flight, 0 to 1. */
  readonly busy: number
  /** Requests completed in the window. */
  readonly requests: number
  /** Mean time per completed request; 0 when there was none. */
  readonly awaitMs: number
  readonly inFlight: number
  readonly readBytesPerSecond: number
  readonly writtenBytesPerSecond: number
}

const SECTOR_BYTES = 512
/** Fewer requests than this say nothing about the disk: a single one may just have waited for a sleeping drive. */
const MIN_REQUESTS = 10
const NOT_PHYSICAL = /^(?:loop|ram|zram|dm-|md|sr|fd|nbd|drbd|zd)\d*/

/**
 * @param physical names of whole devices that stand for hardware (/sys/block/NAME/device exists)
 */
export function parseDisks(
  { before, after, windowMs }: { before: string; after: string; windowMs: number },
  physical: readonly string[],
): DiskFacts[] {
  const earlier = countersOf(before)
  return [...countersOf(after)]
    .filter(([name]) => physical.includes(name) && !NOT_PHYSICAL.test(name))
    .flatMap(([name, now]): DiskFacts[] => {
      const then = earlier.get(name)
      if (!then || windowMs <= 0) return []
      const grown = (field: number) => growth(then[field], now[field])
      const requests = grown(0) + grown(4)
      return [
        {
          name,
          busy: Math.min(1, grown(9) / windowMs),
          requests,
          awaitMs: requests > 0 ? (grown(3) + grown(7)) / requests : 0,
          inFlight: now[8] ?? 0,
          readBytesPerSecond: (grown(2) * SECTOR_BYTES) / (windowMs / 1000),
          writtenBytesPerSecond: (grown(6) * SECTOR_BYTES) / (windowMs / 1000),
        },
      ]
    })
}

export function decideDisks(
  disks: readonly DiskFacts[],
  processes: readonly ProcessFacts[],
  thresholds: Thresholds,
): CheckFinding[] {
  const check = 'host.diskio'
  if (disks.length === 0) return [{ check, severity: 'skipped', title: 'no physical disk is visible here' }]
  return disks.map((disk) => {
    const name = printableLine(disk.name, 32)
    const { severity, slow, busy } = judgeDisk(disk, thresholds)
    const stuck = disk.requests === 0 && disk.inFlight > 0 && disk.busy > 0.99
    const blocked = processes.filter((process) => process.blocked).slice(0, 3)
    return {
      check,
      subject: name,
      severity,
      title: severity === 'ok' ? `${name} keeps up` : slow === 'ok' ? `${name} is busy` : `${name} is slow`,
      evidence:
        `busy ${percent(disk.busy)}, ${limitText(busy, thresholds.disk_busy_percent, ' %')}; ` +
        `${round(disk.awaitMs, 1)} ms per request over ${disk.requests} requests, ${limitText(slow, thresholds.disk_await_ms, ' ms')}` +
        (stuck ? `; ${disk.inFlight} in flight and none completed` : ''),
      ...(severity !== 'ok' && {
        ...(blocked.length > 0 && { cause: `waiting for disks: ${blocked.map(nameOf).join(', ')}` }),
        next: 'iostat -xz 1 3 || cat /proc/diskstats',
      }),
      measures: [
        measure(`${name}_busy`, disk.busy * 100, { unit: '%', threshold: thresholds.disk_busy_percent, max: 100 }),
        measure(`${name}_await`, disk.awaitMs, { unit: 'ms', threshold: thresholds.disk_await_ms }),
      ],
    }
  })
}

function judgeDisk(disk: DiskFacts, thresholds: Thresholds): { severity: Judged; slow: Judged; busy: Judged } {
  const slow = disk.requests >= MIN_REQUESTS ? judge(disk.awaitMs, thresholds.disk_await_ms) : 'ok'
  const busy = judge(disk.busy * 100, thresholds.disk_busy_percent)
  const capped = slow === 'ok' && busy === 'critical' ? 'warning' : busy
  return { severity: worst(slow, capped), slow, busy }
}

/** Name to the counters after it: reads, merged, sectors, ms; writes, merged, sectors, ms; in flight, busy ms, … */
function countersOf(diskstats: string): Map<string, number[]> {
  return new Map(
    diskstats
      .split('\n')
      .map((line) => line.trim().split(/\s+/))
      .filter((fields) => fields.length >= 14)
      .map((fields) => [fields[2] ?? '', fields.slice(3).map(Number)]),
  )
}

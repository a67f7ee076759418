/**
 * Is memory running out, and is the machine swapping right now.
 *
 * Source: proc_meminfo(5) (MemAvailable, the kernel's own estimate of what can be had without swapping), proc_vmstat(5),
 * kernel Documentation/admin-guide/cgroup-v2.rst. In a limited cgroup (a container) the limit counts, without the part
 * of the page cache that can be dropped at once.
 */
import type { Thresholds } from '../../config/types.ts'
import { formatSize } from '../../core/duration.ts'
import type { CheckFinding } from '../types.ts'
import { growth, parseNumbers } from './counters.ts'
import { judge, limitText, measure, percent, round } from './judge.ts'
import { describeLargest, type ProcessFacts } from './processes.ts'

export interface MemoryFacts {
  readonly totalBytes: number
  readonly availableBytes: number
  readonly swapTotalBytes: number
  readonly swapFreeBytes: number
}

export interface CgroupMemory {
  readonly limitBytes: number
  readonly usedBytes: number
}

const KIB = 1024

/** @returns undefined when the text is not a meminfo */
export function parseMemory(meminfo: string): MemoryFacts | undefined {
  const kib = parseNumbers(meminfo)
  const total = kib.get('MemTotal')
  if (total === undefined || total === 0) return undefined
  // Kernels before 3.14 have no MemAvailable; this sum is what free(1) showed then.
  const older = ['MemFree', 'Buffers', 'Cached'].reduce((sum, name) => sum + (kib.get(name) ?? 0), 0)
  return {
    totalBytes: total * KIB,
    availableBytes: (kib.get('MemAvailable') ?? older) * KIB,
    swapTotalBytes: (kib.get('SwapTotal') ?? 0) * KIB,
    swapFreeBytes: (kib.get('SwapFree') ?? 0) * KIB,
  }
}

/** Bytes per page, out of one quantity that the kernel gives both in pages and in KiB; 4096 when it cannot be told. */
export function parsePageSize(meminfo: string, vmstat: string): number {
  const kib = parseNumbers(meminfo).get('MemFree')
  const pages = parseNumbers(vmstat).get('nr_free_pages')
  if (kib === undefined || pages === undefined || pages === 0) return 4096
  const nearest = 2 ** Math.round(Math.log2((kib * KIB) / pages))
  return [4096, 8192, 16_384, 65_536].includes(nearest) ? nearest : 4096
}

/** @returns undefined without a limit below the machine's memory */
export function parseCgroupMemory(
  texts: { limit: string; usage: string; stat: string },
  totalBytes: number,
): CgroupMemory | undefined {
  const limitBytes = Number.parseInt(texts.limit, 10)
  const usage = Number.parseInt(texts.usage, 10)
  if (!(limitBytes > 0 && limitBytes < totalBytes) || Number.isNaN(usage)) return undefined
  const stat = parseNumbers(texts.stat)
  const droppable = stat.get('total_inactive_file') ?? stat.get('inactive_file') ?? 0
  return { limitBytes, usedBytes: Math.max(0, usage - droppable) }
}

/** Pages swapped in and out per second over the window; undefined when the kernel does not count them. */
export function parseSwapRate(before: string, after: string, windowMs: number): number | undefined {
  const [from, to] = [parseNumbers(before), parseNumbers(after)]
  if (windowMs <= 0 || !to.has('pswpin')) return undefined
  const pages = ['pswpin', 'pswpout'].reduce((sum, name) => sum + growth(from.get(name), to.get(name)), 0)
  return pages / (windowMs / 1000)
}

export function decideMemory(
  memory: MemoryFacts | undefined,
  cgroup: CgroupMemory | undefined,
  { processes, thresholds }: { processes: readonly ProcessFacts[]; thresholds: Thresholds },
): CheckFinding[] {
  const check = 'host.memory'
  if (!memory) return [{ check, severity: 'unknown', title: '/proc/meminfo cannot be read' }]
  const rows = [
    {
      subject: undefined,
      used: memory.totalBytes - memory.availableBytes,
      total: memory.totalBytes,
      label: 'memory_used',
    },
    ...(cgroup
      ? [{ subject: 'cgroup', used: cgroup.usedBytes, total: cgroup.limitBytes, label: 'cgroup_memory_used' }]
      : []),
  ]
  const threshold = thresholds.memory_used_percent
  return rows.map(({ subject, used, total, label }) => {
    const ratio = used / total
    const severity = judge(ratio * 100, threshold)
    return {
      check,
      ...(subject !== undefined && { subject }),
      severity,
      title: severity === 'ok' ? 'memory has room' : 'memory is running out',
      evidence: `${percent(ratio)} used, ${formatSize(total - used)} available of ${formatSize(total)}, ${limitText(severity, threshold, ' %')}`,
      ...(severity !== 'ok' && {
        cause: describeLargest(processes),
        next: 'ps -eo pid,rss,args --sort=-rss | head -20',
      }),
      measures: [
        measure(label, ratio * 100, { unit: '%', threshold, max: 100 }),
        measure(`${label.replace('_used', '')}_available`, total - used, { unit: 'B', max: total }),
      ],
    }
  })
}

export function decideSwap(
  memory: MemoryFacts | undefined,
  pagesPerSecond: number | undefined,
  { processes, thresholds }: { processes: readonly ProcessFacts[]; thresholds: Thresholds },
): CheckFinding {
  const check = 'host.swap'
  if (pagesPerSecond === undefined) return { check, severity: 'skipped', title: 'this kernel does not count swapping' }
  const threshold = thresholds.swap_pages_per_second
  const severity = judge(pagesPerSecond, threshold)
  const used = memory ? memory.swapTotalBytes - memory.swapFreeBytes : 0
  const room =
    memory && memory.swapTotalBytes > 0
      ? `${formatSize(used)} of ${formatSize(memory.swapTotalBytes)} swap in use`
      : 'no swap configured'
  return {
    check,
    severity,
    title: severity === 'ok' ? 'not swapping' : 'the machine is swapping',
    evidence: `${round(pagesPerSecond, 1)} pages/s in and out, ${limitText(severity, threshold, ' pages/s')}; ${room}`,
    ...(severity !== 'ok' && { cause: describeLargest(processes), next: 'vmstat 1 5' }),
    measures: [
      measure('swap_pages_per_second', pagesPerSecond, { threshold }),
      ...(memory ? [measure('swap_used', used, { unit: 'B', max: memory.swapTotalBytes })] : []),
    ],
  }
}

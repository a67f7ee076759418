/**
 * Is the CPU the bottleneck: load against cores, and where the time of the window went.
 *
 * Source: proc_stat(5), proc_loadavg(5), kernel Documentation/admin-guide/cgroup-v2.rst (cpu.max). Guest time is part of
 * user time already. What opskit itself used in the window is left out, or a small machine would always look busy: the
 * shares are of the time that opskit left to others.
 */
import type { Thresholds } from '../../config/types.ts'
import type { CheckFinding } from '../types.ts'
import { growth } from './counters.ts'
import { judge, limitText, measure, percent, round, worst } from './judge.ts'
import { describeTop, nameOf, topByCpu, type ProcessFacts } from './processes.ts'

/** Shares of the CPU time of the window that opskit itself did not use, 0 to 1. */
export interface CpuUse {
  /** Neither idle nor waiting for I/O; steal counts. */
  readonly busy: number
  readonly user: number
  readonly system: number
  readonly iowait: number
  readonly steal: number
  /** opskit's own share of the whole, which the others leave out. */
  readonly own: number
}

export interface LoadFacts {
  /** Averages over 1, 5 and 15 minutes. */
  readonly load: readonly [number, number, number]
  readonly cpuCount: number
  /** Cores that the cgroup of this container or service may use, when it is limited. */
  readonly quotaCores?: number
}

const MIN_WINDOW_TICKS = 4

/** How many CPUs are online: the `cpuN` lines of /proc/stat. At least 1. */
export function countCpus(stat: string): number {
  return Math.max(1, stat.match(/^cpu\d+ /gm)?.length ?? 0)
}

/**
 * Where the CPU time went between two texts of /proc/stat.
 * @param ownMs CPU time of opskit itself in the window, in ms
 * @returns undefined when the counters did not move (a window of no length), or opskit used all of it
 */
export function parseCpuUse(
  before: string,
  after: string,
  own: { ownMs: number; windowMs: number },
): CpuUse | undefined {
  const from = ticksOf(before)
  const ticks = ticksOf(after).map((value, index) => growth(from[index], value))
  const total = ticks.reduce((sum, value) => sum + value, 0)
  if (total < MIN_WINDOW_TICKS) return undefined
  const [user = 0, nice = 0, system = 0, idle = 0, iowait = 0, irq = 0, softirq = 0, steal = 0] = ticks
  const ownRatio = own.windowMs > 0 ? own.ownMs / (own.windowMs * countCpus(after)) : 0
  const ownTicks = Math.min(ownRatio * total, user + nice)
  const left = total - ownTicks
  if (left < MIN_WINDOW_TICKS) return undefined
  return {
    busy: (left - idle - iowait) / left,
    user: (user + nice - ownTicks) / left,
    system: (system + irq + softirq) / left,
    iowait: iowait / left,
    steal: steal / left,
    own: ownTicks / total,
  }
}

/** @returns undefined when the text is not a loadavg */
export function parseLoad(text: string): readonly [number, number, number] | undefined {
  const [one, five, fifteen] = text.trim().split(/\s+/).map(Number)
  return one !== undefined && five !== undefined && fifteen !== undefined && Number.isFinite(one + five + fifteen)
    ? [one, five, fifteen]
    : undefined
}

/**
 * Cores that a cgroup may use.
 * @param max text of cgroup v2 `cpu.max` (`50000 100000`, `max 100000`), or of v1 quota and period joined by a space
 */
export function parseCpuQuota(max: string): number | undefined {
  const [quota, period] = max.trim().split(/\s+/).map(Number)
  return quota !== undefined && period !== undefined && quota > 0 && period > 0 ? quota / period : undefined
}

export function decideLoad(
  { load, cpuCount, quotaCores }: LoadFacts,
  processes: readonly ProcessFacts[],
  thresholds: Thresholds,
): CheckFinding {
  const perCore = load[0] / cpuCount
  const verdict = judge(perCore, thresholds.load_per_core)
  const blocked = processes.filter(({ state }) => state === 'D').length
  const quota = quotaCores === undefined ? '' : `; this cgroup may use ${round(quotaCores, 2)} of them`
  return {
    check: 'host.load',
    severity: verdict,
    title: verdict === 'ok' ? 'load is normal' : 'load is high for this machine',
    evidence:
      `${round(perCore, 2)} per CPU, ${limitText(verdict, thresholds.load_per_core, '')}: ` +
      `${load.join(' ')} in 1, 5, 15 min on ${cpuCount} CPU${cpuCount === 1 ? '' : 's'}${quota}`,
    ...(verdict !== 'ok' && {
      cause:
        blocked > 0
          ? `${blocked} blocked on I/O; ${describeTop(topByCpu(processes))}`
          : describeTop(topByCpu(processes)),
      next: 'ps -eo pid,stat,pcpu,wchan:24,args --sort=-pcpu | head -20',
    }),
    measures: [
      measure('load1', load[0]),
      measure('load5', load[1]),
      measure('load15', load[2]),
      measure('load_per_core', perCore, { threshold: thresholds.load_per_core }),
    ],
  }
}

export function decideCpu(
  use: CpuUse | undefined,
  processes: readonly ProcessFacts[],
  thresholds: Thresholds,
): CheckFinding {
  const check = 'host.cpu'
  if (!use) return { check, severity: 'unknown', title: 'the CPU counters did not move in the window' }
  const limits = {
    busy: thresholds.cpu_busy_percent,
    iowait: thresholds.cpu_iowait_percent,
    steal: thresholds.cpu_steal_percent,
  }
  const parts = (['busy', 'iowait', 'steal'] as const).map((part) => {
    const verdict = judge(use[part] * 100, limits[part])
    return { part, verdict, text: `${part} ${percent(use[part])}, ${limitText(verdict, limits[part], ' %')}` }
  })
  const severity = worst(...parts.map(({ verdict }) => verdict))
  const main = parts.find(({ verdict }) => verdict === severity)
  const split = `user ${percent(use.user)}, system ${percent(use.system)}, iowait ${percent(use.iowait)}, steal ${percent(use.steal)}`
  return {
    check,
    severity,
    title: severity === 'ok' ? 'the CPU has room' : TITLES[main?.part ?? 'busy'],
    evidence: `${main?.text ?? ''} (${split})`,
    ...(severity !== 'ok' && {
      cause: causeOf(main?.part ?? 'busy', processes),
      next: NEXT[main?.part ?? 'busy'],
    }),
    measures: [
      measure('cpu_busy', use.busy * 100, { unit: '%', threshold: limits.busy, max: 100 }),
      measure('cpu_user', use.user * 100, { unit: '%', max: 100 }),
      measure('cpu_system', use.system * 100, { unit: '%', max: 100 }),
      measure('cpu_iowait', use.iowait * 100, { unit: '%', threshold: limits.iowait, max: 100 }),
      measure('cpu_steal', use.steal * 100, { unit: '%', threshold: limits.steal, max: 100 }),
    ],
  }
}

const TITLES = {
  busy: 'the CPU is saturated',
  iowait: 'the CPU waits for disks',
  steal: 'the hypervisor gives this machine too little CPU',
} as const

const NEXT = {
  busy: 'top -b -n 1 -o %CPU | head -20',
  iowait: "ps -eo pid,stat,wchan:24,args | awk '$2 ~ /D/'",
  steal: 'vmstat 1 5',
} as const

function causeOf(part: keyof typeof TITLES, processes: readonly ProcessFacts[]): string {
  if (part === 'steal') return 'other guests of the same physical machine'
  const waiting = processes.filter(({ state }) => state === 'D').slice(0, 3)
  return part === 'iowait' && waiting.length > 0
    ? `waiting for disks: ${waiting.map(nameOf).join(', ')}`
    : describeTop(topByCpu(processes))
}

/** user, nice, system, idle, iowait, irq, softirq, steal of the machine's whole. */
function ticksOf(stat: string): number[] {
  const line = /^cpu +(.*)$/m.exec(stat)?.[1] ?? ''
  return line.split(' ').slice(0, 8).map(Number)
}

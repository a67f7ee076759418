/**
 * Has the kernel killed processes for want of memory, when, and which.
 *
 * Source: `oom_kill` of /proc/vmstat (since boot, kernel 4.13 and later) and the kernel log (mm/oom_kill.c), which names
 * the victim. A kill in the last hour is critical, one in the last 24 hours a warning.
 */
import { formatDuration } from '../../core/duration.ts'
import type { CheckFinding } from '../types.ts'
import { parseNumbers } from './counters.ts'
import { count, measure } from './judge.ts'
import type { LogRecord } from './kernel-log.ts'
import { nameOf } from './processes.ts'

export interface OomFacts {
  /** Kills since boot; undefined when the kernel does not count them. */
  readonly sinceBoot?: number
  readonly uptimeMs: number
  /** Kills that the log of the last 24 h names, newest first; undefined when no kernel log can be read. */
  readonly kills?: readonly OomKill[]
}

export interface OomKill {
  readonly at: number
  readonly pid: number
  readonly name: string
  /** True when a cgroup (a container, a service) reached its own limit, not the machine. */
  readonly inCgroup: boolean
}

const HOUR_MS = 3_600_000
const SHOWN = 5
const KILLED = /Killed process (\d+) \((.{0,32}?)\)(?:,| total-vm)/

/** @returns kills since boot, or undefined before kernel 4.13 */
export function parseOomCount(vmstat: string): number | undefined {
  return parseNumbers(vmstat).get('oom_kill')
}

/** The kills that log records tell of, newest first, each once. */
export function parseOomKills(records: readonly LogRecord[]): OomKill[] {
  const kills = records.flatMap(({ at, source, message }): OomKill[] => {
    const match = source === 'kernel' ? KILLED.exec(message) : null
    return match ? [{ at, pid: Number(match[1]), name: match[2] ?? '', inCgroup: /memory cgroup/i.test(message) }] : []
  })
  return kills
    .sort((a, b) => b.at - a.at)
    .filter(
      (kill, index) => !kills.slice(0, index).some((other) => other.pid === kill.pid && other.at - kill.at < 60_000),
    )
}

export function decideOom({ sinceBoot, uptimeMs, kills }: OomFacts, now: number): CheckFinding {
  const check = 'host.oom'
  const next = "dmesg -T | grep -iE 'out of memory|oom-kill|killed process' | tail -20"
  if (sinceBoot === undefined && kills === undefined) {
    return { check, severity: 'skipped', title: 'neither the count of OOM kills nor the kernel log can be read' }
  }
  const counted = sinceBoot === undefined ? '' : `; ${sinceBoot} since boot ${formatDuration(uptimeMs)} ago`
  const measures = sinceBoot === undefined ? [] : [measure('oom_kills', sinceBoot, { unit: 'c' })]
  const [newest] = kills ?? []
  if (newest) {
    const amount = kills?.length ?? 0
    const age = Math.max(0, now - newest.at)
    return {
      check,
      severity: age <= HOUR_MS ? 'critical' : 'warning',
      title: `the kernel killed ${count(amount, 'process', 'processes')} for want of memory`,
      evidence: `last ${formatDuration(age)} ago, critical within 1 h, warning within 24 h${counted}`,
      cause: newest.inCgroup
        ? `${nameOf(newest)} reached the memory limit of its container or service`
        : `the machine ran out of memory; ${nameOf(newest)} was chosen`,
      next,
      lines: (kills ?? []).slice(0, SHOWN).map((kill) => `${new Date(kill.at).toISOString()} ${nameOf(kill)}`),
      measures,
    }
  }
  if (sinceBoot !== undefined && sinceBoot > 0 && (kills === undefined || uptimeMs < 24 * HOUR_MS)) {
    return {
      check,
      severity: 'warning',
      title: `the kernel killed ${count(sinceBoot, 'process', 'processes')} for want of memory since boot`,
      evidence: `booted ${formatDuration(uptimeMs)} ago; the kernel log does not tell when and which`,
      next: `sudo ${next}`,
      measures,
    }
  }
  return {
    check,
    severity: 'ok',
    title: 'no process was killed for want of memory',
    evidence: `none in 24 h${counted}`,
    measures,
  }
}

/**
 * What is read of a machine, by name: one list for the local reader (files) and the remote one (a shell script), so that
 * both hand the same texts to the same parsers.
 */
import type { Texts } from '../frames.ts'

/** Read at the start and at the end of the window, as `before PATH` and `after PATH`. */
export const SAMPLED = [
  '/proc/uptime',
  '/proc/stat',
  '/proc/diskstats',
  '/proc/vmstat',
  '/proc/net/snmp',
  '/proc/net/netstat',
] as const

/** Read once. */
export const ONCE = [
  '/proc/sys/kernel/hostname',
  '/proc/sys/kernel/osrelease',
  '/etc/os-release',
  '/usr/lib/os-release',
  '/proc/loadavg',
  '/proc/meminfo',
  '/proc/pressure/cpu',
  '/proc/pressure/memory',
  '/proc/pressure/io',
  '/proc/sys/fs/file-nr',
  '/proc/sys/net/netfilter/nf_conntrack_count',
  '/proc/sys/net/netfilter/nf_conntrack_max',
  '/proc/self/mountinfo',
  '/etc/fstab',
  '/sys/class/dmi/id/sys_vendor',
  '/sys/class/dmi/id/product_name',
  '/run/systemd/container',
  '/run/reboot-required.pkgs',
  '/sys/fs/cgroup/cpu.max',
  '/sys/fs/cgroup/cpu/cpu.cfs_quota_us',
  '/sys/fs/cgroup/cpu/cpu.cfs_period_us',
  '/sys/fs/cgroup/memory.max',
  '/sys/fs/cgroup/memory.current',
  '/sys/fs/cgroup/memory.stat',
  '/sys/fs/cgroup/memory/memory.limit_in_bytes',
  '/sys/fs/cgroup/memory/memory.usage_in_bytes',
  '/sys/fs/cgroup/memory/memory.stat',
] as const

/** Files whose existence alone tells something. */
export const MARKERS = ['/.dockerenv', '/run/.containerenv', '/run/reboot-required'] as const

/** Only the first CPU's part is needed; the whole is slow to make on machines with many. */
export const CPUINFO = '/proc/cpuinfo'
export const CPUINFO_BYTES = 4096

export type Once = (typeof ONCE)[number] | typeof CPUINFO
export type Sampled = (typeof SAMPLED)[number]

/** The raw material of the vital signs. */
export interface VitalTexts {
  /**
   * By name: the paths above, and
   * `before processes` / `after processes` (each /proc/PID/stat), `waits PID` (its wchan), `space` (see space.ts),
   * `files` (lines `PID OPEN` of processes with many open files), `limits PID` (its limits),
   * `present` (markers that exist), `disks` (block devices that stand for hardware), `modules` (names in /lib/modules),
   * `kernels` (releases with an image in /boot or /lib/modules).
   */
  readonly texts: Texts
  /** Length of the window on the monotonic clock; absent where only /proc/uptime can tell. */
  readonly windowMs?: number
  /** opskit itself, where it runs on the machine it looks at. */
  readonly own?: { readonly pid: number; readonly cpuMs: number }
}

/** The first of several texts that is there. */
export function firstText(texts: Texts, ...names: readonly string[]): string | undefined {
  return names.map((name) => texts.get(name)).find((text) => text !== undefined)
}

export function linesOf(text: string | undefined): string[] {
  return (text ?? '').split('\n').filter((line) => line !== '')
}

/**
 * The vital signs of a machine: from raw texts to facts, and from facts to findings. Pure; the readers are elsewhere.
 */
import type { Thresholds } from '../../config/types.ts'
import { formatDuration, formatSize } from '../../core/duration.ts'
import type { CheckFinding, Fact } from '../types.ts'
import {
  countCpus,
  decideCpu,
  decideLoad,
  parseCpuQuota,
  parseCpuUse,
  parseLoad,
  type CpuUse,
  type LoadFacts,
} from './cpu.ts'
import { decideDisks, parseDisks, type DiskFacts } from './disks.ts'
import { parseIdentity, type Identity } from './identity.ts'
import { percent } from './judge.ts'
import {
  decideConntrack,
  decideFiles,
  parseConnections,
  parseFileTable,
  parseOpenFilesLimit,
  type Connections,
  type FileTable,
  type OpenFiles,
} from './limits.ts'
import {
  decideMemory,
  decideSwap,
  parseCgroupMemory,
  parseMemory,
  parsePageSize,
  parseSwapRate,
  type CgroupMemory,
  type MemoryFacts,
} from './memory.ts'
import { chooseMounts, isDistant, parseMounts, type Mount } from './mounts.ts'
import { decidePressure, parsePressure, PRESSURE_RESOURCES, type Pressure } from './pressure.ts'
import { decideProcesses, parseProcesses, type ProcessFacts } from './processes.ts'
import { decideReboot, type RebootFacts } from './reboot.ts'
import { CPUINFO, firstText, linesOf, type Once, type Sampled, type VitalTexts } from './sources.ts'
import { decideDisk, decideInodes, decideReadOnly, parseSpace, type FileSystemFacts } from './space.ts'
import { decideTcp, parseTcp, type TcpFacts } from './tcp.ts'

/** Everything that is known of a machine after one window; the same whether it was read here or over there. */
export interface HostFacts {
  readonly identity: Identity
  readonly windowMs: number
  readonly load?: LoadFacts
  readonly cpu?: CpuUse
  readonly pressures: readonly Pressure[]
  readonly memory?: MemoryFacts
  readonly cgroupMemory?: CgroupMemory
  readonly swapPagesPerSecond?: number
  /** The chosen file systems with what they answered; distant ones are added by whoever asks them. */
  readonly systems: readonly FileSystemFacts[]
  /** Chosen file systems that were not asked, because they might never answer. */
  readonly distant: readonly Mount[]
  readonly fstab: string
  readonly disks: readonly DiskFacts[]
  readonly processes: readonly ProcessFacts[]
  readonly files?: FileTable
  readonly openFiles: readonly OpenFiles[]
  readonly connections?: Connections
  readonly tcp?: TcpFacts
  readonly reboot: RebootFacts
}

export function parseVitals(raw: VitalTexts): HostFacts {
  const once = (name: Once) => raw.texts.get(name)
  const sample = (name: Sampled | 'processes') => ({
    before: raw.texts.get(`before ${name}`) ?? '',
    after: raw.texts.get(`after ${name}`) ?? '',
  })
  const windowMs = raw.windowMs ?? windowOf(sample('/proc/uptime'))
  const stat = sample('/proc/stat')
  const vmstat = sample('/proc/vmstat')
  const meminfo = once('/proc/meminfo') ?? ''
  const memory = parseMemory(meminfo)
  const mounts = chooseMounts(parseMounts(once('/proc/self/mountinfo') ?? ''))
  const spaces = parseSpace(raw.texts.get('space') ?? '')
  const processes = parseProcesses(
    {
      ...sample('processes'),
      windowMs,
      pageBytes: parsePageSize(meminfo, vmstat.after),
      waitsIn: numbered(raw.texts, 'waits'),
    },
    raw.own?.pid,
  )
  const [snmp, netstat] = [sample('/proc/net/snmp'), sample('/proc/net/netstat')]
  return {
    identity: identityOf(raw),
    windowMs,
    ...optional('load', loadOf(raw, countCpus(stat.after))),
    ...optional('cpu', parseCpuUse(stat.before, stat.after, { ownMs: raw.own?.cpuMs ?? 0, windowMs })),
    pressures: PRESSURE_RESOURCES.flatMap((name) => parsePressure(name, once(`/proc/pressure/${name}`) ?? '') ?? []),
    ...optional('memory', memory),
    ...optional('cgroupMemory', cgroupMemoryOf(raw, memory)),
    ...optional('swapPagesPerSecond', parseSwapRate(vmstat.before, vmstat.after, windowMs)),
    systems: mounts
      .filter((mount) => !isDistant(mount))
      .map((mount) => ({ mount, ...optional('space', spaces.get(mount.escapedPath)) })),
    distant: mounts.filter(isDistant),
    fstab: once('/etc/fstab') ?? '',
    disks: parseDisks({ ...sample('/proc/diskstats'), windowMs }, linesOf(raw.texts.get('disks'))),
    processes,
    ...optional('files', parseFileTable(once('/proc/sys/fs/file-nr') ?? '')),
    openFiles: openFilesOf(raw, processes),
    ...optional(
      'connections',
      parseConnections(
        once('/proc/sys/net/netfilter/nf_conntrack_count'),
        once('/proc/sys/net/netfilter/nf_conntrack_max'),
      ),
    ),
    ...optional('tcp', parseTcp({ before: `${snmp.before}${netstat.before}`, after: `${snmp.after}${netstat.after}` })),
    reboot: rebootOf(raw),
  }
}

export function decideVitals(facts: HostFacts, thresholds: Thresholds): CheckFinding[] {
  const { processes } = facts
  return [
    facts.load
      ? decideLoad(facts.load, processes, thresholds)
      : { check: 'host.load', severity: 'unknown', title: '/proc/loadavg cannot be read' },
    decideCpu(facts.cpu, processes, thresholds),
    ...decidePressure(facts.pressures, thresholds),
    ...decideMemory(facts.memory, facts.cgroupMemory, { processes, thresholds }),
    decideSwap(facts.memory, facts.swapPagesPerSecond, { processes, thresholds }),
    ...decideDisk(facts.systems, thresholds),
    ...decideInodes(facts.systems, thresholds),
    ...decideReadOnly(
      facts.systems.map(({ mount }) => mount),
      facts.fstab,
    ),
    ...decideDisks(facts.disks, processes, thresholds),
    ...decideProcesses(processes, thresholds),
    ...decideFiles(facts.files, facts.openFiles, thresholds),
    decideConntrack(facts.connections, thresholds),
    ...decideTcp(facts.tcp, thresholds),
    decideReboot(facts.reboot, facts.identity),
  ]
}

/** The head of the report, in display order. */
export function describeHost({ identity, load, memory, systems }: HostFacts): Fact[] {
  const root = systems.find(({ mount }) => mount.path === '/')?.space
  const facts: (Fact | false)[] = [
    ['name', identity.hostname],
    ['os', identity.os],
    ['kernel', identity.kernel],
    ['uptime', formatDuration(identity.uptimeSeconds * 1000)],
    load !== undefined && ['load', load.load.join(' ')],
    load !== undefined && ['cpu', `${load.cpuCount} × ${identity.cpuModel ?? 'CPU'}`],
    memory !== undefined && [
      'memory',
      `${formatSize(memory.availableBytes)} available of ${formatSize(memory.totalBytes)}`,
    ],
    root !== undefined && [
      'root disk',
      `${percent(root.usedBytes / Math.max(1, root.usedBytes + root.availableBytes))} used, ${formatSize(root.availableBytes)} free`,
    ],
    identity.container !== undefined && ['container', identity.container],
    identity.hypervisor !== undefined && ['virtual machine', identity.hypervisor],
  ]
  return facts.filter((fact) => fact !== false)
}

function identityOf({ texts }: VitalTexts): Identity {
  return parseIdentity({
    hostname: texts.get('/proc/sys/kernel/hostname'),
    osRelease: firstText(texts, '/etc/os-release', '/usr/lib/os-release'),
    kernel: texts.get('/proc/sys/kernel/osrelease'),
    uptime: texts.get('after /proc/uptime'),
    cpuinfo: texts.get(CPUINFO),
    vendor: texts.get('/sys/class/dmi/id/sys_vendor'),
    product: texts.get('/sys/class/dmi/id/product_name'),
    container: texts.get('/run/systemd/container'),
    present: new Set(linesOf(texts.get('present'))),
    seesKernelThreads: /^2 \(kthreadd\) /m.test(texts.get('after processes') ?? ''),
  })
}

function loadOf({ texts }: VitalTexts, cpuCount: number): LoadFacts | undefined {
  const load = parseLoad(texts.get('/proc/loadavg') ?? '')
  const v1 = ['quota', 'period'].map((name) => texts.get(`/sys/fs/cgroup/cpu/cpu.cfs_${name}_us`)?.trim()).join(' ')
  const quotaCores = parseCpuQuota(texts.get('/sys/fs/cgroup/cpu.max') ?? v1)
  return load && { load, cpuCount, ...optional('quotaCores', quotaCores) }
}

function cgroupMemoryOf({ texts }: VitalTexts, memory: MemoryFacts | undefined): CgroupMemory | undefined {
  const limit = firstText(texts, '/sys/fs/cgroup/memory.max', '/sys/fs/cgroup/memory/memory.limit_in_bytes')
  const usage = firstText(texts, '/sys/fs/cgroup/memory.current', '/sys/fs/cgroup/memory/memory.usage_in_bytes')
  const stat = firstText(texts, '/sys/fs/cgroup/memory.stat', '/sys/fs/cgroup/memory/memory.stat')
  if (limit === undefined || usage === undefined || !memory) return undefined
  return parseCgroupMemory({ limit, usage, stat: stat ?? '' }, memory.totalBytes)
}

function openFilesOf({ texts }: VitalTexts, processes: readonly ProcessFacts[]): OpenFiles[] {
  const names = new Map(processes.map(({ pid, name }) => [pid, name]))
  return linesOf(texts.get('files')).flatMap((line): OpenFiles[] => {
    const [pid = 0, open = 0] = line.split(' ').map(Number)
    const limit = parseOpenFilesLimit(texts.get(`limits ${pid}`) ?? '')
    return limit !== undefined && limit > 0 ? [{ pid, open, limit, name: names.get(pid) ?? '?' }] : []
  })
}

function rebootOf({ texts }: VitalTexts): RebootFacts {
  const asked = linesOf(texts.get('present')).includes('/run/reboot-required')
  return {
    ...(asked && { asked: texts.get('/run/reboot-required.pkgs') ?? '' }),
    installed: linesOf(texts.get('kernels')),
    modules: linesOf(texts.get('modules')),
  }
}

function windowOf({ before, after }: { before: string; after: string }): number {
  const ms = (Number.parseFloat(after) - Number.parseFloat(before)) * 1000
  return Number.isFinite(ms) ? Math.max(0, ms) : 0
}

/** Sections `PREFIX PID`, by pid. */
function numbered(texts: VitalTexts['texts'], prefix: string): ReadonlyMap<number, string> {
  const found = [...texts].filter(([name]) => name.startsWith(`${prefix} `))
  return new Map(found.map(([name, text]) => [Number(name.slice(prefix.length + 1)), text]))
}

function optional<K extends string, V>(key: K, value: V | undefined): { readonly [P in K]?: V } {
  return value === undefined ? {} : ({ [key]: value } as { [P in K]: V })
}

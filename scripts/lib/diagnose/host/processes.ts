/**
 * Which processes run, which are stuck in the kernel, which are dead and not collected, and who uses the most.
 *
 * Source: proc_pid_stat(5). A name may hold anything, spaces, newlines and parentheses included, so a record is told by
 * its whole shape. A process counts as blocked when it was in uninterruptible sleep at both ends of the window: a short
 * wait for a disk is normal.
 */
import type { Thresholds } from '../../config/types.ts'
import { formatSize } from '../../core/duration.ts'
import { printableLine } from '../../core/printable.ts'
import type { CheckFinding } from '../types.ts'
import { count, judge, limitText, measure, round } from './judge.ts'

export interface ProcessFacts {
  readonly pid: number
  readonly name: string
  /** One letter of proc_pid_stat(5) at the end of the window: R, S, D, Z, T, … */
  readonly state: string
  readonly parentPid: number
  readonly residentBytes: number
  /** CPU time of the window in cores: 1 is one core for the whole window; 0 when it was not there at its start. */
  readonly cores: number
  /** In uninterruptible sleep at both ends of the window. */
  readonly blocked: boolean
  /** The kernel function a blocked process waits in, when it may be read. */
  readonly waitsIn?: string
}

export interface ProcessTexts {
  /** The /proc/PID/stat of every process, one after the other, at the start and at the end of the window. */
  readonly before: string
  readonly after: string
  readonly windowMs: number
  readonly pageBytes: number
  /** Content of /proc/PID/wchan by pid. */
  readonly waitsIn: ReadonlyMap<number, string>
}

/** USER_HZ: fixed at 100 on every Linux that Node runs on (include/asm-generic/param.h). */
const TICKS_PER_SECOND = 100
const RECORD = /^(\d+) \(([\s\S]{0,64}?)\) ([A-Za-z]) ((?:-?\d+ ){20,}.*)$/gm
const SHOWN = 5

interface StatRecord {
  readonly pid: number
  readonly name: string
  readonly state: string
  readonly parentPid: number
  readonly ticks: number
  readonly startedAt: string
  readonly pages: number
}

/** @param own pid to leave out: opskit itself */
export function parseProcesses(texts: ProcessTexts, own?: number): ProcessFacts[] {
  const earlier = new Map(parseStatRecords(texts.before).map((record) => [record.pid, record]))
  const windowTicks = (texts.windowMs / 1000) * TICKS_PER_SECOND
  return parseStatRecords(texts.after)
    .filter(({ pid }) => pid !== own)
    .map((record) => {
      const was = earlier.get(record.pid)
      const same = was !== undefined && was.startedAt === record.startedAt
      const waitsIn = texts.waitsIn.get(record.pid)?.trim()
      return {
        pid: record.pid,
        name: record.name,
        state: record.state,
        parentPid: record.parentPid,
        residentBytes: record.pages * texts.pageBytes,
        cores: same && windowTicks > 0 ? Math.max(0, record.ticks - was.ticks) / windowTicks : 0,
        blocked: same && was.state === 'D' && record.state === 'D',
        ...(waitsIn !== undefined && waitsIn !== '' && waitsIn !== '0' && { waitsIn }),
      }
    })
}

/** The records of several /proc/PID/stat in one text. */
export function parseStatRecords(text: string): StatRecord[] {
  return [...text.matchAll(RECORD)].map(([, pid, name = '', state = '', rest = '']) => {
    const fields = rest.split(' ')
    return {
      pid: Number(pid),
      name,
      state,
      parentPid: Number(fields[0]),
      ticks: Number(fields[10]) + Number(fields[11]),
      startedAt: fields[18] ?? '',
      pages: Math.max(0, Number(fields[20])),
    }
  })
}

/** The processes that used the most CPU in the window, those that used none left out. */
export function topByCpu(processes: readonly ProcessFacts[]): ProcessFacts[] {
  return processes
    .filter(({ cores }) => cores >= 0.01)
    .sort((a, b) => b.cores - a.cores)
    .slice(0, 3)
}

/** `most CPU: stress (4711) 98 % of a core, …` */
export function describeTop(top: readonly ProcessFacts[]): string {
  if (top.length === 0) return 'no single process used much CPU in the window'
  return `most CPU: ${top.map((process) => `${nameOf(process)} ${round(process.cores * 100, 0)} % of a core`).join(', ')}`
}

/** `most memory: mysqld (812) 3.2 GiB, …` */
export function describeLargest(processes: readonly ProcessFacts[]): string {
  const largest = processes
    .filter(({ residentBytes }) => residentBytes > 0)
    .sort((a, b) => b.residentBytes - a.residentBytes)
    .slice(0, 3)
  if (largest.length === 0) return 'the process list cannot be read'
  return `most memory: ${largest.map((process) => `${nameOf(process)} ${formatSize(process.residentBytes)}`).join(', ')}`
}

export function decideProcesses(processes: readonly ProcessFacts[], thresholds: Thresholds): CheckFinding[] {
  if (processes.length === 0) {
    return [{ check: 'host.processes', severity: 'unknown', title: 'the process list cannot be read' }]
  }
  return [decideBlocked(processes, thresholds), decideZombies(processes, thresholds)]
}

function decideBlocked(processes: readonly ProcessFacts[], thresholds: Thresholds): CheckFinding {
  const blocked = processes.filter((process) => process.blocked)
  const threshold = thresholds.blocked_processes
  const severity = judge(blocked.length, threshold)
  const places = new Set(blocked.flatMap(({ waitsIn }) => (waitsIn === undefined ? [] : [waitsIn])))
  return {
    check: 'host.processes',
    subject: 'blocked',
    severity,
    title: severity === 'ok' ? 'no crowd of blocked processes' : 'processes are stuck in the kernel',
    evidence: `${count(blocked.length, 'process', 'processes')} of ${processes.length} in state D, ${limitText(severity, threshold, '')}`,
    ...(severity !== 'ok' && {
      cause:
        places.size > 0
          ? `they wait in ${[...places].slice(0, SHOWN).join(', ')}`
          : 'most often a slow or dead disk or file server',
      next: "ps -eo pid,stat,wchan:24,etime,args | awk '$2 ~ /D/'",
    }),
    ...(blocked.length > 0 && {
      lines: blocked.slice(0, SHOWN).map((process) => `${nameOf(process)} waits in ${process.waitsIn ?? '?'}`),
    }),
    measures: [measure('blocked_processes', blocked.length, { threshold }), measure('processes', processes.length)],
  }
}

function decideZombies(processes: readonly ProcessFacts[], thresholds: Thresholds): CheckFinding {
  const zombies = processes.filter(({ state }) => state === 'Z')
  const threshold = thresholds.zombie_processes
  const severity = judge(zombies.length, threshold)
  const byPid = new Map(processes.map((process) => [process.pid, process]))
  const parents = [...Map.groupBy(zombies, ({ parentPid }) => parentPid)]
    .sort(([, a], [, b]) => b.length - a.length)
    .map(([pid, children]) => ({ pid, amount: children.length, name: nameOf(byPid.get(pid) ?? { pid, name: '?' }) }))
  const [worst] = parents
  return {
    check: 'host.processes',
    subject: 'zombies',
    severity,
    title: severity === 'ok' ? 'no crowd of zombies' : 'dead processes are not collected',
    evidence: `${count(zombies.length, 'zombie')}, ${limitText(severity, threshold, '')}`,
    ...(severity !== 'ok' &&
      worst && {
        cause: `${worst.name} does not collect its children`,
        next: `ps -o pid,ppid,stat,etime,args --ppid ${worst.pid}`,
      }),
    ...(parents.length > 0 && {
      lines: parents.slice(0, SHOWN).map(({ name, amount }) => `${count(amount, 'zombie')} of ${name}`),
    }),
    measures: [measure('zombie_processes', zombies.length, { threshold })],
  }
}

/** `name (pid)`, inert for a terminal. */
export function nameOf({ name, pid }: { readonly name: string; readonly pid: number }): string {
  return `${printableLine(name, 32)} (${pid})`
}

/**
 * Is a fixed table of the kernel filling up: open files (of the machine, and of single processes against their own limit)
 * and tracked connections.
 *
 * Source: proc_sys_fs(5) (file-nr), proc_pid_limits(5), kernel Documentation/networking/nf_conntrack-sysctl.rst.
 */
import type { Thresholds } from '../../config/types.ts'
import type { CheckFinding } from '../types.ts'
import { judge, limitText, measure, percent } from './judge.ts'
import { nameOf } from './processes.ts'

export interface FileTable {
  readonly open: number
  readonly limit: number
}

/** A process with many open files, and how many it may have. */
export interface OpenFiles {
  readonly pid: number
  readonly name: string
  readonly open: number
  readonly limit: number
}

export interface Connections {
  readonly tracked: number
  readonly limit: number
}

/** Processes with fewer open files are not looked at: the usual limit is 1024, and some programs rest at half of that. */
export const MANY_OPEN_FILES = 200
/** How many such processes are looked at. */
export const MAX_OPEN_FILES_PROCESSES = 40

/** @returns undefined when the text is not a file-nr */
export function parseFileTable(fileNr: string): FileTable | undefined {
  const [allocated, free, limit] = fileNr.trim().split(/\s+/).map(Number)
  if (allocated === undefined || free === undefined || limit === undefined) return undefined
  return { open: allocated - free, limit }
}

/** The soft limit of open files out of /proc/PID/limits; undefined when unlimited or unreadable. */
export function parseOpenFilesLimit(limits: string): number | undefined {
  const soft = /^Max open files\s+(\d+)\s/m.exec(limits)?.[1]
  return soft === undefined ? undefined : Number(soft)
}

export function parseConnections(tracked: string | undefined, limit: string | undefined): Connections | undefined {
  const parsed = { tracked: Number.parseInt(tracked ?? '', 10), limit: Number.parseInt(limit ?? '', 10) }
  return parsed.limit > 0 && Number.isFinite(parsed.tracked) ? parsed : undefined
}

export function decideFiles(
  table: FileTable | undefined,
  processes: readonly OpenFiles[],
  thresholds: Thresholds,
): CheckFinding[] {
  const check = 'host.files'
  const threshold = thresholds.file_descriptors_percent
  const machine: CheckFinding = table
    ? decideTable({ check, what: 'open files', now: table.open, limit: table.limit, label: 'open_files' }, threshold)
    : { check, severity: 'skipped', title: '/proc/sys/fs/file-nr cannot be read' }
  const near = processes
    .map((process) => ({ ...process, ratio: process.open / process.limit }))
    .filter(({ ratio }) => judge(ratio * 100, threshold) !== 'ok')
    .sort((a, b) => b.ratio - a.ratio)
    .slice(0, 5)
    .map(({ ratio, ...process }): CheckFinding => {
      const severity = judge(ratio * 100, threshold)
      return {
        check,
        subject: nameOf(process),
        severity,
        title: `${nameOf(process)} is near its limit of open files`,
        evidence: `${process.open} of ${process.limit} (${percent(ratio)}), ${limitText(severity, threshold, ' %')}`,
        cause: 'connections or files that are not closed, or a limit that is too low for the load',
        next: `ls -l /proc/${process.pid}/fd | awk '{print $NF}' | sed 's/[0-9]*\\]//' | sort | uniq -c | sort -n | tail`,
      }
    })
  return [machine, ...near]
}

export function decideConntrack(connections: Connections | undefined, thresholds: Thresholds): CheckFinding {
  const check = 'host.conntrack'
  if (!connections) return { check, severity: 'skipped', title: 'connection tracking is not loaded' }
  const { tracked, limit } = connections
  return decideTable(
    { check, what: 'tracked connections', now: tracked, limit, label: 'conntrack' },
    thresholds.conntrack_percent,
  )
}

interface TableUse {
  readonly check: string
  readonly what: string
  readonly now: number
  readonly limit: number
  readonly label: string
}

function decideTable(
  { check, what, now, limit, label }: TableUse,
  threshold: Thresholds['conntrack_percent'],
): CheckFinding {
  const ratio = limit > 0 ? now / limit : 0
  const severity = judge(ratio * 100, threshold)
  return {
    check,
    severity,
    title: severity === 'ok' ? `the table of ${what} has room` : `the table of ${what} is almost full`,
    evidence: `${now} of ${limit} (${percent(ratio)}), ${limitText(severity, threshold, ' %')}`,
    ...(severity !== 'ok' && { next: NEXT[check] ?? `cat /proc/sys/fs/file-nr` }),
    measures: [
      measure(label, now, { max: limit }),
      measure(`${label}_used`, ratio * 100, { unit: '%', threshold, max: 100 }),
    ],
  }
}

const NEXT: Readonly<Record<string, string>> = {
  'host.files':
    'for p in /proc/[0-9]*; do echo "$(ls $p/fd | wc -l) $(cat $p/comm) ${p#/proc/}"; done | sort -n | tail',
  'host.conntrack': 'sysctl net.netfilter.nf_conntrack_count net.netfilter.nf_conntrack_max; conntrack -S',
}

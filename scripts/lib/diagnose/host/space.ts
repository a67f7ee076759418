/**
 * Is a file system running out of bytes or of inodes; has one become read-only.
 *
 * The percentage is df's: used / (used + available), which leaves out what is reserved for root. Source of the read-only
 * rules: when the kernel turns a file system read-only after an error, the file system says `ro` (or `emergency_ro`)
 * while its mount still says `rw`; a mount that somebody made read-only says `ro` in both places (fs/ext4/super.c,
 * proc_pid_mountinfo(5)).
 */
import type { Thresholds } from '../../config/types.ts'
import { formatSize } from '../../core/duration.ts'
import { printableLine } from '../../core/printable.ts'
import { quoteWord } from '../../core/quote.ts'
import type { CheckFinding } from '../types.ts'
import { judge, limitText, measure, percent } from './judge.ts'
import { unescapePath, type Mount } from './mounts.ts'

export interface SpaceFacts {
  readonly usedBytes: number
  /** What an ordinary user can still write. */
  readonly availableBytes: number
  /** 0 when the file system has no fixed number of inodes (btrfs, some network file systems). */
  readonly inodes: number
  readonly inodesFree: number
}

/** A chosen mount and what it answered; `unanswered` says why there is no answer. */
export interface FileSystemFacts {
  readonly mount: Mount
  readonly space?: SpaceFacts
  readonly unanswered?: string
}

/** Lines `PATH FRSIZE BLOCKS FREE AVAILABLE INODES INODES_FREE`, PATH as in mountinfo: the space by that path. */
export function parseSpace(text: string): ReadonlyMap<string, SpaceFacts> {
  const spaces = new Map<string, SpaceFacts>()
  for (const line of text.split('\n')) {
    const [path, ...numbers] = line.split(' ')
    const [size, blocks, free, available, inodes, inodesFree] = numbers.map(Number)
    if (!path || size === undefined || blocks === undefined || free === undefined || available === undefined) continue
    spaces.set(path, {
      usedBytes: (blocks - free) * size,
      availableBytes: Math.max(0, available) * size,
      inodes: inodes ?? 0,
      inodesFree: inodesFree ?? 0,
    })
  }
  return spaces
}

export function decideDisk(systems: readonly FileSystemFacts[], thresholds: Thresholds): CheckFinding[] {
  const check = 'host.disk'
  const threshold = thresholds.disk_used_percent
  const findings = systems.flatMap(({ mount, space, unanswered }): CheckFinding[] => {
    const subject = printableLine(mount.path, 120)
    if (!space) return [decideSilent(mount, unanswered)]
    const total = space.usedBytes + space.availableBytes
    if (total === 0 || isReadOnly(mount)) return []
    const ratio = space.usedBytes / total
    const severity = judge(ratio * 100, threshold)
    return [
      {
        check,
        subject,
        severity,
        title: severity === 'ok' ? `${subject} has room` : `${subject} is ${ratio >= 0.995 ? 'full' : 'almost full'}`,
        evidence: `${percent(ratio)} used, ${formatSize(space.availableBytes)} free of ${formatSize(total)}, ${limitText(severity, threshold, ' %')}`,
        ...(severity !== 'ok' && { next: nextForBytes(mount) }),
        measures: [
          measure(subject, ratio * 100, { unit: '%', threshold, max: 100 }),
          measure(`${subject}_free`, space.availableBytes, { unit: 'B', max: total }),
        ],
      },
    ]
  })
  return findings.length > 0
    ? findings
    : [{ check, severity: 'skipped', title: 'no file system with storage is mounted' }]
}

export function decideInodes(systems: readonly FileSystemFacts[], thresholds: Thresholds): CheckFinding[] {
  const check = 'host.inodes'
  const threshold = thresholds.inodes_used_percent
  const findings = systems.flatMap(({ mount, space }): CheckFinding[] => {
    if (!space || space.inodes === 0 || isReadOnly(mount)) return []
    const subject = printableLine(mount.path, 120)
    const ratio = (space.inodes - space.inodesFree) / space.inodes
    const severity = judge(ratio * 100, threshold)
    return [
      {
        check,
        subject,
        severity,
        title:
          severity === 'ok'
            ? `${subject} has inodes`
            : `${subject} ${ratio === 1 ? 'has no inode left' : 'is running out of inodes'}`,
        evidence: `${percent(ratio)} used, ${space.inodesFree} free of ${space.inodes}, ${limitText(severity, threshold, ' %')}`,
        ...(severity !== 'ok' && {
          cause: 'very many small files: a cache, a mail or session directory',
          next: `find ${quoteWord(mount.path)} -xdev -printf '%h\\n' | sort | uniq -c | sort -n | tail`,
        }),
        measures: [measure(`${subject}_inodes`, ratio * 100, { unit: '%', threshold, max: 100 })],
      },
    ]
  })
  return findings.length > 0
    ? findings
    : [{ check, severity: 'skipped', title: 'no file system here has a fixed number of inodes' }]
}

/** @param fstab text of /etc/fstab */
export function decideReadOnly(mounts: readonly Mount[], fstab: string): CheckFinding[] {
  const check = 'host.readonly'
  const wanted = parseWritable(fstab)
  const findings = mounts.flatMap((mount): CheckFinding[] => {
    const subject = printableLine(mount.path, 120)
    const byKernel = mount.root === '/' && wasTurnedReadOnly(mount)
    if (!byKernel && !(isReadOnly(mount) && wanted.has(mount.path))) return []
    return [
      {
        check,
        subject,
        severity: 'critical',
        title: `${subject} is read-only`,
        evidence: byKernel
          ? 'mounted for writing, but the kernel made the file system read-only'
          : 'mounted read-only, but /etc/fstab says read-write',
        cause: byKernel ? 'an I/O or consistency error of the disk' : 'an error at boot, or a remount by hand',
        next: "dmesg -T | grep -iE 'remount|I/O error|EXT4-fs|XFS|BTRFS' | tail -20",
      },
    ]
  })
  return findings.length > 0
    ? findings
    : [
        {
          check,
          severity: 'ok',
          title: 'no file system is read-only that should not be',
          evidence: `${mounts.length} looked at`,
        },
      ]
}

/** True when neither this mount nor anything under it can be written. */
function isReadOnly({ options, superOptions }: Mount): boolean {
  return options.includes('ro') || superOptions.includes('ro') || superOptions.includes('emergency_ro')
}

function wasTurnedReadOnly({ options, superOptions }: Mount): boolean {
  return superOptions.includes('emergency_ro') || (options.includes('rw') && superOptions.includes('ro'))
}

/** Mount points that fstab wants writable. */
function parseWritable(fstab: string): ReadonlySet<string> {
  const paths = fstab
    .split('\n')
    .map((line) => line.trim().split(/\s+/))
    .filter(([source, path, , options]) => source && !source.startsWith('#') && path?.startsWith('/') && options)
    .filter(([, , , options]) => !options?.split(',').includes('ro'))
    .map(([, path]) => unescapePath(path ?? ''))
  return new Set(paths)
}

function decideSilent(mount: Mount, why = 'it gave no answer'): CheckFinding {
  const subject = printableLine(mount.path, 120)
  return {
    check: 'host.disk',
    subject,
    severity: 'unknown',
    title: `${subject} does not answer`,
    evidence: `${mount.type} of ${printableLine(mount.source, 120)}: ${why}`,
    cause: 'the server or program behind it is gone or unreachable',
    next: `timeout 5 stat -f ${quoteWord(mount.path)}`,
  }
}

function nextForBytes({ path, type }: Mount): string {
  return type === 'tmpfs'
    ? `du -xh ${quoteWord(path)} | sort -h | tail -15`
    : `du -xh --max-depth=2 ${quoteWord(path)} | sort -h | tail -15; lsof +L1 | head`
}

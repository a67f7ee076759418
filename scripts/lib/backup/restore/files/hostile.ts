/**
 * Whether an archive may be unpacked: decided from what tar lists of it, before a byte is written. An archive is not
 * trusted to be what its index says; it must be. Pure.
 */
import { printableLine } from '../../../core/printable.ts'
import { formatSize } from '../../../core/duration.ts'
import { asBytes, type FileFacts } from '../../files/facts.ts'
import type { Member } from './members.ts'

/** Files may have grown a little between the look and the reading of them. */
const ROOM = { ratio: 1.1, bytes: 64 * 1024 * 1024, files: 1_000 }
/** So many say as much as all of them. */
const MAX_PROBLEMS = 10

export interface Judge {
  /** Takes one member after the other. */
  take(member: Member): void
  /** What speaks against unpacking it, a sentence each. */
  problems(): readonly string[]
  /** True when the archive is so far beyond what it should hold that reading on is no use. */
  isBomb(): boolean
}

/** @param entries what the index says lies in this archive */
export function createJudge(entries: readonly FileFacts[]): Judge {
  const known = new Map(entries.map((entry) => [asBytes(entry).path, entry]))
  const limitBytes = entries.reduce((sum, entry) => sum + entry.sizeBytes, 0) * ROOM.ratio + ROOM.bytes
  const limitFiles = entries.length * 2 + ROOM.files
  const links = new Set<string>()
  /** Read already, and one with others: what a hard link may point to. */
  const linked = new Set<string>()
  const problems: string[] = []
  let bytes = 0
  let files = 0
  const refuse = (member: Member, why: string) => {
    if (problems.length < MAX_PROBLEMS) problems.push(`${printableLine(toText(member.path), 120)} ${why}`)
  }

  return {
    take(member) {
      files += 1
      bytes += member.sizeBytes
      const why = decideMember(member, known, linked) ?? throughLink(member.path, links)
      if (why !== undefined) refuse(member, why)
      if ((known.get(member.path)?.links ?? 0) > 1) linked.add(member.path)
      if (member.type === 'link') links.add(member.path)
      else links.delete(member.path)
    },
    isBomb: () => bytes > limitBytes || files > limitFiles,
    problems: () => [
      ...problems,
      ...(bytes > limitBytes ? [`it unpacks to over ${formatSize(limitBytes)}, far more than was backed up`] : []),
      ...(files > limitFiles ? [`it holds over ${limitFiles} files, far more than were backed up`] : []),
    ],
  }
}

function decideMember(
  { path, type, target }: Member,
  known: ReadonlyMap<string, FileFacts>,
  linked: ReadonlySet<string>,
): string | undefined {
  if (path.startsWith('/')) return 'is an absolute path'
  if (path.split('/').includes('..')) return 'leads out of the tree by ".."'
  if (type === 'device' || type === 'unknown') return 'is a device or something unknown'
  const entry = known.get(path)
  if (!entry) return 'is not in the index of the backup'
  if (type === 'hardlink') {
    if (target === undefined || target.startsWith('/') || target.split('/').includes('..') || !linked.has(target)) {
      return 'is a hard link to something that is no linked file before it'
    }
    return undefined
  }
  if (type !== entry.type) return `is a ${type} in the archive and a ${entry.type} in the index`
  if (type === 'link' && target !== linkTarget(entry)) return 'points elsewhere than the index says'
  return undefined
}

/** What lies below a link would be written wherever that points to. */
function throughLink(path: string, links: ReadonlySet<string>): string | undefined {
  if (links.size === 0) return undefined
  const parts = path.split('/')
  for (let depth = 1; depth < parts.length; depth += 1) {
    if (links.has(parts.slice(0, depth).join('/'))) return 'lies below a symbolic link'
  }
  return undefined
}

function linkTarget({ target = '', bytes }: FileFacts): string {
  return bytes ? target : Buffer.from(target).toString('latin1')
}

function toText(path: string): string {
  return Buffer.from(path, 'latin1').toString()
}

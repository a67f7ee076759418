/** What changed between two looks at a set of files. Pure. */
import type { FileFacts, FileIndex, IndexEntry } from './facts.ts'

/**
 * A file is unchanged when type, size, times, inode, mode and owner are. The change time is the kernel's own: no tool
 * sets it, so content that was changed behind an old modification time is noticed too (inode(7)).
 */
export function isUnchanged(before: FileFacts, now: FileFacts): boolean {
  return (
    before.type === now.type &&
    before.sizeBytes === now.sizeBytes &&
    before.mtime === now.mtime &&
    before.ctime === now.ctime &&
    before.inode === now.inode &&
    before.mode === now.mode &&
    before.uid === now.uid &&
    before.gid === now.gid &&
    before.target === now.target
  )
}

export interface Increment {
  /** What has to be saved again. Directories always: their owner, mode and times cost nothing. */
  readonly changed: readonly FileFacts[]
  readonly index: FileIndex
}

/** @param full the index of the full backup */
export function decideIncrement(full: FileIndex, now: readonly FileFacts[], paths: readonly string[]): Increment {
  const before = new Map(full.entries.map((entry) => [keyOf(entry), entry]))
  const linked = findTornLinks(before, now)
  const changed: FileFacts[] = []
  const entries = now.map((entry): IndexEntry => {
    const old = before.get(keyOf(entry))
    const stays = old !== undefined && entry.type !== 'directory' && isUnchanged(old, entry) && !linked.has(entry.inode)
    if (!stays) changed.push(entry)
    return stays ? { ...entry, in: 'parent', ...(old.sha256 !== undefined && { sha256: old.sha256 }) } : entry
  })
  for (const entry of now) before.delete(keyOf(entry))
  const deleted = [...before.values()].map(({ path, bytes }) => ({ path, ...(bytes && { bytes }) }))
  return { changed, index: { paths, entries, deleted } }
}

/** Names of one inode travel together: tar joins only those that are in the same archive. */
function findTornLinks(before: ReadonlyMap<string, FileFacts>, now: readonly FileFacts[]): ReadonlySet<string> {
  const torn = now.filter((entry) => {
    const old = before.get(keyOf(entry))
    return entry.type === 'file' && entry.links > 1 && (old === undefined || !isUnchanged(old, entry))
  })
  return new Set(torn.map(({ inode }) => inode))
}

/** Two looks at the same files, around their reading: which of them moved under the reader. */
export function decideMoved(before: readonly FileFacts[], after: readonly FileFacts[]) {
  const later = new Map(after.map((entry) => [keyOf(entry), entry]))
  const changed: FileFacts[] = []
  const vanished: FileFacts[] = []
  for (const entry of before) {
    const now = later.get(keyOf(entry))
    if (!now) vanished.push(entry)
    else if (hasMoved(entry, now)) changed.push(now)
  }
  return { changed, vanished }
}

/** A directory changes with every file in it; only what tar writes of it counts, and that is no content. */
function hasMoved(before: FileFacts, now: FileFacts): boolean {
  if (before.type === 'directory' && now.type === 'directory') {
    return before.mode !== now.mode || before.uid !== now.uid || before.gid !== now.gid
  }
  return !isUnchanged(before, now)
}

function keyOf({ path, bytes }: Pick<FileFacts, 'path' | 'bytes'>): string {
  return bytes ? `\0${path}` : path
}

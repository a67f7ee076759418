/**
 * What has to be moved so that the live files become those of a backup. Pure. A directory that is there stays the directory
 * it is (a container may have it mounted, a program may stand in it): its files are replaced one by one, each by one
 * rename. A symbolic link to a directory that stands where the backup has a directory stays as well.
 */
import type { FileFacts } from '../../files/facts.ts'

export type Move =
  /** Files of one directory, or whole directories that are new in it. */
  | { readonly kind: 'merge'; readonly directory: string; readonly names: readonly string[] }
  /** A directory becomes something else, or the other way round. */
  | { readonly kind: 'turn'; readonly path: string }
  /** Is there and is not in the backup. */
  | { readonly kind: 'gone'; readonly path: string }
  /** A directory that stays takes over owner, mode and time. */
  | { readonly kind: 'take'; readonly path: string }

export interface Moves {
  readonly moves: readonly Move[]
  /** Files that are replaced or new, and those that are as they should be already. */
  readonly changed: number
  readonly unchanged: number
  /** Live files below the restored directories that the backup does not have; absolute from the target. */
  readonly extra: readonly string[]
}

/** Paths are below `/` or below the target directory, one character a byte (`asBytes`). */
export interface MovesRequest {
  readonly wanted: readonly FileFacts[]
  readonly above: readonly FileFacts[]
  readonly live: ReadonlyMap<string, FileFacts>
  /** Move what is not in the backup aside. */
  readonly exact: boolean
  /** True for what the backup leaves out on purpose. */
  readonly isExcluded: (path: string) => boolean
  /** Facts alone do not show that the content differs. */
  readonly differs: (path: string) => boolean
}

export function decideMoves({ wanted, above, live, exact, isExcluded, differs }: MovesRequest): Moves {
  const merges = new Map<string, string[]>()
  const others: Move[] = []
  const takes: Move[] = []
  /** Whole subtrees that are moved by their top. */
  const moved: string[] = []
  const isMoved = (path: string) => moved.some((top) => path.startsWith(`${top}/`))
  const isAsItWas = (entry: FileFacts, there: FileFacts) => sameFacts(entry, there) && !differs(entry.path)
  const split = findSplit(wanted, live, isAsItWas)
  let changed = 0
  let unchanged = 0

  const bringIn = (path: string) => {
    const [directory, name] = splitPath(path)
    merges.set(directory, [...(merges.get(directory) ?? []), name])
  }
  for (const entry of sorted([...above, ...wanted])) {
    if (isMoved(entry.path)) {
      if (entry.type !== 'directory') changed += 1
      continue
    }
    const there = live.get(entry.path)
    if (there === undefined) {
      bringIn(entry.path)
      if (entry.type === 'directory') moved.push(entry.path)
      else changed += 1
    } else if (entry.type === 'directory') {
      if (there.type === 'directory' || isLinkToDirectory(there, live)) {
        if (wanted.includes(entry) && there.type === 'directory' && !sameFacts(entry, there))
          takes.push({ kind: 'take', path: entry.path })
      } else {
        others.push({ kind: 'turn', path: entry.path })
        moved.push(entry.path)
      }
    } else if (there.type === 'directory') {
      others.push({ kind: 'turn', path: entry.path })
      changed += 1
    } else if (isAsItWas(entry, there) && !split.has(entry.inode)) unchanged += 1
    else {
      bringIn(entry.path)
      changed += 1
    }
  }
  const extra = findExtra(wanted, live).filter((path) => !isExcluded(path))
  const gone = exact ? topsOf(extra).map((path): Move => ({ kind: 'gone', path })) : []
  const merged = [...merges].map(([directory, names]): Move => ({ kind: 'merge', directory, names }))
  return { moves: [...others, ...merged, ...gone, ...takes], changed, unchanged, extra }
}

/** A link is listed with what lies behind it, as `link/` for the directory itself. */
function isLinkToDirectory({ type, path }: FileFacts, live: ReadonlyMap<string, FileFacts>): boolean {
  return type === 'link' && live.get(`${path}/`)?.type === 'directory'
}

function sameFacts(a: FileFacts, b: FileFacts): boolean {
  if (a.type !== b.type || a.uid !== b.uid || a.gid !== b.gid) return false
  if (a.type === 'link') return a.target === b.target
  return a.mode === b.mode && sameTime(a.mtime, b.mtime) && (a.type === 'directory' || a.sizeBytes === b.sizeBytes)
}

/** Files of several names that are not one file any more, or of which one name changed: all names are put back together. */
function findSplit(
  wanted: readonly FileFacts[],
  live: ReadonlyMap<string, FileFacts>,
  isAsItWas: (entry: FileFacts, there: FileFacts) => boolean,
): ReadonlySet<string> {
  const first = new Map<string, string>()
  const split = new Set<string>()
  for (const entry of wanted) {
    if (entry.type !== 'file' || entry.links < 2) continue
    const there = live.get(entry.path)
    const inode = first.get(entry.inode) ?? there?.inode
    if (!there || there.inode !== inode || !isAsItWas(entry, there)) split.add(entry.inode)
    if (inode !== undefined) first.set(entry.inode, inode)
  }
  return split
}

/** Archives keep nanoseconds; some file systems do not. */
export function sameTime(a: string, b: string): boolean {
  return Math.abs(Number(a) - Number(b)) < 0.000_01
}

function findExtra(wanted: readonly FileFacts[], live: ReadonlyMap<string, FileFacts>): string[] {
  const known = new Set(wanted.map(({ path }) => path))
  const directories = new Set(wanted.filter(({ type }) => type === 'directory').map(({ path }) => path))
  const isBelow = (path: string) => parents(path).some((parent) => directories.has(parent))
  return [...live.keys()].filter((path) => !path.endsWith('/') && !known.has(path) && isBelow(path)).sort()
}

function topsOf(paths: readonly string[]): string[] {
  const all = new Set(paths)
  return paths.filter((path) => !parents(path).some((parent) => all.has(parent)))
}

function parents(path: string): string[] {
  const parts = path.split('/')
  return parts.slice(1).map((_, index) => parts.slice(0, index + 1).join('/'))
}

function sorted(entries: readonly FileFacts[]): FileFacts[] {
  return entries.toSorted((a, b) => (a.path < b.path ? -1 : 1))
}

export function splitPath(path: string): [directory: string, name: string] {
  const slash = path.lastIndexOf('/')
  return slash === -1 ? ['', path] : [path.slice(0, slash), path.slice(slash + 1)]
}

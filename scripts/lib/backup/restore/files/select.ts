/** Which files of a backup are restored, and where each of them lies in its chain. Pure. */
import picomatch from 'picomatch'
import { OpsError } from '../../../core/errors.ts'
import type { FileFacts, FileIndex, IndexEntry } from '../../files/facts.ts'

export interface Selection {
  /** What is put back. */
  readonly wanted: readonly IndexEntry[]
  /** Directories above it that the backup knows: made when they are not there. */
  readonly above: readonly IndexEntry[]
}

/**
 * @param patterns absolute paths or globs; what lies below a match is selected with it; empty: everything
 * @throws OpsError USAGE for a pattern that matches nothing
 */
export function selectEntries({ entries, paths }: FileIndex, patterns: readonly string[]): Selection {
  if (patterns.length === 0) return { wanted: entries, above: [] }
  const matchers = patterns.map((pattern) => ({ pattern, matches: createMatcher(pattern), found: false }))
  const wanted = entries.filter((entry) => {
    const hits = matchers.filter(({ matches }) => matches(`/${entry.path}`))
    for (const hit of hits) hit.found = true
    return hits.length > 0
  })
  const nothing = matchers.find(({ found }) => !found)
  if (nothing) {
    throw new OpsError('USAGE', `the backup has nothing at ${nothing.pattern}`, {
      hint: `It holds ${paths.join(', ')}; write the path from / on, or a glob such as '/etc/nginx/**/*.conf'.`,
    })
  }
  const chosen = new Set(wanted.map(({ path }) => path))
  const parents = new Set(wanted.flatMap(({ path }) => parentsOf(path)))
  return {
    wanted,
    above: entries.filter(({ path, type }) => type === 'directory' && parents.has(path) && !chosen.has(path)),
  }
}

function createMatcher(pattern: string): (path: string) => boolean {
  if (!pattern.startsWith('/')) {
    throw new OpsError('USAGE', `"${pattern}" is not an absolute path`, { hint: `Write it from / on: /${pattern}` })
  }
  const plain = pattern.replace(/(.)\/+$/, '$1')
  const isMatch = picomatch([plain, `${plain}/**`], { dot: true, nonegate: true })
  return (path) => path === plain || path.startsWith(`${plain}/`) || isMatch(path)
}

function parentsOf(path: string): string[] {
  const parts = path.split('/')
  return parts.slice(1).map((_, index) => parts.slice(0, index + 1).join('/'))
}

/** What of a full backup must not stay when an incremental one is unpacked over it. */
export function decideOutdated(full: FileIndex, now: FileIndex): FileFacts[] {
  const current = new Map(now.entries.map((entry) => [entry.path, entry]))
  return full.entries.filter((entry) => {
    const later = current.get(entry.path)
    if (!later || later.type !== entry.type) return true
    return entry.type !== 'directory' && later.in !== 'parent'
  })
}

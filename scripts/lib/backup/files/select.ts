/**
 * Which files of the asked paths are left out. A pattern without a slash is a name at any depth (`*.log`,
 * `node_modules`); one that begins with a slash is a whole path; any other is the end of a path (`cache/tmp`). What lies
 * below an excluded directory is excluded with it. Dotfiles are files like all others.
 */
import picomatch from 'picomatch'

/** @returns true for an absolute path that stays out, or that lies below one */
export function createExcluder(patterns: readonly string[]): (path: string) => boolean {
  if (patterns.length === 0) return () => false
  const matchers = patterns.map((pattern) => picomatch(absolutePattern(pattern), { dot: true, nonegate: true }))
  const known = new Map<string, boolean>()
  const isExcluded = (path: string): boolean => {
    const parent = path.slice(0, path.lastIndexOf('/'))
    if (parent !== '' && isDirectoryExcluded(parent)) return true
    return matchers.some((matches) => matches(path))
  }
  const isDirectoryExcluded = (path: string): boolean => {
    const before = known.get(path)
    if (before !== undefined) return before
    const excluded = isExcluded(path)
    known.set(path, excluded)
    return excluded
  }
  return isExcluded
}

function absolutePattern(pattern: string): string {
  const plain = pattern.replace(/\/+$/, '')
  return plain.startsWith('/') ? plain : `/**/${plain}`
}

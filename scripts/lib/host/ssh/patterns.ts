/** Pattern lists of ssh_config(5) and sshd(8): `*`, `?`, and `!` for names that must not match. Case is ignored. */

/** True when a pattern matches and no negated one does. */
export function matchesPatterns(patterns: readonly string[], name: string): boolean {
  const negated = patterns.filter((pattern) => pattern.startsWith('!'))
  if (negated.some((pattern) => matchesPattern(pattern.slice(1), name))) return false
  return patterns.some((pattern) => !pattern.startsWith('!') && matchesPattern(pattern, name))
}

/** Without backtracking over several stars, so that no pattern takes long (a file is read on every connect). */
export function matchesPattern(pattern: string, name: string): boolean {
  const [p, n] = [pattern.toLowerCase(), name.toLowerCase()]
  let [at, star, mark] = [0, -1, 0]
  for (let i = 0; i < n.length;) {
    if (at < p.length && p[at] === '*') {
      star = at
      mark = i
      at += 1
    } else if (at < p.length && (p[at] === '?' || p[at] === n[i])) {
      at += 1
      i += 1
    } else if (star !== -1) {
      at = star + 1
      mark += 1
      i = mark
    } else return false
  }
  while (p[at] === '*') at += 1
  return at === p.length
}

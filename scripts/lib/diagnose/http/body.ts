/**
 * Is the expected text in the body? Plain text, or `/…/flags` as a regular expression, which runs with a time limit: the
 * body comes from outside, and a pattern that backtracks must not stop the whole diagnosis.
 */
import { runInNewContext } from 'node:vm'

export type BodyMatch = 'found' | 'absent' | 'too-slow'

/** The whole diagnosis waits for this: the program has one thread. */
const PATTERN_LIMIT_MS = 250

/** Looks for `expected` in the bytes, read as UTF-8. */
export function matchBody(expected: string, body: Uint8Array): BodyMatch {
  const text = new TextDecoder().decode(body)
  const pattern = parsePattern(expected)
  if (!pattern) return text.includes(expected) ? 'found' : 'absent'
  try {
    const found: unknown = runInNewContext(
      'new RegExp(source, flags).test(text)',
      { ...pattern, text },
      { timeout: PATTERN_LIMIT_MS },
    )
    return found === true ? 'found' : 'absent'
  } catch {
    return 'too-slow'
  }
}

/** The parts of `/source/flags`. @returns undefined for plain text */
export function parsePattern(expected: string): { source: string; flags: string } | undefined {
  const match = /^\/(.+)\/([a-z]*)$/s.exec(expected)
  return match ? { source: match[1] ?? '', flags: match[2] ?? '' } : undefined
}

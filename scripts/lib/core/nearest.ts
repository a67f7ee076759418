/** "Did you mean …?": the known name nearest to a mistyped one. */
import { distance } from 'fastest-levenshtein'

/**
 * @returns the nearest of `known`, or undefined when none is near enough to be a likely typing mistake
 *   (more than a third of the letters differ)
 */
export function nearestName(typed: string, known: Iterable<string>): string | undefined {
  let best: { name: string; edits: number } | undefined
  for (const name of known) {
    const edits = distance(typed.toLowerCase(), name.toLowerCase())
    if (!best || edits < best.edits) best = { name, edits }
  }
  if (!best) return undefined
  const isPrefix = typed.length >= 3 && best.name.startsWith(typed)
  return isPrefix || best.edits <= Math.max(1, Math.ceil(Math.max(typed.length, best.name.length) / 3))
    ? best.name
    : undefined
}

/** "Did you mean …?": the known name nearest to a mistyped one. */
import { distance } from 'fastest-levenshtein'

/** Nobody mistypes a longer name; the distance to a megabyte would take minutes. */
const MAX_LENGTH = 64

/**
 * @returns the nearest of `known`; undefined when none is near enough to be a likely typing mistake: more than a third
 *   of the letters differ, and it is not a longer name of which three letters or more were typed
 */
export function nearestName(typed: string, known: Iterable<string>): string | undefined {
  if (typed === '' || typed.length > MAX_LENGTH) return undefined
  const low = typed.toLowerCase()
  const ranked = [...known]
    .map((name) => ({ name, edits: distance(low, name.toLowerCase()) }))
    .sort((a, b) => a.edits - b.edits)
  const close = ranked[0]
  if (close && close.edits <= Math.max(1, Math.ceil(Math.max(typed.length, close.name.length) / 3))) return close.name
  return low.length >= 3 ? ranked.find(({ name }) => name.toLowerCase().startsWith(low))?.name : undefined
}

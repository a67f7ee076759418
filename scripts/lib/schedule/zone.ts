/**
 * What the clocks of a time zone show: the offset at a moment, and the moments where it changes. The tz database inside
 * the runtime is asked (ECMA-402); answers are kept, because asking takes microseconds and thousands of jobs share a zone.
 */

export interface Transition {
  /** The first moment of the new offset; milliseconds since the epoch. */
  readonly at: number
  /** Local time minus UTC, milliseconds. */
  readonly before: number
  readonly after: number
}

export interface Zone {
  readonly name: string
  /** Local time minus UTC at a moment, milliseconds. */
  offsetAt(at: number): number
  /** Changes with `from < at <= to`, in order. */
  transitions(from: number, to: number): Transition[]
}

const DAY_MS = 86_400_000
/** The shortest time between two changes of one zone is the four weeks of Ramadan in Morocco. */
const PROBE_MS = 14 * DAY_MS

/** @param name one that `parseTimezone` accepts */
export function openZone(name: string): Zone {
  const offsetAt = createOffsetReader(name)
  const years = new Map<number, readonly Transition[]>()
  const ofYear = (year: number): readonly Transition[] => {
    const known = years.get(year)
    if (known) return known
    const found = findTransitions(offsetAt, Date.UTC(year, 0, 1), Date.UTC(year + 1, 0, 1))
    years.set(year, found)
    return found
  }
  const cached = (at: number): number => {
    const list = ofYear(yearOf(at))
    const passed = list.findLast((transition) => transition.at <= at)
    return passed?.after ?? list[0]?.before ?? yearOffset(yearOf(at))
  }
  const plain = new Map<number, number>()
  const yearOffset = (year: number): number => {
    const offset = plain.get(year) ?? offsetAt(Date.UTC(year, 0, 1))
    plain.set(year, offset)
    return offset
  }
  return {
    name,
    offsetAt: cached,
    transitions(from, to) {
      const first = yearOf(from)
      const lists = Array.from({ length: yearOf(to) - first + 1 }, (_, index) => ofYear(first + index))
      return lists.flatMap((list) => list.filter(({ at }) => at > from && at <= to))
    },
  }
}

function yearOf(at: number): number {
  return new Date(at).getUTCFullYear()
}

function createOffsetReader(timeZone: string): (at: number) => number {
  const format = new Intl.DateTimeFormat('en-US', { timeZone, timeZoneName: 'longOffset', year: 'numeric' })
  return (at) => {
    const found = /GMT([+-])(\d\d):(\d\d)(?::(\d\d))?/.exec(format.format(at))
    if (!found) return 0
    const [, sign, hours, minutes, seconds = '0'] = found
    const offset = (Number(hours) * 3_600 + Number(minutes) * 60 + Number(seconds)) * 1_000
    return sign === '-' ? -offset : offset
  }
}

/** A change at the very first moment of `from` belongs to this span, not to the one before. */
function findTransitions(offsetAt: (at: number) => number, from: number, to: number): Transition[] {
  const found: Transition[] = []
  let at = from - 1_000
  let before = offsetAt(at)
  while (at < to - 1_000) {
    const next = Math.min(at + PROBE_MS, to - 1_000)
    const after = offsetAt(next)
    if (after !== before) found.push({ at: bisect(offsetAt, { low: at, high: next, before }), before, after })
    at = next
    before = after
  }
  return found
}

function bisect(offsetAt: (at: number) => number, span: { low: number; high: number; before: number }): number {
  let { low, high } = span
  while (high - low > 1_000) {
    const middle = Math.floor((low + high) / 2_000) * 1_000
    if (offsetAt(middle) === span.before) low = middle
    else high = middle
  }
  return high
}

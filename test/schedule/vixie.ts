/**
 * A model of Vixie cron to compare with: it wakes every minute, looks at the clock on the wall, and follows the four cases
 * of its main loop (cron.c of cron 3.0pl1 as Debian and cronie ship it). It knows nothing of our next-run maths, and asks
 * the runtime for the local time of every single minute.
 */
const MINUTE_MS = 60_000

export interface VixieEntry {
  /** Does a local minute match? `date` carries the local time in its UTC fields. */
  matches(date: Date): boolean
  /** MIN_STAR or HR_STAR: the minute or the hour field begins with `*`. */
  readonly isWild: boolean
}

/** What the clock on the wall shows in every minute; asking for it is most of the work, so it is done once for a zone. */
export function readWallClock(timeZone: string, span: { from: number; until: number }): (at: number) => number {
  const read = createLocalReader(timeZone)
  const first = span.from - MINUTE_MS
  const minutes = Array.from({ length: (span.until - first) / MINUTE_MS }, (_, index) =>
    read(first + index * MINUTE_MS),
  )
  return (at) => minutes[(at - first) / MINUTE_MS] ?? Number.NaN
}

/** @returns the minutes in which it starts the job, `from <= t < until` */
export function simulateVixie(
  entry: VixieEntry,
  local: (at: number) => number,
  span: { from: number; until: number },
): number[] {
  const runs: number[] = []
  // virtualTime is the local minute up to which fixed-time jobs have been run.
  let virtual = local(span.from - MINUTE_MS)
  for (let at = span.from; at < span.until; at += MINUTE_MS) {
    const running = local(at)
    const diff = (running - virtual) / MINUTE_MS
    const due = new Set<number>()
    const find = (minute: number, which: { wild: boolean; fixed: boolean }) => {
      if ((entry.isWild ? which.wild : which.fixed) && entry.matches(new Date(minute))) due.add(at)
    }
    if (diff > 0 && diff <= 5) {
      // The usual minute.
      while (virtual < running) find((virtual += MINUTE_MS), { wild: true, fixed: true })
    } else if (diff > 5 && diff < 180) {
      // Clocks went forward: wildcards for now, fixed ones for every minute that was left out.
      find(running, { wild: true, fixed: false })
      while (virtual < running) find((virtual += MINUTE_MS), { wild: false, fixed: true })
    } else if (diff <= 0 && diff > -180) {
      // Clocks went back: wildcards only, until virtual time is caught up with.
      find(running, { wild: true, fixed: false })
    } else {
      virtual = running
      find(virtual, { wild: true, fixed: true })
    }
    runs.push(...due)
  }
  return runs
}

/** A crontab line of five fields, read in the plainest way. */
export function vixieEntry(line: string): VixieEntry {
  const fields = line.split(' ')
  const [minute = '', hour = '', day = '', month = '', weekday = ''] = fields
  const sets = [
    numbers(minute, 0, 59),
    numbers(hour, 0, 23),
    numbers(day, 1, 31),
    numbers(month, 1, 12),
    numbers(weekday, 0, 7),
  ] as const
  const dayStar = day.startsWith('*') || weekday.startsWith('*')
  return {
    isWild: minute.startsWith('*') || hour.startsWith('*'),
    matches(date) {
      if (!sets[0].has(date.getUTCMinutes()) || !sets[1].has(date.getUTCHours())) return false
      if (!sets[3].has(date.getUTCMonth() + 1)) return false
      const byDay = sets[2].has(date.getUTCDate())
      const byWeekday = sets[4].has(date.getUTCDay()) || (date.getUTCDay() === 0 && sets[4].has(7))
      return dayStar ? byDay && byWeekday : byDay || byWeekday
    },
  }
}

function numbers(field: string, min: number, max: number): Set<number> {
  const found = new Set<number>()
  for (const part of field.split(',')) {
    const [range = '', step = '1'] = part.split('/')
    const [from = '', to = from] = range === '*' ? [String(min), String(max)] : range.split('-')
    for (let value = Number(from); value <= Number(to); value += Number(step)) found.add(value)
  }
  return found
}

function createLocalReader(timeZone: string): (at: number) => number {
  const format = new Intl.DateTimeFormat('en-US', {
    timeZone,
    hourCycle: 'h23',
    year: 'numeric',
    month: 'numeric',
    day: 'numeric',
    hour: 'numeric',
    minute: 'numeric',
  })
  return (at) => {
    const parts = /^(\d+)\/(\d+)\/(\d+), (\d+):(\d+)$/.exec(format.format(at)) ?? []
    const [month = 0, day = 0, year = 0, hour = 0, minute = 0] = parts.slice(1).map(Number)
    return Date.UTC(year, month - 1, day, hour, minute)
  }
}

/** Counters with labels, found by walking one map per label: nothing is put together or made on the path of a call. */

export interface CounterEntry<N extends string> {
  readonly name: N
  readonly labels: readonly string[]
  readonly value: number
}

export interface Counters<N extends string> {
  /** Without effect for a new series when there are already too many. */
  add(name: N, labels: readonly string[], by?: number): void
  entries(): CounterEntry<N>[]
  /** Drops all series but those that `keep` names. */
  retain(keep: (entry: CounterEntry<N>) => boolean): void
  clear(): void
}

interface Level {
  value: number
  readonly below: Map<string, Level>
}

/** @param maxSeries labels may come from outside: without a bound, an ever-changing one would fill the memory */
export function createCounters<N extends string>(maxSeries: number): Counters<N> {
  const roots = new Map<N, Level>()
  let series = 0

  /** The level below for a label, made when it is new; undefined when a new series would be one too many. */
  const descend = (level: Level, label: string, isLast: boolean): Level | undefined => {
    const known = level.below.get(label)
    if (known || series >= maxSeries) return known
    if (isLast) series += 1
    const made = createLevel()
    level.below.set(label, made)
    return made
  }
  const add = (name: N, labels: readonly string[], by = 1) => {
    let level = roots.get(name)
    if (level === undefined) roots.set(name, (level = createLevel()))
    for (let i = 0; i < labels.length; i += 1) {
      const below = descend(level, labels[i] ?? '', i === labels.length - 1)
      if (below === undefined) return
      level = below
    }
    level.value += by
  }
  const entries = () =>
    [...roots].flatMap(([name, root]) => leaves(root, []).map(([labels, value]) => ({ name, labels, value })))
  const clear = () => {
    roots.clear()
    series = 0
  }

  return {
    add,
    entries,
    clear,
    retain(keep) {
      const kept = entries().filter(keep)
      clear()
      for (const { name, labels, value } of kept) add(name, labels, value)
    },
  }
}

function createLevel(): Level {
  return { value: 0, below: new Map() }
}

function leaves(level: Level, path: readonly string[]): [readonly string[], number][] {
  if (level.below.size === 0) return [[path, level.value]]
  return [...level.below].flatMap(([label, next]) => leaves(next, [...path, label]))
}

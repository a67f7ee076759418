/** Which instance gets the next attempt. Pure: facts in, an index out. */

/**
 *   next         in the order of the list: the first one that can be used; a retry goes on from where it was, round the end
 *   random       any, with equal chance
 *   best         the one with the least expected wait: smoothed latency times calls under way
 *   two-choices  the better of two drawn at random: nearly as good, and many clients do not all run to the same one
 */
export type Selection = 'next' | 'random' | 'best' | 'two-choices'

/** What selection needs to know of an instance. */
export interface Option {
  /** Its place in the caller's list. */
  readonly index: number
  readonly inFlight: number
  readonly latencyMs: number | undefined
  readonly latencyAtMs: number
  readonly suspect: boolean
}

export interface SelectFacts {
  /** Those that can be used, in list order; at least one. */
  readonly options: readonly Option[]
  /** Index of the last attempt of this call; -1 before the first. */
  readonly lastIndex: number
  readonly nowMs: number
  readonly random: () => number
}

// An instance that was slow once and is not called any more must get another chance: its latency halves in this time.
const LATENCY_HALF_LIFE_MS = 30_000
// A suspect instance counts as if it were this much slower.
const SUSPECT_FACTOR = 3

/** @returns the position in `options` of the chosen one */
export function selectInstance(selection: Selection, facts: SelectFacts): number {
  switch (selection) {
    case 'next':
      return nextAfter(facts)
    case 'random':
      return draw(facts.options.length, facts.random)
    case 'best':
      return cheapest(facts)
    case 'two-choices':
      return betterOfTwo(facts)
  }
}

/** Expected wait in milliseconds; an instance that was never tried is cheap, so that it is. */
export function expectedWaitMs({ latencyMs = 0, latencyAtMs, inFlight, suspect }: Option, nowMs: number): number {
  const faded = latencyMs * 0.5 ** (Math.max(0, nowMs - latencyAtMs) / LATENCY_HALF_LIFE_MS)
  return (1 + faded) * (inFlight + 1) * (suspect ? SUSPECT_FACTOR : 1)
}

function nextAfter({ options, lastIndex }: SelectFacts): number {
  for (let i = 0; i < options.length; i += 1) if ((options[i]?.index ?? 0) > lastIndex) return i
  return 0
}

function cheapest({ options, nowMs }: SelectFacts): number {
  let best = 0
  let bestMs = Infinity
  for (const [i, option] of options.entries()) {
    const waitMs = expectedWaitMs(option, nowMs)
    if (waitMs < bestMs) [best, bestMs] = [i, waitMs]
  }
  return best
}

function betterOfTwo({ options, nowMs, random }: SelectFacts): number {
  const a = draw(options.length, random)
  // One of the others, so that two always means two.
  const b = (a + 1 + draw(options.length - 1, random)) % options.length
  const [first, second] = [options[a], options[b]]
  if (!first || !second) return a
  return expectedWaitMs(second, nowMs) < expectedWaitMs(first, nowMs) ? b : a
}

function draw(count: number, random: () => number): number {
  return count <= 1 ? 0 : Math.min(count - 1, Math.floor(random() * count))
}

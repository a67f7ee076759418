/**
 * How calls went lately, counted in constant space and time: over the last N calls, or over the last so many milliseconds
 * in ten slots. Kept in place, not replaced: this is on the path of every call.
 */
import type { CallOutcome } from './types.ts'

export interface CallWindow {
  readonly total: number
  readonly failures: number
  readonly slow: number
  add(outcome: CallOutcome, nowMs: number): void
  clear(): void
  /** JSON data for `load`; ages in milliseconds before `nowMs`. */
  save(nowMs: number): readonly SavedSlot[]
  load(slots: readonly SavedSlot[], nowMs: number): void
}

/** Counts of one stretch of time; `ageMs` is the age of its beginning. */
export interface SavedSlot {
  readonly ageMs: number
  readonly total: number
  readonly failures: number
  readonly slow: number
}

const SLOTS = 10

/** Counts the calls of the last `windowMs`, to a tenth of it. */
export function createTimeWindow(windowMs: number): CallWindow {
  const slotMs = windowMs / SLOTS
  const totals = new Array<number>(SLOTS).fill(0)
  const failed = new Array<number>(SLOTS).fill(0)
  const slowed = new Array<number>(SLOTS).fill(0)
  let newest = Number.NEGATIVE_INFINITY
  let total = 0
  let failures = 0
  let slow = 0

  const clear = () => {
    totals.fill(0)
    failed.fill(0)
    slowed.fill(0)
    total = failures = slow = 0
    newest = Number.NEGATIVE_INFINITY
  }
  const empty = (slot: number) => {
    total -= totals[slot] ?? 0
    failures -= failed[slot] ?? 0
    slow -= slowed[slot] ?? 0
    totals[slot] = failed[slot] = slowed[slot] = 0
  }
  const turnTo = (tick: number) => {
    if (tick - newest >= SLOTS) clear()
    else for (let t = newest + 1; t <= tick; t += 1) empty(slotOf(t))
    newest = tick
  }
  const put = (slot: number, counts: { total: number; failures: number; slow: number }) => {
    totals[slot] = (totals[slot] ?? 0) + counts.total
    failed[slot] = (failed[slot] ?? 0) + counts.failures
    slowed[slot] = (slowed[slot] ?? 0) + counts.slow
    total += counts.total
    failures += counts.failures
    slow += counts.slow
  }

  return {
    get total() {
      return total
    },
    get failures() {
      return failures
    },
    get slow() {
      return slow
    },
    add(outcome, nowMs) {
      const tick = Math.floor(nowMs / slotMs)
      if (tick > newest) turnTo(tick)
      const slot = slotOf(tick)
      totals[slot] = (totals[slot] ?? 0) + 1
      total += 1
      if (outcome === 'failure') {
        failed[slot] = (failed[slot] ?? 0) + 1
        failures += 1
      } else if (outcome === 'slow') {
        slowed[slot] = (slowed[slot] ?? 0) + 1
        slow += 1
      }
    },
    clear,
    save(nowMs) {
      const saved: SavedSlot[] = []
      for (let tick = newest - SLOTS + 1; tick <= newest; tick += 1) {
        const slot = slotOf(tick)
        const ageMs = nowMs - tick * slotMs
        if (totals[slot] && ageMs < windowMs) {
          saved.push({ ageMs, total: totals[slot], failures: failed[slot] ?? 0, slow: slowed[slot] ?? 0 })
        }
      }
      return saved
    },
    load(slots, nowMs) {
      clear()
      for (const slot of [...slots].sort((a, b) => b.ageMs - a.ageMs)) {
        if (slot.ageMs >= windowMs) continue
        const tick = Math.floor((nowMs - slot.ageMs) / slotMs)
        if (tick > newest) turnTo(tick)
        put(slotOf(tick), slot)
      }
    },
  }
}

/** Counts the last `size` calls, however long ago. */
export function createCountWindow(size: number): CallWindow {
  const ring = new Uint8Array(size)
  let next = 0
  let total = 0
  let failures = 0
  let slow = 0

  const clear = () => {
    next = total = failures = slow = 0
  }
  const add = (outcome: CallOutcome) => {
    if (total === size) {
      if (ring[next] === FAILURE) failures -= 1
      else if (ring[next] === SLOW) slow -= 1
    } else {
      total += 1
    }
    ring[next] = outcome === 'failure' ? FAILURE : outcome === 'slow' ? SLOW : 0
    if (outcome === 'failure') failures += 1
    else if (outcome === 'slow') slow += 1
    next = next + 1 === size ? 0 : next + 1
  }

  return {
    get total() {
      return total
    },
    get failures() {
      return failures
    },
    get slow() {
      return slow
    },
    add,
    clear,
    save: () =>
      Array.from({ length: total }, (_, i) => {
        const outcome = ring[(next - total + i + size) % size]
        return { ageMs: 0, total: 1, failures: outcome === FAILURE ? 1 : 0, slow: outcome === SLOW ? 1 : 0 }
      }),
    load(slots) {
      clear()
      for (const slot of slots) add(slot.failures > 0 ? 'failure' : slot.slow > 0 ? 'slow' : 'success')
    },
  }
}

const FAILURE = 1
const SLOW = 2

function slotOf(tick: number): number {
  return ((tick % SLOTS) + SLOTS) % SLOTS
}

/**
 * Time limits for very many calls at once. A timer and an AbortController per call cost more than most calls; here all
 * calls with the same limit share one timer, because they run out in the order in which they were added.
 */
import { systemClock, type Clock } from '../core/clock.ts'
import { afterInput } from '../health/index.ts'

/** Something whose time can run out. The links belong to the list it is in. */
export interface Expiring {
  dueMs: number
  previous: Expiring | undefined
  next: Expiring | undefined
  /** Called once when its time is up, unless it was removed before. */
  expire(): void
}

export interface Deadlines {
  /** @param nowMs the monotonic time now, which the caller has just read */
  add(entry: Expiring, timeoutMs: number, nowMs: number): void
  /** Without effect when it is not in a list any more. */
  remove(entry: Expiring): void
}

/** The first entry is due first. `head` and `tail` are marks, so that linking has no special cases. */
interface List {
  readonly head: Expiring
  readonly tail: Expiring
  timer: Timer | undefined
}

interface Timer {
  ref?(): unknown
  unref?(): unknown
}

// Timers count whole milliseconds and may fire a fraction early by the finer clock.
const EARLY_MS = 1
const LONGEST_TIMER_MS = 2 ** 31 - 1

/** While nothing is waiting, no timer keeps the process alive. */
export function createDeadlines(clock: Clock): Deadlines {
  // One list per limit in use; a list goes when its timer fires and nobody is in it.
  const lists = new Map<number, List>()

  const arm = (key: number, list: List, waitMs: number) => {
    list.timer = startTimer(clock, Math.max(0, waitMs), () => wake(key, list))
  }
  const wake = (key: number, list: List) => {
    const nowMs = clock.monotonic()
    for (let first = list.head.next; first && first !== list.tail && first.dueMs <= nowMs + EARLY_MS;) {
      unlink(first)
      first.expire()
      first = list.head.next
    }
    const first = list.head.next
    if (first && first !== list.tail) return arm(key, list, first.dueMs - nowMs)
    list.timer = undefined
    lists.delete(key)
  }

  return {
    add(entry, timeoutMs, nowMs) {
      const key = Math.ceil(timeoutMs)
      let list = lists.get(key)
      if (list === undefined) lists.set(key, (list = createList()))
      const wasEmpty = list.head.next === list.tail
      entry.dueMs = nowMs + key
      append(list, entry)
      if (list.timer === undefined) arm(key, list, key)
      else if (wasEmpty) list.timer.ref?.()
    },
    remove(entry) {
      const { previous, next } = entry
      if (previous === undefined || next === undefined) return
      unlink(entry)
      // Both marks now touch each other: the list is empty.
      if (previous.previous === undefined && next.next === undefined) listOf(next)?.timer?.unref?.()
    },
  }
}

function createList(): List {
  const head: Expiring = { dueMs: 0, previous: undefined, next: undefined, expire() {} }
  const tail: Tail = { dueMs: 0, previous: head, next: undefined, expire() {}, list: undefined }
  head.next = tail
  const list = { head, tail, timer: undefined }
  tail.list = list
  return list
}

interface Tail extends Expiring {
  list: List | undefined
}

function listOf(mark: Expiring): List | undefined {
  return (mark as Tail).list
}

function append({ tail }: List, entry: Expiring): void {
  const last = tail.previous
  entry.previous = last
  entry.next = tail
  if (last) last.next = entry
  tail.previous = entry
}

function unlink(entry: Expiring): void {
  if (entry.previous) entry.previous.next = entry.next
  if (entry.next) entry.next.previous = entry.previous
  entry.previous = entry.next = undefined
}

/** On the machine's clock, "too late" is said only after input that has already arrived was read (see health/deadline). */
function startTimer(clock: Clock, ms: number, wake: () => void): Timer {
  if (clock === systemClock) {
    const timer: unknown = setTimeout(() => afterInput(() => afterInput(wake)), Math.min(ms, LONGEST_TIMER_MS))
    return typeof timer === 'object' && timer !== null ? timer : {}
  }
  void clock.sleep(ms).then(wake)
  return {}
}

/** What is known of each instance beside its health: breaker, calls under way, how fast it answers. Bounded, oldest first out. */
import type { Breaker } from './breaker.ts'

export interface InstanceRecord {
  readonly id: string
  readonly breaker: Breaker
  /** Attempts under way. */
  inFlight: number
  /** Smoothed duration of its successes; undefined before the first. */
  latencyMs: number | undefined
  /** When `latencyMs` was last brought up to date. */
  latencyAtMs: number
  lastSeenMs: number
  /** Failed tries to bring it back, and since when the next one waits; undefined while it is not out. */
  out: { tries: number; waitingSinceMs: number; trying: boolean } | undefined
}

export interface Registry {
  /** The record of an instance, made when it is new. */
  see(id: string, nowMs: number): InstanceRecord
  find(id: string): InstanceRecord | undefined
  all(): Iterable<InstanceRecord>
  /** Drops what nobody has called for a long time. */
  prune(nowMs: number): void
}

export interface RegistryOptions {
  readonly createBreaker: (id: string) => Breaker
  readonly onForget: (id: string) => void
  /** Instances not seen for so long are forgotten when there are new ones. */
  readonly forgetMs: number
  readonly maxInstances: number
}

export function createRegistry({ createBreaker, onForget, forgetMs, maxInstances }: RegistryOptions): Registry {
  const records = new Map<string, InstanceRecord>()

  const forget = (record: InstanceRecord) => {
    records.delete(record.id)
    onForget(record.id)
  }
  const prune = (nowMs: number) => {
    const idle = [...records.values()].filter((record) => record.inFlight === 0)
    for (const record of idle) if (nowMs - record.lastSeenMs > forgetMs) forget(record)
    const surplus = records.size - maxInstances
    if (surplus <= 0) return
    const oldest = idle.filter(({ id }) => records.has(id)).sort((a, b) => a.lastSeenMs - b.lastSeenMs)
    for (const record of oldest.slice(0, surplus)) forget(record)
  }
  const add = (id: string, nowMs: number): InstanceRecord => {
    const record: InstanceRecord = {
      id,
      breaker: createBreaker(id),
      inFlight: 0,
      latencyMs: undefined,
      latencyAtMs: nowMs,
      lastSeenMs: nowMs,
      out: undefined,
    }
    prune(nowMs)
    records.set(id, record)
    return record
  }

  return {
    see(id, nowMs) {
      const record = records.get(id) ?? add(id, nowMs)
      record.lastSeenMs = nowMs
      return record
    },
    find: (id) => records.get(id),
    all: () => records.values(),
    prune,
  }
}

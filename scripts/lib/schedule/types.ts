/**
 * The words of the scheduler. A *job* is an action with its times; a *slot* is one of these times, and a slot runs once,
 * whatever the number of daemons and restarts.
 *
 *   waiting -> running   claimed by one supervisor, which starts a process for it
 *   running -> done      ended, with its result
 *   running -> waiting   failed, and is tried again later
 *   waiting -> done      skipped: the last run still goes on, the queue is full, or there is no such job any more
 */
import type { CronSpec } from '../core/cron.ts'
import type { Zone } from './zone.ts'

/** A job as the daemon needs it; durations in milliseconds. */
export interface Job {
  readonly name: string
  readonly cron: string
  readonly timezone: string
  readonly action: string
  readonly params: Readonly<Record<string, unknown>>
  readonly catchup: 'none' | 'last' | 'all'
  readonly catchupWindowMs: number
  readonly overlap: 'skip' | 'queue' | 'kill'
  readonly timeoutMs: number
  readonly jitterMs: number
  readonly retries: { readonly count: number; readonly backoffMs: number; readonly maxBackoffMs: number }
  readonly notify: readonly ('failure' | 'recovery' | 'always')[]
  readonly pings: {
    readonly start?: string
    readonly success?: string
    readonly failure?: string
    readonly timeoutMs: number
  }
}

/** A job with its schedule read. */
export interface TimedJob {
  readonly job: Job
  readonly spec: CronSpec
  readonly zone: Zone
}

export type SlotKind = 'due' | 'catchup' | 'manual'

/**
 * `killed` was ended by the next run, `cut` by the end of the daemon or of the machine, `timeout` by its deadline;
 * `skipped` never began.
 */
export type SlotResult = 'ok' | 'failed' | 'timeout' | 'killed' | 'cut' | 'skipped'

export interface Slot {
  /** `NAME@2026-01-01T02:00:00Z`: the same for everybody who computes it. */
  readonly id: string
  readonly job: string
  /** Wall clock, milliseconds. */
  readonly dueAt: number
  readonly kind: SlotKind
  readonly state: 'waiting' | 'running' | 'done'
  readonly result: SlotResult | undefined
  /** How often it was begun. */
  readonly attempt: number
  readonly notBefore: number
  readonly startedAt: number | undefined
  readonly finishedAt: number | undefined
  readonly exitCode: number | undefined
  readonly message: string
  readonly supervisor: string
}

export interface Outcome {
  readonly result: Exclude<SlotResult, 'skipped'>
  readonly exitCode?: number
  readonly message: string
}

/** A run that has begun. */
export interface RunningSlot {
  readonly done: Promise<Outcome>
  /** Ends it with all it started. */
  stop(result: 'killed' | 'cut', because: string): void
}

/** What became of a slot in the end, for whoever wants to be told. */
export interface SlotEvent {
  readonly kind: 'failure' | 'recovery' | 'success'
  readonly job: Job
  readonly slot: string
  readonly outcome: Outcome
}

/**
 * The words of a run. What happens in an *incident* is a list of events that only grows; everything else (states of
 * steps, timers, the timeline) is read from it. Events are written by journal.ts and folded by fold.ts.
 *
 * States of a step, and who may move between them:
 *   pending -> running                     whoever holds the lease of the incident
 *   running -> done | failed               the same process
 *   running -> unknown                     nobody: the process is gone and left no end
 *   unknown, failed -> pending             an operator: redo
 *   pending, failed, unknown -> skipped, overridden      an operator, with a reason
 *   pending -> done                        an operator, for what only a human can do; `verify` has to agree
 *   done, overridden, failed, unknown -> rolled-back     the rollback
 *   waiting is pending, and says for what; does-not-apply is pending or skipped, as long as its condition does not hold
 */
import type { ParamValues } from '../params.ts'
import type { Milestone, ParamValue, RunbookSeverity, Timer } from '../types.ts'

/** What was seen: output of a command, words of an operator, a file. Redacted and bounded before it gets here. */
export interface Evidence {
  readonly of: 'run' | 'verify' | 'rollback' | 'operator'
  readonly host?: string
  /** As it would be typed. */
  readonly command?: string
  readonly exitCode?: number
  readonly durationMs?: number
  /** stdout, then stderr. */
  readonly output?: string
  /** The middle of the output was left out. */
  readonly truncated?: boolean
  /** Words of an operator, or what went wrong. */
  readonly text?: string
  readonly file?: AttachedFile
}

export interface AttachedFile {
  readonly name: string
  /** Relative to the directory of the incident. */
  readonly path: string
  readonly sizeBytes: number
  readonly sha256: string
}

/** Which runbook, as it was when the incident was opened; a copy of the file lies in the incident's directory. */
export interface RunbookRef {
  readonly id: string
  readonly title: string
  readonly severity: RunbookSeverity
  readonly language: string
  /** Where it was read from. */
  readonly file: string
  readonly sha256: string
  /** Name of the copy in the incident's directory. */
  readonly copy: string
}

/** Who is told when nobody reacts. */
export interface Rung {
  readonly afterMs: number
  /** `technical lead: Ann Example, +43 1 234567, ann@example.com` */
  readonly contact: string
  /** For the routes of notify. */
  readonly tags: readonly string[]
  readonly stoppedBy: Timer['stoppedBy']
}

export type Answer = 'done' | 'skip' | 'override' | 'redo' | 'confirm' | 'approve'
export type Outcome = 'done' | 'aborted' | 'rolled-back' | 'stuck'

export type EventBody =
  | {
      readonly kind: 'opened'
      readonly incident: string
      readonly runbook: RunbookRef
      readonly params: ParamValues
      /** What it is about; empty when the runbook names nothing. */
      readonly subject: string
      readonly drill: boolean
      /** Wall clock, milliseconds. */
      readonly detectedAt?: number
      readonly timers: readonly Timer[]
      readonly ladder: readonly Rung[]
    }
  | { readonly kind: 'param.set'; readonly param: string; readonly from: ParamValue; readonly to: ParamValue }
  /** `fencing`: of the lease under which it runs; while that lease lives, the step does. */
  | { readonly kind: 'step.started'; readonly step: string; readonly fencing: number; readonly command?: string }
  | {
      readonly kind: 'step.ended'
      readonly step: string
      readonly result: 'ok' | 'failed' | 'interrupted'
      readonly because: string
      readonly evidence: readonly Evidence[]
      /** It failed, and nothing of it is in effect: there is nothing to take back. */
      readonly unchanged?: true
    }
  | {
      readonly kind: 'step.answered'
      readonly step: string
      readonly answer: Answer
      readonly reason?: string
      readonly evidence?: readonly Evidence[]
      /** Not by a person: a condition, `--yes`, an answers file. */
      readonly automatic?: string
    }
  /** The operator said done, and the machine did not agree. */
  | {
      readonly kind: 'step.refused'
      readonly step: string
      readonly because: string
      readonly evidence: readonly Evidence[]
    }
  | { readonly kind: 'step.assigned'; readonly step: string; readonly to: string }
  | { readonly kind: 'noted'; readonly text: string; readonly evidence?: readonly Evidence[] }
  | { readonly kind: 'handed-over'; readonly to: string }
  | { readonly kind: 'acknowledged' }
  | { readonly kind: 'reached'; readonly milestone: Milestone; readonly step?: string }
  | { readonly kind: 'timer.fired'; readonly timer: string; readonly title: string; readonly dueAt: number }
  | { readonly kind: 'escalated'; readonly rung: number; readonly contact: string; readonly dueAt: number }
  | { readonly kind: 'rollback.began'; readonly steps: readonly string[]; readonly reason: string }
  | { readonly kind: 'rollback.started'; readonly step: string; readonly fencing: number; readonly command?: string }
  | {
      readonly kind: 'rollback.ended'
      readonly step: string
      readonly result: 'ok' | 'failed'
      readonly because: string
      readonly evidence: readonly Evidence[]
    }
  | {
      readonly kind: 'closed'
      readonly outcome: Outcome
      readonly reason: string
      /** Each thing a human must look at. */
      readonly remains: readonly string[]
    }
  | { readonly kind: 'runbook.edited'; readonly sha256: string }
  /** A process was killed while it wrote; what it had written of its last line was cut off. */
  | { readonly kind: 'journal.cut'; readonly bytes: number; readonly text: string }

export type IncidentEvent = EventBody & {
  /** From 1; also the number of its line. */
  readonly seq: number
  /** Wall clock, milliseconds since the epoch, UTC. */
  readonly at: number
  readonly who: string
}

/** Who did something, and when (wall clock, milliseconds). */
export interface Act {
  readonly by: string
  readonly at: number
}

/** Of a param during an incident. */
export interface ParamChange extends Act {
  readonly param: string
  readonly from: ParamValue
  readonly to: ParamValue
}

/** Agreed to with these params: with others it has to be agreed to again. */
export interface Agreement extends Act {
  readonly params: ParamValues
}

export type RecordState =
  'pending' | 'started' | 'ran' | 'failed' | 'interrupted' | 'done' | 'skipped' | 'overridden' | 'rolled-back'

/** What is known of one step; `by` and `at` are of the last move. */
export interface StepRecord extends Act {
  readonly state: RecordState
  readonly because: string
  readonly fencing?: number
  /** How often it was begun. */
  readonly attempts: number
  readonly confirmed?: Agreement
  readonly approved?: Agreement
  /** An operator wrote or attached what was seen. */
  readonly witnessed: boolean
  readonly assignee?: string
  /** Params as they were when it was begun or answered. */
  readonly params?: ParamValues
  /** Those of each time that it may have changed something, oldest first. */
  readonly ranWith: readonly ParamValues[]
  /** Number of the event by which it came into effect, or may have in part. */
  readonly inEffectSince?: number
  /** The same before it was begun the last time. */
  readonly inEffectBefore?: number | undefined
  readonly rollback?: 'started' | 'ok' | 'failed'
  readonly automatic?: string | undefined
}

export interface Incident {
  readonly id: string
  readonly runbook: RunbookRef
  /** As they are now. */
  readonly params: ParamValues
  /** Each time one was set, oldest first. */
  readonly changes: readonly ParamChange[]
  readonly subject: string
  readonly drill: boolean
  readonly startedAt: number
  readonly startedBy: string
  readonly detectedAt?: number
  /** In command: the starter, until it is handed over. */
  readonly lead: string
  readonly timers: readonly Timer[]
  readonly ladder: readonly Rung[]
  readonly acknowledged?: Act
  readonly reached: Readonly<Partial<Record<Milestone, Act>>>
  /** Timers that have fired, by name. */
  readonly fired: readonly string[]
  readonly rungs: readonly number[]
  readonly steps: Readonly<Record<string, StepRecord>>
  readonly rollback?: Act & { readonly steps: readonly string[]; readonly reason: string }
  readonly closed?: Act & {
    readonly outcome: Outcome
    readonly reason: string
    readonly remains: readonly string[]
  }
  readonly editedTo?: string
  /** Number and time of the last event. */
  readonly seq: number
  readonly lastAt: number
}

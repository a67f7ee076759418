/**
 * The words of runbooks. A *runbook* is one Markdown file: headings are *phases*, `- [ ]` items are *steps*. A *run* of
 * it is an *incident*, or a *drill* when nothing is on fire. What a step does is its *work*; a step without work is a
 * *human item*.
 */

export const SEVERITIES = ['critical', 'high', 'medium', 'low'] as const
export type RunbookSeverity = (typeof SEVERITIES)[number]

export const PARAM_TYPES = ['text', 'integer', 'number', 'boolean', 'choice', 'host', 'path', 'duration'] as const
export type ParamType = (typeof PARAM_TYPES)[number]

/** `line` and `column` from 1. */
export interface Place {
  readonly file: string
  readonly line: number
  readonly column: number
}

export interface Param {
  readonly name: string
  readonly type: ParamType
  readonly description: string
  /** Absent: it must be given. The empty text, of any type: it may be left out. */
  readonly default?: ParamValue
  /** Of a choice. */
  readonly choices?: readonly string[]
}

/** A path, a host and a choice are text; a duration is milliseconds. */
export type ParamValue = string | number | boolean

/**
 * Something that is run. An argument may hold `{{name}}` of a param; it stays one argument whatever the value holds. A
 * shell script gets params as environment variables `OPSKIT_<NAME>`, never as text of the script.
 */
export type Work =
  | { readonly kind: 'action'; readonly name: string; readonly params: Readonly<Record<string, unknown>> }
  | { readonly kind: 'argv'; readonly argv: readonly string[] }
  | { readonly kind: 'shell'; readonly script: string }

/** Work and where it runs: a host of opskit.yaml by name (may hold `{{name}}`); absent: this machine. */
export interface Task {
  readonly work: Work
  readonly on?: string
  readonly timeoutMs: number
}

/** Gates the tick: exit 0 (or an action that finds nothing critical), and what else is asked of the output. */
export interface Verify extends Task {
  /** Text that the output must hold, after params are put in. */
  readonly expect?: string
  /** Asked again until it holds or this has passed; 0: asked once. */
  readonly withinMs: number
}

/** `{{name}}` alone (true when set and not false), or `{{name}} == value`, `{{name}} != value`. */
export interface Condition {
  readonly param: string
  readonly test: 'set' | 'is' | 'is-not'
  readonly value?: string
}

export interface Step {
  /** `2.3`: the third item of the second phase. The same in every translation. */
  readonly number: string
  /** Chosen by the author, unique in the file; what journals and people name it by. Default: the number. */
  readonly id: string
  /** One line of Markdown, as written. */
  readonly title: string
  /** Markdown below the title, without the block. */
  readonly text: string
  /** Absent: a human item. */
  readonly task?: Task
  readonly verify?: Verify
  readonly rollback?: Task
  /** The author says that there is no way back. */
  readonly irreversible: boolean
  /** Changes nothing: run even by `--dry-run`, needs no rollback. */
  readonly readOnly: boolean
  /** It tells, and does not judge: an exit status or a critical finding does not fail the step. */
  readonly informs?: boolean
  readonly when?: Condition
  /** Params that must have a value before it is run, although they may be left out at the start. */
  readonly needs?: readonly string[]
  /** Asked before it runs; true: in the tool's own words. */
  readonly confirm?: string | true
  /** How often it is tried again after a failure. */
  readonly retries: number
  /** The role that must agree first, by somebody who did not start the run. */
  readonly approve?: string
  /** The operator must attach or write what was seen. */
  readonly evidenceRequired: boolean
  /** What is reached when it is done. */
  readonly marks?: Milestone
  readonly place: Place
}

export interface Phase {
  /** From 1. */
  readonly number: number
  readonly title: string
  readonly text: string
  readonly steps: readonly Step[]
}

/** What an incident reaches, by a step that marks it or by the operator's word. */
export const MILESTONES = ['mitigated', 'root-cause', 'resolved'] as const
export type Milestone = (typeof MILESTONES)[number]

/** What has to have happened by when, counted from the start of the incident. */
export interface Timer {
  readonly name: string
  /** In words, for the message and the timeline. */
  readonly title: string
  readonly afterMs: number
  readonly stoppedBy: 'ack' | Milestone
}

export interface Runbook {
  readonly id: string
  /** BCP 47: `en`, `zh-CN`; from the file's name. */
  readonly language: string
  readonly title: string
  readonly severity: RunbookSeverity
  readonly owner: string
  /** `2026-11-21`; absent: never. */
  readonly lastTested?: string
  /** read-do: read each item, then do it. do-confirm: done from memory, then confirmed item by item. */
  readonly mode: 'read-do' | 'do-confirm'
  readonly params: readonly Param[]
  /** Role to what it is for: `lead: decides`. */
  readonly roles: Readonly<Record<string, string>>
  /** Absent: those of opskit.yaml. */
  readonly timers?: readonly Timer[]
  /** The param (or params) whose value names what the incident is about: two runs on the same subject are told of each other. */
  readonly subject: readonly string[]
  /** Markdown before the first phase. */
  readonly intro: string
  readonly phases: readonly Phase[]
  readonly file: string
  /** SHA-256 of the file's bytes, hex: a run notices that its runbook was edited meanwhile. */
  readonly sha256: string
}

/** What lint or a reader has to say about a place in the file. */
export interface Complaint {
  readonly place: Place
  readonly severity: 'error' | 'warning'
  readonly message: string
  readonly hint?: string
}

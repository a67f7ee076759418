/**
 * Everything an operator can do is an Action; everything that triggers one is a conductor.
 * The command line, the scheduler, a runbook step and a dashboard button all run the same action, with the same checks,
 * lease, journal entries and `--dry-run`.
 */
import type { ZodType } from 'zod'
import type { Config, SecretRef } from '../config/types.ts'
import type { Clock } from '../core/clock.ts'
import type { Log } from '../core/log.ts'
import type { Progress } from '../core/progress.ts'
import type { Secret } from '../core/secret.ts'
import type { Hosts } from '../host/types.ts'
import type { Journal } from '../journal/types.ts'
import type { Plan } from '../plan/types.ts'
import type { Report } from '../report/types.ts'

/** What every action is handed. Nothing in it is global. */
export interface ActionContext {
  readonly config: Config
  /** The name of the machine opskit runs on, in reports and in the journal. */
  readonly localName: string
  readonly hosts: Hosts
  readonly journal: Journal
  readonly clock: Clock
  readonly log: Log
  /** Aborted by SIGINT, SIGTERM or a deadline of the conductor. */
  readonly signal: AbortSignal
  /** Turns a reference of the config into its secret, when it is needed and not before. */
  readonly resolveSecret: (ref: SecretRef) => Promise<Secret>
  /** Removes secrets from text, those resolved so far included. */
  readonly redact: (text: string) => string
  /** Told how far long work has come; absent where nobody looks. */
  readonly progress?: Progress
}

interface ActionBase<P> {
  /** Dotted: room, then verb or noun: `backup.database`, `diagnose.run`. */
  readonly name: string
  readonly summary: string
  readonly params: ZodType<P>
}

/** Looks, changes nothing, returns a report. */
export interface LookAction<P> extends ActionBase<P> {
  readonly changes: false
  look(context: ActionContext, params: P): Promise<Report>
}

/** Plans a change; the conductor shows or applies it. */
export interface ChangeAction<P> extends ActionBase<P> {
  readonly changes: true
  /** The lease that a run holds, so that two never touch the same thing at once. */
  lease(params: P): string
  plan(context: ActionContext, params: P): Promise<Plan>
}

export type Action<P = unknown> = LookAction<P> | ChangeAction<P>

/** A catalog line: enough to list an action without loading it. */
export interface ActionEntry {
  readonly name: string
  readonly summary: string
  readonly changes: boolean
  load(): Promise<Action>
}

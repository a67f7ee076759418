/**
 * The words of notifications. An *alert* is something that is wrong until it is said to be over; a *message* tells one
 * channel about it; the *outbox* keeps messages until the far side has taken them.
 */
import type { NotifySeverity } from '../config/types.ts'

export type { NotifySeverity as Severity } from '../config/types.ts'

/** What somebody should know. */
export interface Alert {
  /** The same trouble has the same key, and only that: `backup:database/orders`. At most 200 characters. */
  readonly key: string
  readonly severity: NotifySeverity
  /** What, in one short sentence without a full stop. */
  readonly title: string
  /** More of it, some lines. */
  readonly text?: string
  /** The host it is about, by its opskit name. */
  readonly host?: string
  /** The action that met it: `backup.database`. */
  readonly action?: string
  /** The next thing to do, as it would be typed. */
  readonly next?: string
  /** For routes. */
  readonly tags?: readonly string[]
  /** Facts, in display order. */
  readonly details?: readonly (readonly [name: string, value: string])[]
  /** True for news that is over when it is told (a backup was made): never collected, never open. */
  readonly once?: boolean
}

/** The end of an alert. */
export interface Recovery {
  readonly key: string
  /** Default: the title of the alert. */
  readonly title?: string
  readonly text?: string
}

/**
 *   problem     an alert is told the first time
 *   repeat      it happened again since it was told
 *   escalation  it was told, and somebody else has to know now
 *   recovery    it is over
 *   news        something that needs nothing
 *   test        only whether the channel works
 */
export type MessageKind = 'problem' | 'repeat' | 'escalation' | 'recovery' | 'news' | 'test'

/** What is stored of a message; redacted and bounded. */
export interface Content {
  readonly key: string
  readonly title: string
  readonly text?: string
  readonly host?: string
  readonly action?: string
  readonly next?: string
  readonly tags: readonly string[]
  readonly details: readonly (readonly [name: string, value: string])[]
  /** The machine that tells it. */
  readonly source: string
  /** When the alert was opened; wall clock, milliseconds. */
  readonly openedAt: number
}

/** A message as a channel gets it. */
export interface Message extends Content {
  /** The same in every attempt, so that a receiver can tell a repeat: letters, digits, `-`, `_` and `.`. */
  readonly id: string
  /** Of the alert; messages about the same one share it. */
  readonly thread: string
  readonly kind: MessageKind
  readonly severity: NotifySeverity
  /** How often it happened since it was last told. */
  readonly count: number
  /** Wall clock, milliseconds. */
  readonly firstAt: number
  readonly lastAt: number
  /** From 1. */
  readonly attempt: number
  /** Who is still to get it, where a part of the recipients already has; undefined: everybody. */
  readonly recipients?: readonly string[]
}

/** The far side took it. */
export interface Delivered {
  /** What it said, in its own words. */
  readonly answer: string
  /** Recipients that may take it later; the others have it. */
  readonly later?: readonly string[]
}

export interface SendOptions {
  readonly signal: AbortSignal
}

/** A way to people, opened for one flush. */
export interface Channel {
  /** How many messages it takes at the same time. */
  readonly concurrency: number
  /** @throws DeliveryError when the far side did not take it */
  send(message: Message, options: SendOptions): Promise<Delivered>
  /** Ends connections; what was learned of several servers is kept for the next time. */
  close(): Promise<void>
}

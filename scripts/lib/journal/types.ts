/**
 * The journal is the truth: who did what, when, on which host, what was planned, done and seen.
 * SQLite in WAL mode under `state.dir`; any number of processes write at once.
 */

export interface JournalEvent {
  /** Dotted, past or present: `plan.started`, `step.applied`, `step.undone`, `backup.published`, `diagnose.finished`. */
  readonly kind: string
  /** The action that did it, `backup.database`; empty for none. */
  readonly action?: string
  /** The host it happened on, by its opskit name. */
  readonly host?: string
  readonly result?: 'ok' | 'failed' | 'skipped' | 'undone' | 'started'
  /** One line for people. */
  readonly message: string
  /** Facts for programs; redacted by key and by shape before they are stored. */
  readonly details?: Readonly<Record<string, unknown>>
}

export interface StoredEvent extends JournalEvent {
  /** Ascending, unique across processes. */
  readonly id: number
  /** Wall clock, milliseconds since the epoch, UTC. */
  readonly at: number
  /** Who: user and host of the process, `root@web-1`. */
  readonly actor: string
  /** One run of one command: all its events share it. */
  readonly runId: string
}

export interface EventQuery {
  readonly kind?: string
  readonly action?: string
  readonly host?: string
  readonly runId?: string
  /** Only events at or after this wall-clock time, milliseconds. */
  readonly since?: number
  /** Newest first; default 100. */
  readonly limit?: number
}

/** Exclusive use of a named thing (`upstream:web-1:api`), with a fencing token that only grows. */
export interface Lease {
  readonly name: string
  /** Grows with every acquisition of this name, by anyone. Hand it to whatever must refuse an older holder. */
  readonly fencingToken: number
  /** Extends the expiry. @throws OpsError LOCKED when the lease was lost meanwhile */
  renew(): void
  /** Gives it back. Safe to call twice. */
  release(): void
}

export interface LeaseHolder {
  readonly name: string
  readonly owner: string
  readonly reason: string
  readonly pid: number
  /** Wall clock, milliseconds. */
  readonly acquiredAt: number
  readonly expiresAt: number
}

export interface LeaseRequest {
  readonly name: string
  /** Why, in words the next person will read: `backup.database app`. */
  readonly reason: string
  /** Milliseconds until it lapses without a renewal. Default 60,000; renewed in the background while the process lives. */
  readonly ttlMs?: number
}

export interface Journal {
  readonly runId: string
  record(event: JournalEvent): void
  events(query?: EventQuery): StoredEvent[]
  /** @throws OpsError LOCKED naming the holder, since when, why and until when */
  acquire(request: LeaseRequest): Lease
  /** Live leases; one whose process is dead on this machine, or whose expiry has passed, is not live. */
  leases(): LeaseHolder[]
  /** Small named values that a room wants back next time (`diagnose.baseline.web-1`). @returns undefined when never set */
  getState(key: string): unknown
  setState(key: string, value: unknown): void
  close(): void
}

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
  /** The whole kind, or its leading part: `step` finds `step.applied` and `step.undone`. */
  readonly kind?: string
  readonly action?: string
  readonly host?: string
  readonly runId?: string
  /** Only events at or after this wall-clock time, milliseconds. */
  readonly since?: number
  /** Only events with a greater id: how a reader that has seen some asks for the rest. */
  readonly afterId?: number
  /** Default `newest` first. */
  readonly order?: 'newest' | 'oldest'
  /** Default 100, at most 10,000. */
  readonly limit?: number
}

/** Exclusive use of a named thing (`upstream:web-1:api`), with a fencing token that only grows. */
export interface Lease {
  readonly name: string
  /** Grows with every acquisition of this name, by anyone. Hand it to whatever must refuse an older holder. */
  readonly fencingToken: number
  /** Aborted, with an OpsError LOCKED as its reason, when the lease is lost: stop touching what it protects. */
  readonly lost: AbortSignal
  /** Extends the expiry. @throws OpsError LOCKED when the lease was lost meanwhile */
  renew(): void
  /** Gives it back. Safe to call twice. */
  release(): void
}

export interface LeaseHolder {
  readonly name: string
  readonly fencingToken: number
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

export type SqlValue = string | number | bigint | Uint8Array | null
export type SqlRow = Readonly<Record<string, SqlValue>>

/**
 * The journal's database, for rooms that keep tables of their own in it. Statements are prepared once and kept, so
 * they are constant text; values go in as parameters.
 * Errors of the machine (full disk, corruption, busy) are OpsErrors; a wrong statement throws what SQLite says.
 */
export interface Sql {
  run(statement: string, ...values: SqlValue[]): { readonly changes: number; readonly lastId: number }
  get(statement: string, ...values: SqlValue[]): SqlRow | undefined
  all(statement: string, ...values: SqlValue[]): SqlRow[]
}

/** Everything here is synchronous: a write is one fsync, and waits up to 10 s for other writers. */
export interface Journal {
  readonly runId: string
  /** The path of the database; `memory` for one that ends with the process. */
  readonly place: string
  /** False for a journal in memory: good for looking, not for changing (nobody else sees its leases or its history). */
  readonly durable: boolean
  record(event: JournalEvent): void
  events(query?: EventQuery): StoredEvent[]
  /** @throws OpsError LOCKED naming the holder, since when, why and until when */
  acquire(request: LeaseRequest): Lease
  /** Live leases; one whose process is dead on this machine, or whose expiry has passed, is not live. */
  leases(): LeaseHolder[]
  /** Small named values that a room wants back next time (`diagnose.baseline.web-1`). @returns undefined when never set */
  getState(key: string): unknown
  /** Stores a JSON value as it is (not redacted); `undefined` forgets the key. At most 4 MiB. */
  setState(key: string, value: unknown): void
  /**
   * Runs `work` in one transaction: everything in it (events, state, SQL) is kept, or nothing when it throws.
   * `work` is synchronous. Transactions nest: an inner one that throws undoes only itself.
   */
  transaction<T>(work: () => T): T
  /**
   * Brings a room's own tables up to date; call it before using them. Each entry is an SQL script that runs once, in
   * order, ever: add to the end, never edit. Table names begin with the room's name (`notify_outbox`).
   * @throws OpsError CANNOT_WRITE when the database is already newer than this list
   */
  migrate(room: string, migrations: readonly string[]): void
  readonly sql: Sql
  /** Gives back every lease that this journal holds. Safe to call twice. */
  close(): void
}

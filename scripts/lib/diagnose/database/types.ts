/** What is known about a database server, whichever kind it is. Numbers that the server would not give are absent, never 0. */
import type { Part, Refusal } from './connect.ts'

export interface DatabaseSession {
  readonly ok: true
  /** `MariaDB 10.11.6`, `PostgreSQL 15.6`. */
  readonly version: string
  readonly place: string
  readonly connectMs: number
  readonly connections: Part<ConnectionFacts>
  readonly isReadOnly: boolean
  readonly replication: Part<ReplicationFacts>
  readonly transactions: Part<readonly LongTransaction[]>
}

export type DatabaseFacts = DatabaseSession | Refusal

export interface ConnectionFacts {
  readonly used: number
  /** What ordinary users may use: without the slots kept for administrators. */
  readonly limit: number
  readonly reserved: number
}

export interface LongTransaction {
  readonly id: number
  readonly user: string
  readonly seconds: number
  /** Literals replaced, bounded; empty when idle in the transaction. */
  readonly query: string
}

export type ReplicationFacts =
  | { readonly engine: 'mysql'; readonly channels: readonly MysqlChannel[] }
  | { readonly engine: 'postgresql'; readonly inRecovery: true; readonly standby: PostgresStandby }
  | { readonly engine: 'postgresql'; readonly inRecovery: false; readonly primary: PostgresPrimary }

/** One row of SHOW ALL SLAVES STATUS or SHOW REPLICA STATUS. */
export interface MysqlChannel {
  readonly name: string
  readonly source: string
  /** `Yes`, `No`, `Connecting`, `Preparing`. */
  readonly ioThread: string
  readonly sqlThread: string
  /** Seconds_Behind_Source. NULL (a thread is stopped, the source is away) is undefined and never means 0. */
  readonly lagSeconds?: number
  /** A replica that is kept behind on purpose. */
  readonly delaySeconds: number
  readonly ioError?: string
  readonly sqlError?: string
  /** Transactions received and not yet applied, where GTIDs tell. */
  readonly pendingTransactions?: number
}

export interface PostgresStandby {
  /** pg_stat_wal_receiver.status; undefined when no receiver runs or it may not be seen. */
  readonly receiver?: string
  /** False when our user may not see the receiver's row. */
  readonly receiverVisible: boolean
  readonly source?: string
  /** Since the receiver last heard from the primary. */
  readonly silentSeconds?: number
  /** Received and not yet replayed. */
  readonly pendingBytes?: number
  /** What the primary has written and this standby not yet received, as far as it knows. */
  readonly missingBytes?: number
  /** 0 when everything received is replayed: the time of the last commit says nothing while the primary is idle. */
  readonly replayLagSeconds?: number
  readonly isPaused: boolean
}

export interface PostgresPrimary {
  readonly replicas: readonly PostgresReplica[]
  readonly slots: readonly PostgresSlot[]
  /** False when our user may not see the state of replicas. */
  readonly replicasVisible: boolean
}

export interface PostgresReplica {
  readonly name: string
  readonly state: string
  readonly sync: string
  readonly lagBytes?: number
  readonly lagSeconds?: number
}

export interface PostgresSlot {
  readonly name: string
  readonly isActive: boolean
  readonly retainedBytes?: number
  /** `reserved`, `extended`, `unreserved`, `lost`. */
  readonly walStatus?: string
}

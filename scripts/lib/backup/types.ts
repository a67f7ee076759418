/**
 * The vocabulary of backups. A repository is a directory that can be read without opskit:
 *
 *   <repository>/<kind>/<name>/<UTC time>/manifest.json, data files, records.jsonl
 *
 * A backup is staged beside (`.<time>.partial-<pid>`), fsynced and renamed: what is listed is whole. The manifest never
 * changes after that; what is learned later (verify, drill, copy, pin) is appended to records.jsonl.
 */

export type { Progress } from '../core/progress.ts'

export type BackupKind = 'database' | 'config' | 'static'

export const BACKUP_KINDS: readonly BackupKind[] = ['database', 'config', 'static']

export const MANIFEST_SCHEMA = 1

/** One data file of a backup, as it lies on disk. */
export interface DataFile {
  /** Relative to the backup's directory: `app.sql.zst`, `globals.sql.zst.age`. */
  readonly path: string
  readonly sizeBytes: number
  /** Of the bytes on disk, hex. */
  readonly sha256: string
  /** Bytes before compression and encryption, when they were counted. */
  readonly plainBytes?: number
  /** What it holds: `dump`, `schema`, `rows`, `globals`, `users`, `tar`, `index`, `deleted`. */
  readonly role: string
  /** The database it belongs to. */
  readonly database?: string
}

export interface TableFacts {
  readonly name: string
  /** Schema within the database (PostgreSQL). */
  readonly schema?: string
  /** Exact; absent when it was not counted. */
  readonly rows?: number
  /** Order-independent digest of the rows, taken in the dump's snapshot. */
  readonly fingerprint?: string
}

/** What a database holds, for comparing a restored copy with its origin. Names only; sorted. */
export interface DatabaseFacts {
  readonly name: string
  /** The statement that made it, without which character set and collation would be lost (MariaDB, MySQL). */
  readonly create?: string
  readonly tables: readonly TableFacts[]
  readonly views: readonly string[]
  readonly triggers: readonly string[]
  readonly routines: readonly string[]
  readonly events: readonly string[]
  readonly sequences: readonly string[]
  readonly indexes: readonly string[]
  readonly foreignKeys: readonly string[]
  readonly extensions: readonly string[]
}

export interface Manifest {
  readonly schema: typeof MANIFEST_SCHEMA
  /** `<kind>/<name>/<UTC time>`, its directory within the repository. */
  readonly id: string
  readonly kind: BackupKind
  readonly name: string
  /** Seconds or better, ISO 8601 in UTC. */
  readonly startedAt: string
  readonly finishedAt: string
  readonly durationMs: number
  readonly host: string
  /** Engine and version of the source: `mariadb 10.11.19`; absent for files. */
  readonly server?: {
    readonly family: 'mariadb' | 'mysql' | 'postgresql' | 'sqlite'
    readonly version: string
    readonly id?: string
  }
  /** Tools that wrote it, with versions: `mariadb-dump`, `zstd`, `tar`, `age`. */
  readonly tools: Readonly<Record<string, string>>
  readonly opskit: string
  /** Binlog file and position, GTID, or LSN at the dump's snapshot. */
  readonly position?: Readonly<Record<string, string>>
  readonly compression: 'zstd' | 'gzip' | 'none'
  readonly encryption?: { readonly method: 'age'; readonly recipients: readonly string[] }
  readonly files: readonly DataFile[]
  readonly databases?: readonly DatabaseFacts[]
  /** Files: how many, and their bytes. */
  readonly content?: { readonly paths: readonly string[]; readonly files: number; readonly bytes: number }
  /** Paths that changed while they were read, after a second try. */
  readonly changedDuringRead?: readonly string[]
  /** An incremental's full backup (id). */
  readonly parent?: string
  /** The members of one consistency group share it. */
  readonly group?: string
  readonly status: 'ok' | 'warning'
  readonly warnings: readonly string[]
  /** What was skipped on purpose and is worth knowing: sockets, other file systems. No reason to worry. */
  readonly notes?: readonly string[]
}

/** Something learned about a backup after it was published. */
export type BackupRecord =
  | {
      readonly type: 'verified'
      readonly at: string
      readonly ok: boolean
      readonly level: 'checksums' | 'content'
      readonly because: string
      readonly durationMs: number
    }
  | {
      readonly type: 'drilled'
      readonly at: string
      readonly ok: boolean
      readonly because: string
      readonly rtoMs: number
      readonly differences: readonly string[]
    }
  | {
      readonly type: 'copied'
      readonly at: string
      readonly target: string
      readonly ok: boolean
      readonly because: string
    }
  | { readonly type: 'pinned'; readonly at: string; readonly reason: string }
  | { readonly type: 'unpinned'; readonly at: string }

/** A listed backup: whole by construction. */
export interface BackupEntry {
  readonly id: string
  readonly kind: BackupKind
  readonly name: string
  /** Absolute directory. */
  readonly path: string
  /** Wall clock, milliseconds since the epoch. */
  readonly at: number
  readonly sizeBytes: number
  readonly manifest: Manifest
  readonly records: readonly BackupRecord[]
  readonly pinned: boolean
  /** Newest good verification and drill, wall clock milliseconds; absent when a later one failed. */
  readonly verifiedAt?: number
  readonly drilledAt?: number
  readonly rtoMs?: number
  /** Why the newest verification or drill did not pass; absent when it did, and when there was none. */
  readonly failedBecause?: string
}

/** Something in the repository that is no whole backup, or has lost what it needs. Never listed, never pruned. */
export interface RepositoryProblem {
  readonly path: string
  /** Its id, when it lies where a backup would. */
  readonly id?: string
  readonly because: string
}

/** A backup that is being written; invisible until `publish`. */
export interface Staging {
  readonly id: string
  /** Absolute; same file system as the repository; mode 0700. */
  readonly path: string
  /**
   * fsyncs every file and the directory, writes the manifest, renames.
   * @throws OpsError DATA_MISMATCH when the staged files are not exactly those of the manifest, CANNOT_WRITE
   */
  publish(manifest: Manifest): Promise<BackupEntry>
  /** Removes everything that was staged. Safe to call after publish. */
  discard(): Promise<void>
}

export interface Repository {
  readonly path: string
  /** Newest first. Directories that are no whole backup are left out and reported by `problems`. */
  list(filter?: { readonly kind?: BackupKind; readonly name?: string }): Promise<BackupEntry[]>
  /**
   * @param reference `database/app/20261120T020000Z`, `database/app` or `database/app/latest`
   * @throws OpsError USAGE with the nearest name or id
   */
  find(reference: string): Promise<BackupEntry>
  /** What lies in the repository and is no whole backup: path and reason. */
  problems(): Promise<RepositoryProblem[]>
  /**
   * Begins a backup; removes what dead processes left behind.
   * @throws OpsError CANNOT_WRITE, NOT_PERMITTED
   */
  stage(kind: BackupKind, name: string): Promise<Staging>
  /** Appends to what is known of a backup, fsynced. */
  record(entry: BackupEntry, record: BackupRecord): Promise<void>
  /** Renames it out of the list first, then deletes: what is listed is whole. */
  remove(entry: BackupEntry): Promise<void>
  /** Removes what interrupted runs left: partials of dead processes, half-deleted backups. @returns their paths */
  sweep(): Promise<string[]>
  freeBytes(): Promise<number>
}

/** What a source writes into a staging directory. The caller adds ids, times, checksums' publication and records. */
export interface SourceResult {
  readonly files: readonly DataFile[]
  readonly server?: Manifest['server']
  readonly tools: Manifest['tools']
  readonly position?: Manifest['position']
  readonly databases?: readonly DatabaseFacts[]
  readonly content?: Manifest['content']
  readonly changedDuringRead?: readonly string[]
  readonly parent?: string
  readonly warnings: readonly string[]
  readonly notes?: readonly string[]
}

/** Differences between what a manifest promises and what was found, as sentences; empty means equal. */
export interface Comparison {
  readonly equal: boolean
  readonly differences: readonly string[]
}

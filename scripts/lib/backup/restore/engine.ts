/**
 * What restoring means for one family of databases: load beside, compare, put in place, take back. The families differ in
 * how; database.ts tells the story once for all of them.
 */
import type { Progress } from '../../core/progress.ts'
import type { Host } from '../../host/types.ts'
import type { BackupEntry, DataFile, DatabaseFacts } from '../types.ts'
import type { AgeIdentity } from './identity.ts'

/** One database of a backup, and where it goes. Kept in the journal while a restore is not over: plain data. */
export interface Replacement {
  /** The name that users know; for SQLite, the file. */
  readonly target: string
  /** Where it is loaded and compared first. */
  readonly scratch: string
  /** Where what was there before is kept. */
  readonly aside: string
  /** True when the target was there before. */
  readonly existed: boolean
  /** Only these tables are replaced; absent: the whole database. */
  readonly tables?: readonly string[]
  /** MariaDB: tables of the target before, and of the scratch database. */
  readonly old?: readonly string[]
  readonly fresh?: readonly string[]
  /** PostgreSQL: the database that it is renamed from. */
  readonly maintenance?: string
  /** A file beside the journal: views, routines, triggers and events as they were. */
  readonly oldObjects?: string
  /**
   * A finished restore is taken back: `scratch` is no copy of a backup but what was kept, and whatever happens, it is not
   * removed. MariaDB: a file with its views, routines, triggers and events.
   */
  readonly kept?: { readonly objects?: string }
}

/** What is known of a kept copy. */
export interface KeptFacts {
  /** Undefined where that is not cheap to know. */
  readonly sizeBytes?: number
  /** Its tables, as `nameOfTable` writes them. */
  readonly tables: readonly string[]
}

export interface RestoreSource {
  readonly entry: BackupEntry
  /** What the manifest promises of this database. */
  readonly facts: DatabaseFacts
  readonly files: readonly DataFile[]
  readonly identity: AgeIdentity | undefined
}

export interface EngineOptions {
  readonly host: Host
  readonly signal: AbortSignal
  /** A private server for a drill: everything is loaded where it lies, events too, and nothing has to last. */
  readonly isThrowAway?: boolean
}

export interface Preflight {
  readonly existed: boolean
  /** Version of the server that is restored into. */
  readonly version: string
  /** What an operator should know before saying yes. */
  readonly notes: readonly string[]
}

export interface RestoreEngine {
  /**
   * Looks whether the restore can succeed; changes nothing.
   * @throws OpsError with the reason: an older server, a lacking privilege, references that would break, no space
   */
  preflight(source: RestoreSource, replacement: Replacement): Promise<Preflight>
  /** Makes and fills the scratch database. @returns the replacement with what is known now */
  load(source: RestoreSource, replacement: Replacement, progress: Progress): Promise<Replacement>
  /** What a database holds, with exact row counts, and fingerprints where `like` has them. */
  readFacts(database: string, like: DatabaseFacts): Promise<DatabaseFacts>
  /** Notes what must be known to take the swap back. @returns the replacement with it */
  prepare(replacement: Replacement): Promise<Replacement>
  /** Puts the scratch database in place of the target. Repeatable. @param source absent for what was kept */
  apply(replacement: Replacement, source?: RestoreSource): Promise<void>
  /** Back to what was there before. Repeatable; also after `load` alone. */
  undo(replacement: Replacement, swapped: boolean): Promise<void>
  /** The first column of the first row, as text; undefined when there is no row. */
  ask(database: string, sql: string): Promise<string | undefined>
  /** After all is proved. @returns what could not be done, for a warning */
  finish(replacement: Replacement): Promise<readonly string[]>
  /** @returns undefined when nothing is there under the name of `aside` any more */
  readKept(replacement: Replacement): Promise<KeptFacts | undefined>
  /** Removes what was there before, for good. After `finish` only. */
  discard(replacement: Replacement): Promise<void>
  /** Bytes left where the server keeps its data; undefined when that is not to be known. May throw. */
  freeBytes(): Promise<number | undefined>
  /** Kinds of objects that the scratch copy does not hold yet. */
  readonly notInScratch: readonly ('events' | 'extensions')[]
  close(): Promise<void>
}

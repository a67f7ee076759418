/** What every database source is given, and what each family's part needs of it. */
import { createHash } from 'node:crypto'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { DatabaseSource, SecretRef } from '../../config/types.ts'
import type { Clock } from '../../core/clock.ts'
import type { Secret } from '../../core/secret.ts'
import type { Host } from '../../host/types.ts'
import type { Redact } from '../pipeline/failure.ts'
import type { Place } from '../pipeline/place.ts'
import type { Followed } from '../pipeline/follow.ts'
import { openSink, type Sink } from '../pipeline/sink.ts'
import type { DataFile, Progress, Staging } from '../types.ts'

export interface BackupSettings {
  readonly compression: { readonly level: number; readonly threads: number }
  /** age recipients; empty or absent: not encrypted. */
  readonly recipients?: readonly string[]
  /** Milliseconds without a byte from a dump until it is given up. Default 5 minutes. */
  readonly stallMs?: number
  /** Milliseconds to wait for a table that somebody holds. Default 1 minute. */
  readonly lockWaitMs?: number
}

export interface DatabaseBackup {
  /** The source's name in the config. */
  readonly name: string
  readonly source: DatabaseSource
  /** Where the tools run. */
  readonly host: Host
  readonly resolveSecret: (ref: SecretRef) => Promise<Secret>
  readonly staging: Pick<Staging, 'path'>
  readonly settings: BackupSettings
  readonly progress?: Progress
  readonly signal: AbortSignal
  readonly clock: Clock
  /** Awaited right before the snapshot begins; members of a consistency group meet there. */
  readonly atSnapshot?: () => Promise<void>
}

/** One run of one family. */
export interface FamilyRun extends DatabaseBackup {
  readonly place: Place
  readonly password: string | undefined
  readonly files: Files
}

/** The files of one backup while they are written: opened here, finished together, or thrown away together. */
export interface Files {
  open(file: Pick<DataFile, 'role' | 'database'> & { readonly stem: string }): Promise<Sink>
  /** Of a file that was opened. `plainBytes` as counted by whoever wrote it. */
  finish(sink: Sink, plainBytes?: number): Promise<void>
  /** Throws one away that will not be part of the backup. */
  drop(sink: Sink): Promise<void>
  readonly done: readonly DataFile[]
  discard(): Promise<void>
}

export const DEFAULT_STALL_MS = 300_000
export const DEFAULT_LOCK_WAIT_MS = 60_000

export function openFiles(
  { staging, settings, progress, name }: Pick<DatabaseBackup, 'staging' | 'settings' | 'progress' | 'name'>,
  redact: Redact,
): Files {
  const recipients = settings.recipients ?? []
  const open = new Map<Sink, Omit<DataFile, 'sizeBytes' | 'sha256'>>()
  const done: DataFile[] = []
  const bytes = new Map<string, number>()
  return {
    async open({ stem, ...about }) {
      const path = `${stem}.zst${recipients.length > 0 ? '.age' : ''}`
      const onBytes = (total: number) => {
        bytes.set(path, total)
        progress?.update(sum(bytes.values()), 0, name)
      }
      const { compression } = settings
      const sink = await openSink({ path: join(staging.path, path), compression, recipients, redact, onBytes })
      open.set(sink, { path, ...about })
      return sink
    },
    async finish(sink, plainBytes) {
      const about = open.get(sink)
      const followed: Followed = await sink.finish()
      open.delete(sink)
      if (about) done.push({ ...about, ...followed, ...(plainBytes === undefined ? {} : { plainBytes }) })
    },
    async drop(sink) {
      open.delete(sink)
      await sink.discard()
    },
    done,
    async discard() {
      for (const sink of open.keys()) await sink.discard()
      for (const { path } of done) await rm(join(staging.path, path), { force: true })
    },
  }
}

function sum(numbers: Iterable<number>): number {
  let total = 0
  for (const number of numbers) total += number
  return total
}

/** A database's name as a file name: `app`, `my%20shop`. See docs/decisions/032-backup-dump-format.md. */
export function fileStem(database: string): string {
  const encoded = [...Buffer.from(database)]
    .map((byte, index) => {
      const char = String.fromCharCode(byte)
      const plain = /[A-Za-z0-9-]/.test(char) || (index > 0 && /[._]/.test(char))
      return plain ? char : `%${byte.toString(16).toUpperCase().padStart(2, '0')}`
    })
    .join('')
  if (encoded.length <= LONGEST_STEM) return encoded
  return `${encoded.slice(0, LONGEST_STEM - 17)}~${createHash('sha256').update(database).digest('hex').slice(0, 16)}`
}

/** A file name holds 255 bytes; ours end in `.data-4.dump.zst.age` at most. */
const LONGEST_STEM = 200

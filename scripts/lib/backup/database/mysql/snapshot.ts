/**
 * Fingerprints in the dump's own snapshot. A dump tool cannot join a snapshot, so both begin while nothing can be written:
 * FLUSH TABLES WITH READ LOCK is held from before the dump starts until its first bytes, which it prints after its
 * transaction has begun. That is some milliseconds; for longer it is never held (LOCK_MS).
 */
import { isOpsError } from '../../../core/errors.ts'
import { openMysqlSession, type MysqlAccess } from './connect.ts'
import { fingerprintMysql } from './fingerprint.ts'
import type { MysqlContents } from './facts.ts'

/** How long writers of the server may be held up. */
const LOCK_MS = 5_000

export interface Fingerprints {
  readonly digests: ReadonlyMap<string, ReadonlyMap<string, string>>
  readonly warnings: readonly string[]
}

export interface FingerprintSession {
  /** The dump has printed something: its snapshot stands. */
  readonly dumpHasBegun: () => void
  /** Reads while the dump runs. */
  read(): Promise<Fingerprints>
  close(): Promise<void>
}

export interface SnapshotRequest {
  readonly access: MysqlAccess
  readonly contents: MysqlContents
  readonly mayLock: boolean
}

export async function beginFingerprints({ access, contents, mayLock }: SnapshotRequest): Promise<FingerprintSession> {
  if (!mayLock) return nothing('no fingerprints: the account lacks RELOAD, which one snapshot with the dump needs')
  const [locker, reader] = await Promise.all([openMysqlSession(access), openMysqlSession(access)])
  const close = async () => void (await Promise.all([locker.close(), reader.close()]))
  try {
    await locker.query(`SET SESSION lock_wait_timeout = 10`)
    await locker.query('FLUSH TABLES WITH READ LOCK')
    await reader.query('START TRANSACTION WITH CONSISTENT SNAPSHOT')
  } catch (error) {
    await close()
    if (!isOpsError(error, 'LOCKED')) throw error
    return nothing('no fingerprints: the tables could not be held still for a moment')
  }
  let release: (inTime: boolean) => void = () => undefined
  const released = new Promise<boolean>((resolve) => (release = resolve))
  const timer = setTimeout(() => release(false), LOCK_MS)
  return {
    dumpHasBegun: () => release(true),
    async read() {
      const inTime = await released
      clearTimeout(timer)
      await locker.query('UNLOCK TABLES')
      if (!inTime) return await nothing('no fingerprints: the dump did not begin in time').read()
      const digests = new Map<string, ReadonlyMap<string, string>>()
      for (const { name, tables } of contents.databases) {
        digests.set(
          name,
          await fingerprintMysql(
            reader,
            name,
            tables.map((table) => table.name),
          ),
        )
      }
      return { digests, warnings: [] }
    },
    async close() {
      clearTimeout(timer)
      release(false)
      await close()
    },
  }
}

function nothing(because: string): FingerprintSession {
  return {
    dumpHasBegun: () => undefined,
    read: async () => ({ digests: new Map(), warnings: [because] }),
    close: async () => undefined,
  }
}

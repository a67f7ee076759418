/**
 * The SHA-256 of a file while other processes write it: reads behind them, from the page cache, so that the data path is
 * not touched and nothing is left to hash when they are done. The same reading tells progress, and what lies written is
 * handed to the disk on the way, so that the final fsync is short.
 */
import { createHash } from 'node:crypto'
import type { FileHandle } from 'node:fs/promises'
import { setTimeout as delay } from 'node:timers/promises'

export interface Followed {
  readonly sizeBytes: number
  /** Hex. */
  readonly sha256: string
}

export interface Follower {
  /** To be called when the writers are gone: the rest is hashed and the file is fsynced. */
  finish(): Promise<Followed>
  /** Stops reading; for a file that will be thrown away. */
  stop(): Promise<void>
}

const CHUNK_BYTES = 1024 ** 2
/** Often enough for a progress line, seldom enough to cost nothing. */
const POLL_MS = 50
const SYNC_EVERY_BYTES = 64 * 1024 ** 2

export function followFile(file: FileHandle, onBytes: (total: number) => void = () => undefined): Follower {
  const hash = createHash('sha256')
  const buffer = Buffer.allocUnsafe(CHUNK_BYTES)
  const awake = new AbortController()
  let state: 'writing' | 'written' | 'stopped' = 'writing'
  let sizeBytes = 0
  let syncedBytes = 0
  let syncing = Promise.resolve()

  const follow = async () => {
    for (;;) {
      const last = state !== 'writing'
      const { bytesRead } = await file.read(buffer, 0, CHUNK_BYTES, sizeBytes)
      if (state === 'stopped') return
      if (bytesRead > 0) {
        hash.update(buffer.subarray(0, bytesRead))
        sizeBytes += bytesRead
        onBytes(sizeBytes)
        if (sizeBytes - syncedBytes > SYNC_EVERY_BYTES) {
          syncedBytes = sizeBytes
          // An error of the disk comes again, and is thrown, at the end.
          syncing = syncing.then(() => file.datasync()).catch(() => undefined)
        }
      } else if (last) return
      else await delay(POLL_MS, undefined, { signal: awake.signal }).catch(() => undefined)
    }
  }
  const following = follow()
  following.catch(() => undefined)

  return {
    async finish() {
      state = 'written'
      awake.abort()
      await following
      await syncing
      await file.sync()
      return { sizeBytes, sha256: hash.digest('hex') }
    },
    async stop() {
      state = 'stopped'
      awake.abort()
      await Promise.all([following.catch(() => undefined), syncing])
    },
  }
}

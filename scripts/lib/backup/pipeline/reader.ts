/**
 * Reads what a process prints, much of it, into one buffer that is used over and over.
 *
 * Node gives a child a socket pair and allocates 64 KiB for each read; of a dump of 400 MB that costs twice the CPU and
 * three times the memory (docs/decisions/034-backup-pipeline.md). Here the child gets one end of a Unix socket of ours, and the
 * next read waits until the last piece is dealt with.
 */
import { once } from 'node:events'
import { rm } from 'node:fs/promises'
import { connect, createServer, type Socket } from 'node:net'
import { join } from 'node:path'
import { makePrivateDirectory } from './private.ts'

export interface BulkReader {
  /** The stdout of one process; to be released when it has started. */
  readonly writer: Socket
  /**
   * Hands over every piece until the process closes its end. A piece is only valid until `take` resolves.
   * @throws what `take` throws; nothing is read after that
   */
  readonly each: (take: (bytes: Buffer) => Promise<void>) => Promise<void>
}

/** About what a Unix socket holds. */
const BUFFER_BYTES = 256 * 1024

export async function openBulkReader(): Promise<BulkReader> {
  let take: ((bytes: Buffer) => Promise<void>) | undefined
  // The socket reads before anybody asked; it stops there until `resume`.
  let early: Buffer | undefined
  const { reader, writer } = await openPair(Buffer.allocUnsafeSlow(BUFFER_BYTES), (bytes) => {
    if (take) void hand(bytes)
    else early = bytes
  })
  let failure: { readonly error: unknown } | undefined
  const closed = new Promise<void>((resolve) => reader.once('close', () => resolve()))

  const hand = async (bytes: Buffer) => {
    try {
      await take?.(bytes)
      reader.resume()
    } catch (error) {
      failure = { error }
      reader.destroy()
    }
  }
  return {
    writer,
    async each(next) {
      take = next
      if (early) await hand(early)
      await closed
      if (failure) throw failure.error
    },
  }
}

/** Both ends of a Unix socket in a directory of our own, which is gone again when they are connected. */
async function openPair(buffer: Buffer, take: (bytes: Buffer) => void): Promise<{ reader: Socket; writer: Socket }> {
  const dir = await makePrivateDirectory()
  const server = createServer({ pauseOnConnect: true })
  try {
    const path = join(dir, 's')
    await once(server.listen(path), 'listening')
    const callback = (size: number) => {
      take(buffer.subarray(0, size))
      return false
    }
    const reader = connect({ path, onread: { buffer, callback } })
    reader.on('error', () => undefined)
    const [writer] = (await once(server, 'connection')) as [Socket]
    return { reader, writer }
  } finally {
    server.close()
    await rm(dir, { recursive: true, force: true })
  }
}

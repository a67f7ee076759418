/**
 * What a session has yet to read: gathered in one buffer while another one is on its way, so that a load of any size takes
 * the memory of two, and the client is written to in large pieces.
 */
import type { Writable } from 'node:stream'

export interface Outbox {
  /** Bytes written here that the reader has not taken. */
  readonly waitingBytes: number
  /** Resolves when the bytes are copied; never while the reader takes nothing. One at a time. */
  write(bytes: Buffer): Promise<void>
  /** Resolves when everything is taken. */
  empty(): Promise<void>
}

/** Two of them a session. Less, and a session that builds a key holds up those that could go on. */
const BUFFER_BYTES = 1024 ** 2

/** @param stream its errors are the end of its process, which says why */
export function createOutbox(stream: Writable): Outbox {
  let [filling, spare] = [Buffer.alloc(0), Buffer.alloc(0)]
  let filledBytes = 0
  let sentBytes = 0
  let taken: (() => void) | undefined

  const send = () => {
    if (sentBytes > 0 || filledBytes === 0) return
    const bytes = filling.subarray(0, filledBytes)
    ;[filling, spare] = [spare, filling]
    sentBytes = filledBytes
    filledBytes = 0
    stream.write(bytes, () => {
      sentBytes = 0
      send()
      taken?.()
    })
  }
  const nextTaken = () => new Promise<void>((resolve) => (taken = resolve))

  return {
    get waitingBytes() {
      return filledBytes + sentBytes
    },
    async write(bytes) {
      for (let at = 0; at < bytes.length;) {
        if (filling.length === 0) filling = Buffer.allocUnsafeSlow(BUFFER_BYTES)
        if (filledBytes === BUFFER_BYTES) await nextTaken()
        const copied = bytes.copy(filling, filledBytes, at)
        filledBytes += copied
        at += copied
        send()
      }
    },
    async empty() {
      while (filledBytes + sentBytes > 0) await nextTaken()
    },
  }
}

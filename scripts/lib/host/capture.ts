/**
 * Keeps the head of an output, bounded, and a short tail of it for error messages; reads and drops the rest,
 * so that a talkative command neither fills the memory nor stands still.
 */
import type { Readable } from 'node:stream'

export interface Capture {
  readonly push: (chunk: Uint8Array) => void
  readonly bytes: () => Buffer
  /** The last part, at most TAIL_BYTES, also of what was dropped. */
  readonly tail: () => string
  readonly truncated: boolean
}

/** Enough for the last lines of any tool's complaint. */
const TAIL_BYTES = 4096

export function createCapture(maxBytes: number): Capture {
  const chunks: Uint8Array[] = []
  let kept = 0
  let truncated = false
  let dropped: Buffer = Buffer.alloc(0)
  return {
    push(chunk) {
      const room = maxBytes - kept
      if (room > 0) chunks.push(room < chunk.length ? chunk.subarray(0, room) : chunk)
      kept += Math.min(room, chunk.length)
      if (chunk.length <= room) return
      truncated = true
      dropped = Buffer.concat([dropped, chunk.subarray(Math.max(0, room))]).subarray(-TAIL_BYTES)
    },
    bytes: () => Buffer.concat(chunks),
    tail: () =>
      Buffer.concat([...chunks.slice(-8), dropped])
        .subarray(-TAIL_BYTES)
        .toString(),
    get truncated() {
      return truncated
    },
  }
}

/** Reads a stream into a capture until it ends, fails or closes; a failed stream is told by the exit, not here. */
export function readInto(stream: Readable, capture: Capture): Promise<void> {
  return new Promise((resolve) => {
    stream.on('data', (chunk: Buffer) => capture.push(chunk))
    for (const event of ['end', 'error', 'close']) stream.once(event, () => resolve())
  })
}

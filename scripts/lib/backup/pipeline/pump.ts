/**
 * The one hop through JavaScript, where the bytes of a producer have to be looked at on their way to their files: obeying
 * back-pressure, so that memory stays at a few chunks, and noticing a producer that says nothing any more.
 */
import type { Writable } from 'node:stream'

/** Writes, and waits until the bytes are gone or their reader is: after that the buffer may be used again. */
export async function writeTo(stream: Writable, bytes: Buffer): Promise<void> {
  // An error of the stream is the end of its process, which says why.
  await new Promise<void>((resolve) => void stream.write(bytes, () => resolve()))
}

/** Kills a producer that printed nothing for `stallMs`. */
export function watchStall(stallMs: number, stalled: () => void): { seen(): void; stop(): void } {
  const timer = setTimeout(stalled, stallMs)
  return { seen: () => void timer.refresh(), stop: () => clearTimeout(timer) }
}

/**
 * Lines of an incident's journal: JSON, one event each. Every line holds the SHA-256 of the line before it (`previous`)
 * and of itself without that member (`hash`), so a byte that is changed, removed or inserted later is found, with its
 * line. Pure: files are read and written by journal.ts.
 */
import { createHash } from 'node:crypto'
import type { EventBody, IncidentEvent } from './types.ts'

/** Where a chain stands: what the next line continues. */
export interface Head {
  readonly seq: number
  /** Of the last line, whole; `''` before the first. */
  readonly hash: string
}

export const START: Head = { seq: 0, hash: '' }

/** A line that is not what was written. */
export interface Break {
  /** From 1. */
  readonly line: number
  readonly because: string
}

export interface ReadChain {
  readonly events: readonly IncidentEvent[]
  readonly head: Head
  /** Bytes up to the end of the last good line. */
  readonly goodBytes: number
  /** The first line that is wrong; nothing behind it is read. */
  readonly broken?: Break
  /** What stands behind the last newline: the beginning of a line whose writer was killed. */
  readonly torn?: Uint8Array
}

/** @returns the line without its newline, and the head behind it */
export function formatLine(head: Head, event: EventBody & { readonly at: number; readonly who: string }) {
  const seq = head.seq + 1
  const { at, who, kind, ...facts } = event
  const body = JSON.stringify({ seq, at: new Date(at).toISOString(), who, kind, ...facts, previous: head.hash })
  const line = `${body.slice(0, -1)},"hash":"${sha256(body)}"}`
  return { line, head: { seq, hash: sha256(line) }, event: { ...event, seq } as IncidentEvent }
}

/** Reads what follows `from`. */
export function readChain(bytes: Uint8Array, from: Head = START): ReadChain {
  const events: IncidentEvent[] = []
  let head = from
  let start = 0
  for (;;) {
    const end = bytes.indexOf(0x0a, start)
    if (end === -1) break
    const line = decode(bytes.subarray(start, end))
    const read = line === undefined ? { because: 'it is not UTF-8' } : readLine(line, head)
    if ('because' in read) {
      return { events, head, goodBytes: start, broken: { line: head.seq + 1, because: read.because } }
    }
    events.push(read.event)
    head = { seq: head.seq + 1, hash: read.hash }
    start = end + 1
  }
  return { events, head, goodBytes: start, ...(start < bytes.length && { torn: bytes.subarray(start) }) }
}

/** Reads one line that continues `head`. */
export function readLine(
  line: string,
  head: Head,
): { readonly event: IncidentEvent; readonly hash: string } | { readonly because: string } {
  const match = /^(.*),"hash":"([0-9a-f]{64})"\}$/s.exec(line)
  const [, stem, hash] = match ?? []
  if (stem === undefined || sha256(`${stem}}`) !== hash) return { because: 'its text does not fit its hash' }
  const { at, previous, ...facts } = JSON.parse(`${stem}}`) as { at: string; previous: string }
  const event = { ...facts, at: Date.parse(at) } as unknown as IncidentEvent
  if (event.seq !== head.seq + 1) return { because: `it is line ${event.seq}: lines before it are missing or doubled` }
  if (previous !== head.hash) return { because: 'the line before it is not the one that it follows' }
  return { event, hash: sha256(line) }
}

export function sha256(data: string | Uint8Array): string {
  return createHash('sha256').update(data).digest('hex')
}

function decode(bytes: Uint8Array): string | undefined {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)
  } catch {
    return undefined
  }
}

/**
 * The journal of one incident: a file that only grows, one line an event, each on the disk (fdatasync) before anybody acts
 * on it. Any number of processes write at once: whoever decides and appends holds the write lock of opskit's SQLite
 * journal, which the system takes back when a process dies, so it is never stale.
 */
import { closeSync, fdatasyncSync, fstatSync, ftruncateSync, openSync, readSync, writeSync } from 'node:fs'
import type { Clock } from '../../core/clock.ts'
import { OpsError, systemCode } from '../../core/errors.ts'
import { formatLine, readChain, readLine, START, type Head } from './chain.ts'
import { applyEvent, openIncident } from './fold.ts'
import type { EventBody, Incident, IncidentEvent } from './types.ts'

export interface IncidentJournal {
  readonly path: string
  /** As it is now, with what others have written. @throws OpsError DATA_MISMATCH naming the line that was changed */
  incident(): Incident
  events(): readonly IncidentEvent[]
  /**
   * Decides on the incident as it is, and appends what comes of it, with nobody in between. `decide` is synchronous;
   * what it throws is thrown, and nothing is appended.
   * @returns the incident afterwards
   */
  change(decide: (incident: Incident) => readonly EventBody[]): Incident
  head(): Head
  close(): void
}

export interface IncidentJournalOptions {
  /** `.../incidents/gateway-down-20261121-0314.jsonl`; it exists. */
  readonly path: string
  /** Runs its argument while no other process does. */
  readonly lock: <T>(work: () => T) => T
  readonly clock: Pick<Clock, 'now'>
  readonly who: string
  /** Applied to every text before it is written. */
  readonly redact: (text: string) => string
  /** The first event, for a file that is new. */
  readonly opening?: EventBody
}

interface State {
  head: Head
  offset: number
  readonly events: IncidentEvent[]
  incident: Incident | undefined
}

/** @throws OpsError USAGE (no such incident), DATA_MISMATCH, CANNOT_WRITE, NOT_PERMITTED */
export function openIncidentJournal(options: IncidentJournalOptions): IncidentJournal {
  const { path, lock } = options
  const file = openFile(path)
  const state: State = { head: START, offset: 0, events: [], incident: undefined }
  const current = () => {
    if (state.incident === undefined) throw mismatch(path, { line: 1, because: 'there is none' })
    return state.incident
  }
  const append = (bodies: readonly EventBody[]) => appendAll({ file, path, state, options }, bodies)
  const change: IncidentJournal['change'] = (decide) =>
    lock(() => {
      const torn = follow(file, path, state)
      // Locked, so whoever wrote the beginning of that line is gone.
      if (torn) append([mend(file, path, state, torn)])
      append(decide(current()))
      return current()
    })
  try {
    if (options.opening) {
      const { opening } = options
      lock(() => append([opening]))
    }
  } catch (error) {
    closeSync(file)
    throw error
  }
  let open = true
  return {
    path,
    change,
    incident() {
      follow(file, path, state)
      return current()
    },
    events() {
      follow(file, path, state)
      return state.events
    },
    head: () => state.head,
    close() {
      if (open) closeSync(file)
      open = false
    },
  }
}

function openFile(path: string): number {
  try {
    return openSync(path, 'r+')
  } catch (error) {
    const code = systemCode(error)
    if (code === 'ENOENT') throw new OpsError('USAGE', `there is no journal ${path}`)
    throw new OpsError(code === 'EACCES' || code === 'EPERM' ? 'NOT_PERMITTED' : 'CANNOT_WRITE', `${path}: ${code}`, {
      hint: 'Run it as the user who started the incident.',
      cause: error,
    })
  }
}

/** Reads what others have appended. @returns what stands behind the last newline */
function follow(file: number, path: string, state: State): Uint8Array | undefined {
  const { size } = fstatSync(file)
  if (size < state.offset) throw mismatch(path, { line: state.head.seq, because: 'the file has become shorter' })
  if (size === state.offset) return undefined
  const bytes = new Uint8Array(size - state.offset)
  let read = 0
  while (read < bytes.length) {
    const count = readSync(file, bytes, read, bytes.length - read, state.offset + read)
    if (count === 0) break
    read += count
  }
  const { events, head, goodBytes, broken, torn } = readChain(bytes.subarray(0, read), state.head)
  take(state, { events, head, goodBytes })
  if (broken) throw mismatch(path, broken)
  return torn
}

function take(state: State, read: { events: readonly IncidentEvent[]; head: Head; goodBytes: number }): void {
  for (const event of read.events) {
    state.events.push(event)
    state.incident = state.incident === undefined ? openIncident(event) : applyEvent(state.incident, event)
  }
  state.head = read.head
  state.offset += read.goodBytes
}

/** Cuts the beginning of a line off; a line that lacks nothing but its newline is kept whole. */
function mend(file: number, path: string, state: State, torn: Uint8Array): EventBody {
  const text = new TextDecoder().decode(torn)
  const read = readLine(text, state.head)
  if ('event' in read) {
    write(file, path, state.offset + torn.length, '\n')
    take(state, {
      events: [read.event],
      head: { seq: read.event.seq, hash: read.hash },
      goodBytes: torn.length + 1,
    })
    return { kind: 'journal.cut', bytes: 0, text: '' }
  }
  ftruncateSync(file, state.offset)
  return { kind: 'journal.cut', bytes: torn.length, text: text.slice(0, 500) }
}

interface Appending {
  readonly file: number
  readonly path: string
  readonly state: State
  readonly options: IncidentJournalOptions
}

function appendAll({ file, path, state, options }: Appending, bodies: readonly EventBody[]): void {
  if (bodies.length === 0) return
  const { clock, who, redact } = options
  const events: IncidentEvent[] = []
  const lines: string[] = []
  let { head } = state
  for (const body of bodies) {
    const next = formatLine(head, { ...redactEvent(body, redact), at: Math.round(clock.now()), who })
    head = next.head
    lines.push(`${next.line}\n`)
    events.push(next.event)
  }
  const goodBytes = write(file, path, state.offset, lines.join(''))
  take(state, { events, head, goodBytes })
}

function write(file: number, path: string, offset: number, text: string): number {
  const bytes = Buffer.from(text)
  try {
    for (let done = 0; done < bytes.length;) {
      done += writeSync(file, bytes, done, bytes.length - done, offset + done)
    }
    fdatasyncSync(file)
    return bytes.length
  } catch (error) {
    // What was written of it is the beginning of a line; the next one who writes would cut it, so do it now.
    ftruncateSync(file, offset)
    throw new OpsError('CANNOT_WRITE', `cannot write ${path}: ${systemCode(error) ?? 'failed'}`, {
      hint: 'Make room there: nothing is done that cannot be written down.',
      cause: error,
    })
  }
}

/** What programs read back as it is: names, numbers and checksums, never text from outside. */
const AS_IS = new Set(['kind', 'incident', 'step', 'sha256', 'path', 'copy', 'id', 'file', 'timer', 'name'])

function redactEvent(body: EventBody, redact: (text: string) => string): EventBody {
  const walk = (value: unknown, key: string): unknown => {
    if (typeof value === 'string') return AS_IS.has(key) ? value : redact(value)
    if (Array.isArray(value)) return value.map((item) => walk(item, key))
    if (typeof value !== 'object' || value === null) return value
    return Object.fromEntries(Object.entries(value).map(([name, item]) => [name, walk(item, name)]))
  }
  return walk(body, '') as EventBody
}

function mismatch(path: string, { line, because }: { line: number; because: string }): OpsError {
  return new OpsError('DATA_MISMATCH', `${path}:${line}: this line is not what was written: ${because}`, {
    place: `${path}:${line}`,
    hint: 'npx zx scripts/runbook.ts audit says what else is wrong. Nothing goes on from a journal that was changed.',
  })
}

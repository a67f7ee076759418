/**
 * Is what an incident left behind still what was written: each line of its journal, their order, their number, the copy of
 * the runbook and the attached files. A chain cannot tell that its own end was cut off, so the number of lines that were
 * there when a command last ended is asked too. Whoever can write everything could forge everything: this finds accidents
 * and careless hands.
 */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { systemCode } from '../../core/errors.ts'
import { readLine, sha256, START, type Head } from './chain.ts'
import type { Store } from './store.ts'
import type { AttachedFile, IncidentEvent } from './types.ts'

export interface AuditProblem {
  /** `…/gateway-down-20261121-0314.jsonl:7`, or a file. */
  readonly place: string
  readonly message: string
}

export interface Audit {
  readonly id: string
  readonly lines: number
  readonly problems: readonly AuditProblem[]
  /** What is no mistake, and yet worth knowing. */
  readonly notes: readonly string[]
}

const MAX_PROBLEMS = 100

/** @throws OpsError for a journal that cannot be read */
export function auditIncident(store: Store, id: string): Audit {
  const path = store.pathOf(id)
  const bytes = readFileSync(path)
  const { events, problems, notes, hashes } = auditLines(bytes, store.savedHead(id))
  const about = (message: string, line: number) => ({ place: `${path}:${line}`, message })
  const files = filesOf(events).map((file) => ({ ...file, path: join(store.dirOf(id), file.path) }))
  return {
    id,
    lines: hashes.length,
    problems: [...problems.map(({ line, message }) => about(message, line)), ...files.flatMap(auditFile)].slice(
      0,
      MAX_PROBLEMS,
    ),
    notes,
  }
}

export interface LineProblem {
  readonly line: number
  readonly message: string
}

/** @param saved what is known of the chain from elsewhere: so many lines, the last of them with this hash */
export function auditLines(bytes: Uint8Array, saved: Head | undefined) {
  const text = Buffer.from(bytes).toString('latin1')
  const lines = text.split('\n')
  const torn = lines.pop() ?? ''
  const events: IncidentEvent[] = []
  const problems: LineProblem[] = []
  const notes: string[] = []
  const hashes: string[] = []
  let before: { readonly head: Head; readonly isGood: boolean } = { head: START, isGood: true }
  for (const [index, raw] of lines.entries()) {
    const line = index + 1
    const told = auditLine(raw, before)
    if (told.message !== undefined) problems.push({ line, message: told.message })
    if (told.event) {
      events.push(told.event)
      if (told.event.kind === 'journal.cut') notes.push(`line ${line}: a process was killed while it wrote`)
    }
    hashes.push(told.head.hash)
    before = { head: told.head, isGood: told.event !== undefined }
  }
  if (torn !== '')
    notes.push(`line ${lines.length + 1} is unfinished: its writer was killed; the next command cuts it off`)
  if (saved && hashes.length < saved.seq) {
    const message = `${saved.seq} lines were there: those from here on are missing`
    problems.push({ line: hashes.length + 1, message })
  } else if (saved && problems.length === 0 && hashes[saved.seq - 1] !== saved.hash) {
    problems.push({ line: saved.seq, message: 'it is not the line that was there when a command last ended' })
  }
  return { events, problems, notes, hashes }
}

interface Told {
  readonly message?: string
  readonly event?: IncidentEvent
  readonly head: Head
}

function auditLine(raw: string, { head, isGood }: { readonly head: Head; readonly isGood: boolean }): Told {
  const bytes = Buffer.from(raw, 'latin1')
  const hash = sha256(bytes)
  const next = { seq: head.seq + 1, hash }
  const line = bytes.toString('utf8')
  const known = claimOf(line)
  if (!Buffer.from(line).equals(bytes)) return { message: 'it is not UTF-8 any more', head: next }
  // What follows a line that was changed still continues the line that was there.
  const from = isGood || !known ? head : { seq: head.seq, hash: known.previous }
  const read = readLine(line, from)
  if ('event' in read) return { event: read.event, head: next }
  // Its own text may be whole, and only its place wrong: go on from where it stood.
  const alone = known ? readLine(line, { seq: known.seq - 1, hash: known.previous }) : read
  if ('event' in alone) return { message: read.because, event: alone.event, head: { seq: alone.event.seq, hash } }
  return { message: read.because, head: next }
}

function claimOf(line: string): { readonly seq: number; readonly previous: string } | undefined {
  try {
    const { seq, previous } = JSON.parse(line) as { seq?: unknown; previous?: unknown }
    return typeof seq === 'number' && typeof previous === 'string' ? { seq, previous } : undefined
  } catch {
    return undefined
  }
}

function filesOf(events: readonly IncidentEvent[]): Pick<AttachedFile, 'path' | 'sha256'>[] {
  return events.flatMap((event) => {
    if (event.kind === 'opened') return [{ path: event.runbook.copy, sha256: event.runbook.sha256 }]
    if (!('evidence' in event)) return []
    return (event.evidence ?? []).flatMap(({ file }) => (file ? [file] : []))
  })
}

function auditFile({ path, sha256: expected }: Pick<AttachedFile, 'path' | 'sha256'>): AuditProblem[] {
  try {
    return sha256(readFileSync(path)) === expected ? [] : [{ place: path, message: 'it is not the file that was kept' }]
  } catch (error) {
    return [{ place: path, message: `it cannot be read: ${systemCode(error) ?? 'failed'}` }]
  }
}

import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { createManualClock } from '../../scripts/lib/core/clock.ts'
import { redactText } from '../../scripts/lib/core/redact.ts'
import { auditLines } from '../../scripts/lib/runbook/incident/audit.ts'
import { formatLine, readChain, START, type Head } from '../../scripts/lib/runbook/incident/chain.ts'
import { openIncidentJournal, type IncidentJournal } from '../../scripts/lib/runbook/incident/journal.ts'
import type { EventBody } from '../../scripts/lib/runbook/incident/types.ts'
import { tempDir } from '../support/temp.ts'

const opening: EventBody = {
  ...{ kind: 'opened', incident: 'demo-1', params: {}, subject: '', drill: false, timers: [], ladder: [] },
  runbook: { id: 'demo', title: 'Demo', severity: 'low', language: 'en', file: 'demo.md', sha256: '', copy: 'demo.md' },
}
const note = (text: string): EventBody => ({ kind: 'noted', text })

function chainOf(bodies: readonly EventBody[]): { readonly bytes: Buffer; readonly head: Head } {
  let head = START
  const lines = bodies.map((body, index) => {
    const next = formatLine(head, { ...body, at: 1_000 * index, who: 'alice' })
    head = next.head
    return `${next.line}\n`
  })
  return { bytes: Buffer.from(lines.join('')), head }
}

function lineAt(bytes: Buffer, offset: number): number {
  return bytes.subarray(0, offset).toString('latin1').split('\n').length
}

/** The lines that an audit names, an unfinished last one included. */
function namedLines(bytes: Buffer, head: Head): number[] {
  const { problems, hashes, notes } = auditLines(bytes, head)
  return [...problems.map(({ line }) => line), ...(notes.length > 0 ? [hashes.length + 1] : [])]
}

describe('a chain of lines', () => {
  const { bytes, head } = chainOf([opening, note('der Zähler 数'), note('two'), note('three')])

  it('reads back what was written', () => {
    const { events, broken, head: read } = readChain(bytes)
    expect(events.map(({ seq, kind, at }) => `${seq} ${kind} ${at}`)).toEqual([
      ...['1 opened 0', '2 noted 1000', '3 noted 2000', '4 noted 3000'],
    ])
    expect(broken).toBeUndefined()
    expect(read).toEqual(head)
    expect(auditLines(bytes, head)).toMatchObject({ problems: [], notes: [] })
  })

  it('names the line of each byte that was changed, taken away or put in', () => {
    for (let offset = 0; offset < bytes.length; offset += 1) {
      const line = lineAt(bytes, offset)
      const changed = Buffer.from(bytes)
      changed[offset] = (changed[offset] ?? 0) ^ 1
      const removed = Buffer.concat([bytes.subarray(0, offset), bytes.subarray(offset + 1)])
      const inserted = Buffer.concat([bytes.subarray(0, offset), Buffer.from(' '), bytes.subarray(offset)])
      for (const [how, other] of Object.entries({ changed, removed, inserted })) {
        expect(namedLines(other, head), `byte ${offset} ${how}`).toContain(line)
      }
    }
  })

  it.each<[string, (lines: string[]) => string[], number]>([
    ['a line is missing', (lines) => lines.toSpliced(1, 1), 2],
    ['two lines changed places', ([a = '', b = '', c = '', d = '']) => [a, c, b, d], 2],
    ['a line stands twice', (lines) => lines.toSpliced(2, 0, lines[1] ?? ''), 3],
    ['the last line is missing', (lines) => lines.slice(0, -1), 4],
    ['everything is missing', () => [], 1],
  ])('names the line when %s', (_name, change, line) => {
    const lines = change(bytes.toString().trimEnd().split('\n'))
    expect(namedLines(Buffer.from(lines.map((one) => `${one}\n`).join('')), head)[0]).toBe(line)
  })
})

describe('the journal of an incident', () => {
  async function open(): Promise<{ path: string; journal: IncidentJournal; again(): IncidentJournal }> {
    const path = join(await tempDir('chain'), 'demo-1.jsonl')
    writeFileSync(path, '')
    const lock = <T>(work: () => T) => work()
    const options = { path, lock, clock: createManualClock(), who: 'alice', redact: redactText }
    return {
      path,
      journal: openIncidentJournal({ ...options, opening }),
      again: () => openIncidentJournal(options),
    }
  }

  it('shows one process what another has written', async () => {
    const { journal, again } = await open()
    const other = again()
    other.change(() => [note('from there'), { kind: 'acknowledged' }])
    expect(journal.incident().acknowledged).toMatchObject({ by: 'alice' })
    journal.change(({ acknowledged }) => (acknowledged ? [] : [{ kind: 'acknowledged' }]))
    expect(other.events()).toHaveLength(3)
  })

  it('cuts off the beginning of a line whose writer was killed, wherever that was', async () => {
    const { path, journal, again } = await open()
    journal.change(() => [note('whole')])
    const before = readFileSync(path)
    journal.change(() => [note('torn')])
    const after = readFileSync(path)
    for (let length = before.length + 1; length < after.length; length += 1) {
      writeFileSync(path, after.subarray(0, length))
      const mended = again()
      mended.change(() => [note('later')])
      const texts = mended.events().map((event) => (event.kind === 'noted' ? event.text : event.kind))
      // A line that lacks nothing but its newline is kept.
      const kept = length === after.length - 1 ? ['torn'] : []
      expect(texts, `${length} bytes`).toEqual(['opened', 'whole', ...kept, 'journal.cut', 'later'])
      mended.close()
      expect(auditLines(readFileSync(path), undefined).problems).toEqual([])
    }
  })

  it('does not go on from what was changed', async () => {
    const { path, journal, again } = await open()
    journal.change(() => [note('the disk was full'), note('more')])
    writeFileSync(path, readFileSync(path, 'utf8').replace('full', 'fine'))
    const message = expect.stringContaining('demo-1.jsonl:2') as string
    expect(() => again().incident()).toThrow(expect.objectContaining({ code: 'DATA_MISMATCH', message }))
  })

  it('keeps secrets out', async () => {
    const { path, journal } = await open()
    const evidence = [{ of: 'run', output: 'PGPASSWORD=hunter2secret psql' }] as const
    journal.change(() => [
      note('the log says password=hunter2secret'),
      { kind: 'step.refused', step: 'a', because: 'Authorization: Bearer abcdef123456', evidence },
    ])
    expect(readFileSync(path, 'utf8')).not.toMatch(/hunter2secret|abcdef123456/)
  })
})

import { chmodSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { DatabaseSync } from 'node:sqlite'
import { join } from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import { createManualClock } from '../../scripts/lib/core/clock.ts'
import { Secret } from '../../scripts/lib/core/secret.ts'
import {
  defaultStateDir,
  openJournal,
  openJournalOrMemory,
  openMemoryJournal,
  type EventQuery,
  type MemoryJournalOptions,
} from '../../scripts/lib/journal/index.ts'
import { tempDir } from '../support/temp.ts'

const START = Date.UTC(2026, 0, 1)
const DAY_MS = 86_400_000

function memory(options: MemoryJournalOptions = {}) {
  const journal = openMemoryJournal({ actor: 'root@web-1', runId: 'run-1', ...options })
  onTestFinished(() => journal.close())
  return journal
}

describe('events', () => {
  it('come back with who, when, where, what and the outcome', () => {
    const journal = memory({ clock: createManualClock(START) })
    const event = {
      kind: 'step.applied',
      action: 'upstream.disable',
      host: 'web-1',
      result: 'ok',
      message: 'Comment out server 192.0.2.10',
      details: { lines: 3 },
    } as const
    journal.record(event)
    expect(journal.events()).toEqual([{ ...event, id: 1, at: START, actor: 'root@web-1', runId: 'run-1' }])
  })

  it('leave out what was not said', () => {
    const journal = memory()
    journal.record({ kind: 'note', message: 'bare' })
    expect(Object.keys(journal.events()[0] ?? {}).sort()).toEqual(['actor', 'at', 'id', 'kind', 'message', 'runId'])
  })

  it.each<[string, EventQuery, string[]]>([
    ['all, newest first', {}, ['5', '4', '3', '2', '1']],
    ['oldest first', { order: 'oldest' }, ['1', '2', '3', '4', '5']],
    ['of one kind', { kind: 'plan.started' }, ['1']],
    ['of a family of kinds', { kind: 'step' }, ['4', '3', '2']],
    ['of one action', { action: 'a.b' }, ['2', '1']],
    ['of one host', { host: 'web-2' }, ['4', '3']],
    ['of one host and kind', { host: 'web-2', kind: 'step.undone' }, ['4']],
    ['since a time', { since: START + 2_000 }, ['5', '4', '3']],
    ['after an id', { afterId: 3, order: 'oldest' }, ['4', '5']],
    ['at most so many', { limit: 2 }, ['5', '4']],
    ['none', { limit: 0 }, []],
    ['of a run that never was', { runId: 'other' }, []],
  ])('are found: %s', async (_title, query, messages) => {
    const clock = createManualClock(START)
    const journal = memory({ clock })
    const events = [
      { kind: 'plan.started', action: 'a.b' },
      { kind: 'step.applied', action: 'a.b' },
      { kind: 'step.applied', host: 'web-2' },
      { kind: 'step.undone', host: 'web-2' },
      { kind: 'stepping-stone' },
    ]
    for (const [index, event] of events.entries()) {
      journal.record({ ...event, message: String(index + 1) })
      await clock.advance(1_000)
    }
    expect(journal.events(query).map((event) => event.message)).toEqual(messages)
  })

  it('are redacted, message and details, before they are stored', async () => {
    const dir = await tempDir()
    const redact = (value: unknown): unknown =>
      JSON.parse(JSON.stringify(value).replaceAll('hunter2', '[REDACTED]')) as unknown
    const journal = openJournal({ dir, redact })
    const details = { env: 'PW=hunter2', secret: new Secret('hunter3', 'env:PW'), list: ['hunter2'] }
    journal.record({ kind: 'test', message: 'used hunter2', details })
    expect(journal.events()[0]).toMatchObject({
      message: 'used [REDACTED]',
      details: { env: 'PW=[REDACTED]', secret: '[REDACTED]', list: ['[REDACTED]'] },
    })
    journal.close()
    expect(readFileSync(join(dir, 'journal.db'), 'latin1')).not.toContain('hunter')
  })

  const circular: Record<string, unknown> = {}
  circular['self'] = circular
  it.each<[string, Record<string, unknown>, unknown]>([
    ['a BigInt', { count: 12n }, { count: '12' }],
    ['an error', { error: new Error('broken pipe') }, { error: 'broken pipe' }],
    ['undefined', { nothing: undefined }, {}],
    ['itself', circular, { unreadable: 'Converting circular structure to JSON' }],
    ['too much', { log: 'x'.repeat(100_000) }, { chars: 100_010 }],
  ])('are written even when the details hold %s', (_title, details, stored) => {
    const journal = memory()
    journal.record({ kind: 'test', message: 'odd', details })
    expect(journal.events()[0]?.details).toMatchObject(stored as object)
  })

  it('keep their message on one printable, bounded line', () => {
    const journal = memory()
    journal.record({ kind: 'test', message: `one\ntwo \u001b[31m${'x'.repeat(5_000)}` })
    const message = journal.events()[0]?.message ?? ''
    expect(message.startsWith('one two \\x1b[31mxxx')).toBe(true)
    expect(message.length).toBe(2_000)
  })
})

describe('history', () => {
  const retention = { maxAgeMs: 30 * DAY_MS, maxEvents: 100, minEvents: 10 }

  it('keeps no more events than the limit, the newest', () => {
    const journal = memory({ retention })
    for (let index = 1; index <= 250; index += 1) journal.record({ kind: 'test', message: `${index}` })
    const messages = journal.events({ limit: 1_000 }).map((event) => Number(event.message))
    expect(messages).toHaveLength(100)
    expect(messages.at(-1)).toBe(151)
  })

  it('drops what is too old, a few with each new event, and keeps a minimum whatever the clock says', async () => {
    const clock = createManualClock(START)
    const journal = memory({ retention, clock })
    for (let index = 1; index <= 80; index += 1) journal.record({ kind: 'old', message: `${index}` })
    clock.step(100 * 365 * DAY_MS)
    journal.record({ kind: 'new', message: 'after the jump' })
    expect(journal.events({ limit: 1_000 })).toHaveLength(81 - 50)
    journal.record({ kind: 'new', message: 'again' })
    expect(journal.events({ limit: 1_000 })).toHaveLength(10)
  })

  it('never gives an id twice, even when the newest event was the only one', async () => {
    const dir = await tempDir()
    const first = openJournal({ dir, retention: { maxAgeMs: 0, maxEvents: 0, minEvents: 0 } })
    first.record({ kind: 'test', message: 'gone at once' })
    expect(first.events()).toEqual([])
    first.close()
    const second = openJournal({ dir })
    second.record({ kind: 'test', message: 'kept' })
    expect(second.events()[0]?.id).toBe(2)
    second.close()
  })
})

describe('transactions', () => {
  it('keep events, state and rows of other rooms together, or none of them', () => {
    const journal = memory()
    journal.migrate('notify', ['CREATE TABLE notify_outbox (id INTEGER PRIMARY KEY, body TEXT) STRICT'])
    const enqueue = (fail: boolean) =>
      journal.transaction(() => {
        journal.record({ kind: 'alert.raised', message: 'db-1 is down' })
        journal.setState('alert', { open: true })
        journal.sql.run('INSERT INTO notify_outbox (body) VALUES (?)', 'db-1 is down')
        if (fail) throw new Error('changed my mind')
        return 'kept'
      })
    expect(() => enqueue(true)).toThrow('changed my mind')
    expect(journal.events()).toEqual([])
    expect(journal.getState('alert')).toBeUndefined()
    expect(journal.sql.all('SELECT * FROM notify_outbox')).toEqual([])
    expect(enqueue(false)).toBe('kept')
    expect(journal.sql.get('SELECT body FROM notify_outbox')).toEqual({ body: 'db-1 is down' })
  })

  it('nest: an inner failure undoes only the inner part', () => {
    const journal = memory()
    journal.transaction(() => {
      journal.record({ kind: 'outer', message: 'stays' })
      const inner = () =>
        journal.transaction(() => {
          journal.record({ kind: 'inner', message: 'goes' })
          throw new Error('inner')
        })
      expect(inner).toThrow('inner')
    })
    expect(journal.events().map((event) => event.kind)).toEqual(['outer'])
  })

  it('cannot wait', () => {
    const journal = memory()
    const wait = () => journal.transaction(async () => journal.record({ kind: 'test', message: 'later' }))
    expect(wait).toThrow('cannot wait')
    expect(journal.events()).toEqual([])
  })
})

describe('state', () => {
  it('gives back what was set last, and forgets what is set to undefined', () => {
    const journal = memory()
    expect(journal.getState('baseline')).toBeUndefined()
    journal.setState('baseline', { findings: [1, 2] })
    journal.setState('baseline', { findings: [] })
    expect(journal.getState('baseline')).toEqual({ findings: [] })
    journal.setState('baseline', undefined)
    expect(journal.getState('baseline')).toBeUndefined()
  })

  it('refuses a value that is out of bounds', () => {
    expect(() => memory().setState('big', 'x'.repeat(5_000_000))).toThrow('too large')
  })
})

describe('schema', () => {
  it('runs each migration of a room once, in order', () => {
    const journal = memory()
    const first = 'CREATE TABLE room_log (id INTEGER PRIMARY KEY) STRICT; INSERT INTO room_log VALUES (1)'
    journal.migrate('room', [first])
    journal.migrate('room', [first, 'INSERT INTO room_log VALUES (2)'])
    journal.migrate('room', [first, 'INSERT INTO room_log VALUES (2)'])
    expect(journal.sql.all('SELECT id FROM room_log')).toEqual([{ id: 1 }, { id: 2 }])
  })

  it('leaves nothing of a migration that fails, and names it', () => {
    const journal = memory()
    expect(() => journal.migrate('room', ['CREATE TABLE room_a (id INTEGER)', 'CREATE nonsense'])).toThrow(
      'Migration 2 of room failed, nothing was changed',
    )
    expect(journal.sql.all("SELECT name FROM sqlite_master WHERE name LIKE 'room_a'")).toEqual([])
  })

  it('refuses a room, and a journal, that a newer opskit has written', async () => {
    const dir = await tempDir()
    const journal = openJournal({ dir })
    journal.migrate('room', ['SELECT 1', 'SELECT 2'])
    expect(() => journal.migrate('room', ['SELECT 1'])).toThrow(
      expect.objectContaining({ code: 'CANNOT_WRITE', message: expect.stringContaining('newer opskit') as string }),
    )
    journal.close()
    const raw = new DatabaseSync(join(dir, 'journal.db'))
    raw.exec('PRAGMA user_version = 99')
    raw.close()
    expect(() => openJournal({ dir })).toThrow('its journal tables are version 99')
  })
})

describe('opening', () => {
  it('creates a directory and files that only their owner can read', async () => {
    const dir = join(await tempDir(), 'state', 'opskit')
    const journal = openJournal({ dir })
    journal.record({ kind: 'test', message: 'private' })
    const mode = (path: string) => (statSync(path).mode & 0o777).toString(8)
    expect(mode(dir)).toBe('700')
    for (const name of ['journal.db', 'journal.db-wal', 'journal.db-shm']) expect(mode(join(dir, name))).toBe('600')
    journal.close()
  })

  it.each<[string, (dir: string) => void, string]>([
    ['a file that is no database', (dir) => writeFileSync(join(dir, 'journal.db'), 'x'.repeat(8_192)), 'DATA_MISMATCH'],
    ['a directory in place of the file', (dir) => mkdirSync(join(dir, 'journal.db')), 'CANNOT_WRITE'],
    ['a database that is another program’s', (dir) => writeForeign(dir), 'FAILED'],
  ])('says what is wrong with %s, and leaves it as it was', async (_title, prepare, code) => {
    const dir = await tempDir()
    prepare(dir)
    const before = statSync(join(dir, 'journal.db'))
    expect(() => openJournal({ dir })).toThrow(expect.objectContaining({ code }))
    expect(statSync(join(dir, 'journal.db')).ino).toBe(before.ino)
    expect(statSync(join(dir, 'journal.db')).size).toBe(before.size)
  })

  it('tells how to keep a damaged journal aside', async () => {
    const dir = await tempDir()
    writeFileSync(join(dir, 'journal.db'), 'x'.repeat(8_192))
    const { problem } = openJournalOrMemory({ dir })
    expect(problem?.message).toContain(`The journal ${dir}/journal.db is damaged`)
    expect(problem?.details.hint).toContain(`mv ${dir}/journal.db* ${dir}/damaged/`)
  })

  it('finds damage inside a journal that opened well', async () => {
    const dir = await tempDir()
    const path = join(dir, 'journal.db')
    const journal = openJournal({ dir })
    journal.transaction(() => {
      for (let index = 0; index < 200; index += 1) journal.record({ kind: 'test', message: 'x'.repeat(500) })
    })
    journal.close()
    const bytes = readFileSync(path)
    writeFileSync(path, bytes.fill(0x41, 4_096 * 14))
    const damaged = openJournal({ dir })
    expect(() => damaged.events({ limit: 1_000 })).toThrow(expect.objectContaining({ code: 'DATA_MISMATCH' }))
    damaged.close()
  })

  it('lets a command that only looks go on in memory', async () => {
    const dir = join(await tempDir(), 'file')
    writeFileSync(dir, '')
    chmodSync(dir, 0o600)
    const { journal, problem } = openJournalOrMemory({ dir, runId: 'look' })
    expect(problem?.code).toBe('CANNOT_WRITE')
    expect(journal).toMatchObject({ durable: false, place: 'memory', runId: 'look' })
    journal.record({ kind: 'diagnose.finished', message: 'still works' })
    expect(journal.events()).toHaveLength(1)
    journal.close()
  })

  it('names runs so that they sort by time', () => {
    const journal = openMemoryJournal({ clock: createManualClock(START) })
    expect(journal.runId).toMatch(/^20260101T000000-[0-9a-f]{6}$/)
    journal.close()
    journal.close()
  })
})

describe('the state directory', () => {
  it.each<[string, NodeJS.ProcessEnv, number, string]>([
    ['of root', { HOME: '/root', XDG_STATE_HOME: '/root/state' }, 0, '/var/lib/opskit'],
    ['of a user with XDG_STATE_HOME', { HOME: '/home/ann', XDG_STATE_HOME: '/data' }, 1000, '/data/opskit'],
    ['of a user', { HOME: '/home/ann' }, 1000, '/home/ann/.local/state/opskit'],
    ['of a user with a relative XDG_STATE_HOME', { HOME: '/h', XDG_STATE_HOME: 's' }, 1000, '/h/.local/state/opskit'],
  ])('%s', (_title, env, uid, dir) => {
    expect(defaultStateDir(env, uid)).toBe(dir)
  })
})

function writeForeign(dir: string): void {
  const db = new DatabaseSync(join(dir, 'journal.db'))
  db.exec('CREATE TABLE events (something_else TEXT); PRAGMA journal_mode = WAL')
  db.close()
}

/**
 * A second process for the journal's tests: `child.ts MODE DIR [ARGUMENT]`. It prints one line when it has done what
 * its mode says; modes that hold something then stay until they are killed.
 */
import { rmSync } from 'node:fs'
import { openJournal } from '../../scripts/lib/journal/index.ts'
import { isOpsError } from '../../scripts/lib/core/errors.ts'

const [mode, dir = '', argument = '', ttlMs = '60000'] = process.argv.slice(2)
const say = (line: string) => process.stdout.write(`${line}\n`)
const stay = () => setInterval(() => undefined, 60_000)
/** Two of these in a row would collide: a migration that is only safe once. */
const MIGRATIONS = Array.from(
  { length: 20 },
  (_, index) => `CREATE TABLE room_${index} (id INTEGER PRIMARY KEY) STRICT`,
)

if (mode === 'write') {
  const journal = openJournal({ dir })
  for (let index = 0; index < Number(argument); index += 1) journal.record({ kind: 'test', message: `${index}` })
  journal.close()
  say('done')
}

if (mode === 'hold') {
  const journal = openJournal({ dir })
  const lease = journal.acquire({ name: argument, reason: 'a test holds it', ttlMs: Number(ttlMs) })
  lease.lost.addEventListener('abort', () => say(`lost ${codeOf(lease.lost.reason)}`))
  say(`holds ${lease.fencingToken}`)
  stay()
}

if (mode === 'race') {
  const journal = openJournal({ dir })
  say('ready')
  process.stdin.once('data', () => {
    try {
      say(`won ${journal.acquire({ name: argument, reason: 'a race' }).fencingToken}`)
    } catch (error) {
      say(`lost ${codeOf(error)}`)
    }
  })
  stay()
}

if (mode === 'hang-in-transaction') {
  const journal = openJournal({ dir })
  journal.transaction(() => {
    for (let index = 0; index < 500; index += 1) journal.record({ kind: 'half', message: 'x'.repeat(1_000) })
    process.stdout.write('inside\n')
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 60_000)
  })
}

if (mode === 'migrate') {
  const journal = openJournal({ dir })
  journal.migrate('room', MIGRATIONS)
  journal.close()
  say('done')
}

if (mode === 'open') {
  try {
    openJournal({ dir }).close()
    say('opened')
  } catch (error) {
    say(codeOf(error))
  }
}

/** Writes until the file system is full, says what happened, makes room, and writes and reads again. */
if (mode === 'fill') {
  const journal = openJournal({ dir })
  const fill = () => {
    for (;;) journal.record({ kind: 'test', message: 'x'.repeat(1_500) })
  }
  try {
    fill()
  } catch (error) {
    say(codeOf(error))
  }
  const whileFull = openJournal({ dir })
  say(`reads ${whileFull.events({ limit: 3 }).length}`)
  whileFull.close()
  rmSync(argument)
  journal.record({ kind: 'test', message: 'after' })
  say(`${journal.events()[0]?.message} ${String(journal.sql.get('PRAGMA integrity_check')?.['integrity_check'])}`)
  journal.close()
}

function codeOf(error: unknown): string {
  return isOpsError(error) ? error.code : String(error)
}

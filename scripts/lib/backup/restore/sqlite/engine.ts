/**
 * Restoring a SQLite file: unpacked beside the live one, checked by SQLite itself, compared, then put in its place by one
 * rename. A write-ahead log that lay beside the old file would be replayed into the new one, so it goes aside first.
 */
import { dirname } from 'node:path'
import type { DatabaseSync } from 'node:sqlite'
import { pathToFileURL } from 'node:url'
import { messageOf, OpsError } from '../../../core/errors.ts'
import { formatSize } from '../../../core/duration.ts'
import { readSqliteFacts } from '../../database/sqlite/facts.ts'
import { hasFailed, said } from '../../pipeline/failure.ts'
import { runTool, type Place } from '../../pipeline/place.ts'
import type { DatabaseFacts } from '../../types.ts'
import { dataFilePath, feed } from '../decode.ts'
import type { EngineOptions, KeptFacts, Replacement, RestoreEngine, RestoreSource } from '../engine.ts'

export interface SqliteEngineOptions extends EngineOptions {
  readonly place: Place
}

/** Names of databases are files here: `target` is the live one, `scratch` and `aside` lie beside it. */
export function openSqliteEngine({ place, signal, host }: SqliteEngineOptions): RestoreEngine {
  const isLocal = host.kind === 'local'
  return {
    notInScratch: [],
    async preflight(source, { target, tables }) {
      if (tables) {
        throw new OpsError('USAGE', 'single tables of a SQLite file cannot be restored', {
          hint: 'Restore the file elsewhere with --to /path, and ATTACH it.',
        })
      }
      const { existed, free } = await look(place, target)
      const needed = dumpOf(source).plainBytes
      if (needed !== undefined && free !== undefined && free < needed) {
        throw new OpsError(
          'CANNOT_WRITE',
          `${dirname(target)} on ${place.host} has ${formatSize(free)} free, the file takes ${formatSize(needed)}`,
        )
      }
      return {
        existed,
        version: `sqlite at ${target}`,
        notes: existed ? ['stop what writes to the file: it keeps its own open file until then'] : [],
      }
    },
    async load(source, replacement, progress) {
      const { scratch, target } = replacement
      const file = dumpOf(source)
      progress.update(0, file.plainBytes ?? 0, `unpacking ${target}`)
      await unpackTo(place, { source, path: scratch, like: target, isLocal, signal })
      return replacement
    },
    prepare: async (replacement) => replacement,
    readFacts: (database, like) => (isLocal ? readChecked(database, like) : readFar(place, database, like)),
    apply: (replacement) => run(place, replacement.kept ? BRING : FORWARD, replacement),
    async undo(replacement, swapped) {
      if (!replacement.kept) await run(place, swapped ? BACK : DROP, replacement)
      else if (swapped) await run(place, UNBRING, replacement)
    },
    readKept: ({ aside }) => readKeptFile(place, aside, isLocal),
    finish: async () => [],
    discard: (replacement) => run(place, DISCARD, replacement),
    ask: (database, sql) => (isLocal ? askHere(database, sql) : askFar(place, database, sql)),
    // Whoever writes the file says itself that the disk is full.
    freeBytes: async () => undefined,
    close: async () => undefined,
  }
}

function dumpOf({ files, entry }: RestoreSource) {
  const file = files.find(({ role }) => role === 'dump')
  if (!file) throw new OpsError('DATA_MISMATCH', `${entry.id} holds no SQLite file`)
  return file
}

/** Where SQLite keeps what is not yet in the file; of the same name with these ends (sqlite.org/tempfiles.html). */
const COMMON = `T=$1 S=$2 A=$3
there() { [ -e "$1" ] || [ -L "$1" ]; }
out() { if there "$1" && ! there "$2"; then mv -T -- "$1" "$2"; fi; }`
const FORWARD = `${COMMON}
there "$S" || exit 0
for e in -wal -shm -journal; do out "$T$e" "$A$e"; done
if there "$T" && ! there "$A"; then ln -- "$T" "$A" 2>/dev/null || cp -af -- "$T" "$A"; fi
sync -- "$S" 2>/dev/null || sync
mv -f -T -- "$S" "$T"`
const BACK = `${COMMON}
if there "$A"; then
  for e in -wal -shm -journal; do rm -f -- "$T$e"; done
  mv -f -T -- "$A" "$T"
  for e in -wal -shm -journal; do out "$A$e" "$T$e"; done
elif ! there "$S"; then rm -f -- "$T"; fi
rm -f -- "$S"`
/** A kept file has its own log beside it. */
const BRING = `${COMMON}
if there "$S"; then
  for e in -wal -shm -journal; do out "$T$e" "$A$e"; done
  if there "$T" && ! there "$A"; then ln -- "$T" "$A" 2>/dev/null || cp -af -- "$T" "$A"; fi
  mv -f -T -- "$S" "$T"
fi
for e in -wal -shm -journal; do out "$S$e" "$T$e"; done`
const UNBRING = `${COMMON}
if there "$S" && there "$T"; then rm -f -- "$A"
elif there "$A"; then
  there "$S" || { for e in -wal -shm -journal; do out "$T$e" "$S$e"; done; mv -T -- "$T" "$S"; }
  mv -f -T -- "$A" "$T"
fi
for e in -wal -shm -journal; do out "$A$e" "$T$e"; done`
const DROP = `rm -f -- "$2"`
const DISCARD = `for e in '' -wal -shm -journal; do rm -f -- "$3$e"; done`

async function run(place: Place, script: string, { target, scratch, aside }: Replacement): Promise<void> {
  const end = await runTool(place, { argv: ['sh', '-euc', script, 'opskit', target, scratch, aside] })
  if (end.error) throw end.error
  if (hasFailed(end))
    throw new OpsError('FAILED', `replacing ${target} on ${place.host} failed${said(end.stderr, place.redact)}`)
}

async function look(place: Place, target: string): Promise<{ existed: boolean; free: number | undefined }> {
  const script = 'd=$(dirname "$1"); [ -d "$d" ] || exit 66; [ -e "$1" ] && echo there; df -Pk "$d" | tail -n 1'
  const end = await runTool(place, { argv: ['sh', '-c', script, 'opskit', target] })
  if (end.code === 66) throw new OpsError('FAILED', `${dirname(target)} is not a directory on ${place.host}`)
  const free = Number(end.stdout.trim().split('\n').at(-1)?.split(/\s+/)[3]) * 1024
  return { existed: end.stdout.startsWith('there\n'), free: Number.isFinite(free) ? free : undefined }
}

async function readKeptFile(place: Place, path: string, isLocal: boolean): Promise<KeptFacts | undefined> {
  const end = await runTool(place, { argv: ['stat', '-c', '%s', '--', path] })
  if (hasFailed(end)) return undefined
  const names = isLocal ? await readTables(path) : []
  return { sizeBytes: Number(end.stdout.trim()), tables: names }
}

async function readTables(path: string): Promise<string[]> {
  const database = await openStill(path)
  try {
    const rows = database
      .prepare("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'")
      .all()
    return rows.map(({ name }) => String(name)).sort()
  } finally {
    database.close()
  }
}

interface Unpack {
  readonly source: RestoreSource
  readonly path: string
  /** Whose owner and mode the new file takes, when it is there. */
  readonly like: string
  readonly isLocal: boolean
  readonly signal: AbortSignal
}

async function unpackTo(place: Place, { source, path, like, isLocal, signal }: Unpack): Promise<void> {
  const script = `umask 077; cat > "$1" || exit 73
if [ -e "$2" ]; then chown --reference="$2" -- "$1" 2>/dev/null || chown "$(stat -c %u:%g -- "$2")" "$1"; chmod "$(stat -c %a -- "$2")" "$1"; fi`
  const tool = await place.start({ argv: ['sh', '-c', script, 'opskit', path, like], wantsInput: true })
  tool.output?.resume()
  const from = dataFilePath(source.entry, dumpOf(source))
  const fed = feed(from, { into: tool.input, isPipe: isLocal, identity: source.identity, signal })
  fed.catch(tool.kill)
  const end = await tool.ended
  await fed
  if (hasFailed(end))
    throw new OpsError('CANNOT_WRITE', `cannot write ${path} on ${place.host}${said(end.stderr, place.redact)}`)
}

/** @throws OpsError DATA_MISMATCH when SQLite itself finds it damaged */
async function readChecked(path: string, like: DatabaseFacts): Promise<DatabaseFacts> {
  try {
    const rows = like.tables.some((table) => table.rows !== undefined)
    const fingerprints = like.tables.some((table) => table.fingerprint !== undefined)
    const database = await openStill(path)
    try {
      const found = database
        .prepare('PRAGMA integrity_check(5)')
        .all()
        .map((row) => String(Object.values(row)[0]))
      if (found[0] !== 'ok') throw new OpsError('DATA_MISMATCH', `${path} is damaged: ${found.join('; ')}`)
    } finally {
      database.close()
    }
    return await readSqliteFacts(path, { name: like.name, rows, fingerprints })
  } catch (error) {
    if (error instanceof OpsError) throw error
    throw new OpsError('DATA_MISMATCH', `${path} is no whole SQLite database: ${messageOf(error)}`, { cause: error })
  }
}

/** As a file that does not change, so that no log is made beside it. */
async function openStill(path: string): Promise<DatabaseSync> {
  const sqlite = await import('node:sqlite')
  const url = pathToFileURL(path)
  url.searchParams.set('immutable', '1')
  return new sqlite.DatabaseSync(url, { readOnly: true })
}

/** Over there, what `sqlite3` says; rows by its own count. */
async function readFar(place: Place, path: string, like: DatabaseFacts): Promise<DatabaseFacts> {
  const integrity = await askFar(place, path, 'PRAGMA integrity_check(5)')
  if (integrity !== 'ok') throw new OpsError('DATA_MISMATCH', `${path} on ${place.host} is damaged: ${integrity ?? ''}`)
  const tables = []
  for (const table of like.tables) {
    const count = await askFar(place, path, `SELECT count(*) FROM "${table.name.replaceAll('"', '""')}"`)
    tables.push({ name: table.name, ...(count === undefined ? {} : { rows: Number(count) }) })
  }
  return { ...like, tables }
}

async function askHere(path: string, sql: string): Promise<string | undefined> {
  const database = await openStill(path)
  try {
    const row = database.prepare(sql).get()
    const value = row && Object.values(row)[0]
    return value === undefined || value === null ? undefined : String(value)
  } catch (error) {
    throw new OpsError('FAILED', messageOf(error))
  } finally {
    database.close()
  }
}

async function askFar(place: Place, path: string, sql: string): Promise<string | undefined> {
  const end = await runTool(place, { argv: ['sqlite3', '-bail', '-readonly', path, sql] })
  if (hasFailed(end)) throw new OpsError('FAILED', `sqlite3 on ${place.host} refuses${said(end.stderr, place.redact)}`)
  return end.stdout.split('\n')[0]?.split('|')[0]
}

/**
 * A backup of a SQLite file while programs write to it, by SQLite's online backup API (https://sqlite.org/backup.html): a
 * plain copy of the file could be torn. The API needs a file to copy into: it lies in a private directory while it is
 * compressed, beside the backup, or under the temp directory when the backup is encrypted (its disk must see no plain
 * text). Far away, `sqlite3 .backup` does the same there.
 */
import { mkdtemp, open, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { OpsError, messageOf, systemCode } from '../../../core/errors.ts'
import { cannotWrite, hasFailed, stageError } from '../../pipeline/failure.ts'
import { startProcess, release } from '../../pipeline/process.ts'
import type { DatabaseFacts, SourceResult } from '../../types.ts'
import { fileStem, type FamilyRun } from '../request.ts'
import { backUpFarSqlite } from './far.ts'
import { readSqliteFacts } from './facts.ts'

export async function backUpSqlite(run: FamilyRun): Promise<SourceResult> {
  const { source, host } = run
  if (source.file === undefined) {
    throw new OpsError('CONFIG_INVALID', `the SQLite source ${run.name} names no file`, {
      hint: 'Add `file: /path/to/database` to it.',
    })
  }
  return host.kind === 'local' ? backUpHere(run, source.file) : backUpFarSqlite(run, source.file)
}

async function backUpHere(run: FamilyRun, path: string): Promise<SourceResult> {
  const { source, settings, name } = run
  const found = await stat(path).catch(() => undefined)
  if (!found?.isFile()) {
    throw new OpsError('FAILED', `${path} is ${found ? 'not a file' : 'not there'}`, {
      hint: `Check \`file\` of the source ${name}.`,
    })
  }
  const encrypted = (settings.recipients ?? []).length > 0
  const dir = await mkdtemp(join(encrypted ? tmpdir() : run.staging.path, '.sqlite-'))
  try {
    const copy = join(dir, 'copy')
    await run.atSnapshot?.()
    const version = await copyOnline(path, copy, run.signal)
    const facts = await readCopy(copy, path, { name, rows: source.row_counts, fingerprints: source.fingerprints })
    await compress(run, copy)
    return {
      files: run.files.done,
      server: { family: 'sqlite', version },
      tools: { sqlite: version },
      databases: [facts],
      warnings: [],
    }
  } finally {
    await rm(dir, { recursive: true, force: true })
  }
}

/** Pages copied between two looks at the signal. */
const PAGES_A_STEP = 2_000

/** @returns SQLite's version */
async function copyOnline(path: string, copy: string, signal: AbortSignal): Promise<string> {
  const { DatabaseSync, backup } = await import('node:sqlite')
  try {
    const database = new DatabaseSync(path, { readOnly: true, timeout: 30_000 })
    try {
      const version = String(database.prepare('SELECT sqlite_version() AS v').get()?.['v'])
      await backup(database, copy, { rate: PAGES_A_STEP, progress: () => signal.throwIfAborted() })
      return version
    } finally {
      database.close()
    }
  } catch (error) {
    signal.throwIfAborted()
    throw sqliteError(error, path)
  }
}

async function readCopy(
  copy: string,
  path: string,
  options: Parameters<typeof readSqliteFacts>[1],
): Promise<DatabaseFacts> {
  try {
    return await readSqliteFacts(copy, options)
  } catch (error) {
    throw sqliteError(error, path)
  }
}

/** Primary result codes of https://sqlite.org/rescode.html. */
const SQLITE_CODES: Readonly<Record<number, readonly [OpsError['code'], string]>> = {
  5: ['LOCKED', 'is locked by another program'],
  6: ['LOCKED', 'is locked'],
  11: ['DATA_MISMATCH', 'is damaged (malformed)'],
  13: ['CANNOT_WRITE', 'could not be copied: no space is left'],
  14: ['NOT_PERMITTED', 'cannot be opened'],
  23: ['NOT_PERMITTED', 'may not be read'],
  26: ['DATA_MISMATCH', 'is no SQLite database'],
}

function sqliteError(error: unknown, path: string): OpsError {
  if (systemCode(error) === 'ENOSPC') return cannotWrite(path, error)
  const number = typeof error === 'object' && error !== null && 'errcode' in error ? Number(error.errcode) & 0xff : 0
  const [code, what] = SQLITE_CODES[number] ?? ['FAILED', `could not be backed up: ${messageOf(error)}`]
  return new OpsError(code, `${path} ${what}`, { cause: error, transient: code === 'LOCKED' })
}

async function compress(run: FamilyRun, copy: string): Promise<void> {
  const sink = await run.files.open({ stem: `${fileStem(run.name)}.sqlite`, role: 'dump', database: run.name })
  await using file = await open(copy, 'r')
  const { size } = await file.stat()
  const input = sink.input()
  const cat = startProcess({ argv: ['cat'], stdin: file.fd, stdout: input })
  release(input)
  const end = await cat.ended
  if (hasFailed(end)) throw (await sink.failure()) ?? stageError(end, run.place.host, run.place.redact)
  await run.files.finish(sink, size)
}

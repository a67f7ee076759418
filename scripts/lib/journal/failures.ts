/**
 * What SQLite and the file system say when the journal cannot be used, in the words an operator reads.
 * Codes: sqlite.org/rescode.html; the low byte of an extended code is its family.
 */
import { dirname } from 'node:path'
import { messageOf, OpsError, systemCode } from '../core/errors.ts'

const SQLITE = {
  PERM: 3,
  BUSY: 5,
  LOCKED: 6,
  READONLY: 8,
  IOERR: 10,
  CORRUPT: 11,
  FULL: 13,
  CANTOPEN: 14,
  NOTADB: 26,
} as const

/** The result code family of an SQLite error, or undefined for anything else. */
export function sqliteCode(error: unknown): number | undefined {
  if (systemCode(error) !== 'ERR_SQLITE_ERROR' || !(error instanceof Error) || !('errcode' in error)) return undefined
  return Number(error.errcode) & 0xff
}

/** True when another connection holds the lock that was needed. */
export function isBusy(error: unknown): boolean {
  return sqliteCode(error) === SQLITE.BUSY
}

/** An OpsError for what the machine did to us; anything else (a wrong statement) as it is. */
export function sqliteError(error: unknown, path: string): unknown {
  const make = (code: OpsError['code'], message: string, hint: string, transient = false) =>
    new OpsError(code, `${message} (${messageOf(error)})`, { hint, transient, place: path, cause: error })

  switch (sqliteCode(error)) {
    case SQLITE.BUSY:
    case SQLITE.LOCKED:
      return make(
        'LOCKED',
        `The journal ${path} is busy: another process has held its write lock for too long`,
        `Try again; if it stays, look for a stopped process that has the file open: fuser -v ${path}`,
        true,
      )
    case SQLITE.CORRUPT:
    case SQLITE.NOTADB:
      return make('DATA_MISMATCH', `The journal ${path} is damaged`, keepAsideHint(path))
    case SQLITE.PERM:
      return make('NOT_PERMITTED', `The journal ${path} may not be used`, permissionHint(path))
    case SQLITE.FULL:
      return make('CANNOT_WRITE', `The journal ${path} cannot be written: the disk is full`, fullHint(path))
    case SQLITE.READONLY:
    case SQLITE.IOERR:
    case SQLITE.CANTOPEN:
      return make('CANNOT_WRITE', `The journal ${path} cannot be written`, placeHint(path))
    default:
      return error
  }
}

/** An OpsError for a directory or file that could not be created. */
export function openingError(error: unknown, path: string): OpsError {
  const details = { place: path, cause: error }
  const code = systemCode(error)
  if (code === 'EACCES' || code === 'EPERM') {
    const hint = permissionHint(path)
    return new OpsError('NOT_PERMITTED', `The journal ${path} may not be opened by this user`, { ...details, hint })
  }
  const hint = code === 'ENOSPC' || code === 'EDQUOT' ? fullHint(path) : placeHint(path)
  return new OpsError('CANNOT_WRITE', `The journal ${path} cannot be created: ${messageOf(error)}`, {
    ...details,
    hint,
  })
}

/** For a database that a newer opskit has already changed. */
export function newerSchemaError(path: string, room: string, versions: { found: number; known: number }): OpsError {
  return new OpsError(
    'CANNOT_WRITE',
    `The journal ${path} was written by a newer opskit: its ${room} tables are version ${versions.found}, this opskit knows ${versions.known}`,
    { hint: 'Use the newer opskit on this machine, or give this one a state.dir of its own.', place: path },
  )
}

function keepAsideHint(path: string): string {
  const aside = `${dirname(path)}/damaged`
  return `Stop opskit's services, then keep it aside: mkdir ${aside} && mv ${path}* ${aside}/ . The next run starts a new one; sqlite3 ${aside}/journal.db .recover reads what is left of the old.`
}

function permissionHint(path: string): string {
  return `Run as the user who owns ${dirname(path)}, or set state.dir to a directory of your own.`
}

function fullHint(path: string): string {
  return `Make room on the file system of ${dirname(path)} (df -h ${dirname(path)}; df -i ${dirname(path)}).`
}

function placeHint(path: string): string {
  return `Look at ${dirname(path)}: is it a directory, on a local disk that is mounted read-write? Or set state.dir.`
}

/**
 * Backs up one configured database source into a staging directory: whole, or an error and nothing left.
 * Publishing, records and retention are the repository's.
 */
import { OpsError } from '../../core/errors.ts'
import { formatDuration } from '../../core/duration.ts'
import { redactText } from '../../core/redact.ts'
import { parseToolVersion } from '../pipeline/tools.ts'
import { openPlace } from '../pipeline/place.ts'
import type { SourceResult } from '../types.ts'
import { openFiles, type DatabaseBackup, type FamilyRun } from './request.ts'

/**
 * @returns files in `staging.path`, fsynced, with checksums; facts, position and warnings
 * @throws OpsError NOT_PERMITTED (login), UNREACHABLE (server gone), MISSING_TOOL (with the package), LOCKED, CANNOT_WRITE,
 *   DATA_MISMATCH (the dump is not whole), TIMEOUT, FAILED; the reason of `signal` when it is aborted
 */
export async function backUpDatabase(request: DatabaseBackup): Promise<SourceResult> {
  const { source, host, settings } = request
  const secret = source.password && (await request.resolveSecret(source.password))
  const redact = (text: string) => redactText(text, secret ? [secret] : [])
  const abort = new AbortController()
  const deadline = AbortSignal.timeout(source.timeout)
  const signal = AbortSignal.any([request.signal, abort.signal, deadline])
  const place = openPlace({ host, redact, signal, timeoutMs: source.timeout })
  const files = openFiles(request, redact)
  try {
    const run: FamilyRun = { ...request, signal, place, files, password: secret?.reveal() }
    const result = await backUpFamily(run)
    return { ...result, tools: { ...result.tools, ...(await readOwnTools(settings.recipients ?? [])) } }
  } catch (error) {
    abort.abort(error)
    await files.discard()
    request.signal.throwIfAborted()
    if (deadline.aborted) throw timedOut(request)
    throw error
  }
}

function timedOut({ name, source }: DatabaseBackup): OpsError {
  return new OpsError('TIMEOUT', `the backup of ${name} took longer than ${formatDuration(source.timeout)}`, {
    hint: 'Raise `timeout` of this source, or find out what held it up.',
  })
}

async function backUpFamily(run: FamilyRun): Promise<SourceResult> {
  switch (run.source.type) {
    case 'mariadb':
    case 'mysql':
      return (await import('./mysql/backup.ts')).backUpMysql(run)
    case 'postgresql':
      return (await import('./postgres/backup.ts')).backUpPostgres(run)
    case 'sqlite':
      return (await import('./sqlite/backup.ts')).backUpSqlite(run)
  }
}

/** Versions of what runs on this machine. */
async function readOwnTools(recipients: readonly string[]): Promise<Record<string, string>> {
  const { openLocalHost } = await import('../../host/local.ts')
  const here = openLocalHost()
  const versions: Record<string, string> = {}
  for (const program of recipients.length > 0 ? ['zstd', 'age'] : ['zstd']) {
    const { stdout } = await here.read([program, '--version'])
    versions[program] = parseToolVersion(stdout)
  }
  return versions
}

/** A backup to its targets: in use while it is read, an incremental's full backup first, the outcome recorded with it. */
import { join } from 'node:path'
import { isOpsError, messageOf, OpsError } from '../../core/errors.ts'
import { silentProgress } from '../../core/progress.ts'
import { openConfiguredRepository, type BackupContext } from '../run/stage.ts'
import { acquireUse } from '../run/in-use.ts'
import { ALERT, tellRecovered } from '../told.ts'
import type { BackupEntry } from '../types.ts'
import { copyByRestic } from './restic.ts'
import { copyBySftp } from './sftp.ts'
import { automaticTargets, isCopied, type Target } from './targets.ts'

/** One copy may take this long; a first one over a thin line does. */
const COPY_TIMEOUT_MS = 24 * 60 * 60_000

/** Tries every target. @throws OpsError with the code of the first failure, naming each target that failed */
export async function copyToAll(context: BackupContext, entry: BackupEntry, targets: readonly Target[]): Promise<void> {
  const failures: { readonly target: string; readonly error: unknown }[] = []
  for (const target of targets) {
    try {
      await copyOne(context, entry, target)
    } catch (error) {
      context.signal.throwIfAborted()
      failures.push({ target: target.name, error })
    }
  }
  const [first] = failures
  if (!first) return
  const list = failures.map(({ target, error }) => `${target}: ${messageOf(error)}`).join('; ')
  const { code, details } = isOpsError(first.error) ? first.error : new OpsError('FAILED', '')
  throw new OpsError(code, `${entry.id} is whole here, and was not copied to ${list}`, {
    ...details,
    cause: first.error,
  })
}

/** Copies, and records with the backup how it went. @throws what the engine throws */
export async function copyOne(context: BackupContext, entry: BackupEntry, target: Target): Promise<void> {
  const repository = openConfiguredRepository(context)
  const parent = entry.manifest.parent
  if (parent !== undefined) {
    const full = await repository.find(parent)
    if (!isCopied(full, target.name)) await copyOne(context, full, target)
  }
  const use = acquireUse(context.journal, entry.id, `copy to ${target.name}`)
  const note = async (ok: boolean, because: string) => {
    const at = new Date(context.clock.now()).toISOString()
    await repository.record(entry, { type: 'copied', at, target: target.name, ok, because })
    const message = `${entry.id} to ${target.name}: ${because}`
    const details = { id: entry.id, target: target.name, sizeBytes: entry.sizeBytes }
    context.journal.record({ kind: 'backup.copied', result: ok ? 'ok' : 'failed', message, details })
  }
  try {
    await note(true, await send(context, entry, target))
    const now = await repository.find(entry.id)
    if (automaticTargets(context.config).every(({ name }) => isCopied(now, name)))
      await tellRecovered(context, ALERT.copy(`${entry.kind}/${entry.name}`))
  } catch (error) {
    await note(false, context.redact(messageOf(error)))
    throw error
  } finally {
    use.release()
  }
}

async function send(context: BackupContext, entry: BackupEntry, target: Target): Promise<string> {
  const { signal, clock, redact, resolveSecret, hosts, progress = silentProgress } = context
  if (target.engine === 'restic') {
    const timeoutMs = COPY_TIMEOUT_MS
    return copyByRestic({ entry, target: target.restic, resolveSecret, redact, signal, timeoutMs, progress })
  }
  const host = await hosts.open(target.sftp.host, { signal })
  const readMe = join(openConfiguredRepository(context).path, 'README.md')
  return copyBySftp({ entry, host, path: target.sftp.path, readMe, signal, clock, progress })
}

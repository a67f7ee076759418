/** Which backup is meant: an id, a name, or `latest`. */
import { OpsError } from '../../core/errors.ts'
import type { BackupEntry, BackupKind, Repository } from '../types.ts'

/**
 * @param reference `latest`, `app`, `app/latest`, `app/20261120T020000Z`, or any of them with the kind in front
 * @throws OpsError USAGE with the nearest, or naming the candidates when `latest` could be several; DATA_MISMATCH when it,
 *   or the newest of its name, is no whole backup
 */
export async function findBackup(repository: Repository, kind: BackupKind, reference: string): Promise<BackupEntry> {
  if (reference === 'latest') return findOnly(repository, kind)
  const [first = ''] = reference.split('/')
  const isKind = first === 'database' || first === 'config' || first === 'static'
  const entry = await repository.find(isKind ? reference : `${kind}/${reference}`)
  if (entry.kind === kind) return entry
  throw new OpsError('USAGE', `${entry.id} is a backup of kind ${entry.kind}`, {
    hint: `Run: npx zx scripts/restore.ts ${entry.kind} ${entry.id}`,
  })
}

async function findOnly(repository: Repository, kind: BackupKind): Promise<BackupEntry> {
  const all = [...(await repository.list({ kind })), ...(await repository.problems())]
  const names = [...new Set(all.flatMap(({ id = '' }) => (id.startsWith(`${kind}/`) ? [id.split('/')[1] ?? ''] : [])))]
  const [name] = names
  if (name === undefined) {
    throw new OpsError('USAGE', `there is no backup of kind ${kind} in ${repository.path}`, {
      hint: 'Make one: npx zx scripts/backup.ts run',
    })
  }
  if (names.length === 1) return repository.find(`${kind}/${name}`)
  throw new OpsError('USAGE', `there are ${kind} backups of ${names.join(', ')}: say which`, {
    hint: `For example: latest of ${name} is ${kind}/${name}/latest`,
  })
}

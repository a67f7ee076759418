/** Small backups for tests: a manifest that is right, with data files of a few bytes. */
import { createHash } from 'node:crypto'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { BackupEntry, BackupKind, Manifest, Repository, Staging } from '../../scripts/lib/backup/types.ts'

export function makeManifest(staging: Pick<Staging, 'id'>, change: Partial<Manifest> = {}): Manifest {
  const [kind = '', name = ''] = staging.id.split('/')
  return {
    schema: 1,
    id: staging.id,
    kind: kind as BackupKind,
    name,
    startedAt: '2026-11-20T02:00:00.000Z',
    finishedAt: '2026-11-20T02:00:01.000Z',
    durationMs: 1_000,
    host: 'web-1',
    tools: { tar: '1.34' },
    opskit: '0.1.0',
    compression: 'zstd',
    files: [],
    status: 'ok',
    warnings: [],
    ...change,
  }
}

export interface SmallBackup {
  readonly kind?: BackupKind
  readonly name?: string
  readonly text?: string
  readonly change?: Partial<Manifest>
}

export async function stageSmall(
  repository: Repository,
  { kind = 'config', name = 'web', text = 'data' }: SmallBackup,
) {
  const staging = await repository.stage(kind, name)
  await writeFile(join(staging.path, 'files.tar.zst'), text)
  const sha256 = createHash('sha256').update(text).digest('hex')
  return { staging, files: [{ path: 'files.tar.zst', sizeBytes: Buffer.byteLength(text), sha256, role: 'tar' }] }
}

export async function publishSmall(repository: Repository, backup: SmallBackup = {}): Promise<BackupEntry> {
  const { staging, files } = await stageSmall(repository, backup)
  return staging.publish(makeManifest(staging, { files, ...backup.change }))
}

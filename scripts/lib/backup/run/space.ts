/** Whether a backup has room, judged by the last one of its kind before anything starts. */
import { formatSize } from '../../core/duration.ts'
import { OpsError } from '../../core/errors.ts'
import type { BackupEntry, Repository } from '../types.ts'

/** Data grows; a disk filled to the last byte stops everything else on it too. */
const HEADROOM = 1.2

/** The size that a backup will have, by experience. @param incremental as the one that is to be made */
export function expectBytes(newestFirst: readonly BackupEntry[], incremental: boolean): number {
  const last = newestFirst.find(({ manifest }) => (manifest.parent !== undefined) === incremental)
  return last?.sizeBytes ?? 0
}

/** @throws OpsError CANNOT_WRITE with both figures */
export async function assertSpace(repository: Repository, series: string, expectedBytes: number): Promise<void> {
  if (expectedBytes === 0) return
  const neededBytes = Math.ceil(expectedBytes * HEADROOM)
  const freeBytes = await repository.freeBytes()
  if (freeBytes >= neededBytes) return
  throw new OpsError(
    'CANNOT_WRITE',
    `${series} is not begun: ${repository.path} has ${formatSize(freeBytes)} free, and it needs about ${formatSize(neededBytes)} (the last one had ${formatSize(expectedBytes)})`,
    { hint: 'Free some space: npx zx scripts/backup.ts prune --dry-run shows what the policy would remove.' },
  )
}

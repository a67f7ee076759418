/** What is looked at before a backup is used: its bytes, and its chain. */
import { OpsError } from '../../core/errors.ts'
import { silentProgress, type Progress } from '../../core/progress.ts'
import { readChecksumProblems } from '../repository/checksums.ts'
import type { BackupEntry, DataFile } from '../types.ts'

/** @throws OpsError DATA_MISMATCH naming each file whose bytes are not those that were written */
export async function refuseDamaged(
  entry: BackupEntry,
  files: readonly DataFile[],
  { signal, progress = silentProgress }: { readonly signal: AbortSignal; readonly progress?: Progress },
): Promise<void> {
  const problems = await readChecksumProblems(entry.path, files, { signal, progress })
  if (problems.length === 0) return
  throw new OpsError('DATA_MISMATCH', `${entry.id} is damaged: ${problems.join('; ')}`, {
    hint: `Nothing was changed. Take an older one: npx zx scripts/backup.ts list`,
  })
}

/** Whether a static set is saved whole or only in what changed, and the index that says what changed. */
import type { StaticSource } from '../../config/types.ts'
import { formatDuration } from '../../core/duration.ts'
import { isOpsError, messageOf } from '../../core/errors.ts'
import type { FileIndex } from '../files/facts.ts'
import { readIndex } from '../files/read-index.ts'
import type { AgeIdentity } from '../restore/identity.ts'
import type { BackupEntry } from '../types.ts'

export type FullVerdict =
  | { readonly full: true; readonly because: string }
  | { readonly full: false; readonly base: BackupEntry; readonly because: string }

/** @param newestFirst the good backups of the set */
export function decideFull(
  { full_every: everyMs }: Pick<StaticSource, 'full_every'>,
  newestFirst: readonly BackupEntry[],
  now: number,
): FullVerdict {
  if (everyMs === undefined) return { full: true, because: 'no full_every is set' }
  const base = newestFirst.find(
    ({ manifest, failedBecause }) => manifest.parent === undefined && failedBecause === undefined,
  )
  if (!base) return { full: true, because: 'there is no full backup yet' }
  const ageMs = now - base.at
  if (ageMs >= everyMs || ageMs < 0) {
    return {
      full: true,
      because: `the last full one is ${formatDuration(ageMs)} old (full_every ${formatDuration(everyMs)})`,
    }
  }
  return { full: false, base, because: `builds on ${base.id}` }
}

/** @returns undefined with the reason when the index cannot be used: the backup is then a full one, never a gap */
export async function readBase(
  base: BackupEntry,
  { readIdentity, signal }: { readIdentity: () => Promise<AgeIdentity | undefined>; signal: AbortSignal },
): Promise<{ readonly full: { id: string; index: FileIndex } } | { readonly because: string }> {
  try {
    return { full: { id: base.id, index: await readIndex(base, { identity: await readIdentity(), signal }) } }
  } catch (error) {
    signal.throwIfAborted()
    if (!isOpsError(error)) throw error
    return { because: `saved in full: ${messageOf(error)}` }
  }
}

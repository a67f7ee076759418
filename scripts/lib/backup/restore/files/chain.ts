/** The archives that together are one backup of files: its full one first, each in the order it is to be unpacked. */
import { OpsError } from '../../../core/errors.ts'
import { readIndex } from '../../files/read-index.ts'
import type { FileIndex, IndexEntry } from '../../files/facts.ts'
import type { BackupEntry, DataFile, Repository } from '../../types.ts'
import { dataFilePath } from '../decode.ts'
import { readMembers } from './members.ts'
import { createJudge } from './hostile.ts'
import type { Place } from '../../pipeline/place.ts'
import type { AgeIdentity } from '../identity.ts'

export interface Link {
  readonly entry: BackupEntry
  readonly index: FileIndex
  /** What lies in this link's own archives. */
  readonly own: readonly IndexEntry[]
  readonly archives: readonly { readonly path: string; readonly file: DataFile }[]
}

export interface ChainOptions {
  readonly repository: Repository
  readonly identity: AgeIdentity | undefined
  readonly signal: AbortSignal
}

/** @throws OpsError DATA_MISMATCH when the full backup of an incremental one is not there */
export async function readChain(entry: BackupEntry, options: ChainOptions): Promise<readonly [...Link[], Link]> {
  const { parent } = entry.manifest
  if (parent === undefined) return [await readLink(entry, options)]
  let full: BackupEntry
  try {
    full = await options.repository.find(parent)
  } catch (error) {
    throw new OpsError('DATA_MISMATCH', `${entry.id} builds on ${parent}, which is not there`, { cause: error })
  }
  return [await readLink(full, options), await readLink(entry, options)]
}

async function readLink(entry: BackupEntry, { identity, signal }: ChainOptions): Promise<Link> {
  const index = await readIndex(entry, { identity, signal })
  refuseBadNames(entry, index)
  const archives = entry.manifest.files
    .filter(({ role }) => role === 'tar')
    // `changed.tar` is the second reading and comes after `files.tar`.
    .toSorted((a, b) => Number(a.path.startsWith('changed')) - Number(b.path.startsWith('changed')))
    .map((file) => ({ path: dataFilePath(entry, file), file }))
  return { entry, index, archives, own: index.entries.filter((one) => one.in !== 'parent') }
}

/** Names are put behind a directory of ours; none may lead out of it. */
function refuseBadNames(entry: BackupEntry, { entries, deleted }: FileIndex): void {
  const bad = [...entries, ...deleted].find(
    ({ path }) =>
      path === '' ||
      path.startsWith('/') ||
      path.includes('\0') ||
      path.split('/').some((part) => part === '..' || part === '.' || part === ''),
  )
  const device = entries.find(({ type }) => type === 'device')
  if (bad)
    throw new OpsError(
      'DATA_MISMATCH',
      `the index of ${entry.id} names ${JSON.stringify(bad.path)}, which leads out of the tree`,
    )
  if (device) {
    throw new OpsError(
      'DATA_MISMATCH',
      `${entry.id} holds the device node /${device.path}, and device nodes are not restored`,
      {
        hint: 'Restore the rest by --path.',
      },
    )
  }
}

/**
 * Reads every archive to its end as tar lists it, and writes nothing.
 * @returns hard links by the member they are one with: who wants one must unpack the other
 * @throws OpsError DATA_MISMATCH with what speaks against unpacking it
 */
export async function refuseHostile(
  place: Place,
  chain: readonly Link[],
  { identity, signal }: Pick<ChainOptions, 'identity' | 'signal'>,
): Promise<ReadonlyMap<string, string>> {
  const hardLinks = new Map<string, string>()
  for (const { entry, own, archives } of chain) {
    for (const { path } of archives) {
      const judge = createJudge(own)
      for await (const member of readMembers(place, { path, identity, signal, isLocal: true })) {
        judge.take(member)
        if (member.type === 'hardlink') hardLinks.set(member.path, member.target ?? '')
        if (judge.isBomb()) break
      }
      const problems = judge.problems()
      if (problems.length === 0) continue
      throw new OpsError('DATA_MISMATCH', `${entry.id} is not unpacked: ${problems.join('; ')}`, {
        hint: 'It is not the archive that was written. Nothing was unpacked; take another backup.',
      })
    }
  }
  return hardLinks
}

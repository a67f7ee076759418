/** Which backups are verified or drilled: named ones, all, or a sample. */
import { OpsError } from '../../core/errors.ts'
import { findBrokenNewest } from '../repository/find.ts'
import type { BackupEntry, Repository, RepositoryProblem } from '../types.ts'

export interface Choice {
  /** Ids, or names with or without their kind. */
  readonly names: readonly string[]
  readonly all: boolean
}

/**
 * @param random from 0 to 1, as Math.random gives it
 * @returns `size` of the entries, those first that were never verified or longest ago; ties by chance
 */
export function decideSample(entries: readonly BackupEntry[], size: number, random: () => number): BackupEntry[] {
  return entries
    .map((entry) => ({ entry, rank: entry.verifiedAt ?? 0, chance: random() }))
    .sort((a, b) => a.rank - b.rank || a.chance - b.chance)
    .slice(0, size)
    .map(({ entry }) => entry)
}

/**
 * @returns for an id that backup, for a name its newest; for `all` every backup there is
 * @throws OpsError USAGE with the nearest
 */
export async function chooseBackups(repository: Repository, { names, all }: Choice): Promise<BackupEntry[]> {
  if (all || names.length === 0) return repository.list()
  const found: BackupEntry[] = []
  for (const name of names) found.push(await repository.find(name))
  return dropDoubles(found)
}

export interface NewestBackups {
  readonly entries: readonly BackupEntry[]
  /** What should be the newest of its name, and is no whole backup. */
  readonly broken: readonly RepositoryProblem[]
}

/** The newest backup of each name. @throws OpsError USAGE when there is none at all */
export async function chooseNewest(repository: Repository, { names, all }: Choice): Promise<NewestBackups> {
  if (!all && names.length > 0) return { entries: await chooseBackups(repository, { names, all }), broken: [] }
  const newest = new Map<string, BackupEntry>()
  for (const entry of await repository.list()) {
    const series = `${entry.kind}/${entry.name}`
    if (!newest.has(series)) newest.set(series, entry)
  }
  const problems = Map.groupBy(await repository.problems(), ({ id = '' }) => id.split('/').slice(0, 2).join('/'))
  problems.delete('')
  const broken = [...problems].flatMap(([series, own]) => findBrokenNewest(newest.get(series), own) ?? [])
  if (newest.size + broken.length > 0) return { entries: [...newest.values()], broken }
  throw new OpsError('USAGE', `there is no backup in ${repository.path}`, {
    hint: 'Make one: npx zx scripts/backup.ts run --all',
  })
}

function dropDoubles(entries: readonly BackupEntry[]): BackupEntry[] {
  return [...new Map(entries.map((entry) => [entry.id, entry])).values()]
}

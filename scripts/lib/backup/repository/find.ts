/** Which backup an operator means: an id, or a name with or without `latest`; for anything else the nearest. */
import { OpsError } from '../../core/errors.ts'
import { nearestName } from '../../core/nearest.ts'
import { compareStamps, formatStamp } from './names.ts'
import type { BackupEntry, RepositoryProblem } from '../types.ts'
import type { Contents } from './scan.ts'

/**
 * @param reference `database/app/20261120T020000Z`, `database/app`, `database/app/latest`, or `app` when only one kind
 *   has that name
 * @throws OpsError USAGE with the nearest name or id; DATA_MISMATCH for one that is there and is not whole, and for a name
 *   whose newest is not: an older one in its stead would be taken without anybody knowing
 */
export function decideReference(reference: string, { entries, problems }: Contents): BackupEntry {
  const text = reference.replace(/\/+$/, '').replace(/\/latest$/, '')
  const exact = entries.find(({ id }) => id === text)
  if (exact) return exact
  const problem = problems.find(({ id }) => id === text)
  if (problem) {
    throw new OpsError('DATA_MISMATCH', `${text} cannot be used: ${problem.because}`, {
      hint: `Look at ${problem.path}, or take another one: npx zx scripts/backup.ts list`,
    })
  }
  const isMeant = ({ id = '' }: { readonly id?: string }) =>
    seriesOf(id) === text || seriesOf(id).split('/')[1] === text
  const [series, broken] = [entries.filter(isMeant), problems.filter(isMeant)]
  const names = [...new Set([...series, ...broken].map(({ id = '' }) => seriesOf(id)))]
  if (names.length > 1) {
    throw new OpsError('USAGE', `"${reference}" is the name of ${names.join(' and ')}`, { hint: 'Say which one.' })
  }
  const [newest] = series
  refuseBrokenNewest(newest, broken)
  if (newest) return newest
  throw unknownReference(reference, text, { entries, problems })
}

/** `database/app` of `database/app/20261120T020000Z`. */
function seriesOf(id: string): string {
  return id.split('/').slice(0, 2).join('/')
}

/** @returns the newest of a series that is no whole backup, when no whole one is newer */
export function findBrokenNewest(
  newest: BackupEntry | undefined,
  broken: readonly RepositoryProblem[],
): RepositoryProblem | undefined {
  const stamp = (id = '') => id.split('/')[2] ?? ''
  const last = broken.toSorted((a, b) => compareStamps(stamp(a.id), stamp(b.id)))[0]
  return last && (!newest || compareStamps(stamp(last.id), stamp(newest.id)) < 0) ? last : undefined
}

function refuseBrokenNewest(newest: BackupEntry | undefined, broken: readonly RepositoryProblem[]): void {
  const problem = findBrokenNewest(newest, broken)
  if (!problem) return
  const instead = newest
    ? `The newest whole one is ${newest.id}: name it to take it.`
    : 'There is no other of that name.'
  throw new OpsError('DATA_MISMATCH', `${problem.id} is the newest, and cannot be used: ${problem.because}`, {
    hint: `${instead} Look at ${problem.path}`,
  })
}

function unknownReference(reference: string, text: string, { entries, problems }: Contents): OpsError {
  if (entries.length === 0) {
    const why = problems.length > 0 ? `, and ${problems.length} that cannot be used` : ''
    return new OpsError('USAGE', `there is no backup "${reference}": the repository holds none${why}`, {
      hint: 'Make one: npx zx scripts/backup.ts run --all',
    })
  }
  const names = [...new Set(entries.flatMap(({ kind, name }) => [`${kind}/${name}`, name]))]
  const [kind = '', name = '', stamp] = text.split('/')
  const ofSeries = entries.filter((entry) => entry.kind === kind && entry.name === name)
  if (stamp !== undefined && ofSeries.length > 0) {
    const near = nearestInTime(stamp, ofSeries)
    return new OpsError('USAGE', `there is no backup "${reference}"`, { hint: `The nearest is ${near}.` })
  }
  const near = nearestName(stamp === undefined ? text : `${kind}/${name}`, names)
  return new OpsError('USAGE', `there is no backup "${reference}"`, {
    hint: near ? `Did you mean ${near}?` : `There are ${names.filter((one) => one.includes('/')).join(', ')}.`,
  })
}

/** Stamps sort as text, so the nearest is the last one before what was typed, or else the first after it. */
function nearestInTime(typed: string, newestFirst: readonly BackupEntry[]): string {
  const before = newestFirst.find(({ at }) => formatStamp(at) <= typed)
  return (before ?? newestFirst.at(-1))?.id ?? ''
}

/**
 * What finished restores keep of what was there before, noted in the journal until it is brought back or removed: an operator
 * finds it there weeks later, on whichever server or host it lies.
 */
import { randomBytes } from 'node:crypto'
import { OpsError } from '../../core/errors.ts'
import type { Journal } from '../../journal/types.ts'
import type { Replacement } from './engine.ts'

export interface KeptDatabase {
  readonly kind: 'database'
  /** The configured source whose server it is. */
  readonly source: string
  /** Its `aside` is what is kept, its `target` the place where it was. */
  readonly replacement: Replacement
}

export interface KeptFiles {
  readonly kind: 'files'
  /** The directories that keep them, one on each file system. */
  readonly paths: readonly string[]
  /** Where their paths begin: empty for `/`. */
  readonly target: string
  /** Where the services look for them. */
  readonly isInPlace: boolean
}

export type Kept = (KeptDatabase | KeptFiles) & {
  readonly id: string
  /** The backup that took its place. */
  readonly backup: string
  /** What was done when it was kept. */
  readonly by: 'restore' | 'undo'
  /** Wall clock milliseconds. */
  readonly at: number
  readonly on: string
}

const KEY = 'backup.restore.kept'
/** Older ones are forgotten, not removed: somebody has not looked for a long time. */
const MAX_KEPT = 500

/** Short enough to be typed. */
export function newKeptId(): string {
  return randomBytes(4).toString('hex')
}

/** @returns the newest first */
export function readKept(journal: Journal): readonly Kept[] {
  const stored = journal.getState(KEY)
  return Array.isArray(stored) ? (stored as Kept[]) : []
}

export function noteKept(journal: Journal, ...more: readonly Kept[]): void {
  journal.transaction(() => {
    const others = readKept(journal).filter(({ id }) => !more.some((one) => one.id === id))
    journal.setState(KEY, [...more, ...others].slice(0, MAX_KEPT))
  })
}

export function forgetKept(journal: Journal, isOver: (one: Kept) => boolean): void {
  journal.transaction(() => {
    const others = readKept(journal).filter((one) => !isOver(one))
    journal.setState(KEY, others.length > 0 ? others : undefined)
  })
}

/** @returns what is noted of the `aside` of a swap that is over */
export function keptOf(
  story: Pick<Kept, 'backup' | 'by' | 'on'> & { readonly source: string; readonly now: number },
  { target, scratch, aside, tables, oldObjects }: Replacement,
): Kept {
  const { backup, by, on, source, now: at } = story
  const replacement = {
    ...{ target, scratch, aside, existed: true },
    ...(tables ? { tables } : {}),
    ...(oldObjects === undefined ? {} : { oldObjects }),
  }
  return { kind: 'database', id: newKeptId(), backup, by, at, on, source, replacement }
}

/** The `aside` of this swap is no more, or is where it belongs again. */
export function forgetAside(
  { journal, on }: { readonly journal: Journal; readonly on: string },
  { aside, target }: Replacement,
): void {
  const isIt = ({ replacement }: KeptDatabase) => replacement.aside === aside && replacement.target === target
  forgetKept(journal, (one) => one.kind === 'database' && one.on === on && isIt(one))
}

/** What and where, in a few words: `app as app_before_20261121T…`. */
export function nameKept(one: Kept): string {
  if (one.kind === 'files') return one.paths.join(', ')
  const { target, aside, tables } = one.replacement
  return `${tables ? `${tables.join(', ')} of ${target}` : target} as ${aside}`
}

/** @throws OpsError USAGE naming those that are there */
export function findKept(journal: Journal, id: string): Kept {
  const all = readKept(journal)
  const found = all.find((one) => one.id === id)
  if (found) return found
  const known = all.slice(0, 5).map((one) => `${one.id} (${nameKept(one)} on ${one.on})`)
  throw new OpsError('USAGE', `nothing is kept, and no restore is unfinished, under the id ${id}`, {
    hint:
      known.length === 0
        ? 'Nothing is kept at all.'
        : `Kept are: ${known.join(', ')}. Run: npx zx scripts/restore.ts list`,
  })
}

/**
 * Restores that are not over, kept in the journal: whoever finds one after a crash knows what stands and how to go on.
 *
 *   loading   the scratch copy is being made; what was there before is untouched
 *   swapping  from before the first change of the live one until it is proved; `resume` and `undo` both lead out of it
 *
 * A restore that is over, or was taken back, is not listed.
 */
import { OpsError } from '../../core/errors.ts'
import type { Journal } from '../../journal/types.ts'
import type { Replacement } from './engine.ts'

export interface Unfinished {
  /** The scratch name: unique. */
  readonly id: string
  readonly kind: 'database' | 'files'
  readonly phase: 'loading' | 'swapping'
  /** The backup. */
  readonly backup: string
  /** Wall clock milliseconds. */
  readonly startedAt: number
  /** The host that is restored on. */
  readonly on: string
  /** The configured source whose server it is; databases. */
  readonly source?: string
  /** The database's name in the backup. */
  readonly database?: string
  readonly replacement?: Replacement
  /** What a finished restore has kept is brought back: its id there. */
  readonly keptId?: string
  /** Files: where the work lies. */
  readonly places?: readonly string[]
  /** Files: where their paths begin; empty for `/`. */
  readonly into?: string
  /** Files: restored to where the services look for them. */
  readonly isInPlace?: boolean
}

const KEY = 'backup.restore.unfinished'

export function readUnfinished(journal: Journal): readonly Unfinished[] {
  const stored = journal.getState(KEY)
  return Array.isArray(stored) ? (stored as Unfinished[]) : []
}

/** Adds it, or replaces what is known of it. */
export function noteUnfinished(journal: Journal, one: Unfinished): void {
  journal.transaction(() => {
    const others = readUnfinished(journal).filter(({ id }) => id !== one.id)
    journal.setState(KEY, [...others, one])
  })
}

export function forgetUnfinished(journal: Journal, id: string): void {
  journal.transaction(() => {
    const others = readUnfinished(journal).filter((one) => one.id !== id)
    journal.setState(KEY, others.length > 0 ? others : undefined)
  })
}

/** What stands, as a sentence. */
export function describeUnfinished({ kind, phase, backup, on, replacement, database, keptId }: Unfinished): string {
  const which = keptId === undefined ? 'restore' : 'taking back of the restore'
  const what = kind === 'database' ? (replacement?.target ?? database ?? '') : 'the files'
  return phase === 'loading'
    ? `the ${which} of ${backup} on ${on} was interrupted while it was loaded: ${what} is untouched`
    : `the ${which} of ${backup} on ${on} was interrupted while ${what} was replaced: it may be the old one, the new one, or in between`
}

/** @throws OpsError LOCKED when an earlier restore of the same thing is not over */
export function refuseUnfinished(journal: Journal, isSame: (one: Unfinished) => boolean): void {
  const one = readUnfinished(journal).find(isSame)
  if (!one) return
  throw new OpsError('LOCKED', describeUnfinished(one), {
    hint: 'Finish it with: npx zx scripts/restore.ts --resume   or take it back with: npx zx scripts/restore.ts --undo',
  })
}

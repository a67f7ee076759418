/** Everything that can be told of runbooks before they are run; and the one door through which a run gets one. */
import { dirname, join } from 'node:path'
import { brokenRunbook, isError } from '../complaint.ts'
import { DEFAULT_LANGUAGE, findRunbook, readRunbookFile, SHIPPED_DIR, type FindOptions } from '../read/find.ts'
import type { ReadRunbook } from '../read/parse.ts'
import type { Complaint, Runbook } from '../types.ts'
import { lintActions, type ActionCatalog } from './actions.ts'
import { lintLinks } from './links.ts'
import { lintPair } from './pair.ts'
import { lintParams } from './params.ts'
import { lintSteps } from './steps.ts'

export interface LintOptions {
  readonly actions: ActionCatalog
  /** The names of opskit.yaml; undefined: no host is judged. */
  readonly hosts?: readonly string[] | undefined
  /** Wall clock, milliseconds since the epoch. */
  readonly now: number
  /** `runbook.tested_within`. */
  readonly testedWithinMs: number
}

const MS_PER_DAY = 86_400_000

/** @returns what reading it told and what it means together, by place; of a broken file only what can be told */
export async function lintRunbook(read: ReadRunbook, options: LintOptions): Promise<Complaint[]> {
  const { runbook } = read
  const found = [
    ...read.complaints,
    ...(await lintLinks(read)),
    ...(runbook ? await lintMeaning(read, runbook, options) : []),
    ...(runbook ? lintAge(read, runbook, options) : []),
  ]
  return sorted(found)
}

/** Several files: each by itself, and each translation beside its original. */
export async function lintRunbooks(reads: readonly ReadRunbook[], options: LintOptions): Promise<Complaint[]> {
  const own = await Promise.all(reads.map((read) => lintRunbook(read, options)))
  const pairs = await Promise.all(
    reads.map(async (read) => {
      if (read.language === DEFAULT_LANGUAGE) return []
      const file = join(dirname(read.file), `${read.id}.md`)
      const original = reads.find((other) => other.file === file) ?? (await readOriginal(file, options))
      return original ? lintPair(original, read) : [orphan(read)]
    }),
  )
  return sorted([...own.flat(), ...pairs.flat(), ...lintTwins(reads)])
}

/**
 * The runbook that a run starts from: found, read and sound. What only warns (its age, a host that may be an alias) is
 * not told here.
 * @param name an id, or the path of a file
 * @throws OpsError USAGE for a name that is not there, CONFIG_INVALID with each place for a broken one
 */
export async function openRunbook(
  name: string,
  { actions, ...options }: FindOptions & { readonly actions: ActionCatalog },
): Promise<Runbook> {
  const read = await findRunbook(name, { ...options, actions })
  const complaints = [
    ...read.complaints,
    ...(read.runbook ? await lintMeaning(read, read.runbook, { actions, hosts: undefined }) : []),
  ]
  if (!read.runbook || complaints.some(isError)) throw brokenRunbook(complaints)
  return read.runbook
}

async function lintMeaning(
  read: ReadRunbook,
  runbook: Runbook,
  { actions, hosts }: Pick<LintOptions, 'actions' | 'hosts'>,
): Promise<Complaint[]> {
  return [
    ...lintParams(read, runbook),
    ...lintSteps(read, runbook, { actions, hosts }),
    ...(await lintActions(read, runbook, actions)),
  ]
}

function lintAge(
  { frontPlaceOf }: ReadRunbook,
  { lastTested }: Runbook,
  { now, testedWithinMs }: LintOptions,
): Complaint[] {
  const hint = 'Run it as a drill: npx zx scripts/runbook.ts start … --drill; then write the day into last_tested.'
  const warn = (message: string): Complaint[] => [
    { place: frontPlaceOf(['last_tested']), severity: 'warning', message, hint },
  ]
  if (lastTested === undefined) return warn('it was never tested: last_tested is missing')
  const ageMs = now - Date.parse(`${lastTested}T00:00Z`)
  if (ageMs < -MS_PER_DAY) return warn(`last_tested is in the future: ${lastTested}`)
  const days = (ms: number) => Math.floor(ms / MS_PER_DAY)
  if (ageMs <= testedWithinMs + MS_PER_DAY) return []
  return warn(`it was last tested ${days(ageMs)} days ago, at most ${days(testedWithinMs)} are allowed`)
}

/** One that ships may be replaced by one of your own; two of your own can't have one id. */
function lintTwins(reads: readonly ReadRunbook[]): Complaint[] {
  const own = reads.filter(({ file }) => dirname(file) !== SHIPPED_DIR)
  return own.flatMap((read, index) => {
    const first = own.findIndex(({ id, language }) => id === read.id && language === read.language)
    const other = own[first]
    if (first === index || !other || other.file === read.file) return []
    const message = `another runbook has the id "${read.id}": ${other.file}`
    return [{ place: read.frontPlaceOf(['id']), severity: 'error' as const, message }]
  })
}

async function readOriginal(file: string, options: LintOptions): Promise<ReadRunbook | undefined> {
  try {
    return await readRunbookFile(file, options)
  } catch {
    return undefined
  }
}

function orphan({ file, id }: ReadRunbook): Complaint {
  const message = `it translates ${id}.md, which is not beside it`
  return { place: { file, line: 1, column: 1 }, severity: 'error', message }
}

function sorted(complaints: readonly Complaint[]): Complaint[] {
  const key = ({ place }: Complaint) => place
  return [...complaints].sort((a, b) => {
    const [one, other] = [key(a), key(b)]
    if (one.file !== other.file) return one.file < other.file ? -1 : 1
    return one.line - other.line || one.column - other.column
  })
}

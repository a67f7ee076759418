/**
 * Restoring files: unpacked beside their places and compared with the index, then each put in its place by a rename; what
 * was there before is kept. The service that reads them is told, and must show that it does; else all of it is undone.
 */
import { formatDuration, formatSize } from '../../../core/duration.ts'
import { OpsError } from '../../../core/errors.ts'
import type { Progress } from '../../../core/progress.ts'
import type { Host } from '../../../host/types.ts'
import type { Journal } from '../../../journal/types.ts'
import type { Plan, Step } from '../../../plan/types.ts'
import { asBytes, type FileFacts } from '../../files/facts.ts'
import { readFileTools } from '../../files/tar.ts'
import { openPlace, type Place } from '../../pipeline/place.ts'
import { plural } from '../../plural.ts'
import { formatStamp } from '../../repository/names.ts'
import { acquireUse } from '../../run/in-use.ts'
import type { BackupEntry, Repository } from '../../types.ts'
import { refuseDamaged } from '../checks.ts'
import { newKeptId, noteKept } from '../kept.ts'
import { forgetUnfinished, noteUnfinished, refuseUnfinished, type Unfinished } from '../unfinished.ts'
import { readChain, refuseHostile, type Link } from './chain.ts'
import { decideMoves, type Moves } from './moves.ts'
import {
  keepAll,
  makeWorkDirectory,
  MOVES_FILE,
  planWorkDirectories,
  readFree,
  removeWorkDirectory,
  runMoves,
  tellKept,
  unkeepAll,
  type WorkDirectory,
} from './place.ts'
import { formatMoves } from './script.ts'
import { selectEntries, type Selection } from './select.ts'
import { compareFiles, findOtherContents } from './compare.ts'
import { readLive, topsOf } from './live.ts'
import { unpack } from './unpack.ts'
import type { AgeIdentity } from '../identity.ts'

/** What has to be told of new files, and shows that it reads them. */
export interface Follower {
  readonly title: string
  /** @returns what shows that it uses them, or why nothing had to be told. @throws when it does not use them */
  apply(host: Host, signal: AbortSignal): Promise<string>
  /** After the old files are back. */
  revert(host: Host, signal: AbortSignal): Promise<void>
}

export interface FilesRestore {
  readonly entry: BackupEntry
  readonly repository: Repository
  readonly identity: AgeIdentity | undefined
  readonly on: string
  readonly host: Host
  /** Restore below this directory in place of `/`. */
  readonly into?: string
  readonly patterns: readonly string[]
  readonly exact: boolean
  /** False: what was there before is removed when the restore is proved. */
  readonly keep: boolean
  readonly isExcluded: (path: string) => boolean
  readonly followers: readonly Follower[]
  readonly journal: Journal
  readonly now: number
  readonly timeoutMs: number
  readonly signal: AbortSignal
  readonly progress: Progress
  readonly redact: (text: string) => string
  readonly say: (message: string) => void
}

interface Job {
  readonly chain: readonly [...Link[], Link]
  readonly selection: Selection
  readonly hardLinks: ReadonlyMap<string, string>
  readonly work: readonly WorkDirectory[]
  readonly id: string
}

/** @throws OpsError DATA_MISMATCH (damaged, hostile), CANNOT_WRITE (no space), USAGE (nothing matches), LOCKED */
export async function planFilesRestore(restore: FilesRestore): Promise<Plan> {
  const { entry, signal, progress, on, patterns } = restore
  refuseUnfinished(
    restore.journal,
    (one) => one.kind === 'files' && one.on === on && one.backup.startsWith(`${entry.kind}/${entry.name}/`),
  )
  const chain = await readChain(entry, restore)
  for (const link of chain) await refuseDamaged(link.entry, link.entry.manifest.files, { signal, progress })
  const selection = selectEntries(chain.at(-1)?.index ?? { paths: [], entries: [], deleted: [] }, patterns)
  const place = placeOf(restore, restore.host, signal)
  const here = openPlace({ host: await localHost(), redact: restore.redact, signal, timeoutMs: restore.timeoutMs })
  const hardLinks = await refuseHostile(here, chain, restore)
  const found = await look(restore, place, selection)
  if (found.moves.length === 0) {
    return { title: titleOf(restore), steps: [], because: `all ${found.unchanged} files are as they were backed up` }
  }
  const id = `${formatStamp(restore.now)}-${process.pid}`
  const roots = topsOf(selection.wanted.map(({ path }) => path)).map((path) => `${restore.into ?? ''}/${path}`)
  const work = await planWorkDirectories(place, roots, id)
  await refuseFull(place, work, selection)
  const job: Job = { chain, selection, hardLinks, work, id }
  return {
    title: titleOf(restore),
    because: becauseOf(entry),
    steps: [
      stageStep(restore, job),
      placeStep(restore, job, found),
      ...restore.followers.map((one) => followStep(on, one)),
      keepStep(restore, job),
    ],
  }
}

async function localHost(): Promise<Host> {
  return (await import('../../../host/local.ts')).openLocalHost()
}

function placeOf({ redact, timeoutMs }: FilesRestore, host: Host, signal: AbortSignal): Place {
  return openPlace({ host, redact, signal, timeoutMs })
}

async function look(restore: FilesRestore, place: Place, { wanted, above }: Selection): Promise<Moves> {
  const tools = await readFileTools(place)
  const directory = restore.into ?? ''
  const live = await readLive(place, directory, [...above, ...wanted], tools)
  const other = await findOtherContents({ place, directory, wanted: sameSize(wanted, live) }, tools)
  const differing = new Set(other.map((entry) => asBytes(entry).path))
  return decideMoves({
    wanted: wanted.map(asBytes),
    above: above.map(asBytes),
    live,
    exact: restore.exact,
    isExcluded: (path) => restore.isExcluded(`/${Buffer.from(path, 'latin1').toString()}`),
    differs: (path) => differing.has(path),
  })
}

/** Files whose content is worth a second look: another size is another content. */
function sameSize(wanted: readonly FileFacts[], live: ReadonlyMap<string, FileFacts>): FileFacts[] {
  return wanted.filter((entry) => {
    const there = live.get(asBytes(entry).path)
    return (
      entry.type === 'file' &&
      entry.sha256 !== undefined &&
      there?.type === 'file' &&
      there.sizeBytes === entry.sizeBytes
    )
  })
}

async function refuseFull(place: Place, work: readonly WorkDirectory[], { wanted }: Selection): Promise<void> {
  const needed = wanted.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0)
  for (const { path } of work) {
    const free = await readFree(place, path)
    if (free === undefined || free > needed) continue
    throw new OpsError(
      'CANNOT_WRITE',
      `${path} on ${place.host} would have ${formatSize(free)}, and the files take ${formatSize(needed)}`,
      {
        host: place.host,
        hint: 'Free space there, restore a part with --path, or elsewhere with --to.',
      },
    )
  }
}

function stageStep(restore: FilesRestore, job: Job): Step {
  const { selection, work, id } = job
  return {
    on: restore.on,
    timeoutMs: restore.timeoutMs,
    title: `Unpack ${plural(selection.wanted.length, 'file')} beside their places and compare them with the index`,
    preview: work.map(({ path, roots }) => `${path} for ${roots.join(', ')}`).join('\n'),
    async apply(host, signal) {
      // While it is read, prune leaves the backup alone.
      const use = acquireUse(restore.journal, restore.entry.id, `restore.${restore.entry.kind}`)
      try {
        noteUnfinished(restore.journal, { ...unfinished(restore, id, work), phase: 'loading' })
        for (const [index, one] of work.entries()) {
          restore.progress.update(index, work.length, 'unpacking')
          await unpackThrough(restore, job, one, { host, signal })
        }
      } finally {
        use.release()
      }
    },
    // Comparing is the last thing that unpacking does: here it is said what it saw.
    verify: async () => ({ ok: true, because: 'what was unpacked is what was backed up' }),
    async undo(host, signal) {
      for (const one of work) await removeWorkDirectory(placeOf(restore, host, signal), one)
      forgetUnfinished(restore.journal, id)
    },
  }
}

async function unpackThrough(
  restore: FilesRestore,
  { chain, selection, hardLinks, work }: Job,
  one: WorkDirectory,
  { host, signal }: { readonly host: Host; readonly signal: AbortSignal },
): Promise<void> {
  const place = placeOf(restore, host, signal)
  const own = ownOf(one, restore, selection.wanted)
  const isWhole = restore.patterns.length === 0 && work.length === 1
  const directory = `${one.path}/restored`
  await makeWorkDirectory(place, one)
  await unpack({
    ...{ place, chain, directory, signal, isLocal: host.kind === 'local', identity: restore.identity },
    ...(isWhole ? {} : partOf([...ownOf(one, restore, selection.above), ...own], hardLinks)),
  })
  const problems = await compareFiles({ place, directory, wanted: own, checksums: true })
  if (problems.length === 0) return
  throw new OpsError('DATA_MISMATCH', `what was unpacked is not what was backed up: ${problems.join('; ')}`)
}

/** Entries that go through a working directory: those below its roots. */
function ownOf<E extends FileFacts>({ roots }: WorkDirectory, { into = '' }: FilesRestore, entries: readonly E[]): E[] {
  const isOwn = (path: string) => roots.some((root) => path === root || path.startsWith(`${root}/`))
  return entries.filter(({ path }) => isOwn(`${into}/${path}`))
}

/** A name that shares its file with an earlier one in the archive cannot be unpacked without that. */
function partOf(entries: readonly FileFacts[], hardLinks: ReadonlyMap<string, string>) {
  const named = new Set(entries.map((entry) => asBytes(entry).path))
  const remove = [...named].flatMap((path) => hardLinks.get(path) ?? []).filter((path) => !named.has(path))
  return { only: [...new Set([...remove, ...named])], remove }
}

function placeStep(restore: FilesRestore, job: Job, planned: Moves): Step {
  const { selection, work, id } = job
  return {
    on: restore.on,
    timeoutMs: restore.timeoutMs,
    title: `Put ${plural(planned.changed, 'file')} in ${planned.changed === 1 ? 'its place' : 'their places'}`,
    preview: describeMoves(planned, restore),
    async apply(host, signal) {
      const place = placeOf(restore, host, signal)
      // Looked at again: what was planned may be a while ago.
      const { moves } = await look(restore, place, selection)
      for (const one of work) {
        const own = moves.filter((move) => belongsTo(one, restore, move))
        for (const direction of ['forward', 'back'] as const) {
          const script = formatMoves(own, { directory: one.path, target: restore.into ?? '' }, direction)
          await host.put(`${one.path}/${direction}.sh`, script, { mode: 0o600 })
        }
        await host.put(`${one.path}/${MOVES_FILE}`, JSON.stringify(own), { mode: 0o600 })
      }
      noteUnfinished(restore.journal, { ...unfinished(restore, id, work), phase: 'swapping' })
      for (const one of work) await runMoves(place, one, 'forward')
      const problems = await compareFiles({
        place,
        directory: restore.into ?? '',
        wanted: selection.wanted,
        checksums: false,
      })
      if (problems.length > 0)
        throw new OpsError('DATA_MISMATCH', `not everything came to its place: ${problems.join('; ')}`)
    },
    verify: async () => ({
      ok: true,
      because: `${plural(selection.wanted.length, 'file')} are as they were backed up`,
    }),
    async undo(host, signal) {
      const place = placeOf(restore, host, signal)
      for (const one of work) await runMoves(place, one, 'back')
      for (const follower of restore.followers) await follower.revert(host, signal)
    },
  }
}

function belongsTo(work: WorkDirectory, { into = '' }: FilesRestore, move: Moves['moves'][number]): boolean {
  const path = move.kind === 'merge' ? `${move.directory}/${move.names[0] ?? ''}` : move.path
  const text = `${into}/${Buffer.from(path, 'latin1').toString().replace(/^\//, '')}`
  return work.roots.some((root) => text === root || text.startsWith(`${root}/`) || root.startsWith(`${text}/`))
}

export function followStep(on: string, follower: Follower): Step {
  let seen = ''
  return {
    on,
    title: follower.title,
    async apply(host, signal) {
      seen = await follower.apply(host, signal)
    },
    verify: async () => ({ ok: true, because: seen }),
    // The files go back first; then it is told again.
    undo: async () => undefined,
  }
}

/** Nothing is left to undo: what was there before gets a name to be found by, or goes. */
function keepStep(restore: FilesRestore, { work, id }: Job): Step {
  const stamp = formatStamp(restore.now)
  return {
    on: restore.on,
    title: restore.keep
      ? `Keep what was there before as .opskit-before-${stamp} beside the files`
      : 'Remove what was there before',
    async apply(host, signal) {
      const place = placeOf(restore, host, signal)
      if (restore.keep) return settleKept(place, { ...unfinished(restore, id, work), phase: 'swapping' }, restore)
      for (const one of work) await removeWorkDirectory(place, one)
      forgetUnfinished(restore.journal, id)
    },
    ...(restore.keep
      ? {
          undo: (host: Host, signal: AbortSignal) => unkeepAll(placeOf(restore, host, signal), work, restore.now),
        }
      : { verify: async () => ({ ok: true, because: 'what was there before is removed' }) }),
  }
}

/** What was there before is kept, and noted. */
export async function settleKept(
  place: Place,
  { id, places = [], backup, on, startedAt, isInPlace = false, into = '' }: Unfinished,
  { journal, say }: Pick<FilesRestore, 'journal' | 'say'>,
): Promise<void> {
  const work = places.map((path) => ({ path }))
  const paths = await keepAll(place, work, startedAt)
  journal.transaction(() => {
    forgetUnfinished(journal, id)
    const kept = { id: newKeptId(), backup, by: 'restore' as const, at: startedAt, on }
    if (paths.length > 0) noteKept(journal, { ...kept, kind: 'files', paths, target: into, isInPlace })
  })
  await tellKept(place, work, { paths, say })
}

function unfinished(
  { entry, on, now, followers, into = '' }: FilesRestore,
  id: string,
  work: readonly WorkDirectory[],
) {
  const places = work.map(({ path }) => path)
  const isInPlace = followers.length > 0
  return { id, kind: 'files' as const, backup: entry.id, startedAt: now, on, places, isInPlace, into }
}

function titleOf({ entry, on, into, patterns }: FilesRestore): string {
  const what = patterns.length === 0 ? entry.id : `${patterns.join(', ')} of ${entry.id}`
  return `Restore ${what} ${into === undefined ? 'to its place' : `into ${into}`} on ${on}`
}

function becauseOf({ manifest, drilledAt, rtoMs }: BackupEntry): string {
  const taken = `it was asked for; the backup is of ${manifest.startedAt}`
  return drilledAt === undefined || rtoMs === undefined
    ? `${taken} and was never drilled`
    : `${taken}, its last drill took ${formatDuration(rtoMs)}`
}

function describeMoves({ changed, unchanged, extra, moves }: Moves, { exact }: FilesRestore): string {
  const shown = (paths: readonly string[]) =>
    `${paths
      .slice(0, 5)
      .map((path) => `/${path}`)
      .join(', ')}${paths.length > 5 ? ', …' : ''}`
  const turned = moves.flatMap((move) => (move.kind === 'turn' ? [move.path] : []))
  return [
    `${changed} files are replaced or new, ${unchanged} are as they should be`,
    ...(turned.length > 0 ? [`directories and files that trade places: ${shown(turned)}`] : []),
    ...(extra.length > 0
      ? [
          `${extra.length} that the backup does not have ${exact ? 'are moved aside' : 'stay (--exact moves them aside)'}: ${shown(extra)}`,
        ]
      : []),
  ].join('\n')
}

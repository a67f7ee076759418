/**
 * A finished restore of files taken back: what was kept goes to its places again by the same kind of script, and what is there
 * now (edited since, perhaps) is kept in turn; files that the restore had brought are moved aside with it.
 *
 *   loading   the kept files become what is to be put in place; no live file is touched
 *   swapping  the script runs, or has run; it goes on from, or back from, wherever it was left
 */
import { dirname } from 'node:path'
import { quoteArgv, quoteWord } from '../../../core/quote.ts'
import { OpsError } from '../../../core/errors.ts'
import type { Host, HostReader } from '../../../host/types.ts'
import type { Journal } from '../../../journal/types.ts'
import type { Plan } from '../../../plan/types.ts'
import { hasFailed, said } from '../../pipeline/failure.ts'
import { openPlace, runTool, type Place } from '../../pipeline/place.ts'
import { plural } from '../../plural.ts'
import { forgetKept, nameKept, newKeptId, noteKept, type Kept, type KeptFiles } from '../kept.ts'
import { forgetUnfinished, noteUnfinished, refuseUnfinished, type Unfinished } from '../unfinished.ts'
import { splitPath, type Move } from './moves.ts'
import { formatStamp } from '../../repository/names.ts'
import { keepAll, MOVES_FILE, runMoves, tellKept, unkeepAll } from './place.ts'
import { followStep, type Follower } from './restore.ts'
import { formatMoves } from './script.ts'

export interface FilesTakeBack {
  readonly kept: Kept & KeptFiles
  readonly host: Host
  readonly followers: readonly Follower[]
  readonly journal: Journal
  readonly now: number
  readonly timeoutMs: number
  readonly signal: AbortSignal
  readonly redact: (text: string) => string
  readonly say: (message: string) => void
}

/** A kept directory, and where it is worked on. */
interface Part {
  readonly kept: string
  readonly work: string
  readonly moves: readonly Move[]
}

/** @throws OpsError FAILED when it is not there any more, LOCKED when a restore of the same backup's name is not over */
export async function planFilesTakeBack(taking: FilesTakeBack): Promise<Plan> {
  const { kept, host, journal, followers, timeoutMs } = taking
  const series = kept.backup.slice(0, kept.backup.lastIndexOf('/') + 1)
  refuseUnfinished(journal, (one) => one.kind === 'files' && one.on === kept.on && one.backup.startsWith(series))
  const parts: Part[] = []
  for (const path of kept.paths) {
    parts.push({ kept: path, work: workOf(kept, path), moves: await readMovesBack(host, path, taking.signal) })
  }
  const count = parts.flatMap(({ moves }) => moves).reduce((sum, move) => sum + countFiles(move), 0)
  return {
    title: `Bring files on ${kept.on} back to what they were before the ${kept.by} of ${new Date(kept.at).toISOString()}`,
    because: `it was asked for; ${kept.backup} had taken their place`,
    steps: [
      {
        on: kept.on,
        timeoutMs,
        title: `Put ${plural(count, 'file')} back in place; what is there now is kept`,
        preview: `from ${nameKept(kept)}`,
        apply: (target, signal) => swap(taking, parts, { host: target, signal }),
        verify: async (reader) => verifyEmpty(reader, parts),
        async undo(target, signal) {
          const place = openPlace({ host: target, redact: taking.redact, signal, timeoutMs })
          for (const { work } of parts) await runMoves(place, { path: work }, 'back')
          for (const follower of followers) await follower.revert(target, signal)
          await returnKept(place, kept)
          forgetUnfinished(journal, kept.id)
        },
      },
      ...followers.map((one) => followStep(kept.on, one)),
      {
        on: kept.on,
        title: 'Keep what was there until now beside the files',
        async apply(target, signal) {
          const place = openPlace({ host: target, redact: taking.redact, signal, timeoutMs })
          await settleTakeBack(taking, place)
        },
        async undo(target, signal) {
          const place = openPlace({ host: target, redact: taking.redact, signal, timeoutMs })
          await unkeepAll(
            place,
            parts.map(({ work }) => ({ path: work })),
            stampOf(taking),
          )
        },
      },
    ],
  }
}

function countFiles(move: Move): number {
  return move.kind === 'merge' ? move.names.length : move.kind === 'take' ? 0 : 1
}

function workOf({ id }: Kept, path: string): string {
  return `${dirname(path) === '/' ? '' : dirname(path)}/.opskit-restore-${id}`
}

async function swap(
  { kept, journal, now, redact, timeoutMs }: FilesTakeBack,
  parts: readonly Part[],
  { host, signal }: { readonly host: Host; readonly signal: AbortSignal },
): Promise<void> {
  const place = openPlace({ host, redact, signal, timeoutMs })
  const { id, backup, on, isInPlace, target } = kept
  const places = parts.map(({ work }) => work)
  const one: Omit<Unfinished, 'phase'> = {
    ...{ id, kind: 'files', backup, startedAt: now, on, places, isInPlace, into: target, keptId: id },
  }
  noteUnfinished(journal, { ...one, phase: 'loading' })
  for (const part of parts) await prepare(place, host, { part, target })
  noteUnfinished(journal, { ...one, phase: 'swapping' })
  for (const { work } of parts) await runMoves(place, { path: work }, 'forward')
}

/** The way back is written last: it would take live files for restored ones while those are not there. */
async function prepare(
  place: Place,
  host: Host,
  { part, target }: { readonly part: Part; readonly target: string },
): Promise<void> {
  const { kept, work, moves } = part
  await sh(place, 'umask 077; mkdir -- "$2" && mkdir -- "$2/before" && mv -T -- "$1" "$2/restored"', [kept, work])
  await host.put(`${work}/${MOVES_FILE}`, JSON.stringify(moves), { mode: 0o600 })
  for (const direction of ['forward', 'back'] as const) {
    const script = formatMoves(moves, { directory: work, target, isOnly: true }, direction)
    await host.put(`${work}/${direction}.sh`, script, { mode: 0o600 })
  }
}

/** Nothing may be left of what was to go to its place. */
async function verifyEmpty(host: HostReader, parts: readonly Part[]) {
  for (const { work } of parts) {
    const find = ['find', `${work}/restored`, '!', '-type', 'd', '!', '-name', MOVES_FILE, '-print', '-quit'] as const
    const { stdout, exitCode } = await host.read(find)
    if (exitCode !== 0 || stdout !== '')
      return { ok: false, because: `not everything came to its place: ${stdout.trim()}` }
  }
  return { ok: true, because: 'the files are what they were before' }
}

/** After `back.sh`: what was kept is kept again. Repeatable. */
export async function returnKept(place: Place, kept: Kept & KeptFiles): Promise<void> {
  const script = 'if [ -d "$2/restored" ] && ! [ -e "$1" ]; then mv -T -- "$2/restored" "$1"; fi; rm -rf -- "$2"'
  for (const path of kept.paths) await sh(place, script, [path, workOf(kept, path)])
}

/** What was there until now takes the place of what was kept, in the journal too. */
export async function settleTakeBack(
  { kept, journal, now, say }: Pick<FilesTakeBack, 'kept' | 'journal' | 'now' | 'say'>,
  place: Place,
): Promise<void> {
  const works = kept.paths.map((path) => ({ path: workOf(kept, path) }))
  const paths = await keepAll(place, works, stampOf({ kept, now }))
  journal.transaction(() => {
    forgetUnfinished(journal, kept.id)
    forgetKept(journal, (one) => one.id === kept.id)
    if (paths.length > 0) noteKept(journal, { ...kept, id: newKeptId(), by: 'undo', at: now, paths })
  })
  await tellKept(place, works, { paths, say })
}

/** Names hold seconds: what was kept a moment ago has this one's. */
export function stampOf({ kept, now }: { readonly kept: Kept & KeptFiles; readonly now: number }): number {
  const isTaken = kept.paths.some((path) => path.endsWith(formatStamp(now)))
  return isTaken ? now + 1_000 : now
}

async function sh(place: Place, script: string, args: readonly string[]): Promise<void> {
  const end = await runTool(place, { argv: ['sh', '-euc', script, 'opskit', ...args] })
  if (end.error) throw end.error
  if (hasFailed(end)) {
    throw new OpsError('CANNOT_WRITE', `cannot move what was kept on ${place.host}${said(end.stderr, place.redact)}`)
  }
}

/** @throws OpsError FAILED when it is not there any more, DATA_MISMATCH when nothing there says how it came about */
async function readMovesBack(host: HostReader, path: string, signal: AbortSignal): Promise<Move[]> {
  const text = await host.get(`${path}/${MOVES_FILE}`, { signal })
  if (text === undefined) {
    throw new OpsError('FAILED', `${path} on ${host.name} is not there any more, or not whole`, {
      host: host.name,
      hint: 'npx zx scripts/restore.ts list shows what is there, and --discard ID forgets it.',
    })
  }
  const moves = parseMoves(Buffer.from(text).toString())
  if (!moves) {
    throw new OpsError(
      'DATA_MISMATCH',
      `${path}/${MOVES_FILE} on ${host.name} cannot be read: it is not what was written`,
      {
        host: host.name,
        hint: `The files are there; put them back by hand from ${path}.`,
      },
    )
  }
  return decideMovesBack(moves, await readWhich(host, path, { moves, signal }))
}

function parseMoves(text: string): Move[] | undefined {
  try {
    const moves: unknown = JSON.parse(text)
    return Array.isArray(moves) ? (moves as Move[]) : undefined
  } catch {
    return undefined
  }
}

/** What a move has kept, by its paths. */
function pathsOf(move: Move): string[] {
  return move.kind === 'merge' ? move.names.map((name) => joinPath(move.directory, name)) : [move.path]
}

function joinPath(directory: string, name: string): string {
  return directory === '' ? name : `${directory}/${name}`
}

/** @returns those paths of the moves that are kept; names need not be UTF-8, so they go there by stdin, one character a byte */
async function readWhich(
  host: HostReader,
  path: string,
  { moves, signal }: { readonly moves: readonly Move[]; readonly signal: AbortSignal },
): Promise<ReadonlySet<string>> {
  const all = moves.flatMap(pathsOf)
  const at = Buffer.from(path).toString('latin1')
  const look = 'look() { if [ -e "$K/$1" ] || [ -L "$K/$1" ]; then printf 1; else printf 0; fi; }'
  const script = [`K=${quoteWord(at)}`, look, ...all.map((one) => quoteArgv(['look', one]))].join('\n')
  const { stdout } = await host.read(['sh'], { input: Buffer.from(`${script}\n`, 'latin1'), signal })
  return new Set(all.filter((_, index) => stdout[index] === '1'))
}

/** Pure: what was replaced is put back, what was new goes aside, what had gone comes back. */
export function decideMovesBack(moves: readonly Move[], isKept: ReadonlySet<string>): Move[] {
  return moves.flatMap((move): Move[] => {
    if (move.kind === 'take') return isKept.has(move.path) ? [move] : []
    if (move.kind === 'turn') return isKept.has(move.path) ? [move] : [{ kind: 'gone', path: move.path }]
    if (move.kind === 'gone') {
      const [directory, name] = splitPath(move.path)
      return isKept.has(move.path) ? [{ kind: 'merge', directory, names: [name] }] : []
    }
    const { directory, names } = move
    const back = names.filter((name) => isKept.has(joinPath(directory, name)))
    const aside = names.filter((name) => !back.includes(name))
    return [
      ...(back.length > 0 ? [{ kind: 'merge' as const, directory, names: back }] : []),
      ...aside.map((name) => ({ kind: 'gone' as const, path: joinPath(directory, name) })),
    ]
  })
}

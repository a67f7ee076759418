/**
 * A working directory beside the files that are restored, on their file system, so that every file can be put in its
 * place by a rename:
 *
 *   restored/       what was unpacked and compared
 *   before/         what was there, by the same paths
 *   .opskit-moves.json  what the scripts do, for taking a finished restore back
 *   forward.sh      finishes the restore from wherever it was left
 *   back.sh         takes it back from wherever it was left
 */
import { dirname } from 'node:path'
import { messageOf, OpsError } from '../../../core/errors.ts'
import { runTool, type Place } from '../../pipeline/place.ts'
import { hasFailed, said } from '../../pipeline/failure.ts'
import { formatStamp } from '../../repository/names.ts'

export interface WorkDirectory {
  readonly path: string
  /** Absolute paths that are restored through it. */
  readonly roots: readonly string[]
}

/** Prints for each path the nearest directory above it that is there, and its device. */
const LOOK = `for p do
d=$p
while d=$(dirname "$d") && ! [ -d "$d" ]; do :; done
printf '%s\\0%s\\0' "$(stat -L -c %d -- "$d")" "$d"
done`

/** @returns one directory for each file system; not made yet */
export async function planWorkDirectories(
  place: Place,
  roots: readonly string[],
  id: string,
): Promise<WorkDirectory[]> {
  const end = await runTool(place, { argv: ['sh', '-c', LOOK, 'opskit', ...roots] })
  if (hasFailed(end))
    throw new OpsError('FAILED', `cannot look at the places on ${place.host}${said(end.stderr, place.redact)}`)
  const fields = end.stdout.split('\0')
  const byDevice = new Map<string, { path: string; roots: string[] }>()
  for (const [index, root] of roots.entries()) {
    const [device = '', directory = '/'] = fields.slice(index * 2, index * 2 + 2)
    const known = byDevice.get(device)
    if (known) known.roots.push(root)
    else byDevice.set(device, { path: `${directory === '/' ? '' : directory}/.opskit-restore-${id}`, roots: [root] })
  }
  return [...byDevice.values()]
}

/** @returns bytes that may be written beside the files; undefined when the machine does not say */
export async function readFree(place: Place, directory: string): Promise<number | undefined> {
  const { stdout, code } = await runTool(place, { argv: ['df', '-Pk', dirname(directory)] })
  const free = Number(stdout.trim().split('\n').at(-1)?.split(/\s+/)[3]) * 1024
  return code === 0 && Number.isFinite(free) ? free : undefined
}

export async function makeWorkDirectory(place: Place, { path }: WorkDirectory): Promise<void> {
  const end = await runTool(place, {
    argv: ['sh', '-c', 'umask 077; rm -rf -- "$1" && mkdir -p -- "$1/restored" "$1/before"', 'opskit', path],
  })
  if (hasFailed(end)) throw cannotWrite(place, path, end.stderr)
}

export async function removeWorkDirectory(place: Place, { path }: Pick<WorkDirectory, 'path'>): Promise<void> {
  const end = await runTool(place, { argv: ['rm', '-rf', '--', path] })
  if (hasFailed(end)) throw cannotWrite(place, path, end.stderr)
}

/** How it came about lies in what is kept, by this name. */
export const MOVES_FILE = '.opskit-moves.json'

/** What was there before stays, under a name that says so. @returns where, or undefined when nothing was there */
export async function keepBefore(
  place: Place,
  { path }: Pick<WorkDirectory, 'path'>,
  stamp: string,
): Promise<string | undefined> {
  const kept = keptPath(path, stamp)
  const script = `if [ -d "$2" ] && ! [ -e "$1/before" ]; then echo kept
elif [ -n "$(find "$1/before" -mindepth 1 ! -type d ! -path "$1/before/$3" -print -quit 2>/dev/null)" ]; then
  [ ! -f "$1/$3" ] || cp -- "$1/$3" "$1/before/"
  mv -T -- "$1/before" "$2"
  echo kept
fi`
  const end = await runTool(place, { argv: ['sh', '-euc', script, 'opskit', path, kept, MOVES_FILE] })
  if (hasFailed(end)) throw cannotWrite(place, path, end.stderr)
  return end.stdout.includes('kept') ? kept : undefined
}

function keptPath(path: string, stamp: string): string {
  return `${dirname(path) === '/' ? '' : dirname(path)}/.opskit-before-${stamp}`
}

/** @returns the directories that keep what was there before; the working directories stay until that is noted */
export async function keepAll(
  place: Place,
  work: readonly Pick<WorkDirectory, 'path'>[],
  at: number,
): Promise<string[]> {
  const all: string[] = []
  for (const one of work)
    all.push(...[await keepBefore(place, one, formatStamp(at))].filter((path) => path !== undefined))
  return all
}

/** Before `back.sh`, which looks for it in the working directory. Repeatable. */
export async function unkeepAll(place: Place, work: readonly Pick<WorkDirectory, 'path'>[], at: number): Promise<void> {
  const script = 'if [ -d "$1" ] && [ -d "$2" ] && ! [ -e "$1/before" ]; then mv -T -- "$2" "$1/before"; fi'
  for (const { path } of work) {
    const kept = keptPath(path, formatStamp(at))
    const end = await runTool(place, { argv: ['sh', '-euc', script, 'opskit', path, kept] })
    if (hasFailed(end)) throw cannotWrite(place, path, end.stderr)
  }
}

/** The end of it: nothing is to be undone any more, so what is left of the work is no failure. */
export async function tellKept(
  place: Place,
  work: readonly Pick<WorkDirectory, 'path'>[],
  { paths, say }: { readonly paths: readonly string[]; readonly say: (message: string) => void },
): Promise<void> {
  for (const path of paths) say(`what was there before is kept in ${path} on ${place.host}`)
  for (const one of work) await removeWorkDirectory(place, one).catch((error: unknown) => say(messageOf(error)))
}

/** A script that outlived whoever started it is waited for: two of them would undo each other's moves. */
const ALONE = `[ -f "$1/$2.sh" ] || exit 0
if command -v flock >/dev/null 2>&1; then exec flock "$1/lock" sh "$1/$2.sh"; else exec sh "$1/$2.sh"; fi`

/** Runs `forward.sh` or `back.sh`; both may be repeated. */
export async function runMoves(
  place: Place,
  { path }: Pick<WorkDirectory, 'path'>,
  direction: 'forward' | 'back',
): Promise<void> {
  const end = await runTool(place, {
    argv: ['sh', '-c', ALONE, 'opskit', path, direction],
    env: { LC_ALL: 'C' },
  })
  if (end.error) throw end.error
  if (hasFailed(end) && isFull(end.stderr)) throw cannotWrite(place, path, end.stderr)
  if (hasFailed(end)) {
    throw new OpsError('FAILED', `moving the files on ${place.host} failed${said(end.stderr, place.redact)}`, {
      host: place.host,
      hint: `The script lies in ${path}; it can be run again.`,
    })
  }
}

/** Whether the tools of a machine, told to speak plainly (`LC_ALL=C`), said that its disk is full: they have no code for it. */
export function isFull(stderr: string): boolean {
  return /No space left on device|Disk quota exceeded/.test(stderr)
}

function cannotWrite({ host, redact }: Place, path: string, stderr: string): OpsError {
  return new OpsError('CANNOT_WRITE', `cannot write ${path} on ${host}${said(stderr, redact)}`, { host })
}

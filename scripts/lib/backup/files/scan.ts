/**
 * What lies below the asked paths, on any machine: one `find`, whose output is read as it comes. GNU find prints
 * everything by itself; where there is only busybox, a small script does it with stat and readlink.
 */
import { pipeline } from 'node:stream/promises'
import { OpsError } from '../../core/errors.ts'
import { quoteWord, type Argv } from '../../core/quote.ts'
import { said, stageError } from '../pipeline/failure.ts'
import type { Place, ToolEnd } from '../pipeline/place.ts'
import { bytesOf, type FileFacts } from './facts.ts'
import { createCollector, type Collected, type Collector } from './scan-records.ts'

export interface Scan {
  /** Sorted by the bytes of their names: a directory before what is in it. */
  readonly entries: readonly FileFacts[]
  /** Sockets: nothing that could be saved. */
  readonly sockets: readonly string[]
  /** Directories on which another file system is mounted: it is not entered. */
  readonly mounts: readonly string[]
}

export interface ScanRequest {
  /** Absolute. */
  readonly paths: readonly string[]
  /** True for what is left out, by absolute path. */
  readonly isExcluded: (path: string) => boolean
  /** GNU find is there. */
  readonly gnu: boolean
  /** An absolute directory from which on paths are told; absent: from `/`. */
  readonly below?: string
}

const GNU_FORMAT = '%y %m %U %G %s %T@ %C@ %i %n %D %p\\0%l\\0'

/** One leading character says whether it may be read: of a directory its list, of a file its bytes. */
const GNU_PRINT = [
  ...['(', '(', '-type', 'l', '-o', '-readable', ')', '-printf', '+', '-o', '-printf', '-', ')'],
  ...['-printf', GNU_FORMAT],
]

/** Busybox knows no -printf. The fields are the same; the type is the first digits of the raw mode. */
const BUSYBOX_SCRIPT = `exec find "$@" -xdev -exec sh -c 'for f; do
s=$(stat -c "%f %u %g %s %Y %Z %i %h %d" -- "$f" 2>/dev/null) || continue
if [ -L "$f" ] || [ -r "$f" ]; then r=+; else r=-; fi
printf "%sx%s " "$r" "$s"; printf "%s\\0" "$f"
if [ -L "$f" ]; then l=$(readlink -n -- "$f"; echo .); printf "%s" "\${l%.}"; fi; printf "\\0"
done' sh {} +`

/** A scan that runs: what it has found can be read while it looks further. */
export interface Scanning {
  /** In the order of the walk, some at a time. Throws what `done` throws: no part of a list is taken for all of it. */
  readonly found: AsyncIterable<readonly FileFacts[]>
  /** @throws OpsError as `scanFiles` */
  readonly done: Promise<Scan>
}

export function startScan(place: Place, request: ScanRequest): Scanning {
  const collector = createCollector(request.paths, request.isExcluded, request.below)
  let wake = () => {}
  const done = scan(place, request, { collector, onGrown: () => wake() })
  // Whoever reads `found` hears of it there, and asks for it at its end.
  done.catch(() => undefined)
  return { found: follow(collector.entries, { done, onGrown: (tell) => (wake = tell) }), done }
}

/**
 * @throws OpsError FAILED for an asked path that is not there (by its name), NOT_PERMITTED for something that may not be
 *   read, MISSING_TOOL without find
 */
export function scanFiles(place: Place, request: ScanRequest): Promise<Scan> {
  const collector = createCollector(request.paths, request.isExcluded, request.below)
  return scan(place, request, { collector, onGrown: () => undefined })
}

interface Collecting {
  readonly collector: Collector
  readonly onGrown: () => void
}

async function scan(place: Place, { paths, gnu }: ScanRequest, collecting: Collecting): Promise<Scan> {
  const argv: Argv = gnu
    ? ['find', '-P', ...paths, '-xdev', '-ignore_readdir_race', ...GNU_PRINT]
    : ['sh', '-c', BUSYBOX_SCRIPT, 'scan', ...paths]
  const { end, entries, sockets, mounts, unreadable, roots } = await collect(place, { argv }, collecting)
  const missing = paths.filter((path) => !roots.has(path))
  if (!end.error && end.code !== 127 && missing.length > 0) throw missingPaths(missing, place.host)
  assertComplete(end, unreadable, place)
  return { entries, sockets, mounts }
}

const LOOK_AGAIN = `exec find -P "$@" -maxdepth 0 ${GNU_PRINT.map(quoteWord).join(' ')}`

/** The same files once more, by GNU find; those that are gone are left out. Cheaper than a scan when they are few. */
export async function lookAgain(place: Place, files: readonly FileFacts[]): Promise<readonly FileFacts[]> {
  const input = files.map((file) => Buffer.concat([SLASH, bytesOf(file), NUL]))
  const argv: Argv = ['xargs', '-0', '-r', 'sh', '-c', LOOK_AGAIN, 'find']
  const collector = createCollector([], () => false)
  const { end, entries } = await collect(place, { argv, input }, { collector, onGrown: () => undefined })
  // A path that is gone makes find end with 1, and xargs with 123: that is an answer.
  if (end.code !== 0 && end.code !== 123) assertComplete(end, [], place)
  return entries
}

const SLASH = Buffer.from('/')
const NUL = Buffer.alloc(1)

interface Look {
  readonly argv: Argv
  readonly input?: readonly Buffer[]
}

async function collect(
  place: Place,
  { argv, input }: Look,
  { collector, onGrown }: Collecting,
): Promise<Collected & { readonly end: ToolEnd }> {
  const tool = await place.start({ argv, wantsInput: input !== undefined })
  const written = input && pipeline(input, tool.input).catch(() => undefined)
  // One byte is one character: names are decoded where they need it.
  tool.output?.setEncoding('latin1')
  try {
    for await (const chunk of tool.output ?? []) {
      collector.push(chunk as string)
      onGrown()
    }
  } catch (error) {
    // A broken stream is explained by the end of the tool; what cannot be understood is not.
    if (!(error instanceof TypeError)) return refuse(await tool.ended, collector.finish().unreadable, place)
    tool.kill()
    throw error
  }
  await written
  return { ...collector.finish(), end: await tool.ended }
}

interface Growing {
  /** Until it is settled, the list may grow. */
  readonly done: Promise<unknown>
  /** Says whom to tell. */
  readonly onGrown: (tell: () => void) => void
}

/** Reads a list that grows, some at a time. @throws what `done` throws */
async function* follow<T>(list: readonly T[], { done, onGrown }: Growing): AsyncGenerator<readonly T[]> {
  for (let at = 0, ended = false; ;) {
    const more = list.slice(at)
    at += more.length
    if (more.length > 0) yield more
    else if (ended) return
    else
      ended = await Promise.race([
        done.then(() => true),
        new Promise<false>((resolve) => onGrown(() => resolve(false))),
      ])
  }
}

/** For a stream that broke although the tool says that all went well: its end is not the end of the list. */
function refuse(end: ToolEnd, unreadable: readonly string[], place: Place): never {
  assertComplete(end, unreadable, place)
  throw new OpsError('FAILED', `the list of files on ${place.host} was cut off`, { host: place.host, transient: true })
}

function assertComplete(end: ToolEnd, unreadable: readonly string[], place: Place): void {
  if (unreadable.length > 0) {
    const more = unreadable.length > 1 ? ` and ${unreadable.length - 1} more` : ''
    throw new OpsError('NOT_PERMITTED', `${unreadable[0]}${more} may not be read on ${place.host}`, {
      host: place.host,
      hint: 'Run the backup as root (sudo: true for the host), or exclude it.',
    })
  }
  if (end.error) throw end.error
  if (end.cannotStart !== undefined || end.signal !== null || end.code === 127) {
    throw stageError(end, place.host, place.redact)
  }
  if (end.code !== 0) {
    throw new OpsError('FAILED', `looking for the files on ${place.host} failed${said(end.stderr, place.redact)}`, {
      host: place.host,
      hint: 'Exclude what cannot be read, or mend it.',
    })
  }
}

function missingPaths(missing: readonly string[], host: string): OpsError {
  const list = missing.join(', ')
  return new OpsError(
    'FAILED',
    `${list} ${missing.length === 1 ? 'is' : 'are'} not there on ${host}: nothing is saved`,
    {
      host,
      hint: 'Take it out of paths in opskit.yaml, or bring it back.',
    },
  )
}

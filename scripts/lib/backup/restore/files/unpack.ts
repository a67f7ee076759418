/** A chain of archives unpacked into an empty directory, and what lies there compared with the index. */
import { pipeline } from 'node:stream/promises'
import { OpsError } from '../../../core/errors.ts'
import type { FileFacts } from '../../files/facts.ts'
import { scanFiles } from '../../files/scan.ts'
import { readChecksums, readFileTools, type FileTools } from '../../files/tar.ts'
import { hasFailed, said, stageError } from '../../pipeline/failure.ts'
import { runTool, type Place } from '../../pipeline/place.ts'
import { feed, type DecodeOptions } from '../decode.ts'
import type { Link } from './chain.ts'
import { asBytes, sameTime } from './moves.ts'
import { decideOutdated } from './select.ts'

export interface UnpackRequest extends DecodeOptions {
  readonly place: Place
  /** Tools run on this machine. */
  readonly isLocal: boolean
  readonly chain: readonly [...Link[], Link]
  /** Empty; on the far side when `place` is. */
  readonly directory: string
  /** Only these, one character a byte; absent: everything. */
  readonly only?: readonly string[]
  /** Unpacked for the sake of others that are one file with them, and not wanted themselves. */
  readonly remove?: readonly string[]
}

const GNU = [
  '--numeric-owner',
  '--same-permissions',
  '--same-owner',
  '--acls',
  '--xattrs',
  '--xattrs-include=*',
  '--delay-directory-restore',
  '--no-recursion',
]

export async function unpack(request: UnpackRequest): Promise<void> {
  const { place, chain, only } = request
  const tools = await readFileTools(place)
  const list = only && (await writeList(request, only))
  for (const [index, link] of chain.entries()) {
    if (index > 0) await removeOutdated(request)
    for (const { path } of link.archives) await unpackOne(request, tools, path, list)
  }
  if (list !== undefined) await runTool(place, { argv: ['rm', '-f', '--', list] })
  await removeAll(request, request.remove ?? [])
}

async function unpackOne(
  request: UnpackRequest,
  tools: FileTools,
  path: string,
  list: string | undefined,
): Promise<void> {
  const { place, directory, isLocal } = request
  const named = list === undefined ? [] : ['--null', '--verbatim-files-from', `--files-from=${list}`]
  const argv = tools.gnuTar
    ? (['tar', '--extract', '--file=-', '--ignore-zeros', `--directory=${directory}`, ...GNU, ...named] as const)
    : (['tar', '-x', '-f', '-', '-C', directory] as const)
  const tool = await place.start({ argv: ['tar', ...argv.slice(1)], env: { LC_ALL: 'C' }, wantsInput: true })
  tool.output?.resume()
  const fed = feed(path, { ...request, into: tool.input, isPipe: isLocal })
  fed.catch(tool.kill)
  const end = await tool.ended
  await fed
  if (!hasFailed(end)) return
  // Of a list of a chain not every name is in every archive; the comparison afterwards tells what is missing.
  if (list !== undefined && end.code === 2 && onlyNotFound(end.stderr)) return
  if (/No space left on device|Disk quota exceeded/.test(end.stderr)) {
    throw new OpsError('CANNOT_WRITE', `there is no space to unpack ${path} beside the files on ${place.host}`, {
      host: place.host,
    })
  }
  throw stageError(end, place.host, place.redact)
}

function onlyNotFound(stderr: string): boolean {
  const lines = stderr.split('\n').filter((line) => line !== '')
  return lines.every((line) => line.endsWith('Not found in archive') || line.includes('Exiting with failure status'))
}

async function writeList({ place, directory }: UnpackRequest, names: readonly string[]): Promise<string> {
  const path = `${directory}.list`
  const tool = await place.start({ argv: ['sh', '-c', 'cat > "$1"', 'opskit', path], wantsInput: true })
  tool.output?.resume()
  await pipeline([Buffer.from(names.map((name) => `${name}\0`).join(''), 'latin1')], tool.input).catch(() => undefined)
  const end = await tool.ended
  if (hasFailed(end))
    throw new OpsError('CANNOT_WRITE', `cannot write ${path} on ${place.host}${said(end.stderr, place.redact)}`)
  return path
}

/** What of the full backup is no more, or comes anew, goes before the incremental one is unpacked. */
async function removeOutdated(request: UnpackRequest): Promise<void> {
  const [full, now] = [request.chain[0], request.chain.at(-1)]
  if (full && now)
    await removeAll(
      request,
      decideOutdated(full.index, now.index).map((entry) => asBytes(entry).path),
    )
}

async function removeAll({ place, directory }: UnpackRequest, paths: readonly string[]): Promise<void> {
  if (paths.length === 0) return
  const script = 'cd -- "$1" && exec xargs -0 rm -rf --'
  const tool = await place.start({ argv: ['sh', '-c', script, 'opskit', directory], wantsInput: true })
  tool.output?.resume()
  await pipeline([Buffer.from(paths.map((path) => `./${path}\0`).join(''), 'latin1')], tool.input).catch(
    () => undefined,
  )
  const end = await tool.ended
  if (hasFailed(end)) throw stageError(end, place.host, place.redact)
}

export interface CompareRequest {
  readonly place: Place
  /** Where the paths begin: a directory, or empty for `/`. */
  readonly directory: string
  readonly wanted: readonly FileFacts[]
  /** Look at contents too, where the index has a checksum. */
  readonly checksums: boolean
}

const MAX_DIFFERENCES = 20

/** @returns what differs from the index, a sentence each */
export async function compareFiles({ place, directory, wanted, checksums }: CompareRequest): Promise<string[]> {
  const tools = await readFileTools(place)
  const live = await readLive(place, directory, wanted, tools)
  const differences = wanted.flatMap((entry) => {
    const bytes = asBytes(entry)
    // A link to a directory that was left where it stood.
    if (entry.type === 'directory' && live.get(`${bytes.path}/`)?.type === 'directory') return []
    const problem = decideDifference(bytes, live.get(bytes.path))
    return problem === undefined ? [] : [`/${entry.path} ${problem}`]
  })
  if (differences.length > 0 || !checksums || !tools.checksums) return differences.slice(0, MAX_DIFFERENCES)
  const summed = wanted.filter(({ sha256, type }) => sha256 !== undefined && type === 'file')
  const placed = summed.map((entry) => ({
    ...entry,
    path: `${directory.replace(/^\//, '')}/${entry.path}`.replace(/^\//, ''),
  }))
  const found = await readChecksums(place, placed)
  return summed
    .filter((entry, index) => found.get(placed[index]?.path ?? '') !== entry.sha256)
    .map(({ path }) => `/${path} has other content`)
    .slice(0, MAX_DIFFERENCES)
}

function decideDifference(entry: FileFacts, found: FileFacts | undefined): string | undefined {
  if (!found) return 'is missing'
  if (found.type !== entry.type) return `is a ${found.type}, not a ${entry.type}`
  if (found.uid !== entry.uid || found.gid !== entry.gid) {
    return `belongs to ${found.uid}:${found.gid}, not to ${entry.uid}:${entry.gid}`
  }
  if (entry.type === 'link') return found.target === entry.target ? undefined : `points to ${found.target}`
  if (found.mode !== entry.mode) return `has the mode ${found.mode.toString(8)}, not ${entry.mode.toString(8)}`
  if (entry.type !== 'file') return undefined
  if (found.sizeBytes !== entry.sizeBytes) return `has ${found.sizeBytes} bytes, not ${entry.sizeBytes}`
  return sameTime(found.mtime, entry.mtime) || !entry.mtime.includes('.') ? undefined : 'has another time of change'
}

/** An argument list holds a few thousand paths. */
const ROOTS_PER_CALL = 500

/** What lies where the entries belong; by path below `directory`, one character a byte. */
export async function readLive(
  place: Place,
  directory: string,
  entries: readonly FileFacts[],
  tools: FileTools,
): Promise<Map<string, FileFacts>> {
  const roots = topsOf(entries.map(({ path }) => path))
  const found: FileFacts[] = []
  for (let at = 0; at < roots.length; at += ROOTS_PER_CALL) {
    const there = await keepExisting(
      place,
      roots.slice(at, at + ROOTS_PER_CALL).map((path) => `${directory}/${path}`),
    )
    if (there.length === 0) continue
    found.push(...(await scanFiles(place, { paths: there, isExcluded: () => false, gnu: tools.gnuFind })).entries)
  }
  const prefix = Buffer.from(directory.replace(/^\//, '')).toString('latin1')
  const below = (path: string) => (prefix === '' ? path : path.slice(prefix.length + 1))
  const live = found.map((facts) => {
    const bytes = asBytes(facts)
    return { ...bytes, path: below(bytes.path) }
  })
  const known = new Map(live.map((facts) => [facts.path, facts]))
  await lookBehindLinks({ place, directory, entries, tools }, known)
  return known
}

interface Look {
  readonly place: Place
  readonly directory: string
  readonly entries: readonly FileFacts[]
  readonly tools: FileTools
}

/** Where a link stands and the entries have a directory, what it leads to is looked at as well: `link/` is the directory. */
async function lookBehindLinks(
  { place, directory, entries, tools }: Look,
  known: Map<string, FileFacts>,
): Promise<void> {
  const linked = entries.filter(
    (entry) => entry.type === 'directory' && known.get(asBytes(entry).path)?.type === 'link',
  )
  for (const { path } of linked) {
    // Only a directory has a `.` in it.
    const [there] = await keepExisting(place, [`${directory}/${path}/.`])
    if (there === undefined) continue
    const { entries: behind } = await scanFiles(place, { paths: [there], isExcluded: () => false, gnu: tools.gnuFind })
    const top = `${directory}/${path}`.slice(1)
    for (const facts of behind.map(asBytes)) {
      const below =
        Buffer.from(path).toString('latin1') + facts.path.slice(Buffer.byteLength(top)).replace(/^\/\.\/?/, '/')
      known.set(below, { ...facts, path: below })
    }
  }
}

/** The paths that are not below another one of them. */
export function topsOf(paths: readonly string[]): string[] {
  const all = new Set(paths)
  const isBelow = (path: string) => {
    for (let slash = path.indexOf('/'); slash !== -1; slash = path.indexOf('/', slash + 1)) {
      if (all.has(path.slice(0, slash))) return true
    }
    return false
  }
  return paths.filter((path) => !isBelow(path))
}

async function keepExisting(place: Place, paths: readonly string[]): Promise<string[]> {
  const script = 'for p do if [ -e "$p" ] || [ -L "$p" ]; then printf "%s\\0" "$p"; fi; done'
  const { stdout } = await runTool(place, { argv: ['sh', '-c', script, 'opskit', ...paths] })
  const there = new Set(stdout.split('\0'))
  return paths.filter((path) => there.has(path))
}

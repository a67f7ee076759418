/** A chain of archives unpacked into an empty directory, and what lies there compared with the index. */
import { pipeline } from 'node:stream/promises'
import { OpsError } from '../../../core/errors.ts'
import { asBytes } from '../../files/facts.ts'
import { readFileTools, type FileTools } from '../../files/tar.ts'
import { hasFailed, said, stageError } from '../../pipeline/failure.ts'
import { runTool, type Place } from '../../pipeline/place.ts'
import { feed, type DecodeOptions } from '../decode.ts'
import type { Link } from './chain.ts'
import { isFull } from './place.ts'
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
  if (isFull(end.stderr)) {
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

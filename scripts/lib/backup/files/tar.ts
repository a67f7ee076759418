/**
 * Reading files into an archive by tar, from an exact list: what the scan found is what is read, nothing by recursion,
 * so index and archive say the same. GNU tar keeps ACLs, extended attributes, sparse files and hard links; busybox has
 * none of these, and its archive is several in a row (read them with `tar -i`).
 */
import { pipeline } from 'node:stream/promises'
import { OpsError } from '../../core/errors.ts'
import { stageError } from '../pipeline/failure.ts'
import { runTool, type Place, type ToolEnd } from '../pipeline/place.ts'
import { openSink, type Sink, type SinkOptions } from '../pipeline/sink.ts'
import { parseToolVersion } from '../pipeline/tools.ts'
import type { DataFile } from '../types.ts'
import { bytesOf, type FileFacts } from './facts.ts'

export interface FileTools {
  readonly gnuTar: boolean
  readonly gnuFind: boolean
  /** sha256sum can print names as they are (`-z`). */
  readonly checksums: boolean
  readonly tarVersion: string
}

/** Asks each for its version; busybox calls itself so. */
const TOOLS_SCRIPT = `for t in tar find sha256sum; do
command -v $t >/dev/null 2>&1 || { echo "$t missing"; continue; }
echo "$t $($t --version 2>&1 | head -n 1)"
done`

/** @throws OpsError MISSING_TOOL */
export async function readFileTools(place: Place): Promise<FileTools> {
  const { stdout } = await runTool(place, { argv: ['sh', '-c', TOOLS_SCRIPT] })
  const lines = new Map(
    stdout.split('\n').map((line) => [line.slice(0, line.indexOf(' ')), line.slice(line.indexOf(' ') + 1)]),
  )
  for (const program of ['tar', 'find']) {
    if (lines.get(program) !== 'missing') continue
    throw new OpsError('MISSING_TOOL', `${program} is not installed on ${place.host}`, { host: place.host })
  }
  const tar = lines.get('tar') ?? ''
  return {
    gnuTar: tar.includes('GNU tar'),
    gnuFind: (lines.get('find') ?? '').includes('GNU findutils'),
    checksums: (lines.get('sha256sum') ?? '').includes('GNU coreutils'),
    tarVersion: parseToolVersion(tar.includes('GNU tar') ? tar : 'busybox'),
  }
}

/** 256 KiB at a time: with tar's own 10 KiB a quarter of the processor goes into system calls. */
const BLOCKING_FACTOR = '512'

const GNU_ARGV: readonly [string, ...string[]] = [
  'tar',
  '--create',
  '--file=-',
  '--directory=/',
  `--blocking-factor=${BLOCKING_FACTOR}`,
  '--format=posix',
  // Times of access and change cannot be restored, and would make equal archives differ.
  '--pax-option=delete=atime,delete=ctime',
  '--numeric-owner',
  '--acls',
  '--xattrs',
  '--xattrs-include=*',
  '--sparse',
  '--quoting-style=escape',
  '--no-recursion',
  '--null',
  '--verbatim-files-from',
  '--files-from=-',
]

const BUSYBOX_ARGV: readonly [string, ...string[]] = [
  'xargs',
  '-0',
  'tar',
  '-c',
  '-f',
  '-',
  '-C',
  '/',
  '--no-recursion',
  '--',
]

export interface ArchiveRequest {
  readonly place: Place
  readonly tools: FileTools
  /** What is read, some at a time; perhaps still being looked up. */
  readonly entries: AsyncIterable<readonly FileFacts[]> | Iterable<readonly FileFacts[]>
  readonly sink: SinkOptions
}

export interface Archive {
  /** Until it lies on the disk: the compressor and the checksum come after tar. Rejects with CANNOT_WRITE, MISSING_TOOL, FAILED. */
  readonly file: Promise<Pick<DataFile, 'sizeBytes' | 'sha256'>>
  /** How tar ended, to be judged against what moved meanwhile. */
  readonly end: ToolEnd
}

/**
 * @returns when tar has ended
 * @throws OpsError CANNOT_WRITE, MISSING_TOOL, FAILED: tar was killed, or a later stage failed. What tar says of single
 *   files is not judged here.
 */
export async function writeArchive({ place, tools, entries, sink: options }: ArchiveRequest): Promise<Archive> {
  const sink = await openSink(options)
  try {
    const argv = tools.gnuTar ? GNU_ARGV : BUSYBOX_ARGV
    const tar = await place.start({ argv, wantsInput: true, into: sink.input() })
    // tar may end before it has read all of its list; its status tells.
    const names = orStop(namesOf(entries), tar.kill)
    const listed = pipeline(names, tar.input).catch(() => undefined)
    const end = await tar.ended
    await listed
    if (isFatal(end)) throw (await sink.failure()) ?? end.error ?? stageError(end, place.host, place.redact)
    return { file: finished(sink), end }
  } catch (error) {
    await sink.discard()
    throw error
  }
}

/** A list that cannot be finished is no list: what reads it need not go on. */
async function* orStop<T>(items: AsyncIterable<T>, stop: () => void): AsyncGenerator<T> {
  try {
    yield* items
  } catch (error) {
    stop()
    throw error
  }
}

function finished(sink: Sink): Archive['file'] {
  const file = sink.finish().catch(async (error: unknown) => {
    await sink.discard()
    throw error
  })
  // It is awaited after something else was looked at.
  file.catch(() => undefined)
  return file
}

/** Exit codes of tar itself (1: some files changed; 2: some failed; xargs: 123) are about files. */
function isFatal({ code, signal, cannotStart, error }: ToolEnd): boolean {
  if (error || cannotStart !== undefined || signal !== null) return true
  return code === null || (code > 2 && code !== 123)
}

const NAMES_PER_CHUNK = 1_000

async function* namesOf(entries: ArchiveRequest['entries']): AsyncGenerator<Buffer> {
  const zero = Buffer.alloc(1)
  for await (const some of entries) {
    for (let at = 0; at < some.length; at += NAMES_PER_CHUNK) {
      yield Buffer.concat(some.slice(at, at + NAMES_PER_CHUNK).flatMap((entry) => [bytesOf(entry), zero]))
    }
  }
}

/** SHA-256 of files, by their path; those that could not be read are absent. */
export async function readChecksums(place: Place, files: readonly FileFacts[]): Promise<ReadonlyMap<string, string>> {
  const tool = await place.start({
    argv: ['sh', '-c', 'cd / && exec xargs -0 -r sha256sum -z --'],
    wantsInput: true,
  })
  const listed = pipeline(namesOf([files]), tool.input).catch(() => undefined)
  const chunks: Buffer[] = []
  try {
    for await (const chunk of tool.output ?? []) chunks.push(chunk as Buffer)
  } catch {
    // A file that is missing in the answer has no checksum.
  }
  await Promise.all([tool.ended, listed])
  const sums = new Map(
    Buffer.concat(chunks)
      .toString('latin1')
      .split('\0')
      .map((line) => [line.slice(66), line.slice(0, 64)]),
  )
  const found = files.map((file) => [file.path, sums.get(bytesOf(file).toString('latin1'))] as const)
  return new Map(found.flatMap(([path, sum]) => (sum === undefined ? [] : [[path, sum]])))
}

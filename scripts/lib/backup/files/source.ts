/**
 * Files as a backup source (kinds config and static): scan, read, scan again. What moved while it was read is read a
 * second time into `changed.tar.zst`; what moved then too is marked. Files of a backup:
 *
 *   files.tar.zst     what was read: everything, or for an incremental what changed since the full backup
 *   changed.tar.zst   the second reading, to be unpacked after the first; only when there was one
 *   deleted.zst       incremental: NUL-ended paths that the full backup has and were gone, to be removed before unpacking
 *   index.jsonl.zst   what was there, see facts.ts
 */
import { join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { OpsError } from '../../core/errors.ts'
import type { Host } from '../../host/types.ts'
import { said } from '../pipeline/failure.ts'
import { openPlace, runTool, type Place, type ToolEnd } from '../pipeline/place.ts'
import { openSink, type SinkOptions } from '../pipeline/sink.ts'
import { parseToolVersion } from '../pipeline/tools.ts'
import type { DataFile, Progress, SourceResult } from '../types.ts'
import { decideIncrement } from './changes.ts'
import { bytesOf, formatIndex, type FileFacts, type FileIndex } from './facts.ts'
import { createLook, type Look } from './look.ts'
import { describeNotes, describeWarnings, type ReadResult } from './remarks.ts'
import { startScan, type Scan, type Scanning } from './scan.ts'
import { createExcluder } from './select.ts'
import { readChecksums, readFileTools, writeArchive, type FileTools } from './tar.ts'

export interface FilesRequest {
  /** For progress: `static/web`. */
  readonly what: string
  readonly paths: readonly string[]
  readonly exclude: readonly string[]
  readonly host: Host
  /** An existing directory. */
  readonly stagingPath: string
  readonly settings: {
    readonly compression: { readonly level: number; readonly threads: number }
    /** age recipients; empty: not encrypted. */
    readonly recipients: readonly string[]
  }
  /** Takes a SHA-256 of each file: a second reading, so for small sets. */
  readonly checksums: boolean
  /** Makes it an incremental one on top of this full backup. */
  readonly full?: { readonly id: string; readonly index: FileIndex }
  /** Bytes that the files of the backup will have, by experience; 0 when nobody knows. */
  readonly expectedBytes: number
  readonly redact: (text: string) => string
  readonly progress: Progress
  readonly signal: AbortSignal
  readonly timeoutMs: number
  /** Awaited right before the files are looked at; members of a consistency group meet there. */
  readonly atSnapshot?: () => Promise<void>
}

/**
 * @throws OpsError CONFIG_INVALID (a path that is not absolute), FAILED (a path that is not there, by name; tar), NOT_PERMITTED,
 *   CANNOT_WRITE, MISSING_TOOL, TIMEOUT, UNREACHABLE
 */
export async function backUpFiles(request: FilesRequest): Promise<SourceResult> {
  const paths = normalizePaths(request.paths)
  const place = openPlace(request)
  const [tools, zstdVersion] = await Promise.all([readFileTools(place), readZstdVersion(request)])
  const isExcluded = createExcluder(request.exclude)
  await request.atSnapshot?.()
  const startAgain = () => startScan(place, { paths, isExcluded, gnu: tools.gnuFind })
  const job: Job = { request, place, tools, look: createLook({ place, tools, paths, startAgain }), doneBytes: 0 }
  const {
    scan,
    index: before,
    read,
  } = await (request.full
    ? readIncrement(job, startAgain(), { full: request.full.index, paths })
    : readWhole(job, startAgain(), paths))
  const index = settleIndex(before, read, request.full?.index)
  const files = [...read.files, ...(await writeLists(job, index, request.full !== undefined))]
  const content = index.entries.filter(({ type }) => type === 'file')
  // An interruption that came when the last tool had ended.
  request.signal.throwIfAborted()
  const stillMoving = read.stillMoving.map(({ path }) => `/${path}`)
  return {
    files,
    tools: { tar: tools.tarVersion, zstd: zstdVersion },
    content: {
      paths,
      files: content.length,
      bytes: content.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0),
    },
    ...(stillMoving.length > 0 ? { changedDuringRead: stillMoving } : {}),
    ...(request.full ? { parent: request.full.id } : {}),
    warnings: describeWarnings(scan, { tools, read, paths }),
    notes: describeNotes(scan, read),
  }
}

/** Absolute, without `..` and double slashes, none below another. */
function normalizePaths(paths: readonly string[]): string[] {
  const clean = paths.map((path) => {
    if (path.startsWith('/') && !path.split('/').includes('..')) return join('/', path).replace(/(.)\/+$/, '$1')
    throw new OpsError('CONFIG_INVALID', `"${path}" is not an absolute path`, {
      hint: 'Write the path from / on, as it is on that host.',
    })
  })
  const all = [...new Set(clean)]
  return all.filter(
    (path) => !all.some((other) => other !== path && path.startsWith(other === '/' ? '/' : `${other}/`)),
  )
}

async function readZstdVersion({ redact, signal, timeoutMs }: FilesRequest): Promise<string> {
  const { openLocalHost } = await import('../../host/local.ts')
  const here = openPlace({ host: openLocalHost(), redact, signal, timeoutMs })
  return parseToolVersion((await runTool(here, { argv: ['zstd', '--version'] })).stdout)
}

interface Job {
  readonly request: FilesRequest
  readonly place: Place
  readonly tools: FileTools
  readonly look: Look
  /** Bytes of the files that are finished. */
  doneBytes: number
}

interface Taken {
  readonly scan: Scan
  readonly index: FileIndex
  readonly read: ReadResult
}

/** Everything: tar reads what is found while more is looked for. */
async function readWhole(job: Job, { found, done }: Scanning, paths: readonly string[]): Promise<Taken> {
  const all = done.then(({ entries }) => entries)
  const read = await readAll(job, { found, all })
  const scan = await done
  return { scan, read, index: { paths, entries: scan.entries, deleted: [] } }
}

/** What changed since the full backup, which is known when all is found. */
async function readIncrement(
  job: Job,
  { done }: Scanning,
  { full, paths }: { readonly full: FileIndex; readonly paths: readonly string[] },
): Promise<Taken> {
  const scan = await done
  const { changed, index } = decideIncrement(full, scan.entries, paths)
  return { scan, index, read: await readAll(job, { found: [changed], all: changed }) }
}

/** What is to be read: as it is found, and all of it when that is known. */
interface Wanted {
  readonly found: AsyncIterable<readonly FileFacts[]> | Iterable<readonly FileFacts[]>
  readonly all: readonly FileFacts[] | Promise<readonly FileFacts[]>
}

async function readAll(job: Job, wanted: Wanted): Promise<ReadResult> {
  const first = await readOnce(job, 'files.tar.zst', wanted)
  if (first.changed.length === 0) {
    const { files, vanished, checksums, remarks } = first
    return { files, vanished, checksums, remarks, reread: [], stillMoving: [] }
  }
  const second = await readOnce(job, 'changed.tar.zst', { found: [first.changed], all: first.changed })
  return {
    files: [...first.files, ...second.files],
    reread: first.changed,
    vanished: [...first.vanished, ...second.vanished],
    stillMoving: second.changed,
    checksums: new Map([...first.checksums, ...second.checksums]),
    remarks: [...first.remarks, ...second.remarks],
  }
}

/** The second look is taken while the archive is finished. */
async function readOnce(job: Job, name: string, wanted: Wanted) {
  const { request, place, tools, look } = job
  const [archive, scanned] = await Promise.allSettled([
    writeArchive({ place, tools, entries: wanted.found, sink: sinkFor(job, name) }),
    wanted.all,
  ])
  // A tar that stumbles over what the scan has refused is not the cause.
  if (scanned.status === 'rejected') {
    if (archive.status === 'fulfilled') await archive.value.file.catch(() => undefined)
    throw scanned.reason
  }
  if (archive.status === 'rejected') throw archive.reason
  const [{ end, file }, entries] = [archive.value, scanned.value]
  const data = entries.filter(({ type }) => type === 'file')
  const read = async () => {
    const checksums =
      request.checksums && tools.checksums ? await readChecksums(place, data) : new Map<string, string>()
    const { changed, vanished } = await look(entries)
    return { checksums, changed, vanished, remarks: judgeEnd(end, [...changed, ...vanished], place) }
  }
  const [written, seen] = await Promise.allSettled([file, read()])
  if (written.status === 'rejected') throw written.reason
  if (seen.status === 'rejected') throw seen.reason
  const { checksums, changed, vanished, remarks } = seen.value
  const moved = new Set([...changed, ...vanished].map(({ path }) => path))
  const plainBytes = data.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0)
  return {
    files: [dataFile(job, name, { ...written.value, role: 'tar', plainBytes })],
    changed,
    vanished,
    checksums: new Map([...checksums].filter(([path]) => !moved.has(path))),
    remarks,
  }
}

/**
 * Whether everything tar complained of is explained by what the second look saw.
 * @returns what it said although all went well
 * @throws OpsError FAILED for a file that is as it was and could not be read
 */
function judgeEnd(end: ToolEnd, moved: readonly FileFacts[], place: Place): string[] {
  const lines = end.stderr.split('\n').filter((line) => line !== '' && !line.endsWith('due to previous errors'))
  if (end.code === 0) return lines.slice(0, 20)
  // GNU tar: 1 is nothing but files that changed; the second look has found them.
  if (end.code === 1) return []
  const unexplained = lines.filter((line) => !moved.some(({ path }) => line.includes(path)))
  if (unexplained.length === 0 && moved.length > 0) return []
  throw new OpsError(
    'FAILED',
    `tar on ${place.host} could not read everything${said(unexplained.join('\n'), place.redact)}`,
    {
      host: place.host,
      hint: 'Mend or exclude what it names, then run the backup again.',
    },
  )
}

function sinkFor(job: Job, name: string): SinkOptions {
  const { request } = job
  const { compression, recipients } = request.settings
  const before = job.doneBytes
  return {
    path: join(request.stagingPath, fileName(request, name)),
    compression,
    recipients,
    redact: request.redact,
    onBytes(bytes) {
      job.doneBytes = before + bytes
      request.progress.update(job.doneBytes, request.expectedBytes, `saving ${request.what}`)
    },
  }
}

function fileName({ settings }: FilesRequest, name: string): string {
  return settings.recipients.length > 0 ? `${name}.age` : name
}

function dataFile({ request }: Job, name: string, facts: Omit<DataFile, 'path'>): DataFile {
  return { path: fileName(request, name), ...facts }
}

/** The index as it must be, now that everything is read. */
function settleIndex(index: FileIndex, read: ReadResult, full: FileIndex | undefined): FileIndex {
  // Copies of very long lists cost memory, and mostly there is nothing to settle.
  if (read.vanished.length === 0 && read.reread.length === 0 && read.checksums.size === 0) return index
  const vanished = new Set(read.vanished.map(({ path }) => path))
  const reread = new Map(read.reread.map((entry) => [entry.path, entry]))
  const inFull = new Set((full?.entries ?? []).map(({ path }) => path))
  const entries = index.entries.flatMap((entry) => {
    if (vanished.has(entry.path)) return []
    const settled = reread.get(entry.path) ?? entry
    const sha256 = read.checksums.get(entry.path)
    return [sha256 === undefined ? settled : { ...settled, sha256 }]
  })
  const goneToo = read.vanished.flatMap(({ path, bytes }) =>
    inFull.has(path) ? [{ path, ...(bytes && { bytes }) }] : [],
  )
  return { paths: index.paths, entries, deleted: [...index.deleted, ...goneToo] }
}

async function writeLists(job: Job, index: FileIndex, incremental: boolean): Promise<DataFile[]> {
  const list = await writeList(job, { name: 'index.jsonl.zst', role: 'index', lines: formatIndex(index) })
  if (!incremental) return [list]
  const names = index.deleted.map((one) => Buffer.concat([bytesOf(one), Buffer.alloc(1)]))
  return [await writeList(job, { name: 'deleted.zst', role: 'deleted', lines: names }), list]
}

interface List {
  readonly name: string
  readonly role: string
  readonly lines: Iterable<string | Buffer>
}

async function writeList(job: Job, { name, role, lines }: List): Promise<DataFile> {
  const sink = await openSink(sinkFor(job, name))
  try {
    // A stage that failed closes its input; `finish` says why.
    await pipeline(inChunks(lines), sink.input()).catch(() => undefined)
    return dataFile(job, name, { ...(await sink.finish()), role })
  } catch (error) {
    await sink.discard()
    throw error
  }
}

const LINES_PER_CHUNK = 500

function* inChunks(lines: Iterable<string | Buffer>): Generator<Buffer> {
  let chunk: Buffer[] = []
  for (const line of lines) {
    chunk.push(typeof line === 'string' ? Buffer.from(line) : line)
    if (chunk.length < LINES_PER_CHUNK) continue
    yield Buffer.concat(chunk)
    chunk = []
  }
  yield Buffer.concat(chunk)
}

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
import { decideIncrement, decideMoved } from './changes.ts'
import { bytesOf, formatIndex, type FileFacts, type FileIndex } from './facts.ts'
import { lookAgain, scanFiles, type Scan } from './scan.ts'
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
  const scanAll = () => scanFiles(place, { paths, isExcluded, gnu: tools.gnuFind })
  const scan = await scanAll()
  const plan = request.full
    ? decideIncrement(request.full.index, scan.entries, paths)
    : { changed: scan.entries, index: { paths, entries: scan.entries, deleted: [] } }
  const look: Job['look'] = async (files) =>
    tools.gnuFind && files.length * FEW < scan.entries.length ? lookAgain(place, files) : (await scanAll()).entries
  const job: Job = { request, place, tools, look, doneBytes: 0 }
  const read = await readAll(job, plan.changed)
  const index = settleIndex(plan.index, read, request.full?.index)
  const files = [...read.files, ...(await writeLists(job, index, request.full !== undefined))]
  const content = index.entries.filter(({ type }) => type === 'file')
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

/** Up to this part of all files, asking for each is cheaper than walking through all of them. */
const FEW = 4

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
  /** These files once more, and perhaps others. */
  readonly look: (files: readonly FileFacts[]) => Promise<readonly FileFacts[]>
  /** Bytes of the files that are finished. */
  doneBytes: number
}

interface ReadResult {
  readonly files: readonly DataFile[]
  /** As they were when they were read the second time, or gone. */
  readonly reread: readonly FileFacts[]
  readonly vanished: readonly FileFacts[]
  readonly stillMoving: readonly FileFacts[]
  readonly checksums: ReadonlyMap<string, string>
  readonly remarks: readonly string[]
}

async function readAll(job: Job, entries: readonly FileFacts[]): Promise<ReadResult> {
  const first = await readOnce(job, 'files.tar.zst', entries)
  if (first.changed.length === 0) {
    const { files, vanished, checksums, remarks } = first
    return { files, vanished, checksums, remarks, reread: [], stillMoving: [] }
  }
  const second = await readOnce(job, 'changed.tar.zst', first.changed)
  return {
    files: [...first.files, ...second.files],
    reread: first.changed,
    vanished: [...first.vanished, ...second.vanished],
    stillMoving: second.changed,
    checksums: new Map([...first.checksums, ...second.checksums]),
    remarks: [...first.remarks, ...second.remarks],
  }
}

async function readOnce(job: Job, name: string, entries: readonly FileFacts[]) {
  const { request, place, tools, look } = job
  const { file, end } = await writeArchive({ place, tools, entries, sink: sinkFor(job, name) })
  const data = entries.filter(({ type }) => type === 'file')
  const checksums = request.checksums && tools.checksums ? await readChecksums(place, data) : new Map<string, string>()
  const { changed, vanished } = decideMoved(entries, await look(entries))
  const remarks = judgeEnd(end, [...changed, ...vanished], place)
  const moved = new Set([...changed, ...vanished].map(({ path }) => path))
  const plainBytes = data.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0)
  return {
    files: [dataFile(job, name, { ...file, role: 'tar', plainBytes })],
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
  const vanished = new Set(read.vanished.map(({ path }) => path))
  const reread = new Map(read.reread.map((entry) => [entry.path, entry]))
  const inFull = new Map((full?.entries ?? []).map((entry) => [entry.path, entry]))
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

interface Told {
  readonly tools: FileTools
  readonly read: ReadResult
  readonly paths: readonly string[]
}

function describeWarnings({ entries }: Scan, { tools, read, paths }: Told): string[] {
  const isInside = (target: string) => paths.some((path) => target === path || target.startsWith(`${path}/`))
  const dangling = entries.flatMap(({ path, type, target = '' }) => {
    if (type !== 'link' || !paths.includes(`/${path}`)) return []
    const full = target.startsWith('/') ? target : join('/', path, '..', target)
    if (isInside(full)) return []
    return [`/${path} is a symbolic link; ${full}, which it points to, is not in this backup: add it to paths`]
  })
  return [
    ...(tools.gnuTar ? [] : ['the tar there is not GNU tar: ACLs, extended attributes and hard links are not kept']),
    ...dangling,
    ...read.stillMoving.map(({ path }) => `/${path} changed while it was read, twice`),
    ...read.remarks,
  ]
}

function describeNotes({ sockets, mounts }: Scan, { reread, vanished }: ReadResult): string[] {
  return [
    ...mounts.map((path) => `${path} is another file system: it is not entered; add it to paths to save it`),
    ...named('skipped', 'socket', sockets),
    ...named(
      'read a second time',
      'file that changed',
      reread.map(({ path }) => `/${path}`),
    ),
    ...named(
      'gone before it was read',
      'file',
      vanished.map(({ path }) => `/${path}`),
    ),
  ]
}

const NAMED_MOST = 5

function named(what: string, noun: string, paths: readonly string[]): string[] {
  if (paths.length === 0) return []
  const shown = paths.slice(0, NAMED_MOST).join(', ')
  const more = paths.length > NAMED_MOST ? ` and ${paths.length - NAMED_MOST} more` : ''
  return [`${what}: ${paths.length} ${noun}${paths.length === 1 ? '' : 's'} (${shown}${more})`]
}

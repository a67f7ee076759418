/**
 * What is known of each file of a set, and index.jsonl, which says it of a whole backup: one JSON document a line, the
 * first one a header. From the index a backup is listed, restored in parts, compared after a drill, and the next
 * incremental one is made.
 */
import { OpsError } from '../../core/errors.ts'

export type FileType = 'file' | 'directory' | 'link' | 'fifo' | 'device'

export interface FileFacts {
  /** Below `/` and without it: `etc/nginx/nginx.conf`. Bytes that are no UTF-8 are one character each, see `bytes`. */
  readonly path: string
  /** True when the name is no UTF-8: each character of `path` and `target` is then one byte (latin1). */
  readonly bytes?: true
  readonly type: FileType
  /** Permission bits, `0o644`. */
  readonly mode: number
  readonly uid: number
  readonly gid: number
  /** 0 for everything but files. */
  readonly sizeBytes: number
  /** Seconds since the epoch as text, with all digits the system gave: `1764558000.1234567890`. */
  readonly mtime: string
  readonly ctime: string
  readonly inode: string
  /** Hard links that it has altogether. */
  readonly links: number
  /** What a symbolic link points to. */
  readonly target?: string
  /** Of a regular file's content, when it was taken. */
  readonly sha256?: string
}

export interface IndexEntry extends FileFacts {
  /** `parent`: unchanged since the full backup, so its data lies there. Absent: in this backup. */
  readonly in?: 'parent'
}

export interface FileIndex {
  /** The paths that were asked for, absolute. */
  readonly paths: readonly string[]
  /** Everything that was there, sorted by path; for an incremental too. */
  readonly entries: readonly IndexEntry[]
  /** Incremental: what the full backup has and was gone. */
  readonly deleted: readonly { readonly path: string; readonly bytes?: true }[]
}

const INDEX_SCHEMA = 1

export function* formatIndex({ paths, entries, deleted }: FileIndex): Generator<string> {
  yield `${JSON.stringify({ index: INDEX_SCHEMA, paths, entries: entries.length, deleted: deleted.length })}\n`
  for (const { path, bytes } of deleted) yield `${JSON.stringify({ path, ...(bytes && { bytes }), deleted: true })}\n`
  for (const entry of entries) yield `${JSON.stringify(entry)}\n`
}

/**
 * @param chunks lines of an index, decompressed, some at a time
 * @throws OpsError DATA_MISMATCH for what is no index, or not all of one
 */
export async function parseIndex(
  chunks: AsyncIterable<readonly string[]> | Iterable<readonly string[]>,
): Promise<FileIndex> {
  const entries: IndexEntry[] = []
  const deleted: { path: string; bytes?: true }[] = []
  let header: { index: number; paths: string[]; entries: number; deleted: number } | undefined
  const take = (line: string) => {
    const value = parseLine(line)
    if (!header) header = asHeader(value)
    else if (value['deleted'] === true) deleted.push(value as { path: string })
    else entries.push(value as unknown as IndexEntry)
  }
  for await (const lines of chunks) for (const line of lines) if (line !== '') take(line)
  if (!header || header.entries !== entries.length || header.deleted !== deleted.length)
    throw damaged('it is cut short')
  return {
    paths: header.paths,
    entries,
    deleted: deleted.map(({ path, bytes }) => ({ path, ...(bytes && { bytes }) })),
  }
}

function parseLine(line: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(line)
    if (typeof value === 'object' && value !== null) return value as Record<string, unknown>
  } catch {
    // Said below.
  }
  throw damaged('a line is no JSON document')
}

function asHeader(value: Record<string, unknown>) {
  const { index, paths, entries, deleted } = value
  if (typeof index === 'number' && index > INDEX_SCHEMA) throw damaged('it was written by a newer opskit')
  if (index !== INDEX_SCHEMA || !Array.isArray(paths) || typeof entries !== 'number' || typeof deleted !== 'number') {
    throw damaged('it has no header')
  }
  return { index, paths: paths as string[], entries, deleted }
}

function damaged(because: string): OpsError {
  return new OpsError('DATA_MISMATCH', `the index of the files cannot be used: ${because}`)
}

/** The name as the kernel knows it. */
export function bytesOf({ path, bytes }: { readonly path: string; readonly bytes?: true }): Buffer {
  return Buffer.from(path, bytes ? 'latin1' : 'utf8')
}

const ASCII = /^[\0-\x7f]*$/

/** The same facts with names that need not be UTF-8: one character a byte. Most names are so already, and copies of very many cost. */
export function asBytes<F extends FileFacts>(facts: F): F {
  const { path, target = '', bytes } = facts
  if (bytes || (ASCII.test(path) && ASCII.test(target))) return facts
  const named = { ...facts, path: Buffer.from(path).toString('latin1') }
  return facts.target === undefined ? named : { ...named, target: Buffer.from(target).toString('latin1') }
}

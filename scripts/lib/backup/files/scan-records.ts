/** What the two `find`s of scan.ts print, as facts: GNU find's own format, and that of the busybox script. */
import { keepHeapTight } from '../../core/heap.ts'
import type { FileFacts, FileType } from './facts.ts'

export interface Collected {
  /** Sorted by name: a directory before what is in it. */
  readonly entries: readonly FileFacts[]
  readonly sockets: readonly string[]
  readonly mounts: readonly string[]
  readonly unreadable: readonly string[]
  /** Those of the asked paths that are there. */
  readonly roots: ReadonlySet<string>
}

export interface Collector {
  /** Takes output as it comes, decoded as latin1. */
  push(chunk: string): void
  /** What has come until now, in the order of the walk: a directory before what is in it. */
  readonly entries: readonly FileFacts[]
  finish(): Collected
}

/**
 * @param paths absolute, none below another
 * @param below a directory from which on paths are told; empty: from `/`
 */
export function createCollector(
  paths: readonly string[],
  isExcluded: (path: string) => boolean,
  below = '',
): Collector {
  keepHeapTight()
  const asked = new Set(paths)
  const entries: FileFacts[] = []
  const [sockets, unreadable]: [string[], string[]] = [[], []]
  const devices = new Map<string, string>()
  const roots = new Set<string>()
  const belowBytes = Buffer.byteLength(below)
  let rest = ''

  /** Their paths begin after a `/`, which is as long as the one at the end of the directory. */
  const belowOf = (facts: FileFacts) => ({
    ...facts,
    path: facts.path.slice(facts.bytes ? belowBytes : below.length),
  })
  const take = (record: string, target: string) => {
    const parsed = parseRecord(record, target)
    const { path, facts } = parsed
    if (asked.has(path)) roots.add(path)
    if (isExcluded(path)) return
    if (!facts) return void sockets.push(path)
    if (!parsed.readable) unreadable.push(path)
    if (facts.type === 'directory') devices.set(path, parsed.device)
    if (path !== '/') entries.push(below === '' ? facts : belowOf(facts))
  }
  return {
    entries,
    push(chunk) {
      const fields = (rest + chunk).split('\0')
      // Two fields a file; what is not yet followed by a NUL waits.
      const whole = (fields.length - 1) & ~1
      for (let at = 0; at < whole; at += 2) take(fields[at] ?? '', fields[at + 1] ?? '')
      rest = fields.slice(whole).join('\0')
    },
    finish() {
      const mounts = [...devices].flatMap(([path, device]) => {
        const parent = devices.get(path.slice(0, path.lastIndexOf('/')) || '/')
        return parent !== undefined && parent !== device && !asked.has(path) ? [path] : []
      })
      const sorted = entries.toSorted((a, b) => (a.path < b.path ? -1 : 1))
      return { entries: sorted, sockets: sockets.sort(), mounts: mounts.sort(), unreadable, roots }
    },
  }
}

const TYPES: Readonly<Record<string, FileType>> = {
  f: 'file',
  d: 'directory',
  l: 'link',
  p: 'fifo',
  b: 'device',
  c: 'device',
}
/** S_IFMT of inode(7). */
const MODE_TYPES: Readonly<Record<number, string>> = {
  0o10: 'f',
  0o04: 'd',
  0o12: 'l',
  0o01: 'p',
  0o06: 'b',
  0o02: 'c',
  0o14: 's',
}

interface ParsedRecord {
  readonly path: string
  readonly device: string
  readonly readable: boolean
  /** Absent for a socket. */
  readonly facts: FileFacts | undefined
}

const GNU = /^([+-])(.) (\d+) (\d+) (\d+) (\d+) (\S+) (\S+) (\d+) (\d+) (\d+) /
/** The raw mode in hexadecimal stands for type and permission bits. */
const RAW = /^([+-])x([0-9a-f]+)() (\d+) (\d+) (\d+) (\S+) (\S+) (\d+) (\d+) (\d+) /

/** `+f 644 0 0 12 <mtime> <ctime> <inode> <links> <device> <path>`, or `+x81a4 0 0 12 …` of busybox. */
function parseRecord(record: string, rawTarget: string): ParsedRecord {
  const isRaw = record[1] === 'x'
  const match = (isRaw ? RAW : GNU).exec(record)
  if (!match) throw new TypeError(`find printed what it never prints: ${record.slice(0, 80)}`)
  const [whole, access, kind = '', bits, uid, gid, size, mtime = '', ctime = '', inode = '', links, device = ''] = match
  const raw = isRaw ? Number.parseInt(kind, 16) : 0
  const letter = isRaw ? (MODE_TYPES[raw >> 12] ?? '?') : kind
  const { path, target, bytes } = decodeNames(record.slice(whole.length), rawTarget)
  const type = TYPES[letter] ?? 'device'
  const facts: FileFacts = {
    path: path.slice(1),
    ...(bytes && { bytes }),
    type,
    mode: isRaw ? raw & 0o7777 : Number.parseInt(bits ?? '', 8),
    uid: Number(uid),
    gid: Number(gid),
    sizeBytes: type === 'file' ? Number(size) : 0,
    mtime,
    // Mostly the same text: kept once.
    ctime: ctime === mtime ? mtime : ctime,
    inode,
    links: Number(links),
    ...(type === 'link' && { target }),
  }
  return { path, device, readable: access === '+', facts: letter === 's' ? undefined : facts }
}

interface Names {
  readonly path: string
  readonly target: string
  /** They are no UTF-8, so each character stands for one byte. */
  readonly bytes?: true
}

function decodeNames(path: string, target: string): Names {
  if (!/[\x80-\xff]/.test(path) && !/[\x80-\xff]/.test(target)) return { path, target }
  const [decodedPath, decodedTarget] = [decode(path), decode(target)]
  if (decodedPath === undefined || decodedTarget === undefined) return { path, target, bytes: true }
  return { path: decodedPath, target: decodedTarget }
}

function decode(latin1: string): string | undefined {
  const bytes = Buffer.from(latin1, 'latin1')
  const text = bytes.toString('utf8')
  return text.includes('\ufffd') && !Buffer.from(text).equals(bytes) ? undefined : text
}

/** What a backup of files tells its reader: what was left out, what moved, what is not as it could be. Pure. */
import { join } from 'node:path'
import type { DataFile } from '../types.ts'
import type { FileFacts } from './facts.ts'
import type { Scan } from './scan.ts'
import type { FileTools } from './tar.ts'

export interface ReadResult {
  readonly files: readonly DataFile[]
  /** As they were when they were read the second time, or gone. */
  readonly reread: readonly FileFacts[]
  readonly vanished: readonly FileFacts[]
  readonly stillMoving: readonly FileFacts[]
  readonly checksums: ReadonlyMap<string, string>
  readonly remarks: readonly string[]
}

export interface Told {
  readonly tools: FileTools
  readonly read: ReadResult
  readonly paths: readonly string[]
}

export function describeWarnings({ entries }: Scan, { tools, read, paths }: Told): string[] {
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

export function describeNotes({ sockets, mounts }: Scan, { reread, vanished }: ReadResult): string[] {
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

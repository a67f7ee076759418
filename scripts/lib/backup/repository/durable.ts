/**
 * Writing so that a power cut leaves the old or the new: data is on disk before a name points to it, and the name is on
 * disk before anybody is told (fsync(2), and rename(2) within one file system).
 */
import { constants } from 'node:fs'
import { mkdir, open, readdir, rename } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { messageOf, OpsError, systemCode } from '../../core/errors.ts'

/** Some network and FUSE file systems know no fsync of a directory; their rename stands without. */
const NO_DIRECTORY_SYNC = ['EINVAL', 'ENOTSUP', 'EBADF']

export async function syncFile(path: string): Promise<void> {
  const file = await open(path, constants.O_RDONLY)
  try {
    await file.sync()
  } finally {
    await file.close()
  }
}

export async function syncDirectory(path: string): Promise<void> {
  const directory = await open(path, constants.O_RDONLY | constants.O_DIRECTORY)
  try {
    await directory.sync()
  } catch (error) {
    if (!NO_DIRECTORY_SYNC.includes(systemCode(error) ?? '')) throw error
  } finally {
    await directory.close()
  }
}

/** Creates a directory and its parents, each one's name on disk. @param mode of those that are new */
export async function makeDirectory(path: string, mode: number): Promise<void> {
  const first = await mkdir(path, { recursive: true, mode })
  if (first === undefined) return
  for (let at = path; at.length >= first.length; at = dirname(at)) await syncDirectory(dirname(at))
}

/** A new file, whole and on disk when this returns. */
export async function writeDurable(path: string, text: string, mode = 0o600): Promise<void> {
  const file = await open(path, 'wx', mode)
  try {
    await file.writeFile(text)
    await file.sync()
  } finally {
    await file.close()
  }
}

/** The files of a directory (not of those below) onto the disk, then the directory. */
export async function syncTree(path: string): Promise<void> {
  for (const entry of await readdir(path, { withFileTypes: true })) {
    if (entry.isDirectory()) await syncTree(join(path, entry.name))
    else await syncFile(join(path, entry.name))
  }
  await syncDirectory(path)
}

/** Moves within a directory; when it returns the new name is on disk. */
export async function renameDurable(from: string, to: string): Promise<void> {
  await rename(from, to)
  await syncDirectory(dirname(to))
}

/** A system error of writing as an OpsError that names the place. */
export function asWriteError(error: unknown, path: string): OpsError {
  if (error instanceof OpsError) return error
  const code = systemCode(error)
  if (code === 'EACCES' || code === 'EPERM') {
    return new OpsError('NOT_PERMITTED', `cannot write ${path}: permission denied`, {
      hint: `Run it as a user who may write there, or make ${path} writable.`,
      cause: error,
    })
  }
  const [why, hint] = REASONS[code ?? ''] ?? [messageOf(error), `Look at ${path}.`]
  return new OpsError('CANNOT_WRITE', `cannot write ${path}: ${why}`, { hint, cause: error })
}

const REASONS: Readonly<Record<string, readonly [why: string, hint: string]>> = {
  ENOSPC: ['the disk is full', 'Free some space (df -h; backup.ts prune --dry-run), then run it again.'],
  EDQUOT: ['the quota is used up', 'Raise the quota or free some space, then run it again.'],
  EROFS: [
    'the file system is mounted read-only',
    'Mount it for writing (look at dmesg for why it is not), or set backup.repository.',
  ],
  EIO: ['the disk reports an error', 'Look at dmesg: the disk may be failing.'],
}

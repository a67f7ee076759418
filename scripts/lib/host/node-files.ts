/**
 * `get` and `put` on this machine by node:fs, with the same rules as the shell's on others: regular files only, written
 * beside the target, fsynced, owner and mode kept, renamed.
 */
import { randomBytes } from 'node:crypto'
import { constants, type Stats } from 'node:fs'
import { lstat, open, readlink, rename, stat, unlink, type FileHandle } from 'node:fs/promises'
import { basename, dirname, join, resolve } from 'node:path'
import { messageOf, OpsError, systemCode } from '../core/errors.ts'
import type { Files } from './machine.ts'
import { DEFAULT_MAX_BYTES, DEFAULT_MODE, tooLarge } from './shell-files.ts'

/** As the kernel's own limit (path_resolution(7)). */
const MAX_LINKS = 40
const READ_CHUNK_BYTES = 64 * 1024

export function createNodeFiles(host: string): Files {
  return {
    get: async (path, { maxBytes = DEFAULT_MAX_BYTES, tail = false, signal }) => {
      try {
        const bytes = await readBounded(path, { maxBytes, tail, signal })
        if (bytes && bytes.length > maxBytes) throw tooLarge(path, host, maxBytes)
        return bytes
      } catch (error) {
        if (['ENOENT', 'ENOTDIR'].includes(systemCode(error) ?? '')) return undefined
        throw asOpsError(error, `cannot read ${path} on ${host}`, { host, fallback: 'FAILED' })
      }
    },
    put: async (path, data, { mode, signal }) => {
      try {
        await replaceFile(path, data, { mode, signal })
      } catch (error) {
        throw asOpsError(error, `cannot write ${path} on ${host}`, { host, fallback: 'CANNOT_WRITE' })
      }
    },
  }
}

interface ReadOptions {
  readonly maxBytes: number
  readonly tail: boolean
  readonly signal: AbortSignal
}

/** At most one byte more than `maxBytes`, so that the caller sees that there is more. Sizes of /proc files are not trusted. */
async function readBounded(path: string, { maxBytes, tail, signal }: ReadOptions): Promise<Buffer> {
  // Non-blocking: a named pipe without a writer must not hang before it is refused.
  const file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK)
  try {
    const facts = await file.stat()
    if (!facts.isFile()) throw new OpsError('FAILED', `${path} is not a regular file`)
    const start = tail && facts.size > maxBytes ? facts.size - maxBytes : undefined
    const chunks: Buffer[] = []
    let total = 0
    const limit = tail ? maxBytes : maxBytes + 1
    while (total < limit && !signal.aborted) {
      const chunk = Buffer.allocUnsafe(Math.min(limit - total, Math.max(READ_CHUNK_BYTES, facts.size)))
      const { bytesRead } = await file.read(chunk, 0, chunk.length, start === undefined ? null : start + total)
      if (bytesRead === 0) break
      chunks.push(chunk.subarray(0, bytesRead))
      total += bytesRead
    }
    return Buffer.concat(chunks)
  } finally {
    await file.close()
  }
}

async function replaceFile(
  path: string,
  data: Uint8Array,
  { mode, signal }: { mode: number | undefined; signal: AbortSignal },
): Promise<void> {
  const target = await followLinks(path)
  const old = await stat(target).catch((error: unknown) => {
    if (systemCode(error) === 'ENOENT') return undefined
    throw error
  })
  if (old && !old.isFile()) throw new OpsError('FAILED', `${path} is not a regular file`)
  const name = `.${basename(target).slice(0, 100)}.opskit-${randomBytes(6).toString('hex')}`
  const temporary = join(dirname(target), name)
  const file = await open(temporary, 'wx', 0o600)
  try {
    try {
      await fill(file, data, { old, mode })
    } finally {
      await file.close()
    }
    signal.throwIfAborted()
    await rename(temporary, target)
  } catch (error) {
    await unlink(temporary).catch(() => undefined)
    throw error
  }
  await syncDirectory(dirname(target))
}

async function fill(
  file: FileHandle,
  data: Uint8Array,
  { old, mode }: { old?: Stats | undefined; mode?: number | undefined },
) {
  await file.writeFile(data)
  if (old) {
    const mine = await file.stat()
    if (mine.uid !== old.uid || mine.gid !== old.gid) await file.chown(old.uid, old.gid)
  }
  await file.chmod(mode ?? (old ? old.mode & 0o7777 : DEFAULT_MODE))
  await file.sync()
}

/** Where a path finally leads; the last part need not exist. */
async function followLinks(path: string): Promise<string> {
  let current = resolve(path)
  for (let links = 0; links < MAX_LINKS; links += 1) {
    const facts = await lstat(current).catch(() => undefined)
    if (!facts?.isSymbolicLink()) return current
    current = resolve(dirname(current), await readlink(current))
  }
  throw new OpsError('CANNOT_WRITE', `${path} is a loop of symbolic links`)
}

async function syncDirectory(path: string): Promise<void> {
  const directory = await open(path, constants.O_RDONLY | constants.O_DIRECTORY)
  try {
    await directory.sync()
  } catch (error) {
    // Some file systems (FUSE, network) have no fsync for directories; the rename stands.
    if (!['EINVAL', 'ENOTSUP'].includes(systemCode(error) ?? '')) throw error
  } finally {
    await directory.close()
  }
}

function asOpsError(
  error: unknown,
  what: string,
  { host, fallback }: { host: string; fallback: 'FAILED' | 'CANNOT_WRITE' },
): OpsError {
  if (error instanceof OpsError)
    return new OpsError(error.code, `${what}: ${error.message}`, { ...error.details, host })
  const code = systemCode(error)
  if (code === undefined && !(error instanceof Error)) throw error
  const denied = code === 'EACCES' || code === 'EPERM'
  const why = denied ? 'permission denied' : messageOf(error)
  return new OpsError(denied ? 'NOT_PERMITTED' : fallback, `${what}: ${why}`, { host, cause: error })
}

/** Whether the bytes on disk are those of the manifest. Reads every byte; says nothing of what they mean. */
import { createHash } from 'node:crypto'
import { open } from 'node:fs/promises'
import { join } from 'node:path'
import { messageOf, systemCode } from '../../core/errors.ts'
import type { DataFile, Progress } from '../types.ts'

/** Large enough that reading costs less than hashing; one buffer for a whole file, since garbage of this size is memory. */
const CHUNK_BYTES = 1024 * 1024

export interface ChecksumOptions {
  readonly signal?: AbortSignal
  readonly progress?: Progress
}

/** @returns what is wrong, a sentence for each file; empty when all is right */
export async function readChecksumProblems(
  directory: string,
  files: readonly DataFile[],
  { signal, progress }: ChecksumOptions = {},
): Promise<string[]> {
  const totalBytes = files.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0)
  const problems: string[] = []
  let doneBytes = 0
  for (const file of files) {
    const before = doneBytes
    const onBytes = (bytes: number) => progress?.update(before + bytes, totalBytes, `checking ${file.path}`)
    const problem = await readProblem(directory, file, { ...(signal && { signal }), onBytes })
    if (problem !== undefined) problems.push(problem)
    doneBytes += file.sizeBytes
  }
  return problems
}

interface HashOptions {
  readonly signal?: AbortSignal
  readonly onBytes?: (bytes: number) => void
}

async function readProblem(directory: string, file: DataFile, options: HashOptions): Promise<string | undefined> {
  try {
    const { sha256, sizeBytes } = await hashFile(join(directory, file.path), options)
    if (sizeBytes !== file.sizeBytes) return `${file.path} has ${sizeBytes} bytes and should have ${file.sizeBytes}`
    if (sha256 !== file.sha256) return `${file.path} does not match its checksum`
    return undefined
  } catch (error) {
    options.signal?.throwIfAborted()
    if (systemCode(error) === 'ENOENT') return `${file.path} is missing`
    return `${file.path} cannot be read: ${messageOf(error)}`
  }
}

export async function hashFile(
  path: string,
  { signal, onBytes }: HashOptions = {},
): Promise<{ readonly sha256: string; readonly sizeBytes: number }> {
  const hash = createHash('sha256')
  const buffer = Buffer.allocUnsafeSlow(CHUNK_BYTES)
  let sizeBytes = 0
  await using file = await open(path)
  for (;;) {
    signal?.throwIfAborted()
    const { bytesRead } = await file.read(buffer, 0, CHUNK_BYTES, sizeBytes)
    if (bytesRead === 0) return { sha256: hash.digest('hex'), sizeBytes }
    hash.update(buffer.subarray(0, bytesRead))
    sizeBytes += bytesRead
    onBytes?.(sizeBytes)
  }
}

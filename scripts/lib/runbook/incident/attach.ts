/** Files as evidence: copied into the directory of the incident with their checksum, bounded; text without its secrets. */
import { mkdirSync } from 'node:fs'
import { open } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { formatSize } from '../../core/duration.ts'
import { OpsError, systemCode } from '../../core/errors.ts'
import { sha256 } from './chain.ts'
import { writeDurably } from './store.ts'
import type { Evidence } from './types.ts'

/** A log excerpt, a screenshot; not a dump. */
const MAX_BYTES = 10 * 1024 * 1024
const MAX_TWINS = 1_000

/**
 * @param dir the directory of the incident
 * @throws OpsError USAGE (no such file, too large), NOT_PERMITTED, CANNOT_WRITE
 */
export async function attachFile(source: string, dir: string, redact: (text: string) => string): Promise<Evidence> {
  const read = await readBounded(source)
  const text = readText(read)
  const bytes = text === undefined ? read : Buffer.from(redact(text))
  const name =
    basename(source)
      .replace(/[^\w.@+-]/g, '_')
      .slice(-80) || 'file'
  mkdirSync(join(dir, 'files'), { recursive: true, mode: 0o700 })
  const path = writeFree(dir, name, bytes)
  return { of: 'operator', file: { name, path, sizeBytes: bytes.length, sha256: sha256(bytes) } }
}

async function readBounded(source: string): Promise<Buffer> {
  try {
    await using file = await open(source, 'r')
    const { size } = await file.stat()
    if (size > MAX_BYTES) {
      throw new OpsError('USAGE', `${source} is larger than ${formatSize(MAX_BYTES)}: ${formatSize(size)}`, {
        hint: 'Attach the part that matters: tail -n 1000 FILE > part.log',
      })
    }
    const bytes = Buffer.alloc(MAX_BYTES)
    const { bytesRead } = await file.read(bytes, 0, MAX_BYTES, 0)
    return bytes.subarray(0, bytesRead)
  } catch (error) {
    if (error instanceof OpsError) throw error
    const code = systemCode(error) ?? 'failed'
    throw new OpsError(code === 'EACCES' ? 'NOT_PERMITTED' : 'USAGE', `cannot read ${source}: ${code}`, {
      cause: error,
    })
  }
}

function readText(bytes: Uint8Array): string | undefined {
  if (bytes.includes(0)) return undefined
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)
  } catch {
    return undefined
  }
}

/** @returns the path, relative to `dir` */
function writeFree(dir: string, name: string, bytes: Uint8Array): string {
  for (let twin = 1; twin <= MAX_TWINS; twin += 1) {
    const path = join('files', twin === 1 ? name : `${twin}-${name}`)
    try {
      writeDurably(join(dir, path), bytes)
      return path
    } catch (error) {
      if (!(error instanceof OpsError) || systemCode(error.details.cause) !== 'EEXIST') throw error
    }
  }
  throw new OpsError('FAILED', `${name} is attached ${MAX_TWINS} times already`)
}

/** The index of a published backup of files: decrypted and decompressed by the tools that made it, read line by line. */
import type { Readable } from 'node:stream'
import { join } from 'node:path'
import { OpsError } from '../../core/errors.ts'
import type { Argv } from '../../core/quote.ts'
import { decideCulprit, stageError } from '../pipeline/failure.ts'
import { release, startProcess } from '../pipeline/process.ts'
import type { BackupEntry } from '../types.ts'
import { parseIndex, type FileIndex } from './facts.ts'

export interface IndexOptions {
  /** The file with the age identity; needed for an encrypted backup. */
  readonly identityFile?: string | undefined
  readonly signal?: AbortSignal
}

/** @throws OpsError DATA_MISMATCH (no index, a damaged one), USAGE (encrypted, and no identity), MISSING_TOOL */
export async function readIndex(entry: BackupEntry, { identityFile, signal }: IndexOptions = {}): Promise<FileIndex> {
  const file = entry.manifest.files.find(({ role }) => role === 'index')
  if (!file) throw new OpsError('DATA_MISMATCH', `${entry.id} has no index of its files`)
  const path = join(entry.path, file.path)
  const encrypted = path.endsWith('.age')
  if (encrypted && identityFile === undefined) {
    throw new OpsError('USAGE', `${entry.id} is encrypted, and no identity is configured`, {
      hint: 'Set backup.encryption.identity: { file: PATH } in opskit.yaml.',
    })
  }
  const first: Argv = encrypted ? ['age', '--decrypt', '-i', identityFile ?? '', path] : ['zstd', '-q', '-dc', path]
  const zstd = encrypted ? startProcess({ argv: ['zstd', '-q', '-dc'], stdin: 'pipe', stdout: 'pipe' }) : undefined
  const decoder = startProcess({ argv: first, stdin: 'ignore', stdout: zstd?.input ?? 'pipe' })
  if (zstd?.input) release(zstd.input)
  const stages = zstd ? [decoder, zstd] : [decoder]
  const stop = () => stages.forEach((stage) => stage.kill())
  signal?.addEventListener('abort', stop, { once: true })
  try {
    const output = (zstd ?? decoder).output
    const index = await parseIndex(output ? linesOf(output) : []).catch((error: unknown) => error)
    const culprit = decideCulprit(await Promise.all(stages.map((stage) => stage.ended)))
    signal?.throwIfAborted()
    if (culprit) {
      const { message, code } = stageError(culprit, 'this machine', (text) => text)
      throw new OpsError(
        code === 'FAILED' ? 'DATA_MISMATCH' : code,
        `the index of ${entry.id} cannot be read: ${message}`,
      )
    }
    if (index instanceof Error) throw index
    return index as FileIndex
  } finally {
    signal?.removeEventListener('abort', stop)
  }
}

/** Faster than node:readline, which gives each line a turn of its own. */
async function* linesOf(stream: Readable): AsyncGenerator<readonly string[]> {
  let rest = ''
  for await (const chunk of stream.setEncoding('utf8')) {
    const lines = (rest + (chunk as string)).split('\n')
    rest = lines.pop() ?? ''
    yield lines
  }
  yield [rest]
}

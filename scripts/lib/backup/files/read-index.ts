/** The index of a published backup of files: decrypted and decompressed by the tools that made it, read line by line. */
import type { Readable } from 'node:stream'
import { OpsError } from '../../core/errors.ts'
import { keepHeapTight } from '../../core/heap.ts'
import { dataFilePath, startDecoding, type DecodeOptions } from '../restore/decode.ts'
import type { BackupEntry } from '../types.ts'
import { parseIndex, type FileIndex } from './facts.ts'

/** @throws OpsError DATA_MISMATCH (no index, a damaged one), CONFIG_INVALID (encrypted, and no identity), MISSING_TOOL */
export async function readIndex(
  entry: BackupEntry,
  { identity, signal = new AbortController().signal }: Partial<DecodeOptions> = {},
): Promise<FileIndex> {
  const file = entry.manifest.files.find(({ role }) => role === 'index')
  if (!file) throw new OpsError('DATA_MISMATCH', `${entry.id} has no index of its files`)
  keepHeapTight()
  const decoding = startDecoding(dataFilePath(entry, file), { identity, signal })
  const index = await parseIndex(linesOf(decoding.stdout)).catch((error: unknown) => error)
  await decoding.done.catch((error: unknown) => {
    signal.throwIfAborted()
    if (!(error instanceof OpsError)) throw error
    throw new OpsError(error.code, `the index of ${entry.id} cannot be read: ${error.message}`, error.details)
  })
  signal.throwIfAborted()
  if (index instanceof Error) throw index
  return index as FileIndex
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

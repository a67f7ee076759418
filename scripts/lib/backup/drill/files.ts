/** A drill of files: the whole chain unpacked into a directory of its own and compared with the index, then thrown away. */
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import type { Clock } from '../../core/clock.ts'
import { formatSize } from '../../core/duration.ts'
import { isOpsError, messageOf, OpsError } from '../../core/errors.ts'
import type { Progress } from '../../core/progress.ts'
import type { Host } from '../../host/types.ts'
import { openPlace, runTool } from '../pipeline/place.ts'
import { plural } from '../plural.ts'
import { readChecksumProblems } from '../repository/checksums.ts'
import { readChain, refuseHostile } from '../restore/files/chain.ts'
import { readFree } from '../restore/files/place.ts'
import { compareFiles } from '../restore/files/compare.ts'
import { unpack } from '../restore/files/unpack.ts'
import type { BackupEntry, Repository } from '../types.ts'
import type { DrillResult } from './database.ts'
import { makeInstanceDirectory } from './instance.ts'
import type { AgeIdentity } from '../restore/identity.ts'

export interface FilesDrill {
  readonly entry: BackupEntry
  readonly repository: Repository
  readonly identity: AgeIdentity | undefined
  readonly timeoutMs: number
  readonly host: Host
  readonly redact: (text: string) => string
  readonly clock: Clock
  readonly signal: AbortSignal
  readonly progress: Progress
}

/** @throws OpsError MISSING_TOOL, CANNOT_WRITE: the drill could not be held, which says nothing of the backup */
export async function drillFiles(drill: FilesDrill): Promise<DrillResult> {
  const { entry, clock, signal } = drill
  const directory = await makeInstanceDirectory(undefined)
  try {
    const startedAt = clock.monotonic()
    const differences = await restoreAndCompare(drill, directory)
    const rtoMs = Math.round(clock.monotonic() - startedAt)
    const ok = differences.length === 0
    const { files = 0, bytes = 0 } = entry.manifest.content ?? {}
    const because = ok
      ? `${plural(files, 'file')}, ${formatSize(bytes)}, are as they were backed up`
      : `${differences.length === 1 ? '' : `${differences.length} differences: `}${differences[0]}`
    return { ok, because, rtoMs, differences }
  } catch (error) {
    signal.throwIfAborted()
    if (!isOpsError(error, 'DATA_MISMATCH')) throw error
    return { ok: false, because: messageOf(error), rtoMs: 0, differences: [messageOf(error)] }
  } finally {
    await removeTree(drill, directory)
  }
}

/** By a program of its own, also after an interruption: Node's own way holds every file of the tree at once. */
async function removeTree({ host, redact, timeoutMs }: FilesDrill, directory: string): Promise<void> {
  const place = openPlace({ host, redact, signal: AbortSignal.timeout(timeoutMs), timeoutMs })
  await runTool(place, { argv: ['rm', '-rf', '--', directory] })
}

async function restoreAndCompare(drill: FilesDrill, directory: string): Promise<string[]> {
  const { host, redact, signal, timeoutMs, progress, identity } = drill
  const place = openPlace({ host, redact, signal, timeoutMs })
  const chain = await readChain(drill.entry, drill)
  for (const { entry } of chain) {
    const damaged = await readChecksumProblems(entry.path, entry.manifest.files, { signal, progress })
    if (damaged.length > 0) return damaged.map((line) => `${entry.id}: ${line}`)
  }
  await refuseHostile(place, chain, drill)
  const into = join(directory, 'files')
  const needed = chain.reduce((sum, { entry }) => sum + (entry.manifest.content?.bytes ?? 0), 0)
  const free = await readFree(place, into)
  if (free !== undefined && free < needed) {
    throw new OpsError(
      'CANNOT_WRITE',
      `${directory} has ${formatSize(free)} free, and the drill takes ${formatSize(needed)}`,
      {
        hint: 'Set TMPDIR to a larger file system.',
      },
    )
  }
  await mkdir(into)
  await unpack({ place, isLocal: true, chain, directory: into, identity, signal })
  return compareFiles({ place, directory: into, wanted: chain.at(-1)?.index.entries ?? [], checksums: true })
}

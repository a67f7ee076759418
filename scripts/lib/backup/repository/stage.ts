/**
 * A backup while it is written.
 *
 * Staged: `.<stamp>.partial-<pid>`, signed by its writer, listed by nobody. Published: everything on disk, the signature
 * gone, renamed to `<stamp>`. Between the two there is one rename. Discarded, or its writer dead: removed.
 */
import { randomInt } from 'node:crypto'
import { lstat, mkdir, readdir, rm, rmdir } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { OpsError, systemCode } from '../../core/errors.ts'
import type { BackupEntry, Manifest, Staging } from '../types.ts'
import { asWriteError, makeDirectory, renameDurable, syncTree, writeDurable } from './durable.ts'
import { formatManifest } from './manifest.ts'
import {
  directoryOf,
  formatId,
  formatStamp,
  MANIFEST_FILE,
  OWNER_FILE,
  parseHiddenName,
  partialName,
  type BackupId,
} from './names.ts'
import { writeOwner } from './owner.ts'

const DIRECTORY_MODE = 0o700
/** So many backups of one name in one second are a defect elsewhere. */
const MAX_PER_SECOND = 200

export interface StageRequest {
  readonly repository: string
  readonly series: Omit<BackupId, 'stamp'>
  /** Wall clock milliseconds. */
  readonly now: number
  /** Reads a published backup back. */
  readonly read: (id: string) => Promise<BackupEntry>
}

export async function openStaging({ repository, series, now, read }: StageRequest): Promise<Staging> {
  const parent = dirname(directoryOf(repository, { ...series, stamp: '' }) + '/x')
  const { stamp, path } = await guarded(parent, async () => {
    await makeDirectory(parent, DIRECTORY_MODE)
    return reserve(parent, now)
  })
  const id = formatId({ ...series, stamp })
  const final = directoryOf(repository, { ...series, stamp })
  let published = false
  return {
    id,
    path,
    async publish(manifest) {
      if (manifest.id !== id) throw new OpsError('FAILED', `the manifest of ${id} says that it is ${manifest.id}`)
      await assertComplete(path, manifest)
      await guarded(path, async () => {
        await writeDurable(join(path, MANIFEST_FILE), formatManifest(manifest))
        await rm(join(path, OWNER_FILE), { force: true })
        await syncTree(path)
        await renameDurable(path, final)
      })
      published = true
      return read(id)
    },
    async discard() {
      if (!published) await rm(path, { recursive: true, force: true })
    },
  }
}

async function guarded<T>(path: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    throw asWriteError(error, path)
  }
}

/**
 * Takes a stamp that nobody has and nobody else is taking: whoever sees another one's partial of the same stamp after
 * making its own goes on to the next.
 */
async function reserve(parent: string, now: number): Promise<{ stamp: string; path: string }> {
  const base = formatStamp(now)
  for (let number = 1; number <= MAX_PER_SECOND; number += 1) {
    const stamp = number === 1 ? base : `${base}-${number}`
    if (await isTaken(parent, stamp)) continue
    const path = join(parent, partialName(stamp, process.pid))
    if (!(await makeNew(path))) continue
    try {
      if (!(await isTaken(parent, stamp, path))) {
        await writeOwner(path)
        return { stamp, path }
      }
      await rmdir(path)
    } catch (error) {
      await rm(path, { recursive: true, force: true })
      throw error
    }
    // Two that met step aside by different amounts, so that they do not meet for ever.
    await delay(randomInt(20))
    number -= 1
  }
  throw new OpsError('FAILED', `there are ${MAX_PER_SECOND} backups of ${base} in ${parent}`)
}

async function makeNew(path: string): Promise<boolean> {
  try {
    await mkdir(path, { mode: DIRECTORY_MODE })
    return true
  } catch (error) {
    if (systemCode(error) === 'EEXIST') return false
    throw error
  }
}

async function isTaken(parent: string, stamp: string, mine?: string): Promise<boolean> {
  return (await readdir(parent)).some((name) => {
    const hidden = parseHiddenName(name)
    return name === stamp || (hidden?.stamp === stamp && join(parent, name) !== mine)
  })
}

/** @throws OpsError DATA_MISMATCH when what is staged is not what the manifest says */
async function assertComplete(path: string, { id, files }: Manifest): Promise<void> {
  const promised = new Map(files.map((file) => [file.path, file.sizeBytes]))
  const staged = (await readdir(path, { recursive: true, withFileTypes: true }))
    .filter((entry) => !entry.isDirectory())
    .map((entry) => join(entry.parentPath, entry.name).slice(path.length + 1))
  const extra = staged.filter((name) => !promised.has(name) && name !== OWNER_FILE)
  if (extra.length > 0) throw mismatch(id, `${extra.join(', ')} is staged and not in the manifest`)
  for (const [name, sizeBytes] of promised) {
    const facts = await lstat(join(path, name)).catch(() => undefined)
    if (!facts?.isFile()) throw mismatch(id, `${name} was not written`)
    if (facts.size !== sizeBytes) throw mismatch(id, `${name} has ${facts.size} bytes and should have ${sizeBytes}`)
  }
}

function mismatch(id: string, because: string): OpsError {
  return new OpsError('DATA_MISMATCH', `${id} is not published: ${because}`, { hint: 'Run the backup again.' })
}

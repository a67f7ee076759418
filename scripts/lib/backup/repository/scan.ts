/**
 * What lies in a repository: whole backups, and what is none with the reason. Reads only.
 *
 * Whole means: its directory has a name of ours, its manifest is sound and its own, every data file is there with the
 * size of the manifest, and so is the full backup that an incremental one builds on.
 */
import { lstat, open, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { formatSize } from '../../core/duration.ts'
import { messageOf, OpsError, systemCode } from '../../core/errors.ts'
import { BACKUP_KINDS, type BackupEntry, type BackupKind, type Manifest, type RepositoryProblem } from '../types.ts'
import { MAX_MANIFEST_BYTES, parseManifest } from './manifest.ts'
import { compareStamps, directoryOf, formatId, isName, MANIFEST_FILE, parseStamp, type BackupId } from './names.ts'
import { readRecords, summarizeRecords } from './records.ts'

export interface Contents {
  /** Newest first. */
  readonly entries: readonly BackupEntry[]
  readonly problems: readonly RepositoryProblem[]
}

export interface ScanFilter {
  readonly kind?: BackupKind
  readonly name?: string
}

/** @throws OpsError NOT_PERMITTED when the repository may not be read; an absent one is empty */
export async function readContents(repository: string, filter: ScanFilter = {}): Promise<Contents> {
  const found: (BackupEntry | RepositoryProblem)[] = []
  for (const kind of BACKUP_KINDS.filter((one) => filter.kind === undefined || filter.kind === one)) {
    for (const name of await namesIn(join(repository, kind))) {
      if (!isName(name) || (filter.name !== undefined && filter.name !== name)) continue
      for (const stamp of await namesIn(join(repository, kind, name))) {
        if (!stamp.startsWith('.')) found.push(await readOne(repository, { kind, name, stamp }))
      }
    }
  }
  const { entries, problems } = withoutOrphans(found)
  return { entries: entries.sort(newestFirst), problems }
}

async function namesIn(directory: string): Promise<string[]> {
  try {
    const entries = await readdir(directory, { withFileTypes: true })
    return entries.flatMap((entry) => (entry.isDirectory() ? [entry.name] : [])).sort()
  } catch (error) {
    const code = systemCode(error)
    if (code === 'ENOENT' || code === 'ENOTDIR') return []
    throw new OpsError(
      code === 'EACCES' || code === 'EPERM' ? 'NOT_PERMITTED' : 'FAILED',
      `cannot read ${directory}: ${messageOf(error)}`,
      { hint: 'Run it as the user who makes the backups.', cause: error },
    )
  }
}

async function readOne(repository: string, id: BackupId): Promise<BackupEntry | RepositoryProblem> {
  const path = directoryOf(repository, id)
  const text = formatId(id)
  const problem = (because: string): RepositoryProblem => ({ path, id: text, because })
  const at = parseStamp(id.stamp)
  if (at === undefined) return { path, because: 'its name is not a time such as 20261120T020000Z' }
  try {
    const parsed = parseManifest(await readManifestText(path), text)
    if (!parsed.ok) return problem(parsed.because)
    const wrong = await findWrongFile(path, parsed.manifest)
    if (wrong !== undefined) return problem(wrong)
    return { id: text, kind: id.kind, name: id.name, path, at, ...(await describe(path, parsed.manifest)) }
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return problem('it has no manifest')
    return problem(`it cannot be read: ${messageOf(error)}`)
  }
}

async function readManifestText(path: string): Promise<string> {
  const file = await open(join(path, MANIFEST_FILE))
  try {
    const { size } = await file.stat()
    if (size > MAX_MANIFEST_BYTES) throw new Error(`the manifest has ${formatSize(size)}`)
    return await file.readFile('utf8')
  } finally {
    await file.close()
  }
}

/** Looks at sizes only: checksums are for verify. */
async function findWrongFile(directory: string, { files }: Manifest): Promise<string | undefined> {
  for (const { path, sizeBytes } of files) {
    const facts = await lstat(join(directory, path)).catch(() => undefined)
    if (!facts?.isFile()) return `${path} is missing`
    if (facts.size !== sizeBytes) return `${path} has ${facts.size} bytes, and the manifest says ${sizeBytes}`
  }
  return undefined
}

async function describe(path: string, manifest: Manifest) {
  const records = await readRecords(path)
  const sizeBytes = manifest.files.reduce((sum, file) => sum + file.sizeBytes, 0)
  return { sizeBytes, manifest, records, ...summarizeRecords(records) }
}

/** An incremental backup without the full one it builds on cannot be restored. */
function withoutOrphans(found: readonly (BackupEntry | RepositoryProblem)[]): {
  entries: BackupEntry[]
  problems: RepositoryProblem[]
} {
  const entries = found.filter((one) => 'manifest' in one)
  const problems = found.filter((one) => 'because' in one)
  const whole = new Set(entries.map(({ id }) => id))
  const lacks = ({ manifest }: BackupEntry) => manifest.parent !== undefined && !whole.has(manifest.parent)
  return {
    entries: entries.filter((entry) => !lacks(entry)),
    problems: [
      ...problems,
      ...entries.filter(lacks).map(({ id, path, manifest }) => ({
        path,
        id,
        because: `the full backup it builds on is not here: ${manifest.parent}`,
      })),
    ],
  }
}

function newestFirst(a: BackupEntry, b: BackupEntry): number {
  const [first = '', second = ''] = [a.id.split('/')[2], b.id.split('/')[2]]
  return compareStamps(first, second) || (a.id < b.id ? -1 : 1)
}

/**
 * A backup onto another host over SFTP: the same layout there, staged beside, every byte verified on arrival, renamed.
 * A transfer that was cut goes on where it stopped, in this run or in a later one.
 */
import { createHash } from 'node:crypto'
import { readdir } from 'node:fs/promises'
import { join, posix } from 'node:path'
import { isOpsError, OpsError } from '../../core/errors.ts'
import type { Clock } from '../../core/clock.ts'
import type { Progress } from '../../core/progress.ts'
import type { Host, SftpSession } from '../../host/types.ts'
import { hashFile } from '../repository/checksums.ts'
import { MANIFEST_FILE } from '../repository/names.ts'
import type { BackupEntry } from '../types.ts'

export interface SftpCopy {
  readonly entry: BackupEntry
  readonly host: Host
  /** The repository's directory there. */
  readonly path: string
  /** The repository's README here. */
  readonly readMe: string
  readonly signal: AbortSignal
  readonly clock: Clock
  readonly progress: Progress
}

/** A cut line is tried again this often in a row without a byte of progress; between, longer and longer. */
const TRIES = 5
const FIRST_PAUSE_MS = 500

/** @returns how the bytes were verified; `already there` when a whole copy was found */
export async function copyBySftp(copy: SftpCopy): Promise<string> {
  const files = await describeFiles(copy.entry)
  let bestBytes = -1
  for (let attempt = 1; ; attempt += 1) {
    const reached = { bytes: 0 }
    try {
      return await withSession(copy, (session) => transfer(session, copy, { files, reached }))
    } catch (error) {
      copy.signal.throwIfAborted()
      if (!isOpsError(error) || !(error.details.transient || error.code === 'UNREACHABLE')) throw error
      // What moved the end forward was no failure in a row.
      if (reached.bytes > bestBytes) attempt = 1
      bestBytes = Math.max(bestBytes, reached.bytes)
      if (attempt >= TRIES) throw error
      await copy.clock.sleep(FIRST_PAUSE_MS * 2 ** (attempt - 1), copy.signal)
    }
  }
}

interface CopiedFile {
  readonly name: string
  readonly sizeBytes: number
  readonly sha256: string
}

/** The data files as the manifest has them, then what has no checksum there. The manifest last: it makes a backup. */
async function describeFiles({ path, manifest }: BackupEntry): Promise<CopiedFile[]> {
  const known = manifest.files.map(({ path: name, sizeBytes, sha256 }) => ({ name, sizeBytes, sha256 }))
  const others = (await readdir(path)).filter((name) => !known.some((file) => file.name === name)).sort()
  const sorted = [...others.filter((name) => name !== MANIFEST_FILE), MANIFEST_FILE]
  return [
    ...known,
    ...(await Promise.all(sorted.map(async (name) => ({ name, ...(await hashFile(join(path, name))) })))),
  ]
}

async function withSession<T>({ host, signal }: SftpCopy, work: (session: SftpSession) => Promise<T>): Promise<T> {
  if (!host.sftp) {
    throw new OpsError('CONFIG_INVALID', `${host.name} is no SSH host: backups are copied over SFTP`, {
      host: host.name,
    })
  }
  const session = await host.sftp(signal)
  try {
    return await work(session)
  } finally {
    session.close()
  }
}

interface Transfer {
  readonly files: readonly CopiedFile[]
  /** How far it came, for whoever tries again. */
  readonly reached: { bytes: number }
}

async function transfer(session: SftpSession, copy: SftpCopy, { files, reached }: Transfer): Promise<string> {
  const final = posix.join(copy.path, copy.entry.id)
  if (await isThere(session, final, files)) return 'already there'
  const staging = posix.join(posix.dirname(final), `.${posix.basename(final)}.copy`)
  await session.makeDirectory(copy.path)
  await putReadMe(session, copy)
  await session.makeDirectory(staging)
  const totalBytes = files.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0)
  const { signal, progress, entry } = copy
  for (const { name, sizeBytes } of files) {
    const there = posix.join(staging, name)
    const has = (await session.stat(there))?.sizeBytes ?? 0
    // Longer than it should be: of an older content (records), so from the beginning.
    const fromByte = has <= sizeBytes && name !== MANIFEST_FILE ? has : 0
    const before = reached.bytes
    reached.bytes = before + fromByte
    const onBytes = (bytes: number) => {
      reached.bytes = before + bytes
      progress.update(reached.bytes, totalBytes, `copying ${entry.id} to ${copy.host.name}`)
    }
    if (fromByte < sizeBytes || has !== fromByte)
      await session.upload(join(entry.path, name), there, { fromByte, signal, onBytes })
    reached.bytes = before + sizeBytes
  }
  const how = await verifyArrival(session, copy, { staging, files })
  await session.rename(staging, final)
  return how
}

async function isThere(session: SftpSession, final: string, files: readonly CopiedFile[]): Promise<boolean> {
  if (!(await session.stat(final))) return false
  for (const { name, sizeBytes } of files.filter((file) => file.name !== 'records.jsonl')) {
    if ((await session.stat(posix.join(final, name)))?.sizeBytes === sizeBytes) continue
    throw new OpsError('DATA_MISMATCH', `${final} is there already, and its ${name} is not the one of this backup`, {
      hint: 'Look at it there and move it away, then copy again.',
    })
  }
  return true
}

async function putReadMe(session: SftpSession, { path, readMe }: SftpCopy): Promise<void> {
  const there = posix.join(path, 'README.md')
  if (!(await session.stat(there))) await session.upload(readMe, there, { signal: AbortSignal.timeout(30_000) })
}

/** @throws OpsError DATA_MISMATCH; what did not arrive as it should is removed there, so that the next try sends it again */
async function verifyArrival(
  session: SftpSession,
  copy: SftpCopy,
  { staging, files }: { staging: string; files: readonly CopiedFile[] },
): Promise<string> {
  const there =
    (await readSumsByCommand(copy, staging, files)) ?? (await readSumsBack(session, copy, { staging, files }))
  const wrong = files.filter(({ name, sha256 }) => there.sums.get(name) !== sha256)
  if (wrong.length === 0) return there.how
  for (const { name } of wrong) await session.remove(posix.join(staging, name))
  const list = wrong.map(({ name }) => name).join(', ')
  throw new OpsError(
    'DATA_MISMATCH',
    `${copy.entry.id} did not arrive whole on ${copy.host.name}: ${list} does not match its checksum`,
    {
      host: copy.host.name,
      hint: 'Verify it here (npx zx scripts/backup.ts verify), then copy it again.',
    },
  )
}

interface Sums {
  readonly how: string
  readonly sums: ReadonlyMap<string, string>
}

/** `sha256sum` over there; undefined where there is no shell or no such program. */
async function readSumsByCommand(
  { host, signal }: SftpCopy,
  staging: string,
  files: readonly CopiedFile[],
): Promise<Sums | undefined> {
  const bytes = files.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0)
  try {
    const paths = files.map(({ name }) => posix.join(staging, name))
    const { exitCode, stdout } = await host.read(['sha256sum', ...paths], { signal, timeoutMs: hashTimeMs(bytes) })
    if (exitCode !== 0) return undefined
    const lines = stdout.trimEnd().split('\n')
    const sums = files.map(({ name }, index) => [name, (lines[index] ?? '').replace(/^\\/, '').slice(0, 64)] as const)
    return { how: 'verified there by sha256sum', sums: new Map(sums) }
  } catch (error) {
    signal.throwIfAborted()
    if (isOpsError(error, 'UNREACHABLE')) throw error
    return undefined
  }
}

/** Slow disks read 10 MB a second. */
function hashTimeMs(bytes: number): number {
  return 60_000 + bytes / 10_000
}

async function readSumsBack(
  session: SftpSession,
  { signal, progress, entry, host }: SftpCopy,
  { staging, files }: { staging: string; files: readonly CopiedFile[] },
): Promise<Sums> {
  const sums = new Map<string, string>()
  for (const { name, sizeBytes } of files) {
    const hash = createHash('sha256')
    const onBytes = (bytes: number) => progress.update(bytes, sizeBytes, `reading ${entry.id} back from ${host.name}`)
    for await (const chunk of session.download(posix.join(staging, name), { signal, onBytes })) hash.update(chunk)
    sums.set(name, hash.digest('hex'))
  }
  return { how: 'verified by reading it back', sums }
}

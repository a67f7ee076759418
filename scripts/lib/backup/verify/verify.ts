/**
 * Whether a backup can be read: its bytes against their checksums, then every file to its end through the tools that a
 * restore uses, with each format's own mark of being whole. What it means as data only a drill shows.
 */
import type { Writable } from 'node:stream'
import type { Clock } from '../../core/clock.ts'
import { isOpsError, messageOf, OpsError } from '../../core/errors.ts'
import type { Progress } from '../../core/progress.ts'
import type { Host } from '../../host/types.ts'
import { readIndex } from '../files/read-index.ts'
import { hasFailed, stageError } from '../pipeline/failure.ts'
import { openPlace, type Place, type ToolSpec } from '../pipeline/place.ts'
import { readChecksumProblems } from '../repository/checksums.ts'
import { dataFilePath, feed } from '../restore/decode.ts'
import { createJudge } from '../restore/files/hostile.ts'
import { readMembers } from '../restore/files/members.ts'
import type { BackupEntry, DataFile } from '../types.ts'
import type { AgeIdentity } from '../restore/identity.ts'

export interface VerifyRequest {
  readonly entry: BackupEntry
  readonly identity: AgeIdentity | undefined
  /** This machine. */
  readonly host: Host
  readonly redact: (text: string) => string
  readonly timeoutMs: number
  readonly clock: Clock
  readonly signal: AbortSignal
  readonly progress: Progress
}

export interface Verification {
  readonly ok: boolean
  /** `checksums`: the bytes alone; what is encrypted can be read no further without the identity. */
  readonly level: 'checksums' | 'content'
  /** One sentence. */
  readonly because: string
  readonly problems: readonly string[]
  readonly durationMs: number
}

/** @throws OpsError MISSING_TOOL, and the signal's reason: then nothing is known of the backup */
export async function verifyBackup(request: VerifyRequest): Promise<Verification> {
  const { entry, identity, clock, signal, progress } = request
  const startedAt = clock.monotonic()
  const { files, encryption } = entry.manifest
  const damaged = await readChecksumProblems(entry.path, files, { signal, progress })
  const level = encryption && identity === undefined ? 'checksums' : 'content'
  const problems = damaged.length > 0 || level === 'checksums' ? damaged : await readContentProblems(request)
  const durationMs = Math.round(clock.monotonic() - startedAt)
  const ok = problems.length === 0
  return { ok, level, problems, durationMs, because: ok ? describeGood(level, files) : describeBad(problems) }
}

async function readContentProblems(request: VerifyRequest): Promise<string[]> {
  const { entry, host, redact, signal, timeoutMs, progress } = request
  const place = openPlace({ host, redact, signal, timeoutMs })
  const problems: string[] = []
  const { files } = entry.manifest
  for (const [index, file] of files.entries()) {
    progress.update(index, files.length, `reading ${file.path}`)
    try {
      await readContent(request, place, file)
    } catch (error) {
      signal.throwIfAborted()
      // A tool that is missing says nothing of the backup.
      if (!isOpsError(error) || error.code === 'MISSING_TOOL') throw error
      problems.push(`${file.path}: ${messageOf(error)}`)
    }
  }
  return problems
}

/** The last bytes of a dump are enough to see its end mark. */
const TAIL_BYTES = '300'
const DUMP_END = /^-- Dump completed\b/m
const CLUSTER_END = /^-- PostgreSQL database cluster dump complete/m
const SQLITE_HEAD = 'SQLite format 3\0'

async function readContent(request: VerifyRequest, place: Place, file: DataFile): Promise<void> {
  const { entry, identity, signal } = request
  const path = dataFilePath(entry, file)
  const through = (spec: ToolSpec) =>
    readThrough(place, spec, (into) => feed(path, { into, isPipe: true, identity, signal }))
  const isSqlite = entry.manifest.server?.family === 'sqlite'
  switch (file.role) {
    case 'schema':
    case 'rows':
      // As a script, so that all of it is read, not only its table of contents.
      await through({ argv: ['pg_restore', '--file=/dev/null'] })
      return
    case 'globals':
      return expectEnd(await through({ argv: ['tail', '-c', TAIL_BYTES] }), CLUSTER_END)
    case 'users':
      return expectEnd(await through({ argv: ['tail', '-c', TAIL_BYTES] }), DUMP_END)
    case 'dump':
      if (!isSqlite) return expectEnd(await through({ argv: ['tail', '-c', TAIL_BYTES] }), DUMP_END)
      return expectHead(await through({ argv: ['sh', '-c', 'head -c 16; cat > /dev/null'] }))
    case 'tar':
      return readArchive(request, place, path)
    case 'index':
      await readIndex(entry, { identity, signal })
      return
    default:
      await through({ argv: ['tail', '-c', '0'] })
  }
}

type Feed = (into: Writable) => Promise<void>

async function readThrough(place: Place, spec: ToolSpec, feedTo: Feed): Promise<string> {
  const tool = await place.start({ ...spec, wantsInput: true })
  let text = ''
  tool.output?.setEncoding('latin1').on('data', (piece: string) => {
    text = (text + piece).slice(-10_000)
  })
  const fed = feedTo(tool.input)
  fed.catch(tool.kill)
  const end = await tool.ended
  await fed
  if (hasFailed(end)) throw stageError(end, place.host, place.redact)
  return text
}

/** Everything of this backup's own index must be in its archives, and nothing else. */
async function readArchive({ entry, identity, signal }: VerifyRequest, place: Place, path: string): Promise<void> {
  const { entries } = await readIndex(entry, { identity, signal })
  const judge = createJudge(entries.filter((one) => one.in !== 'parent'))
  for await (const member of readMembers(place, { path, identity, signal, isLocal: true })) judge.take(member)
  const [problem] = judge.problems()
  if (problem !== undefined) throw new OpsError('DATA_MISMATCH', problem)
}

function expectEnd(text: string, mark: RegExp): void {
  if (!mark.test(text)) throw new OpsError('DATA_MISMATCH', 'the dump has no end marker: it is cut short')
}

function expectHead(text: string): void {
  if (text !== SQLITE_HEAD) throw new OpsError('DATA_MISMATCH', 'it is no SQLite database')
}

function describeGood(level: Verification['level'], files: readonly DataFile[]): string {
  const count = `${files.length} ${files.length === 1 ? 'file matches its checksum' : 'files match their checksums'}`
  return level === 'content'
    ? `${count} and can be read to the end`
    : `${count}; encrypted, and there is no identity here to read further`
}

function describeBad(problems: readonly string[]): string {
  return problems.length === 1 ? (problems[0] ?? '') : `${problems.length} problems: ${problems[0]}`
}

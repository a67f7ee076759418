/**
 * A data file of a backup as the plain bytes it was made of: decrypted and decompressed by processes joined fd to fd.
 * The last of them writes into a pipe for this program, or into a file descriptor that another process reads.
 */
import { spawn, type ChildProcess } from 'node:child_process'
import { isAbsolute, join } from 'node:path'
import type { Readable, Writable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { Secret } from '../../core/secret.ts'
import { messageOf, OpsError, systemCode } from '../../core/errors.ts'
import { printableLine } from '../../core/printable.ts'
import { release } from '../pipeline/process.ts'
import { openBulkReader, type BulkReader } from '../pipeline/reader.ts'
import { packageOf } from '../pipeline/tools.ts'
import type { BackupEntry, DataFile } from '../types.ts'
import type { AgeIdentity } from './identity.ts'

export interface DecodeOptions {
  /** Needed for encrypted backups only. */
  readonly identity?: AgeIdentity | undefined
  readonly signal: AbortSignal
}

export interface FeedOptions extends DecodeOptions {
  /** The input of a tool. */
  readonly into: Writable
  /** It is a pipe of a process on this machine, and can be handed over as it is. */
  readonly isPipe: boolean
}

export interface Decoding {
  /** The plain bytes. Read them at once: what a process has written is thrown away when it ends and nobody reads. */
  readonly stdout: Readable
  /** Resolves when every stage has ended well. @throws OpsError DATA_MISMATCH, MISSING_TOOL, CONFIG_INVALID */
  readonly done: Promise<void>
  /** Ends the stages; `done` then rejects. Safe to call twice. */
  stop(): void
}

/** Much of it: piece by piece out of one buffer, which is valid until `take` resolves. */
export interface BulkDecoding extends Pick<BulkReader, 'each'>, Pick<Decoding, 'done' | 'stop'> {}

const STDERR_BYTES = 4_000

/** The commands that turn the file into plain bytes, the first of them reading it. */
export function decodeStages(path: string, identity?: AgeIdentity): (readonly [string, ...string[]])[] {
  const stages: (readonly [string, ...string[]])[] = []
  let name = path
  let source: readonly string[] = ['--', path]
  if (name.endsWith('.age')) {
    if (identity === undefined) {
      throw new OpsError('CONFIG_INVALID', `${path} is encrypted, and no age identity is configured`, {
        hint: 'Set backup.encryption.identity: { file: PATH } in opskit.yaml.',
      })
    }
    stages.push(['age', '--decrypt', '--identity', typeof identity === 'string' ? identity : '-', path])
    name = name.slice(0, -'.age'.length)
    source = []
  }
  // Long-distance windows of `zstd --long` included: what was written can be read.
  if (name.endsWith('.zst')) stages.push(['zstd', '-dcq', '--long=31', ...source])
  else if (name.endsWith('.gz')) stages.push(['gzip', '-dcq', ...source])
  else if (stages.length === 0) stages.push(['cat', ...source])
  return stages
}

/** @throws OpsError CONFIG_INVALID when it is encrypted and there is no identity */
export function openDataFile(
  entry: Pick<BackupEntry, 'path'>,
  file: DataFile,
  options: DecodeOptions,
): Promise<BulkDecoding> {
  return startBulkDecoding(dataFilePath(entry, file), options)
}

/** @throws OpsError DATA_MISMATCH for a manifest whose file lies outside of its backup */
export function dataFilePath(entry: Pick<BackupEntry, 'path'>, file: DataFile): string {
  if (isAbsolute(file.path) || file.path.split('/').includes('..')) {
    throw new OpsError(
      'DATA_MISMATCH',
      `the manifest names a file outside of its backup: ${printableLine(file.path, 80)}`,
    )
  }
  return join(entry.path, file.path)
}

export function startDecoding(path: string, options: DecodeOptions): Decoding {
  const { children, done, stop } = startStages(path, options)
  const last = children.at(-1)?.stdout
  if (!last) throw new TypeError('a decoding has at least one stage')
  return { stdout: last, done, stop }
}

export async function startBulkDecoding(path: string, options: DecodeOptions): Promise<BulkDecoding> {
  const { each, writer } = await openBulkReader()
  try {
    const { done, stop } = startStages(path, options, writer)
    return { each, done, stop }
  } catch (error) {
    release(writer)
    throw error
  }
}

/**
 * Sends the plain bytes into a tool's input and ends it. From process to process on this machine; only what goes to
 * another one passes through here.
 * @throws OpsError DATA_MISMATCH when the file cannot be read to its end; a tool that stops reading is no error of ours
 */
export async function feed(path: string, { into, isPipe, ...options }: FeedOptions): Promise<void> {
  if (isPipe) return startStages(path, options, into).done
  const decoding = startDecoding(path, options)
  await pipeline(decoding.stdout, into).catch(() => undefined)
  await decoding.done
}

interface Stages {
  readonly children: readonly ChildProcess[]
  readonly done: Promise<void>
  stop(): void
}

function startStages(path: string, { identity, signal }: DecodeOptions, into?: Writable): Stages {
  const stages = decodeStages(path, identity)
  const children: ChildProcess[] = []
  const ends: Promise<void>[] = []
  for (const [index, [program, ...args]] of stages.entries()) {
    const before = children.at(-1)?.stdout
    const output = index === stages.length - 1 ? (into ?? 'pipe') : 'pipe'
    const isAsked = index === 0 && program === 'age' && identity instanceof Secret
    const child = spawn(program, args, { stdio: [before ?? (isAsked ? 'pipe' : 'ignore'), output, 'pipe'] })
    child.stdin?.on('error', () => undefined)
    if (isAsked) child.stdin?.end(`${identity.reveal()}\n`)
    // The next stage has it now; our copy would keep the pipe open when that stage ends.
    before?.destroy()
    children.push(child)
    ends.push(endOf(child, program, path))
  }
  into?.destroy()
  const stop = () => children.forEach((child) => child.kill('SIGKILL'))
  signal.addEventListener('abort', stop, { once: true })
  const done = settle(ends).finally(() => signal.removeEventListener('abort', stop))
  done.catch(() => undefined)
  return { children, done, stop }
}

/** The first failure, in the order of the stages: a later one is its consequence. */
async function settle(ends: readonly Promise<void>[]): Promise<void> {
  const results = await Promise.allSettled(ends)
  const failed = results.find((result) => result.status === 'rejected')
  if (failed) throw failed.reason
}

function endOf(child: ChildProcess, program: string, path: string): Promise<void> {
  let said = ''
  child.stderr?.on('data', (chunk: Buffer) => {
    said = (said + chunk.toString()).slice(-STDERR_BYTES)
  })
  return new Promise((resolve, reject) => {
    child.once('error', (error) => reject(cannotStart(program, error)))
    child.once('close', (code, signal) => {
      // SIGPIPE: whoever reads has ended, and its own end says why.
      if (code === 0 || signal === 'SIGPIPE') return resolve()
      const why = code === null ? `killed by ${signal}` : `status ${code}`
      const tail = printableLine(said, 300)
      reject(new OpsError('DATA_MISMATCH', `${program} cannot read ${path} (${why})${tail ? `: ${tail}` : ''}`))
    })
  })
}

function cannotStart(program: string, error: Error): OpsError {
  if (systemCode(error) !== 'ENOENT') return new OpsError('FAILED', `cannot start ${program}: ${messageOf(error)}`)
  return new OpsError('MISSING_TOOL', `${program} is not installed on this machine`, {
    hint: `Install it: apt-get install ${packageOf(program)}`,
  })
}

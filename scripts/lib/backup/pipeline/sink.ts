/**
 * The writing end of a backup: bytes in, one compressed and perhaps encrypted file out, with its SHA-256.
 *
 *   producer | zstd | [age] | file
 *
 * zstd and age write to real descriptors; plain text never reaches the disk. The file is new, mode 0600, fsynced.
 * A sink may be rested: its zstd ends and a later one appends a second frame, so that many half-written files cost
 * neither processes nor memory.
 */
import { open, rm, type FileHandle } from 'node:fs/promises'
import type { Writable } from 'node:stream'
import { OpsError } from '../../core/errors.ts'
import { cannotWrite, decideCulprit, readDiskRefusal, stageError, type Redact } from './failure.ts'
import { followFile, type Followed } from './follow.ts'
import { startProcess, type ProcessEnd, type ProcessStage } from './process.ts'

export interface SinkOptions {
  /** Absolute; must not exist. */
  readonly path: string
  readonly compression: { readonly level: number; readonly threads: number }
  /** age recipients; empty: not encrypted. */
  readonly recipients: readonly string[]
  readonly redact: Redact
  /** Bytes that lie in the file. */
  readonly onBytes?: (bytes: number) => void
}

export interface Sink {
  readonly path: string
  /** Where plain bytes go: written here, or handed to a process as its stdout and then released. */
  input(): Writable
  /** Ends the current frame; the next `input()` begins another. */
  rest(): Promise<void>
  /** Waits for every stage and fsyncs. Call when the producer is done. @throws OpsError CANNOT_WRITE, MISSING_TOOL, FAILED */
  finish(): Promise<Followed>
  /** After the producer failed: the failure of a stage behind it, if that was the cause. The stages are ended. */
  failure(): Promise<OpsError | undefined>
  /** Kills the stages and removes the file. */
  discard(): Promise<void>
}

/** Until the end of a process that is dead already is known here. */
const NEWS_MS = 300

export async function openSink(options: SinkOptions): Promise<Sink> {
  const { path, recipients, redact } = options
  const file = await open(path, 'wx+', 0o600).catch((error: unknown) => Promise.reject(cannotWrite(path, error)))
  const follower = followFile(file, options.onBytes)
  const age = recipients.length > 0 ? startAge(recipients, file) : undefined
  const finished: ProcessEnd[] = []
  let zstd: ProcessStage | undefined

  const input = () => {
    zstd ??= startZstd(options.compression, age?.input ?? file.fd)
    return inputOf(zstd)
  }
  const rest = async () => {
    if (!zstd) return
    inputOf(zstd).end()
    const end = await zstd.ended
    zstd = undefined
    finished.push(end)
  }
  const close = async () => {
    await rest()
    age?.input?.end()
    return errorOf(age ? [...finished, await age.ended] : finished)
  }
  const errorOf = async (ends: readonly ProcessEnd[]) => {
    const culprit = decideCulprit(ends)
    return culprit && ((await readDiskRefusal(file, path)) ?? stageError(culprit, 'this machine', redact))
  }

  return {
    path,
    input,
    rest,
    async finish() {
      // A frame is there even when nothing was written: an empty file is no zstd file.
      if (finished.length === 0) input()
      const failure = await close()
      if (failure) throw failure
      const followed = await follower.finish().catch((error: unknown) => Promise.reject(cannotWrite(path, error)))
      await file.close()
      return followed
    },
    async failure() {
      const stages = [zstd, age].filter((stage) => stage !== undefined)
      const dead = [...finished]
      let ours = false
      for (const stage of stages) void stage.ended.then((end) => ours || dead.push(end))
      // A stage that took the producer along is dead already; what still works is not the cause.
      const timer = setTimeout(() => {
        ours = true
        for (const stage of stages) stage.kill()
      }, NEWS_MS)
      await Promise.all(stages.map((stage) => stage.ended))
      clearTimeout(timer)
      return errorOf(dead)
    },
    async discard() {
      zstd?.kill()
      age?.kill()
      await Promise.all([zstd?.ended, age?.ended, follower.stop()])
      await file.close().catch(() => undefined)
      await rm(path, { force: true })
    },
  }
}

/** `-T0`: every core. The frame carries zstd's own checksum, so that `zstd -t` finds a flipped bit. */
function startZstd({ level, threads }: SinkOptions['compression'], stdout: Writable | number): ProcessStage {
  return startProcess({ argv: ['zstd', '-q', `-${level}`, `-T${threads}`, '--check', '-c'], stdin: 'pipe', stdout })
}

function startAge(recipients: readonly string[], file: FileHandle): ProcessStage {
  const argv = ['age', '--encrypt', ...recipients.flatMap((recipient) => ['--recipient', recipient])] as const
  return startProcess({ argv: ['age', ...argv.slice(1)], stdin: 'pipe', stdout: file.fd })
}

function inputOf({ input }: ProcessStage): Writable {
  if (!input) throw new OpsError('FAILED', 'a stage was started without an input')
  return input
}

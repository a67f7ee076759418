/**
 * Why a pipeline failed: which stage is to blame, and what kind of failure it is. Decided by exit statuses, errno and
 * error numbers; what a tool said is only shown.
 */
import type { FileHandle } from 'node:fs/promises'
import { OpsError, systemCode, type ErrorDetails } from '../../core/errors.ts'
import { printableLine } from '../../core/printable.ts'
import type { ProcessEnd } from './process.ts'
import { packageOf } from './tools.ts'

export type Redact = (text: string) => string

/** The filesystem's own answer, when a stage failed and it may have been the disk. */
const PROBE_BYTES = 1024 ** 2

export function hasFailed({ code, signal, cannotStart }: ProcessEnd): boolean {
  return code !== 0 || signal !== null || cannotStart !== undefined
}

/**
 * The stage to blame: the last failed one of a chain. A stage that dies takes those before it along (SIGPIPE), while
 * those after it only see an early end of their input.
 * @param ends in the direction of the data
 */
export function decideCulprit(ends: readonly ProcessEnd[]): ProcessEnd | undefined {
  return ends.findLast(hasFailed)
}

/** The error an operator reads for a stage that failed by itself. */
export function stageError(end: ProcessEnd, host: string, redact: Redact): OpsError {
  const { program, code, signal, cannotStart } = end
  if (cannotStart === 'missing' || code === 127) return missingTool(program, host)
  if (cannotStart !== undefined) {
    return new OpsError('NOT_PERMITTED', `${program} cannot be started on ${host}`, {
      host,
      hint: `Check its permissions: ls -l "$(command -v ${program})"`,
    })
  }
  const how = signal === null ? `ended with status ${code}` : `was killed by ${signal}`
  return new OpsError('FAILED', `${program} on ${host} ${how}${said(end.stderr, redact)}`, { host })
}

export function missingTool(program: string, host: string): OpsError {
  return new OpsError('MISSING_TOOL', `${program} is not installed on ${host}`, {
    host,
    hint: `Install it on ${host}: apt-get install ${packageOf(program)}`,
  })
}

/** `: ` and the last lines of stderr on one line, redacted; empty when there were none. */
export function said(stderr: string, redact: Redact): string {
  const lines = redact(stderr)
    .split(/\r?\n/)
    .map((line) => printableLine(line, 300))
    .filter((line) => line !== '')
  return lines.length === 0 ? '' : `: ${lines.slice(-3).join(' | ')}`
}

/**
 * After the writer of `file` failed: asks the disk by writing once more behind its end.
 * @returns CANNOT_WRITE when the disk refuses; undefined when it takes the bytes, so that the disk was not the cause
 */
export async function readDiskRefusal(file: FileHandle, path: string): Promise<OpsError | undefined> {
  try {
    const { size } = await file.stat()
    await file.write(Buffer.alloc(PROBE_BYTES), 0, PROBE_BYTES, size)
    await file.sync()
    return undefined
  } catch (error) {
    return cannotWrite(path, error)
  }
}

const DISK_FACTS: Readonly<Record<string, { because: string; hint: string }>> = {
  ENOSPC: { because: 'no space is left on its disk', hint: 'Free space there, or prune old backups.' },
  EDQUOT: { because: 'the quota of its disk is used up', hint: 'Free space there, or raise the quota.' },
  EROFS: { because: 'it is on a read-only file system', hint: 'Mount it read-write, or choose another repository.' },
  EACCES: { because: 'permission is denied', hint: 'Check the owner and mode of the directory.' },
  EIO: { because: 'the disk reports an error', hint: 'Look into the kernel log: dmesg --level=err' },
}

/** Disk errors as an operator reads them; anything else is CANNOT_WRITE with the system's own code. */
export function cannotWrite(path: string, error: unknown): OpsError {
  const code = systemCode(error) ?? 'an unknown error'
  const { because, hint } = DISK_FACTS[code] ?? { because: `writing failed with ${code}`, hint: undefined }
  const details: ErrorDetails = hint === undefined ? { cause: error } : { hint, cause: error }
  return new OpsError('CANNOT_WRITE', `cannot write ${path}: ${because}`, details)
}

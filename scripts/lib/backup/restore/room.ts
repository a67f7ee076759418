/** Whether a load failed because the disk under the server is full: servers say that in many ways, the disk in one. */
import { messageOf, OpsError } from '../../core/errors.ts'
import { formatSize } from '../../core/duration.ts'
import type { Host } from '../../host/types.ts'

/** Less than this is none. */
const FULL_BYTES = 16 * 1024 * 1024

/** @returns bytes on the file system of a directory of the server's machine; undefined when that is not to be known */
export async function readFreeBytes(host: Host, directory: string | undefined): Promise<number | undefined> {
  if (directory === undefined || directory === '') return undefined
  const { stdout, exitCode } = await host.read(['df', '-Pk', directory])
  const free = Number(stdout.trim().split('\n').at(-1)?.split(/\s+/)[3]) * 1024
  return exitCode === 0 && Number.isFinite(free) ? free : undefined
}

/** @returns the error itself, or CANNOT_WRITE when there is no room left. Never throws. */
export async function explainFailedLoad(
  error: unknown,
  on: string,
  readFree: () => Promise<number | undefined>,
): Promise<unknown> {
  if (error instanceof OpsError && error.code !== 'FAILED' && error.code !== 'UNREACHABLE') return error
  const free = await readFree().catch(() => undefined)
  if (free === undefined || free > FULL_BYTES) return error
  return new OpsError(
    'CANNOT_WRITE',
    `the disk of the server on ${on} is full (${formatSize(free)} left): ${messageOf(error)}`,
    {
      host: on,
      hint: 'Free space there, then run the restore again.',
      cause: error,
    },
  )
}

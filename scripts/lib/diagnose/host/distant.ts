/**
 * File systems whose answer comes from a server or from another program, and may never come.
 *
 * Each is asked by a child process of its own with a deadline: a thread that hangs in statfs(2) cannot be taken back and
 * would keep this program from ending, a child can be left behind. So they cost a process each, and only where they exist.
 */
import type { HostReader } from '../../host/types.ts'
import type { Clock } from '../../core/clock.ts'
import { isOpsError, messageOf } from '../../core/errors.ts'
import { formatDuration } from '../../core/duration.ts'
import { isDistant, type Mount } from './mounts.ts'
import { parseSpace, type FileSystemFacts } from './space.ts'

/** How many are asked; the others are reported as not asked. */
const MAX_ASKED = 16
const STAT_FORMAT = '%S %b %f %a %c %d'

export interface DistantOptions {
  readonly clock: Clock
  /** For each file system; they are asked at the same time. */
  readonly timeoutMs: number
  readonly signal: AbortSignal
}

/** @returns one entry per distant file system among `mounts`, in their order; never throws for one that is silent */
export async function readDistantSpace(
  host: HostReader,
  mounts: readonly Mount[],
  options: DistantOptions,
): Promise<FileSystemFacts[]> {
  const distant = mounts.filter(isDistant)
  return Promise.all(
    distant.map(async (mount, index) =>
      index < MAX_ASKED
        ? readOne(host, mount, options)
        : { mount, unanswered: `not asked: there are ${distant.length} of its kind` },
    ),
  )
}

async function readOne(
  host: HostReader,
  mount: Mount,
  { clock, timeoutMs, signal }: DistantOptions,
): Promise<FileSystemFacts> {
  const late = new AbortController()
  try {
    // The race is for a child that not even SIGKILL ends: its result may never come.
    const result = await Promise.race([
      host.read(['stat', '-f', '-c', STAT_FORMAT, mount.path], { timeoutMs, signal }),
      clock.sleep(timeoutMs + 100, late.signal),
    ])
    if (!result) return { mount, unanswered: `no answer in ${formatDuration(timeoutMs)}` }
    const space = parseSpace(`${mount.escapedPath} ${result.stdout}`).get(mount.escapedPath)
    return space
      ? { mount, space }
      : { mount, unanswered: result.stderr.trim() || `stat ended with ${result.exitCode}` }
  } catch (error) {
    const why = isOpsError(error, 'TIMEOUT') ? `no answer in ${formatDuration(timeoutMs)}` : messageOf(error)
    return { mount, unanswered: why }
  } finally {
    late.abort()
  }
}

/** After a restore of a compose project's files: started again with them, by docker compose where it is there. */
import { OpsError } from '../../../core/errors.ts'
import { printableLine } from '../../../core/printable.ts'
import type { Host } from '../../../host/types.ts'
import type { Follower } from './restore.ts'

/** Images may have to be pulled. */
const UP_MS = 9 * 60_000

export function composeFollower(file: string, say: (message: string) => void): Follower {
  const up = async (host: Host, signal: AbortSignal) => {
    const { exitCode } = await host.read(['docker', 'compose', 'version'], { signal }).catch((error: unknown) => {
      if (error instanceof OpsError && error.code === 'MISSING_TOOL') return { exitCode: 127 }
      throw error
    })
    if (exitCode !== 0) {
      say(`docker compose is not installed on ${host.name}: start the project yourself with ${file}`)
      return
    }
    const end = await host.run(['docker', 'compose', '-f', file, 'up', '-d'], {
      okCodes: 'any',
      timeoutMs: UP_MS,
      signal,
    })
    if (end.exitCode === 0) return
    const said = printableLine(end.stderr.trimEnd().split('\n').slice(-3).join(' | '), 300)
    throw new OpsError('FAILED', `docker compose cannot start the restored project: ${said}`, { host: host.name })
  }
  return { title: `Start the compose project ${file}`, apply: up, revert: up }
}

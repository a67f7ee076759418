/** After a restore of a compose project's files: started again with them, and seen to run. */
import { OpsError } from '../../../core/errors.ts'
import { printableLine } from '../../../core/printable.ts'
import type { Argv } from '../../../core/quote.ts'
import type { Host } from '../../../host/types.ts'
import type { Follower } from './restore.ts'

/** Images may have to be pulled. */
const UP_MS = 9 * 60_000
/** The plug-in of Docker's own packages; the program that Debian has. */
const PROGRAMS: readonly Argv[] = [['docker', 'compose'], ['docker-compose']]

export function composeFollower(file: string, say: (message: string) => void): Follower {
  const up = async (host: Host, signal: AbortSignal) => {
    const program = await findProgram(host, signal)
    if (!program) {
      const because = `docker compose is not installed on ${host.name}: start the project yourself with ${file}`
      say(because)
      return because
    }
    const end = await host.run([...program, '-f', file, 'up', '-d'], { okCodes: 'any', timeoutMs: UP_MS, signal })
    if (end.exitCode === 0) return `the compose project ${file} runs`
    const said = printableLine(end.stderr.trimEnd().split('\n').slice(-3).join(' | '), 300)
    throw new OpsError('FAILED', `docker compose cannot start the restored project: ${said}`, { host: host.name })
  }
  return {
    title: `Start the compose project ${file}`,
    apply: up,
    revert: async (host, signal) => void (await up(host, signal)),
  }
}

async function findProgram(host: Host, signal: AbortSignal): Promise<Argv | undefined> {
  for (const program of PROGRAMS) {
    try {
      if ((await host.read([...program, 'version'], { okCodes: 'any', signal })).exitCode === 0) return program
    } catch (error) {
      if (!(error instanceof OpsError) || error.code !== 'MISSING_TOOL') throw error
    }
  }
  return undefined
}

/**
 * A real server as a child process: started in the foreground, waited for, stopped by its own pid.
 * Its output is kept so that a failed start can say why.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { waitFor } from './wait.ts'

export interface ServerProcess {
  readonly pid: number
  /** Everything it has printed so far. */
  output(): string
  running(): boolean
  kill(signal: NodeJS.Signals): void
  /** SIGTERM, then SIGKILL after `graceMs`; resolves when it is gone. */
  stop(graceMs?: number): Promise<void>
}

export interface ServerOptions {
  readonly argv: readonly [string, ...string[]]
  readonly env?: NodeJS.ProcessEnv
  readonly cwd?: string
  readonly uid?: number
  readonly gid?: number
  /** Resolves to true when the server answers. */
  readonly ready: () => boolean | Promise<boolean>
  readonly timeoutMs?: number
}

export async function startServer({
  argv,
  ready,
  timeoutMs = 20_000,
  ...options
}: ServerOptions): Promise<ServerProcess> {
  const [program, ...args] = argv
  const child = spawn(program, args, { ...options, stdio: ['ignore', 'pipe', 'pipe'] })
  let output = ''
  const keep = (chunk: Buffer) => {
    output = (output + chunk.toString()).slice(-64_000)
  }
  child.stdout.on('data', keep)
  child.stderr.on('data', keep)
  const exited = once(child, 'exit').catch(() => undefined)
  await once(child, 'spawn')

  const running = () => child.exitCode === null && child.signalCode === null
  const server: ServerProcess = {
    pid: child.pid ?? -1,
    output: () => output,
    running,
    kill: (signal) => void child.kill(signal),
    async stop(graceMs = 5_000) {
      if (!running()) return
      child.kill('SIGTERM')
      const timer = setTimeout(() => child.kill('SIGKILL'), graceMs)
      await exited
      clearTimeout(timer)
    },
  }
  try {
    await waitFor(
      `${program} to answer`,
      async () => {
        if (!running()) throw new Error(`${program} ended`)
        return ready()
      },
      timeoutMs,
    )
  } catch (error) {
    await server.stop()
    throw new Error(`${argv.join(' ')} did not start:\n${output}`, { cause: error })
  }
  return server
}

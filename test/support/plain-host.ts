/**
 * A host reader with nothing in it but node:child_process and node:fs: for tests of rooms that only look, and to run
 * remote scripts on this machine under the shell of choice.
 */
import { spawn } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { OpsError } from '../../scripts/lib/core/errors.ts'
import type { Argv, HostKind, HostReader, RunOptions, RunResult } from '../../scripts/lib/host/types.ts'

export interface PlainHostOptions {
  readonly name?: string
  readonly kind?: HostKind
  /** Replaces the program `sh`: `['busybox', 'sh']`. */
  readonly shell?: readonly [string, ...string[]]
  readonly env?: NodeJS.ProcessEnv
  /** Called with every command before it runs. */
  readonly onRead?: (argv: Argv) => void
}

export function createPlainHost(options: PlainHostOptions = {}): HostReader {
  const { name = 'localhost', kind = 'local', shell = ['sh'], env = process.env, onRead } = options
  return {
    name,
    kind,
    read: (argv, run) => {
      onRead?.(argv)
      const [program, ...args] = argv[0] === 'sh' ? [...shell, ...argv.slice(1)] : argv
      return readCommand(program ?? 'sh', args, { argv, env, ...run })
    },
    get: async (path) => {
      try {
        return await readFile(path)
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
        throw error
      }
    },
  }
}

function readCommand(
  program: string,
  args: readonly string[],
  { argv, env, timeoutMs = 30_000, input, signal }: Omit<RunOptions, 'env'> & { argv: Argv; env: NodeJS.ProcessEnv },
): Promise<RunResult> {
  const started = performance.now()
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { env, ...(signal && { signal }) })
    const output = { stdout: '', stderr: '' }
    const timer = setTimeout(() => {
      child.kill('SIGKILL')
      child.stdout.destroy()
      reject(new OpsError('TIMEOUT', `${program} did not end in ${timeoutMs} ms`))
    }, timeoutMs)
    child.stdout.setEncoding('utf8').on('data', (chunk: string) => (output.stdout += chunk))
    child.stderr.setEncoding('utf8').on('data', (chunk: string) => (output.stderr += chunk))
    child.on('error', (error) => {
      clearTimeout(timer)
      reject(new OpsError('MISSING_TOOL', `${program} cannot be started`, { cause: error }))
    })
    child.on('close', (code) => {
      clearTimeout(timer)
      if (code === null) return reject(new OpsError('FAILED', `${program} was killed`))
      resolve({ argv, exitCode: code, ...output, durationMs: performance.now() - started, truncated: false })
    })
    child.stdin.on('error', () => undefined).end(input)
  })
}

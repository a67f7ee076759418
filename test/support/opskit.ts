/** Runs an opskit command as an operator would: its own process, its own state directory, its own exit code. */
import { spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'

export const ROOT = fileURLToPath(new URL('../..', import.meta.url))
export const NODE = `${ROOT}node_modules/.bin/node`

export interface Ran {
  readonly exitCode: number | null
  readonly signal: NodeJS.Signals | null
  readonly stdout: string
  readonly stderr: string
  readonly durationMs: number
}

export interface RunOptions {
  readonly env?: Readonly<Record<string, string>>
  readonly cwd?: string
  readonly input?: string
  readonly timeoutMs?: number
  /** Called with the running process, to send it a signal. */
  readonly onStart?: (pid: number) => void
}

/** `opskit('diagnose', ['--json'], { cwd })` runs `scripts/diagnose.ts --json`. */
export function opskit(command: string, args: readonly string[], options: RunOptions = {}): Promise<Ran> {
  return runProgram([NODE, `${ROOT}scripts/${command}.ts`, ...args], options)
}

/** Runs a program to its end and keeps what it said; never rejects because of an exit code. */
export function runProgram([program, ...args]: readonly [string, ...string[]], options: RunOptions = {}): Promise<Ran> {
  const { env = {}, cwd = ROOT, input = '', timeoutMs = 30_000, onStart } = options
  const startedAt = performance.now()
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, {
      cwd,
      env: { ...process.env, ...env },
      timeout: timeoutMs,
      killSignal: 'SIGKILL',
    })
    const [out, err]: [Buffer[], Buffer[]] = [[], []]
    child.stdout.on('data', (chunk: Buffer) => out.push(chunk))
    child.stderr.on('data', (chunk: Buffer) => err.push(chunk))
    child.on('error', reject)
    child.on('spawn', () => onStart?.(child.pid ?? -1))
    child.on('close', (exitCode, signal) =>
      resolve({
        exitCode,
        signal,
        stdout: Buffer.concat(out).toString(),
        stderr: Buffer.concat(err).toString(),
        durationMs: performance.now() - startedAt,
      }),
    )
    child.stdin.on('error', () => {})
    child.stdin.end(input)
  })
}

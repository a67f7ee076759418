/** Runs a program on this machine as a step would, and returns what it wrote. */
import { execFile } from 'node:child_process'
import { promisify } from 'node:util'

export async function runLocal(argv: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<string> {
  const [program = '', ...args] = argv
  const { stdout } = await promisify(execFile)(program, args, { env: { PATH: process.env['PATH'], ...env } })
  return stdout
}

/** A terminal as an operator has one: a command in it, keys typed into it, and what the screen shows. */
import { execFile } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { promisify } from 'node:util'
import { onTestFinished } from 'vitest'
import { quoteArgv } from '../../scripts/lib/core/quote.ts'
import { waitFor } from './wait.ts'

const execute = promisify(execFile)

export interface Screen {
  /** What can be seen, and what has scrolled away. */
  text(): Promise<string>
  /** Waits until the screen shows it. */
  shows(text: string | RegExp, timeoutMs?: number): Promise<string>
  /** Keys as tmux names them: `Enter`, `q`, `C-c`; other words are typed. */
  type(...keys: readonly string[]): Promise<void>
}

/** Ends with the test. The exit code is shown as `exit code N`. */
export async function openScreen(
  argv: readonly [string, ...string[]],
  {
    env = {},
    cwd = '/',
    columns = 110,
    rows = 45,
  }: { env?: Record<string, string>; cwd?: string; columns?: number; rows?: number } = {},
): Promise<Screen> {
  // A server of its own: nobody else's sessions, and nothing is left behind.
  const socket = `opskit-${process.pid}-${randomBytes(4).toString('hex')}`
  const tmux = (...args: string[]) => execute('tmux', ['-L', socket, '-f', '/dev/null', ...args])
  const words = Object.entries(env).map(([name, value]) => `${name}=${value}`)
  const script = `${quoteArgv(['env', ...words, ...argv])}; echo "exit code $?"; exec sleep 600`
  await tmux('new-session', '-d', '-x', String(columns), '-y', String(rows), '-c', cwd, `sh -c ${quoteArgv([script])}`)
  onTestFinished(async () => {
    await tmux('kill-server').catch(() => undefined)
  })
  const text = async () => (await tmux('capture-pane', '-p', '-J', '-S', '-2000')).stdout
  return {
    text,
    async shows(wanted, timeoutMs = 20_000) {
      let last = ''
      const found = await waitFor(
        `the screen to show ${String(wanted)}`,
        async () => {
          last = await text()
          return typeof wanted === 'string' ? last.includes(wanted) : wanted.test(last)
        },
        timeoutMs,
      ).catch((error: unknown) => {
        throw new Error(`${error instanceof Error ? error.message : ''}; it shows:\n${last.trimEnd()}`)
      })
      return found ? last : ''
    },
    type: async (...keys) => {
      await tmux('send-keys', ...keys)
    },
  }
}

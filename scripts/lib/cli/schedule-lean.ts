/**
 * Makes the process of `schedule run` a small one. The entry script of a program is compiled anew each time, and what
 * removes its types takes 20 MB that are never given back; so the process replaces itself (execve(2), same pid) by one
 * that takes the script, too, from the cache of compiled code.
 */
import { execve, execArgv, execPath } from 'node:process'
import { fileURLToPath } from 'node:url'
import type { CommonFlags } from './context.ts'

const SCRIPT = new URL('../../schedule.ts', import.meta.url)
const COMPILE_CACHE = fileURLToPath(new URL('../../../.cache/compile', import.meta.url))

export async function becomeDaemon(flags: CommonFlags, signal: AbortSignal): Promise<void> {
  const boot = [
    `process.title = 'opskit schedule'`,
    `require('node:module').enableCompileCache(${JSON.stringify(COMPILE_CACHE)})`,
    `import(${JSON.stringify(SCRIPT.href)})`,
  ].join(';')
  const words = [
    ...(flags.config === undefined ? [] : ['--config', flags.config]),
    ...(flags.verbose ? ['--verbose'] : []),
  ]
  const quiet = ['--disable-warning=ExperimentalWarning', '--max-semi-space-size=1']
  try {
    execve?.(execPath, [execPath, ...execArgv, ...quiet, '-e', boot, fileURLToPath(SCRIPT), 'daemon', ...words])
  } catch {
    // Where a process cannot be replaced, it stays as large as it is.
  }
  await (await import('./schedule-daemon.ts')).runDaemon(flags, signal)
}

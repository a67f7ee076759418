/**
 * Turns the process of a service into one that is made for long life (execve(2), same pid): the entry script of a program
 * is compiled anew each time, and what removes its types takes 20 MB that are never given back; the new one takes the
 * script, too, from the cache of compiled code, and has the flags of Node that suit the service.
 */
import { execve, execArgv, execPath } from 'node:process'
import { fileURLToPath } from 'node:url'
import { argumentsAfter } from './program.ts'

const COMPILE_CACHE = fileURLToPath(new URL('../../../.cache/compile', import.meta.url))

export interface Replacement {
  /** `import.meta.url` of the entry script; its arguments stay. */
  readonly entryUrl: string
  /** As process listings show it. */
  readonly title: string
  readonly nodeFlags: readonly [string, ...string[]]
}

/** Does not return when the process is replaced; returns in the new process, and where it cannot be done. */
export function replaceProcess({ entryUrl, title, nodeFlags }: Replacement): void {
  if (nodeFlags.every((flag) => execArgv.includes(flag))) return
  const boot = [
    `process.title = ${JSON.stringify(title)}`,
    `require('node:module').enableCompileCache(${JSON.stringify(COMPILE_CACHE)})`,
    `import(${JSON.stringify(entryUrl)})`,
  ].join(';')
  const flags = [...execArgv, '--disable-warning=ExperimentalWarning', ...nodeFlags]
  try {
    execve?.(execPath, [execPath, ...flags, '-e', boot, fileURLToPath(entryUrl), ...argumentsAfter(entryUrl)])
  } catch {
    // Where a process cannot be replaced, it stays as it is.
  }
}

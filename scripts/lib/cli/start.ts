/**
 * The first thing every entry script calls: code compiled by an earlier run is taken from a cache, then the program runs.
 * It imports nothing itself, because what is imported before the cache is open is compiled anew each time.
 */
import { enableCompileCache } from 'node:module'
import { fileURLToPath } from 'node:url'
import type { BuildProgram } from './program.ts'

/**
 * Beside the code, as well protected as the code itself: in a shared place such as /tmp another user could plant what we
 * would run. Where it can't be written, nothing is kept.
 */
const COMPILE_CACHE = fileURLToPath(new URL('../../../.cache/compile', import.meta.url))

/** @param entryUrl `import.meta.url` of the entry script */
export async function start(entryUrl: string, build: BuildProgram): Promise<never> {
  enableCompileCache(COMPILE_CACHE)
  const { runProgram } = await import('./program.ts')
  return runProgram(build, entryUrl)
}

/**
 * Whether the process that writes a partial still lives. A pid alone is not enough (they are reused, containers count
 * their own, and a repository may be shared between machines), so each partial is signed with all that tells its writer.
 */
import { readFileSync } from 'node:fs'
import { hostname } from 'node:os'
import { join } from 'node:path'
import { z } from 'zod'
import { readMachine } from '../../journal/machine.ts'
import { writeDurable } from './durable.ts'
import { OWNER_FILE } from './names.ts'

const owner = z.object({ host: z.string(), bootId: z.string(), pidSpace: z.string(), pid: z.int(), start: z.string() })

/** This process, for `isGone`. */
export function describeOwner(): string {
  const { bootId, pidSpace, pid, processStart } = readMachine()
  return JSON.stringify({ host: hostname(), bootId, pidSpace, pid, start: processStart(pid) ?? '' })
}

export async function writeOwner(directory: string): Promise<void> {
  await writeDurable(join(directory, OWNER_FILE), `${describeOwner()}\n`)
}

/** @param pid of the directory's name, for one whose writer died before it could sign */
export function isAbandoned(directory: string, pid: number): boolean {
  const { pid: own, processStart } = readMachine()
  // A partial of this very process without a signature is one that it begins or ends at this moment.
  return isGone(readText(join(directory, OWNER_FILE))) ?? (pid !== own && processStart(pid) === undefined)
}

/** @param signature as `describeOwner` wrote it. @returns undefined when it is none */
export function isGone(signature: string): boolean | undefined {
  const parsed = owner.safeParse(parseJson(signature))
  if (!parsed.success) return undefined
  const here = readMachine()
  const { host, bootId, pidSpace, pid, start } = parsed.data
  // Another machine's process cannot be asked, nor one of another container; but a restart ends all of its own.
  if (host !== hostname()) return false
  if (bootId !== here.bootId) return true
  return pidSpace === here.pidSpace && here.processStart(pid) !== start
}

function readText(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return ''
  }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

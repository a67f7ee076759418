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

export async function writeOwner(directory: string): Promise<void> {
  const { bootId, pidSpace, pid, processStart } = readMachine()
  const me = { host: hostname(), bootId, pidSpace, pid, start: processStart(pid) ?? '' }
  await writeDurable(join(directory, OWNER_FILE), `${JSON.stringify(me)}\n`)
}

/** @param pid of the directory's name, for one whose writer died before it could sign */
export function isAbandoned(directory: string, pid: number): boolean {
  const here = readMachine()
  const parsed = owner.safeParse(readJson(join(directory, OWNER_FILE)))
  // A partial of this very process without a signature is one that it begins or ends at this moment.
  if (!parsed.success) return pid !== here.pid && here.processStart(pid) === undefined
  const { host, bootId, pidSpace, pid: writer, start } = parsed.data
  // Another machine's process cannot be asked, nor one of another container; but a restart ends all of its own.
  if (host !== hostname()) return false
  if (bootId !== here.bootId) return true
  return pidSpace === here.pidSpace && here.processStart(writer) !== start
}

function readJson(path: string): unknown {
  try {
    return JSON.parse(readFileSync(path, 'utf8'))
  } catch {
    return undefined
  }
}

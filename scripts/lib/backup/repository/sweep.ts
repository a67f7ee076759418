/** What interrupted runs left behind: partials of dead processes, and backups whose deletion was cut short. */
import { readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { systemCode } from '../../core/errors.ts'
import { BACKUP_KINDS } from '../types.ts'
import { asWriteError } from './durable.ts'
import { isName, parseHiddenName, type HiddenName } from './names.ts'
import { isAbandoned } from './owner.ts'

export interface Leftover extends HiddenName {
  readonly path: string
}

/** Those that nobody works on any more. */
export async function readLeftovers(repository: string): Promise<Leftover[]> {
  const found: Leftover[] = []
  for (const kind of BACKUP_KINDS) {
    for (const name of await namesIn(join(repository, kind))) {
      if (!isName(name)) continue
      for (const hidden of await namesIn(join(repository, kind, name))) {
        const parsed = parseHiddenName(hidden)
        const path = join(repository, kind, name, hidden)
        if (parsed && isAbandoned(path, parsed.pid)) found.push({ ...parsed, path })
      }
    }
  }
  return found
}

/** @returns the paths that were removed */
export async function sweepLeftovers(repository: string): Promise<string[]> {
  const leftovers = await readLeftovers(repository)
  for (const { path } of leftovers) {
    try {
      await rm(path, { recursive: true, force: true })
    } catch (error) {
      throw asWriteError(error, path)
    }
  }
  return leftovers.map(({ path }) => path)
}

async function namesIn(directory: string): Promise<string[]> {
  try {
    return await readdir(directory)
  } catch (error) {
    if (['ENOENT', 'ENOTDIR', 'EACCES'].includes(systemCode(error) ?? '')) return []
    throw error
  }
}

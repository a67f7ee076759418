/**
 * A repository: a directory of backups that can be read, and restored from, without opskit. What is listed is whole;
 * this file holds the operations together, each has a file of its own.
 */
import { rm, statfs } from 'node:fs/promises'
import { basename, dirname, join, resolve } from 'node:path'
import type { Clock } from '../../core/clock.ts'
import { systemClock } from '../../core/clock.ts'
import { OpsError, systemCode } from '../../core/errors.ts'
import type { Repository } from '../types.ts'
import { asWriteError, makeDirectory, renameDurable } from './durable.ts'
import { decideReference } from './find.ts'
import { isName, parseId, trashName } from './names.ts'
import { writeReadMe } from './read-me.ts'
import { appendRecord } from './records.ts'
import { readContents } from './scan.ts'
import { openStaging } from './stage.ts'
import { readLeftovers, sweepLeftovers } from './sweep.ts'

/** Only its owner may look: dumps hold what databases protect. */
const DIRECTORY_MODE = 0o700

/** Opens without touching anything: the directory is made by the first backup. */
export function openRepository(path: string, { clock = systemClock }: { clock?: Clock } = {}): Repository {
  const root = resolve(path)
  const find: Repository['find'] = async (reference) => {
    const id = parseId(reference)
    // An id needs only its own series; its parent is of the same name.
    return decideReference(reference, await readContents(root, id ? { kind: id.kind, name: id.name } : {}))
  }
  return {
    path: root,
    list: async (filter) => [...(await readContents(root, filter)).entries],
    find,
    async problems() {
      const leftovers = await readLeftovers(root)
      const because = 'an interrupted run left it; the next run removes it'
      return [...(await readContents(root)).problems, ...leftovers.map((one) => ({ path: one.path, because }))]
    },
    async stage(kind, name) {
      if (!isName(name)) throw new OpsError('USAGE', `"${name}" cannot be the name of a backup`)
      await prepare(root)
      await sweepLeftovers(root)
      return openStaging({ repository: root, series: { kind, name }, now: clock.now(), read: find })
    },
    async record(entry, record) {
      try {
        await appendRecord(entry.path, record)
      } catch (error) {
        throw asWriteError(error, entry.path)
      }
    },
    async remove(entry) {
      const trash = join(dirname(entry.path), trashName(basename(entry.path), process.pid))
      try {
        await renameDurable(entry.path, trash)
        await rm(trash, { recursive: true, force: true })
      } catch (error) {
        throw asWriteError(error, entry.path)
      }
    },
    sweep: () => sweepLeftovers(root),
    freeBytes: () => readFreeBytes(root),
  }
}

async function prepare(root: string): Promise<void> {
  try {
    await makeDirectory(root, DIRECTORY_MODE)
    await writeReadMe(root)
  } catch (error) {
    throw asWriteError(error, root)
  }
}

/** What an unprivileged writer has; of the nearest directory that is there, when the repository is not yet. */
async function readFreeBytes(path: string): Promise<number> {
  try {
    const { bavail, bsize } = await statfs(path)
    return bavail * bsize
  } catch (error) {
    if (systemCode(error) !== 'ENOENT' || dirname(path) === path) throw asWriteError(error, path)
    return readFreeBytes(dirname(path))
  }
}

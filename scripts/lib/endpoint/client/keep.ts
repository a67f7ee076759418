/** What the client reads when it starts and writes while it runs. Storage that fails is told and stops nothing. */
import { messageOf } from '../../core/errors.ts'
import type { Group } from './group.ts'
import { NO_LISTS, parseLists, type KeptLists } from './lists.ts'
import type { EndpointSettings } from './options.ts'
import { parseHealth } from './saved.ts'
import { KINDS, type EndpointKind, type StoragePart } from './types.ts'

export interface Restore {
  readonly settings: EndpointSettings
  readonly groups: Readonly<Record<EndpointKind, Group>>
  readonly setLists: (lists: KeptLists) => void
  readonly onProblem: (because: string) => void
}

/** Lists first, then the health of what they name; each part that cannot be read is left aside. */
export async function restoreKept({ settings, groups, setLists, onProblem }: Restore): Promise<void> {
  const { storage, clock, allowPrivate } = settings
  const attempt = async (what: string, work: () => Promise<void>) => {
    try {
      await work()
    } catch (error) {
      onProblem(`${what} could not be read and is left aside: ${messageOf(error)}`)
    }
  }
  let lists: KeptLists = NO_LISTS
  await attempt('the kept list', async () => {
    const text = await storage?.read('list')
    if (text !== undefined) lists = parseLists(text, { allowPrivate })
  })
  // Health first would be forgotten: it belongs to endpoints that are listed.
  setLists(lists)
  await attempt('the kept health', async () => {
    const text = await storage?.read('health')
    if (text === undefined) return
    const { savedAt, groups: saved } = parseHealth(text)
    for (const kind of KINDS) groups[kind].restore(saved[kind], Math.max(0, clock.now() - savedAt))
  })
  setLists(lists)
}

/** Writes one part at a time; what changes meanwhile is written once more, in its newest form. Never rejects. */
export function createWriter(
  { storage }: EndpointSettings,
  texts: Readonly<Record<StoragePart, () => string>>,
  onProblem: (because: string) => void,
): { write(part: StoragePart): Promise<void> } {
  const waiting = new Map<StoragePart, Promise<void>>()
  let last: Promise<void> = Promise.resolve()
  return {
    write(part) {
      if (!storage) return Promise.resolve()
      const queued = waiting.get(part)
      if (queued) return queued
      last = last.then(async () => {
        waiting.delete(part)
        try {
          await storage.write(part, texts[part]())
        } catch (error) {
          onProblem(`the ${part} could not be kept: ${messageOf(error)}`)
        }
      })
      waiting.set(part, last)
      return last
    },
  }
}

/** `backup.pin`: keeps a backup from being pruned, or lets it go again. */
import { z } from 'zod'
import type { ChangeAction } from '../action/types.ts'
import { LOCAL_HOST } from './run/sources.ts'
import { openConfiguredRepository } from './run/stage.ts'

const params = z.strictObject({
  /** As `backup.ts show` takes it. */
  backup: z.string().min(1),
  /** Why it stays; absent: it need not stay any longer. */
  reason: z.string().min(1).optional(),
})

export type PinParams = z.output<typeof params>

export const pinAction: ChangeAction<PinParams> = {
  name: 'backup.pin',
  summary: 'Keeps a backup from being pruned, or lets it go again',
  params,
  changes: true,
  lease: ({ backup }) => `backup.pin:${backup}`,
  async plan(context, { backup, reason }) {
    const repository = openConfiguredRepository(context)
    const entry = await repository.find(backup)
    const title = reason === undefined ? `Unpin ${entry.id}` : `Pin ${entry.id}`
    if (reason === undefined && !entry.pinned) return { title, because: 'it is not pinned', steps: [] }
    const at = new Date(context.clock.now()).toISOString()
    const put = () =>
      repository.record(entry, reason === undefined ? { type: 'unpinned', at } : { type: 'pinned', at, reason })
    const back = () =>
      repository.record(entry, entry.pinned ? { type: 'pinned', at, reason: 'as before' } : { type: 'unpinned', at })
    return {
      title,
      because: reason ?? 'it was asked for',
      steps: [{ on: LOCAL_HOST, title, apply: put, undo: back }],
    }
  },
}

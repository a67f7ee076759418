/** The action restore.database: from a reference and a destination to the plan of a restore. */
import { z } from 'zod'
import type { ActionContext, ChangeAction } from '../../action/types.ts'
import { silentProgress } from '../../core/progress.ts'
import type { Plan } from '../../plan/types.ts'
import { openConfiguredRepository } from '../run/stage.ts'
import { planDatabaseRestore } from './database.ts'
import { decideDestination, engineOpener } from './destination.ts'
import { readIdentity, refuseOtherIdentity } from './identity.ts'
import { findBackup } from './reference.ts'

const params = z.strictObject({
  /** An id, a name, or `latest`. */
  backup: z.string().min(1),
  /** Only these databases of the backup. */
  databases: z.array(z.string().min(1)).optional(),
  /** Another database name, or `SOURCE/` or `SOURCE/NAME` for another configured source, or `HOST/…` for another host. */
  to: z.string().min(1).optional(),
  tables: z.array(z.string().min(1)).min(1).optional(),
  /** Keep what was there before under another name. */
  keep: z.boolean().default(true),
})

export type RestoreDatabaseParams = z.output<typeof params>

export const restoreDatabaseAction: ChangeAction<RestoreDatabaseParams> = {
  name: 'restore.database',
  summary: 'Restores databases from a backup: loaded beside, compared, then swapped in',
  changes: true,
  params,
  lease: ({ backup }) => `restore:database:${backup.split('/').find((part) => part !== 'database') ?? backup}`,
  plan: planRestore,
}

export async function planRestore(
  context: ActionContext,
  { backup, databases, to, tables, keep }: RestoreDatabaseParams,
): Promise<Plan> {
  const { config, journal, clock, signal, log } = context
  const repository = openConfiguredRepository(context)
  const entry = await findBackup(repository, 'database', backup)
  const identity = await readIdentity(context)
  await refuseOtherIdentity(entry, identity)
  const destination = decideDestination(config, entry, to)
  return planDatabaseRestore({
    entry,
    identity,
    source: destination.source,
    on: destination.on,
    open: await engineOpener(context, destination),
    ...(databases ? { databases } : {}),
    ...(destination.name === undefined ? {} : { name: destination.name }),
    ...(destination.settings.file === undefined ? {} : { file: destination.settings.file }),
    ...(tables ? { tables } : {}),
    keep,
    journal,
    now: clock.now(),
    timeoutMs: destination.settings.timeout,
    signal,
    progress: context.progress ?? silentProgress,
    warn: log.warn,
  })
}

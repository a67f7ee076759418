/**
 * Alerts about backups: what they are called, and their end. The end is written here, where a run succeeds, whoever
 * started it; that something failed is told by whoever started it (the command line, the scheduler), once.
 */
import type { ActionContext } from '../action/types.ts'
import { messageOf } from '../core/errors.ts'
import type { FlushContext } from '../notify/flush.ts'
import type { BackupKind } from './types.ts'

/** The subjects of alerts: the same trouble has the same one. */
export const ALERT = {
  backup: (series: string) => `backup of ${series}`,
  copy: (series: string) => `copy of ${series}`,
  verify: (id: string) => `verification of ${id}`,
  drill: (series: string) => `drill of ${series}`,
  restore: (kind: BackupKind, backup: string) =>
    `restore of ${backup.startsWith(`${kind}/`) ? backup : `${kind}/${backup}`}`,
} as const

/** Whoever was told that it failed is told that it works again. Written only; never throws. */
export async function tellRecovered(
  context: FlushContext & Pick<ActionContext, 'log'>,
  subject: string,
): Promise<void> {
  if (!context.journal.durable) return
  try {
    const { enqueueOutcome } = await import('../notify/outcome.ts')
    enqueueOutcome(context, { subject })
  } catch (error) {
    context.log.warn(`that ${subject} works again is told to nobody: ${messageOf(error)}`)
  }
}

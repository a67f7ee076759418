/**
 * Which backups somebody reads at this moment (copy, verify, drill, restore), so that prune leaves them alone. Each
 * reader holds a lease of its own; a reader that dies gives it back by dying.
 */
import type { Journal, Lease } from '../../journal/types.ts'

const PREFIX = 'backup-entry:'

/** @param reason for whoever asks why prune kept it: `backup.copy to offsite` */
export function acquireUse(journal: Journal, id: string, reason: string): Lease {
  return journal.acquire({ name: `${PREFIX}${id}#${journal.runId}:${reason}`, reason })
}

/** @returns reasons by backup id */
export function readUses(journal: Journal): ReadonlyMap<string, string> {
  return new Map(
    journal.leases().flatMap(({ name, reason, owner }) => {
      if (!name.startsWith(PREFIX)) return []
      return [[name.slice(PREFIX.length, name.indexOf('#')), `${reason} by ${owner}`] as const]
    }),
  )
}

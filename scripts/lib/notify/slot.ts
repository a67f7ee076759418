/**
 * Which process is sending. Whoever flushes holds one of a few leases of the journal, and its claims on messages count as long
 * as it does: the journal knows at once when a process is gone, and after a while when it hangs.
 */
import { isOpsError } from '../core/errors.ts'
import type { Journal, Lease } from '../journal/types.ts'

/** So many processes may send at the same time; more would only wait for each other's disk. */
const MAX_SLOTS = 16

export interface Slot {
  readonly name: string
  readonly token: number
  /** Aborted when this process was paused for so long that others send its messages. */
  readonly lost: AbortSignal
  release(): void
}

/** @throws OpsError LOCKED when all slots are in use */
export function openSlot(journal: Journal): Slot {
  const lease = acquireFirst(journal)
  // A holder before us that was killed left its claims.
  journal.sql.run(
    'UPDATE notify_outbox SET claim_slot = NULL, claim_token = NULL WHERE claim_slot = ? AND claim_token <> ?',
    ...[lease.name, lease.fencingToken],
  )
  return { name: lease.name, token: lease.fencingToken, lost: lease.lost, release: () => lease.release() }
}

/** The names of the slots that are in use, as JSON for SQL. */
export function readLiveSlots(journal: Journal): string {
  return JSON.stringify(journal.leases().flatMap(({ name }) => (name.startsWith(PREFIX) ? [name] : [])))
}

const PREFIX = 'notify.flush.'

function acquireFirst(journal: Journal): Lease {
  for (let number = 1; ; number += 1) {
    try {
      return journal.acquire({ name: `${PREFIX}${number}`, reason: 'sends notifications' })
    } catch (error) {
      if (!isOpsError(error, 'LOCKED') || number === MAX_SLOTS) throw error
    }
  }
}

/**
 * Consistency groups: the members of a group begin their snapshots at one moment.
 *
 * What is guaranteed: no member begins before every member is ready (connected, checked, hooks run), and then all begin at
 * once, so the snapshots lie as far apart as the tools need to start: some tens of milliseconds on an idle machine. Within
 * one server the databases of one source share one snapshot (MariaDB, MySQL) or have snapshots taken together
 * (PostgreSQL). Across servers and files there is no common transaction: who needs one stops the writers in a `before` hook.
 */
import { OpsError } from '../core/errors.ts'

export interface GroupGate {
  /** A member is ready; resolves when all are. @throws OpsError FAILED when another member gave up */
  arrive(): Promise<void>
  /** A member failed before it was ready: the others do not wait for it, their group cannot be whole. */
  withdraw(member: string): void
}

/** @param members how many will arrive or withdraw */
export function openGate(members: number): GroupGate {
  let waiting = members
  let open: () => void = () => undefined
  let close: (error: OpsError) => void = () => undefined
  const gate = new Promise<void>((resolve, reject) => {
    open = resolve
    close = reject
  })
  gate.catch(() => undefined)
  return {
    arrive() {
      waiting -= 1
      if (waiting === 0) open()
      return gate
    },
    withdraw(member) {
      close(new OpsError('FAILED', `${member} of the same group failed before its snapshot, so the group is not saved`))
    },
  }
}

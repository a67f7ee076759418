/**
 * Exclusive use of named things among the processes of one machine.
 *
 * A lease is in one of three states, and only these moves exist:
 *   free -> held      acquire(), by whoever gets the write lock first
 *   held -> free      release() or close(), by the holder
 *   held -> held      renew() by the holder; acquire() by another once the holder is dead or its time has run out
 * A holder whose lease went to another learns it from `lost`, or from renew().
 *
 * Fencing tokens come from one counter for all names, so a token never returns though rows are deleted. The counter of
 * a new database starts at the wall clock in milliseconds, so a database that was lost or set aside does not bring old
 * tokens back.
 */
import { isOpsError, OpsError } from '../core/errors.ts'
import { formatDuration } from '../core/duration.ts'
import type { Database } from './database.ts'
import type { Machine } from './machine.ts'
import type { JournalEvent, Lease, LeaseHolder, LeaseRequest, SqlRow } from './types.ts'

/** Survives a long pause of the event loop; a holder that hangs for longer has lost its claim. */
const DEFAULT_TTL_MS = 60_000
/** Two renewals may fail before the lease runs out. */
const RENEWALS_PER_TTL = 3

export interface LeaseKeeper {
  acquire(request: LeaseRequest): Lease
  leases(): LeaseHolder[]
  releaseAll(): void
}

export interface LeaseOptions {
  readonly db: Database
  readonly machine: Machine
  readonly owner: string
  readonly runId: string
  readonly now: () => number
  readonly record: (event: JournalEvent) => void
}

/** A row of the table: who holds a name, and what tells whether that process still lives. */
export interface HeldLease extends LeaseHolder {
  readonly processStart: string
  readonly pidSpace: string
  readonly bootId: string
  readonly expiresUptimeMs: number
  readonly ttlMs: number
}

interface Taken {
  readonly fencingToken: number
  readonly expiresUptimeMs: number
}

export function createLeases(options: LeaseOptions): LeaseKeeper {
  const held = new Set<Lease>()
  return {
    acquire(request) {
      const lease = holdLease(options, request, takeLease(options, request), () => held.delete(lease))
      held.add(lease)
      return lease
    },
    leases: () =>
      options.db
        .all('SELECT * FROM leases ORDER BY name')
        .map(toHeldLease)
        .filter((lease) => decideLive(lease, options.machine).live)
        .map(({ name, fencingToken, owner, reason, pid, acquiredAt, expiresAt }) => {
          return { name, fencingToken, owner, reason, pid, acquiredAt, expiresAt }
        }),
    releaseAll: () => held.forEach((lease) => lease.release()),
  }
}

/** Whether a holder may still count on its lease. The wall clock has no part in it: it can be stepped. */
export function decideLive(lease: HeldLease, machine: Machine): { readonly live: boolean; readonly because: string } {
  const gone = (because: string) => ({ live: false, because })
  if (lease.bootId !== machine.bootId) return gone('the machine has restarted since')
  if (lease.pidSpace === machine.pidSpace) {
    const start = machine.processStart(lease.pid)
    if (start === undefined) return gone(`process ${lease.pid} is gone`)
    if (start !== '' && start !== lease.processStart) return gone(`process ${lease.pid} is another one by now`)
  }
  const remainingMs = lease.expiresUptimeMs - machine.uptimeMs()
  if (remainingMs <= 0) return gone(`it was not renewed for ${formatDuration(lease.ttlMs - remainingMs)}`)
  if (remainingMs > lease.ttlMs) return gone('the machine has restarted since')
  return { live: true, because: `process ${lease.pid} holds it for another ${formatDuration(remainingMs)}` }
}

function takeLease(options: LeaseOptions, { name, reason, ttlMs = DEFAULT_TTL_MS }: LeaseRequest): Taken {
  const { db, machine } = options
  if (db.inTransaction()) throw new TypeError('a lease cannot be acquired inside a transaction, which may be undone')
  return db.transaction(() => {
    const previous = readLease(db, name)
    if (previous) takeOver(options, previous)
    const token = nextToken(db, options.now())
    const start = machine.processStart(machine.pid) ?? ''
    const expiresUptimeMs = machine.uptimeMs() + ttlMs
    db.run(
      `INSERT OR REPLACE INTO leases (name, fencing_token, owner, reason, run_id, pid, process_start, pid_space,
         boot_id, acquired_at, expires_at, expires_uptime_ms, ttl_ms) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
      ...[name, token, options.owner, reason, options.runId, machine.pid, start, machine.pidSpace, machine.bootId],
      ...[Math.round(options.now()), Math.round(options.now() + ttlMs), expiresUptimeMs, ttlMs],
    )
    return { fencingToken: token, expiresUptimeMs }
  })
}

function takeOver({ machine, record }: LeaseOptions, previous: HeldLease): void {
  const { live, because } = decideLive(previous, machine)
  if (live) throw lockedError(previous)
  record({
    kind: 'lease.taken-over',
    message: `Took over ${previous.name} from ${previous.owner} (pid ${previous.pid}): ${because}`,
    details: { name: previous.name, reason: previous.reason, heldSince: previous.acquiredAt },
  })
}

function holdLease(options: LeaseOptions, request: LeaseRequest, taken: Taken, onEnd: () => void): Lease {
  const { name, ttlMs = DEFAULT_TTL_MS } = request
  const { fencingToken } = taken
  const { db, machine } = options
  const lost = new AbortController()
  let { expiresUptimeMs } = taken
  let ended = false

  const end = () => {
    ended = true
    clearInterval(timer)
    onEnd()
  }
  const lose = (error: unknown) => {
    end()
    lost.abort(error)
  }
  const renew = () => {
    if (ended) throw lost.signal.aborted ? lost.signal.reason : lostError(name, undefined)
    const expiry = machine.uptimeMs() + ttlMs
    const { changes } = db.run(
      'UPDATE leases SET expires_at = ?, expires_uptime_ms = ? WHERE name = ? AND fencing_token = ?',
      ...[Math.round(options.now() + ttlMs), expiry, name, fencingToken],
    )
    if (changes === 0) {
      const error = lostError(name, readLease(db, name))
      lose(error)
      throw error
    }
    expiresUptimeMs = expiry
  }
  const renewInBackground = () => {
    try {
      renew()
    } catch (error) {
      // A busy or full database may recover before the time runs out; a lease taken by another does not.
      if (!lost.signal.aborted && machine.uptimeMs() >= expiresUptimeMs) lose(unrenewedError(name, error))
    }
  }
  const timer = setInterval(renewInBackground, Math.max(10, ttlMs / RENEWALS_PER_TTL)).unref()
  const release = () => {
    if (ended) return
    end()
    db.run('DELETE FROM leases WHERE name = ? AND fencing_token = ?', name, fencingToken)
  }
  return { name, fencingToken, lost: lost.signal, renew, release }
}

function nextToken(db: Database, now: number): number {
  const row = db.get(
    `INSERT INTO counters (name, value) VALUES ('fencing_token', ?)
     ON CONFLICT (name) DO UPDATE SET value = value + 1 RETURNING value`,
    Math.max(1, Math.round(now)),
  )
  return Number(row?.['value'])
}

function readLease(db: Database, name: string): HeldLease | undefined {
  const row = db.get('SELECT * FROM leases WHERE name = ?', name)
  return row && toHeldLease(row)
}

function lockedError(held: HeldLease): OpsError {
  return new OpsError('LOCKED', `${held.name} is held by ${describeHolder(held)}`, {
    transient: true,
    hint: `Wait for it. If process ${held.pid} hangs, end it: its lease is free at once.`,
  })
}

function lostError(name: string, by: HeldLease | undefined): OpsError {
  const message = by ? `The lease on ${name} went to ${describeHolder(by)}` : `The lease on ${name} is no longer held`
  return new OpsError('LOCKED', message, {
    hint: 'This process was paused for longer than the lease lasts. Look at what both have done, then run it again.',
  })
}

function unrenewedError(name: string, cause: unknown): OpsError {
  const hint = isOpsError(cause) ? cause.details.hint : undefined
  return new OpsError('LOCKED', `The lease on ${name} ran out because it could not be renewed`, {
    cause,
    ...(hint === undefined ? {} : { hint }),
  })
}

function describeHolder({ owner, pid, reason, acquiredAt, expiresAt }: HeldLease): string {
  return `${owner} (pid ${pid}) for "${reason}" since ${formatTime(acquiredAt)}, until ${formatTime(expiresAt)} unless renewed`
}

/** `2026-01-01 00:00:00Z` */
function formatTime(at: number): string {
  return new Date(at).toISOString().replace('T', ' ').replace(/\.\d+/, '')
}

function toHeldLease(row: SqlRow): HeldLease {
  return {
    name: String(row['name']),
    fencingToken: Number(row['fencing_token']),
    owner: String(row['owner']),
    reason: String(row['reason']),
    pid: Number(row['pid']),
    processStart: String(row['process_start']),
    pidSpace: String(row['pid_space']),
    bootId: String(row['boot_id']),
    acquiredAt: Number(row['acquired_at']),
    expiresAt: Number(row['expires_at']),
    expiresUptimeMs: Number(row['expires_uptime_ms']),
    ttlMs: Number(row['ttl_ms']),
  }
}

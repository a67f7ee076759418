/**
 * What the facts of a database mean. Pure. The parts: `database.reachable`, `.connections`, `.role`, `.replication`,
 * `.slots`, `.transactions`; a part that may not be seen is skipped with the GRANT that opens it, and spoils no other.
 */
import type { DatabaseCheck, Threshold } from '../../config/types.ts'
import { formatDuration } from '../../core/duration.ts'
import type { CheckFinding } from '../types.ts'
import { clientCommand, sqlCommand } from './client.ts'
import type { Part, Refusal, RefusalKind } from './connect.ts'
import {
  decideMysqlReplication,
  decidePostgresPrimary,
  decidePostgresStandby,
  decideSlots,
} from './decide-replication.ts'
import type { ConnectionFacts, DatabaseFacts, DatabaseSession, LongTransaction } from './types.ts'

/** The names of the findings. */
export const DATABASE_PARTS = ['reachable', 'connections', 'role', 'replication', 'slots', 'transactions'].map(
  (part) => `database.${part}`,
)

/** Judges one database. @param connectionsPercent when used connections are a warning and a critical */
export function decideDatabase(
  check: DatabaseCheck,
  facts: DatabaseFacts,
  connectionsPercent: Threshold,
): CheckFinding[] {
  if (!facts.ok) return [named('database.reachable', check, decideRefusal(check, facts))]
  const reachable: CheckFinding = {
    severity: 'ok',
    title: 'The database answers',
    evidence: `${facts.version} at ${facts.place} in ${formatDuration(facts.connectMs)}`,
    measures: [{ label: 'connect', value: Math.round(facts.connectMs), unit: 'ms', min: 0 }],
  }
  return [
    named('database.reachable', check, reachable),
    ...fromPart('database.connections', check, facts.connections, (value) => [
      decideConnections(value, connectionsPercent, check),
    ]),
    ...decideRole(check, facts).map((finding) => named('database.role', check, finding)),
    ...fromPart('database.replication', check, facts.replication, (value) => {
      if (value.engine === 'mysql') return decideMysqlReplication(check, value.channels)
      return value.inRecovery
        ? decidePostgresStandby(check, value.standby)
        : decidePostgresPrimary(check, value.primary)
    }),
    ...fromPart('database.slots', check, facts.replication, (value) =>
      value.engine === 'postgresql' && !value.inRecovery ? decideSlots(value.primary.slots) : [],
    ),
    ...fromPart('database.transactions', check, facts.transactions, (value) => decideTransactions(check, value)),
  ]
}

const TITLE_OF: Readonly<Record<RefusalKind, string>> = {
  'no-name': 'The database host has no address',
  refused: 'The database refuses connections',
  'no-socket': 'The database socket does not exist',
  'not-permitted': 'The database socket may not be opened',
  silent: 'The database does not answer',
  login: 'The database does not let us in',
  database: 'The database does not exist on the server',
  full: 'The database has no connection left',
  'not-ready': 'The database is starting up or shutting down',
  tls: 'The database cannot be reached over TLS as asked',
  other: 'The database cannot be used',
}

const CAUSE_OF: Readonly<Record<RefusalKind, string>> = {
  'no-name': 'a missing DNS record, or the resolvers do not work',
  refused: 'the server is not running, or listens on another address or port',
  'no-socket': 'the server is not running, or its socket is elsewhere (set socket or host)',
  'not-permitted': 'the directory of the socket is closed to this user',
  silent: 'the server is hung or frozen, the machine is down, or a firewall drops the port',
  login:
    'wrong user or password, the server has no rule for this user and address (pg_hba.conf, mysql.user), or wants TLS (tls)',
  database: 'it was dropped or renamed, or the check names the wrong one',
  full: 'a connection leak, a pool that is too large, or slow queries that pile up',
  'not-ready': 'a restart or crash recovery is under way',
  tls: 'its certificate has expired or is of another authority or name, or the server has no TLS (see tls and ca of the check)',
  other: 'see what the server says',
}

function decideRefusal(check: DatabaseCheck, { kind, code, message, place }: Refusal): CheckFinding {
  return {
    // Wrong credentials of ours say nothing about the server.
    severity: kind === 'login' || kind === 'not-permitted' ? 'unknown' : 'critical',
    title: TITLE_OF[kind],
    evidence: `${place}: ${message}${message.includes(code) || code === 'TIMEOUT' ? '' : ` (${code})`}`,
    cause: CAUSE_OF[kind],
    next: kind === 'refused' || kind === 'no-socket' ? 'ss -ltnpx' : clientCommand(check),
  }
}

function decideConnections(
  { used, limit, reserved }: ConnectionFacts,
  threshold: Threshold,
  check: DatabaseCheck,
): CheckFinding {
  const percent = limit > 0 ? (used / limit) * 100 : 100
  const severity = percent >= threshold.critical ? 'critical' : percent >= threshold.warning ? 'warning' : 'ok'
  const measures = [
    {
      label: 'connections',
      value: used,
      warn: `~:${Math.floor((limit * threshold.warning) / 100)}`,
      crit: `~:${Math.floor((limit * threshold.critical) / 100)}`,
      min: 0,
      max: limit,
    },
  ]
  const share = `${used} of ${limit} used (${Math.round(percent)} %)`
  if (severity === 'ok') return { severity, title: 'Connections are free', evidence: share, measures }
  return {
    severity,
    title: 'The connections are nearly used up',
    evidence: `${share}, ${severity} from ${threshold[severity]} %; ${reserved} more kept for administrators`,
    cause: CAUSE_OF.full,
    next: sqlCommand(
      check,
      check.type === 'postgresql'
        ? 'SELECT usename, state, count(*) FROM pg_stat_activity GROUP BY 1, 2 ORDER BY 3 DESC'
        : 'SHOW FULL PROCESSLIST',
    ),
    measures,
  }
}

/** Does the server do what the config says it is for? */
function decideRole(check: DatabaseCheck, facts: DatabaseSession): CheckFinding[] {
  if (check.role === undefined) return []
  const isStandby = standsBy(facts)
  const mode =
    check.type === 'postgresql'
      ? isStandby
        ? 'in recovery'
        : 'not in recovery'
      : `read_only is ${facts.isReadOnly ? 'ON' : 'OFF'}`
  if (check.role === 'primary') {
    if (facts.isReadOnly) {
      return [
        {
          severity: 'critical',
          title: 'The primary does not accept writes',
          evidence: mode,
          cause: 'it was demoted, or a failover has moved the primary elsewhere',
          next: roleQuery(check),
        },
      ]
    }
    if (isStandby) {
      return [
        {
          severity: 'warning',
          title: 'The primary replicates from another server',
          evidence: 'a replication thread runs',
          cause: 'replication was not reset after a promotion, or the roles have changed',
          next: roleQuery(check),
        },
      ]
    }
    return [{ severity: 'ok', title: 'The server is a primary, as configured', evidence: mode }]
  }
  if (isStandby === false) {
    const writable = facts.isReadOnly ? '' : ' and accepts writes'
    return [
      {
        severity: 'critical',
        title: `The standby does not replicate${writable}`,
        evidence: `${mode}; no replication is set up`,
        cause: 'it was promoted, so there may be two primaries; or its replication was reset',
        next: roleQuery(check),
      },
    ]
  }
  if (!facts.isReadOnly) {
    return [
      {
        severity: 'warning',
        title: 'The standby accepts writes',
        evidence: mode,
        cause: 'read_only is not set in its configuration; a stray write makes it differ from the primary',
        next: sqlCommand(check, 'SET GLOBAL read_only = ON'),
      },
    ]
  }
  return [{ severity: 'ok', title: 'The server is a standby, as configured', evidence: mode }]
}

/** @returns undefined when replication may not be seen */
function standsBy({ replication }: DatabaseSession): boolean | undefined {
  if (!replication.ok) return undefined
  return replication.value.engine === 'mysql' ? replication.value.channels.length > 0 : replication.value.inRecovery
}

function decideTransactions(check: DatabaseCheck, long: readonly LongTransaction[]): CheckFinding[] {
  const first = long[0]
  if (!first) return [{ severity: 'ok', title: 'No transaction is open for long' }]
  return [
    {
      severity: 'warning',
      title: long.length === 1 ? 'A transaction is open for long' : 'Transactions are open for long',
      evidence: `the oldest for ${formatDuration(first.seconds * 1000)}: ${first.id} of ${first.user}`,
      cause:
        'a session was forgotten idle in its transaction, or a statement is slow; it holds locks and keeps old rows',
      next: sqlCommand(
        check,
        check.type === 'postgresql' ? `SELECT pg_terminate_backend(${first.id})` : `KILL ${first.id}`,
      ),
      lines: long.map(
        ({ id, user, seconds, query: text }) =>
          `${id} ${user} ${formatDuration(seconds * 1000)}: ${text === '' ? '(idle in transaction)' : text}`,
      ),
    },
  ]
}

function fromPart<T>(
  name: string,
  check: DatabaseCheck,
  part: Part<T>,
  decide: (value: T) => CheckFinding[],
): CheckFinding[] {
  if (part.ok) return decide(part.value).map((finding) => named(name, check, finding))
  // Replication feeds two names; one of them speaks for what could not be read.
  if (name === 'database.slots') return []
  const what = name.replace('database.', '')
  if (part.because === 'privilege') {
    return [
      named(name, check, {
        severity: 'skipped',
        title: `The ${what} may not be seen`,
        evidence: part.message,
        ...(part.grant !== undefined && { next: part.grant }),
      }),
    ]
  }
  return [named(name, check, { severity: 'unknown', title: `The ${what} could not be read`, evidence: part.message })]
}

function named(name: string, check: DatabaseCheck, finding: CheckFinding): CheckFinding {
  return {
    ...finding,
    check: name,
    subject: finding.subject === undefined ? check.name : `${check.name} ${finding.subject}`,
  }
}

function roleQuery(check: DatabaseCheck): string {
  return sqlCommand(
    check,
    check.type === 'postgresql'
      ? 'SELECT pg_is_in_recovery()'
      : check.type === 'mariadb'
        ? 'SELECT @@read_only; SHOW ALL SLAVES STATUS'
        : 'SELECT @@read_only; SHOW REPLICA STATUS',
  )
}

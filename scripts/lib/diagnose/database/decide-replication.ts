/**
 * What the state of replication means. Pure.
 *
 * An unknown lag is never a small one: MariaDB's NULL (a stopped thread, a dead primary) and a PostgreSQL standby without
 * a receiver are judged by their threads, not by a number that is not there.
 */
import type { DatabaseCheck } from '../../config/types.ts'
import { formatDuration, formatSize } from '../../core/duration.ts'
import type { CheckFinding, Measure, Severity } from '../types.ts'
import { sqlCommand } from './client.ts'
import type { MysqlChannel, PostgresPrimary, PostgresReplica, PostgresSlot, PostgresStandby } from './types.ts'

type Lag = DatabaseCheck['lag']

/** A primary sends a keep-alive at least every 30 s (half of wal_sender_timeout); twice that is silence. */
const SILENT_RECEIVER_SECONDS = 60
/** WAL kept for nobody: from here it is worth a word, and from there it fills small disks. */
const RETAINED_WARNING_BYTES = 256 * 1024 ** 2
const RETAINED_CRITICAL_BYTES = 10 * 1024 ** 3

/** MariaDB and MySQL: one finding per channel. No channel is no finding: the role check asks whether there should be one. */
export function decideMysqlReplication(check: DatabaseCheck, channels: readonly MysqlChannel[]): CheckFinding[] {
  return channels.map((channel) => ({
    ...(channel.name !== '' && { subject: `channel ${channel.name}` }),
    ...judgeChannel(check, channel),
  }))
}

function judgeChannel(check: DatabaseCheck, channel: MysqlChannel): CheckFinding {
  const { ioThread, sqlThread, lagSeconds, source, delaySeconds } = channel
  const pending =
    channel.pendingTransactions === undefined
      ? ''
      : `, ${channel.pendingTransactions} transactions received and not applied`
  const threads = `IO thread ${ioThread}, SQL thread ${sqlThread}, lag ${lagSeconds === undefined ? 'unknown' : `${lagSeconds} s`}${pending}`
  const next = sqlCommand(check, check.type === 'mariadb' ? 'SHOW ALL SLAVES STATUS' : 'SHOW REPLICA STATUS')
  if (sqlThread !== 'Yes') {
    return {
      severity: 'critical',
      title: 'The standby does not apply changes',
      evidence: [threads, channel.sqlError].filter((text) => text !== undefined).join('; '),
      cause:
        channel.sqlError === undefined
          ? 'the SQL thread was stopped by hand'
          : 'a change failed on the standby: its data differs from the primary',
      next,
    }
  }
  if (ioThread !== 'Yes') {
    return {
      severity: 'critical',
      title: `The standby does not receive from ${source}`,
      evidence: [threads, channel.ioError].filter((text) => text !== undefined).join('; '),
      cause:
        ioThread === 'No' && channel.ioError === undefined
          ? 'the IO thread was stopped by hand'
          : 'the primary is down or cannot be reached, the login is wrong, or it no longer has the binary log that is needed',
      next,
    }
  }
  if (lagSeconds === undefined) {
    return {
      severity: 'unknown',
      title: 'The lag of the standby is not known',
      evidence: threads,
      cause: 'the server gives NULL: the threads have just started',
      next,
    }
  }
  const behind = Math.max(0, lagSeconds - delaySeconds)
  const evidence = `${threads}${delaySeconds > 0 ? `, ${delaySeconds} s of it on purpose` : ''}`
  return judgeLag(behind, check.lag, { evidence, next, ok: `The standby follows ${source}` })
}

/** PostgreSQL standby. */
export function decidePostgresStandby(check: DatabaseCheck, standby: PostgresStandby): CheckFinding[] {
  const { receiver, source, pendingBytes, missingBytes, silentSeconds, replayLagSeconds } = standby
  const evidence = [
    standby.receiverVisible ? `WAL receiver ${receiver ?? 'not running'}` : 'WAL receiver running',
    pendingBytes !== undefined && `${formatSize(pendingBytes)} received and not replayed`,
    missingBytes !== undefined && missingBytes > 0 && `${formatSize(missingBytes)} not received yet`,
    `replay lag ${replayLagSeconds === undefined ? 'unknown' : formatDuration(replayLagSeconds * 1000)}`,
  ]
    .filter((text) => typeof text === 'string')
    .join(', ')
  const next = sqlCommand(check, 'SELECT * FROM pg_stat_wal_receiver')
  if (standby.isPaused) {
    const lag =
      replayLagSeconds === undefined ? undefined : judgeLag(replayLagSeconds, check.lag, { evidence, next, ok: '' })
    return [
      {
        severity: lag?.severity === 'critical' ? 'critical' : 'warning',
        title: 'Replay is paused on the standby',
        evidence: lag?.evidence ?? evidence,
        cause: 'pg_wal_replay_pause() was called, or a setting is lower here than on the primary',
        next: sqlCommand(check, 'SELECT pg_wal_replay_resume()'),
        ...(lag?.measures && { measures: lag.measures }),
      },
    ]
  }
  if (standby.receiverVisible && receiver !== 'streaming') {
    return [
      {
        severity: 'critical',
        title: 'The standby does not receive WAL',
        evidence,
        cause:
          'the primary is down or cannot be reached, primary_conninfo is wrong, or the primary has removed WAL that is still needed',
        next,
      },
    ]
  }
  if (silentSeconds !== undefined && silentSeconds > SILENT_RECEIVER_SECONDS) {
    return [
      {
        severity: 'critical',
        title: 'The standby no longer hears from the primary',
        evidence: `nothing for ${formatDuration(silentSeconds * 1000)}; ${evidence}`,
        cause: 'the primary is frozen, or the way to it is broken without either side noticing',
        next,
      },
    ]
  }
  if (replayLagSeconds === undefined) {
    return [
      {
        severity: 'unknown',
        title: 'The lag of the standby is not known',
        evidence,
        cause: 'no transaction was replayed since it started',
        next,
      },
    ]
  }
  return [
    judgeLag(replayLagSeconds, check.lag, { evidence, next, ok: `The standby follows ${source ?? 'its primary'}` }),
  ]
}

/** PostgreSQL primary: what it knows of its replicas. */
export function decidePostgresPrimary(
  check: DatabaseCheck,
  { replicas, slots, replicasVisible }: PostgresPrimary,
): CheckFinding[] {
  const next = sqlCommand(check, 'SELECT * FROM pg_stat_replication')
  if (replicas.length === 0) {
    const idle = slots.filter(({ isActive }) => !isActive).length
    if (idle === 0)
      return [{ severity: 'ok', title: 'No standby is connected', evidence: 'pg_stat_replication is empty' }]
    return [
      {
        severity: 'warning',
        title: 'No standby is connected',
        evidence: `${idle} replication ${idle === 1 ? 'slot waits' : 'slots wait'} for one`,
        cause: 'the standby is down or cannot reach this primary',
        next,
      },
    ]
  }
  if (!replicasVisible)
    return [
      {
        severity: 'ok',
        title: 'Standbys are connected',
        evidence: `${replicas.length}; their state is hidden from our user`,
      },
    ]
  return replicas.map((replica) => ({ subject: replica.name, ...judgeReplica(replica, check.lag, next) }))
}

/** Slots that keep WAL for a consumer that is not there. */
export function decideSlots(slots: readonly PostgresSlot[]): CheckFinding[] {
  return slots.map(({ name, isActive, retainedBytes = 0, walStatus }) => {
    const evidence = `${isActive ? 'active' : 'inactive'}, keeps ${formatSize(retainedBytes)} of WAL${walStatus === undefined ? '' : `, WAL ${walStatus}`}`
    const base = {
      subject: `slot ${name}`,
      evidence,
      measures: [{ label: 'retained', value: Math.max(0, retainedBytes), unit: 'B', min: 0 }] as const,
    }
    if (walStatus === 'lost') {
      return {
        ...base,
        severity: 'critical',
        title: 'A replication slot has lost WAL',
        cause: 'max_slot_wal_keep_size was reached: its consumer must be made anew',
      }
    }
    const severity = severityOf(retainedBytes, { warning: RETAINED_WARNING_BYTES, critical: RETAINED_CRITICAL_BYTES })
    if (isActive || severity === 'ok')
      return {
        ...base,
        severity: 'ok',
        title: isActive ? 'The replication slot is in use' : 'The replication slot is idle',
      }
    return {
      ...base,
      severity,
      title: 'A replication slot keeps WAL for nobody',
      evidence: `${evidence}; ${severity} from ${formatSize(severity === 'critical' ? RETAINED_CRITICAL_BYTES : RETAINED_WARNING_BYTES)}`,
      cause: 'its consumer is down or gone; WAL grows until the disk is full',
      next: `SELECT pg_drop_replication_slot('${name.replaceAll("'", "''")}') -- only when its consumer is gone for good`,
    }
  })
}

function judgeReplica({ state, sync, lagBytes, lagSeconds }: PostgresReplica, lag: Lag, next: string): CheckFinding {
  const evidence = [state, sync, lagBytes !== undefined && `${formatSize(lagBytes)} behind`]
    .filter((text) => typeof text === 'string' && text !== '')
    .join(', ')
  if (state !== 'streaming') {
    return {
      severity: 'warning',
      title: 'A standby is not streaming',
      evidence,
      cause: state === 'backup' ? 'a base backup runs' : 'it is catching up after a break',
      next,
    }
  }
  // replay_lag is NULL when an idle standby has everything.
  return judgeLag(lagSeconds ?? 0, lag, { evidence, next, ok: 'A standby is connected' })
}

function judgeLag(
  seconds: number,
  lag: Lag,
  { evidence, next, ok }: { evidence: string; next: string; ok: string },
): CheckFinding {
  const measures: Measure[] = [
    {
      label: 'lag',
      value: Number(seconds.toFixed(1)),
      unit: 's',
      warn: `~:${lag.warning / 1000}`,
      crit: `~:${lag.critical / 1000}`,
      min: 0,
    },
  ]
  const severity = severityOf(seconds * 1000, lag)
  if (severity === 'ok') return { severity, title: ok, evidence, measures }
  return {
    severity,
    title: 'The standby lags behind',
    evidence: `${formatDuration(seconds * 1000)} behind, ${severity} from ${formatDuration(lag[severity])}; ${evidence}`,
    cause:
      'a long transaction or a bulk change is being applied, the standby is slower than the primary, or its disk is busy',
    next,
    measures,
  }
}

function severityOf(
  value: number,
  { warning, critical }: { warning: number; critical: number },
): Extract<Severity, 'ok' | 'warning' | 'critical'> {
  return value >= critical ? 'critical' : value >= warning ? 'warning' : 'ok'
}

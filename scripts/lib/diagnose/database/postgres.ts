/**
 * Looks at a PostgreSQL server: connections, recovery, WAL receiver and replay, replicas, slots, long transactions.
 * Judges nothing.
 *
 * Sources: PostgreSQL 15 manual 28.2 (statistics views; rows of others are blank without pg_read_all_stats), 9.27.4
 * (recovery information), 20.3.1 (reserved connections), 54.20 (pg_replication_slots).
 */
import { userInfo } from 'node:os'
import { setTimeout as delay } from 'node:timers/promises'
import type { Client } from 'pg'
import type { Socket } from 'node:net'
import { messageOf, OpsError } from '../../core/errors.ts'
import { within } from '../deadline.ts'
import { connectTo, describePlace, part, readTls, refusalOf } from './connect.ts'
import type { ReadDatabase } from './mysql.ts'
import { redactSql } from './sql-text.ts'
import type {
  ConnectionFacts,
  DatabaseFacts,
  DatabaseSession,
  LongTransaction,
  PostgresPrimary,
  PostgresStandby,
} from './types.ts'

type Row = Readonly<Record<string, unknown>>
type Query = (sql: string, values?: unknown[]) => Promise<readonly Row[]>

const GOODBYE_MS = 200
const MAX_TRANSACTIONS = 5
const MAX_REPLICAS = 50
/** insufficient_privilege */
const PRIVILEGE_CODES = ['42501']
/** Replay that moves on within this is not behind; it only had work in hand when we looked. */
const SECOND_LOOK_MS = 250

/** Logs in and looks. Failures to do so are a `Refusal`. @throws only the reason of an aborted `signal` */
export async function readPostgres(options: ReadDatabase): Promise<DatabaseFacts> {
  const startedAt = performance.now()
  try {
    return await within(options, async (signal) => {
      const client = await logIn(options, signal)
      try {
        const query: Query = async (sql, values) => (await client.query<Row>(sql, values)).rows
        return await readSession(query, options, performance.now() - startedAt)
      } finally {
        await within({ timeoutMs: GOODBYE_MS, signal }, () => client.end()).catch(() => {})
      }
    })
  } catch (error) {
    options.signal?.throwIfAborted()
    return refusalOf(error, options.place, performance.now() - startedAt)
  }
}

async function logIn({ check, place, password, timeoutMs }: ReadDatabase, signal: AbortSignal): Promise<Client> {
  const [{ default: pg }, tls] = await Promise.all([import('pg'), readTls(check)])
  const socket = await connectTo(place, timeoutMs, signal)
  const user = check.user ?? userInfo().username
  const client = new pg.Client({
    stream: () => asUnconnected(socket),
    user,
    // Called only when the server asks; without it the driver would look for PGPASSWORD and ~/.pgpass.
    password: () => password?.reveal() ?? refuseForLackOfPassword(),
    ssl: tls ?? false,
    ...(place.kind === 'tcp' && { host: place.host }),
    database: check.database ?? (check.user === undefined ? 'postgres' : user),
    application_name: 'opskit',
  })
  // A connection that breaks between queries is told by the query that follows.
  client.on('error', () => {})
  try {
    await client.connect()
    return client
  } catch (error) {
    socket.destroy()
    // The driver gives this one no code.
    if (/does not support SSL/.test(messageOf(error)) && error instanceof Error)
      Object.assign(error, { code: 'NO_TLS' })
    throw error
  }
}

function refuseForLackOfPassword(): never {
  throw Object.assign(new Error('the server asks for a password and none is configured'), { code: '28P01' })
}

/** The driver calls `connect` on its stream and waits for the event; ours is connected already. */
function asUnconnected(socket: Socket): Socket {
  socket.connect = () => {
    process.nextTick(() => socket.emit('connect'))
    return socket
  }
  return socket
}

async function readSession(query: Query, options: ReadDatabase, connectMs: number): Promise<DatabaseSession> {
  const [head] = await query(HEAD)
  if (!head) throw new OpsError('FAILED', 'the server gave no version')
  const inRecovery = head['inRecovery'] === true
  const seesAll = head['seesAll'] === true
  const mayNot = { codes: PRIVILEGE_CODES, grant: `GRANT pg_monitor TO ${String(head['account'])}` }
  return {
    ok: true,
    version: `PostgreSQL ${String(head['version']).split(' ')[0]}`,
    place: describePlace(options.place),
    connectMs,
    isReadOnly: inRecovery || head['isReadOnly'] === true,
    connections: await part(() => readConnections(query), mayNot),
    replication: await part(
      async () =>
        inRecovery
          ? ({ engine: 'postgresql', inRecovery: true, standby: await readStandby(query, seesAll) } as const)
          : ({ engine: 'postgresql', inRecovery: false, primary: await readPrimary(query, seesAll) } as const),
      mayNot,
    ),
    transactions: seesAll
      ? await part(() => readTransactions(query, options.longSeconds), mayNot)
      : { ok: false, because: 'privilege', message: 'transactions of other users are hidden', grant: mayNot.grant },
  }
}

const HEAD = `
  SELECT current_setting('server_version') AS version, pg_is_in_recovery() AS "inRecovery",
         current_setting('default_transaction_read_only') = 'on' AS "isReadOnly", quote_ident(current_user) AS account,
         pg_has_role(current_user, 'pg_read_all_stats', 'USAGE') AS "seesAll"`

/** numbackends is visible to everyone; pg_stat_activity hides the kind of other users' sessions. */
async function readConnections(query: Query): Promise<ConnectionFacts> {
  const [row] = await query(`
    SELECT (SELECT sum(numbackends)::int FROM pg_stat_database WHERE datid <> 0) AS used,
           current_setting('max_connections')::int AS maximum,
           current_setting('superuser_reserved_connections')::int
             + coalesce(current_setting('reserved_connections', true)::int, 0) AS reserved`)
  const reserved = Number(row?.['reserved'])
  return { used: Number(row?.['used']), limit: Number(row?.['maximum']) - reserved, reserved }
}

const STANDBY = `
  SELECT r.pid IS NOT NULL AS "hasReceiver", r.status AS status, r.sender_host AS host, r.sender_port AS port,
         extract(epoch FROM now() - r.last_msg_receipt_time)::float8 AS "silentSeconds",
         pg_wal_lsn_diff(r.latest_end_lsn, l.received)::float8 AS "missingBytes",
         pg_wal_lsn_diff(l.received, l.replayed)::float8 AS "pendingBytes",
         l.received::text AS received, l.replayed::text AS replayed,
         extract(epoch FROM clock_timestamp() - pg_last_xact_replay_timestamp())::float8 AS "commitAgeSeconds",
         pg_is_wal_replay_paused() AS "isPaused"
  FROM (SELECT pg_last_wal_receive_lsn() AS received, pg_last_wal_replay_lsn() AS replayed) l
  LEFT JOIN pg_stat_wal_receiver r ON true`

async function readStandby(query: Query, seesAll: boolean): Promise<PostgresStandby> {
  const [row = {}] = await query(STANDBY)
  const pendingBytes = numberOf(row['pendingBytes'])
  const lag = await replayLag(query, row)
  const [silentSeconds, missingBytes] = [numberOf(row['silentSeconds']), numberOf(row['missingBytes'])]
  return {
    receiverVisible: seesAll || row['hasReceiver'] !== true,
    isPaused: row['isPaused'] === true,
    ...(typeof row['status'] === 'string' && { receiver: row['status'] }),
    ...(typeof row['host'] === 'string' && { source: `${row['host']}:${String(row['port'])}` }),
    ...(silentSeconds !== undefined && { silentSeconds }),
    ...(pendingBytes !== undefined && { pendingBytes: Math.max(0, pendingBytes) }),
    ...(missingBytes !== undefined && { missingBytes: Math.max(0, missingBytes) }),
    ...(lag !== undefined && { replayLagSeconds: lag }),
  }
}

/**
 * The age of the last replayed commit grows while the primary is idle, and is large for a moment when an idle primary
 * writes again. So: nothing to replay is no lag, and what a second look finds replayed was no lag either.
 */
async function replayLag(query: Query, row: Row): Promise<number | undefined> {
  const age = numberOf(row['commitAgeSeconds'])
  const pending = numberOf(row['pendingBytes'])
  // Restored from an archive only: nothing is received, so the age is all there is.
  if (pending === undefined) return age
  if (pending <= 0) return 0
  await delay(SECOND_LOOK_MS)
  const [again] = await query('SELECT pg_last_wal_replay_lsn() >= $1::pg_lsn AS "isReplayed"', [row['received']])
  return again?.['isReplayed'] === true ? 0 : age
}

async function readPrimary(query: Query, replicasVisible: boolean): Promise<PostgresPrimary> {
  const replicas = await query(`
    SELECT application_name AS name, coalesce(state, '') AS state, coalesce(sync_state, '') AS sync,
           pg_wal_lsn_diff(pg_current_wal_lsn(), replay_lsn)::float8 AS "lagBytes",
           extract(epoch FROM replay_lag)::float8 AS "lagSeconds"
    FROM pg_stat_replication ORDER BY application_name LIMIT ${MAX_REPLICAS}`)
  const slots = await query(`
    SELECT slot_name AS name, active AS "isActive", wal_status AS "walStatus",
           pg_wal_lsn_diff(pg_current_wal_lsn(), restart_lsn)::float8 AS "retainedBytes"
    FROM pg_replication_slots WHERE NOT temporary ORDER BY slot_name LIMIT ${MAX_REPLICAS}`)
  return {
    replicasVisible,
    replicas: replicas.map((row) => {
      const [lagBytes, lagSeconds] = [numberOf(row['lagBytes']), numberOf(row['lagSeconds'])]
      return {
        name: String(row['name']),
        state: String(row['state']),
        sync: String(row['sync']),
        ...(lagBytes !== undefined && { lagBytes }),
        ...(lagSeconds !== undefined && { lagSeconds }),
      }
    }),
    slots: slots.map((row) => {
      const retainedBytes = numberOf(row['retainedBytes'])
      return {
        name: String(row['name']),
        isActive: row['isActive'] === true,
        ...(retainedBytes !== undefined && { retainedBytes }),
        ...(typeof row['walStatus'] === 'string' && { walStatus: row['walStatus'] }),
      }
    }),
  }
}

async function readTransactions(query: Query, longSeconds: number): Promise<LongTransaction[]> {
  const rows = await query(
    `SELECT pid AS id, usename AS user, extract(epoch FROM now() - xact_start)::float8 AS seconds,
            CASE WHEN state LIKE 'idle%' THEN '' ELSE left(query, 2000) END AS query
     FROM pg_stat_activity
     WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()
       AND xact_start < now() - make_interval(secs => $1)
     ORDER BY xact_start LIMIT ${MAX_TRANSACTIONS}`,
    [longSeconds],
  )
  return rows.map((row) => ({
    id: Number(row['id']),
    user: String(row['user']),
    seconds: Number(row['seconds']),
    query: redactSql(String(row['query'])),
  }))
}

/** SQL NULL and a missing column are undefined, never 0. */
function numberOf(value: unknown): number | undefined {
  return typeof value === 'number' && Number.isFinite(value) ? value : undefined
}

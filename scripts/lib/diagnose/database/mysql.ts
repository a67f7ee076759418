/**
 * Looks at a MariaDB or MySQL server: connections, read_only, replication, long transactions. Judges nothing.
 *
 * Sources: MariaDB KB "SHOW REPLICA STATUS" (`SHOW ALL SLAVES STATUS` lists every connection; needs SLAVE MONITOR since
 * 10.5), MySQL 8.4 manual 15.7.7.36 (SHOW REPLICA STATUS since 8.0.22; needs REPLICATION CLIENT).
 */
import { userInfo } from 'node:os'
import type { Connection, RowDataPacket } from 'mysql2/promise'
import type { DatabaseCheck } from '../../config/types.ts'
import { OpsError } from '../../core/errors.ts'
import type { Secret } from '../../core/secret.ts'
import { within, type Deadline } from '../deadline.ts'
import { connectTo, describePlace, part, readTls, refusalOf, type Place } from './connect.ts'
import { redactSql } from './sql-text.ts'
import type { DatabaseFacts, DatabaseSession, LongTransaction, MysqlChannel } from './types.ts'

export interface ReadDatabase extends Deadline {
  readonly check: DatabaseCheck
  readonly place: Place
  readonly password?: Secret
  /** Older transactions are listed. */
  readonly longSeconds: number
}

/** Access denied; needs a privilege; may not on this table; command denied. */
const PRIVILEGE_CODES = [
  'ER_ACCESS_DENIED_ERROR',
  'ER_SPECIFIC_ACCESS_DENIED_ERROR',
  'ER_TABLEACCESS_DENIED_ERROR',
  'ER_DBACCESS_DENIED_ERROR',
]
/** The server gets this long to read our good-bye, or it logs an aborted connection. */
const GOODBYE_MS = 200
const MAX_TRANSACTIONS = 5

/** Logs in and looks. Failures to do so are a `Refusal`. @throws only the reason of an aborted `signal` */
export async function readMysql(options: ReadDatabase): Promise<DatabaseFacts> {
  const startedAt = performance.now()
  try {
    return await within(options, async (signal) => {
      const connection = await logIn(options, signal)
      try {
        return await readSession(connection, options, performance.now() - startedAt)
      } finally {
        await within({ timeoutMs: GOODBYE_MS, signal }, () => connection.end()).catch(() => {})
        connection.destroy()
      }
    })
  } catch (error) {
    options.signal?.throwIfAborted()
    return refusalOf(error, options.place, performance.now() - startedAt)
  }
}

/** A row of SHOW ALL SLAVES STATUS, SHOW SLAVE STATUS or SHOW REPLICA STATUS. */
export function parseChannel(row: Readonly<Record<string, unknown>>): MysqlChannel {
  const field = (...names: string[]) => names.map((name) => row[name]).find((value) => value !== undefined)
  const text = (...names: string[]) => textOf(field(...names))
  const lag = field('Seconds_Behind_Source', 'Seconds_Behind_Master')
  const ioError = text('Last_IO_Error')
  const sqlError = text('Last_SQL_Error')
  const pending = countPending(text('Gtid_IO_Pos'), text('Gtid_Slave_Pos'), text('Using_Gtid'))
  return {
    name: text('Connection_name', 'Channel_Name'),
    source: `${text('Source_Host', 'Master_Host')}:${text('Source_Port', 'Master_Port')}`,
    ioThread: text('Replica_IO_Running', 'Slave_IO_Running'),
    sqlThread: text('Replica_SQL_Running', 'Slave_SQL_Running'),
    ...(lag !== null && lag !== undefined && { lagSeconds: Number(lag) }),
    delaySeconds: Number(field('SQL_Delay') ?? 0),
    ...(ioError !== '' && { ioError }),
    ...(sqlError !== '' && { sqlError }),
    ...(pending !== undefined && { pendingTransactions: pending }),
  }
}

/**
 * Transactions between two MariaDB GTID positions (`0-1-27,1-1-3`: domain-server-sequence), over all domains.
 * @returns undefined when GTIDs are not in use
 */
export function countPending(received: string, applied: string, using = 'Slave_Pos'): number | undefined {
  if (using === '' || using === 'No' || received === '') return undefined
  const done = parseGtids(applied)
  const pending = [...parseGtids(received)].map(([domain, sequence]) => Math.max(0, sequence - (done.get(domain) ?? 0)))
  return pending.reduce((sum, count) => sum + count, 0)
}

async function logIn({ check, place, password, timeoutMs }: ReadDatabase, signal: AbortSignal): Promise<Connection> {
  const [{ createConnection }, tls] = await Promise.all([import('mysql2/promise'), readTls(check)])
  const socket = await connectTo(place, timeoutMs, signal)
  try {
    return await createConnection({
      stream: () => socket,
      user: check.user ?? userInfo().username,
      ...(place.kind === 'tcp' && { host: place.host }),
      ...(tls && { ssl: { ...tls, verifyIdentity: tls.rejectUnauthorized } }),
      ...(password && { password: password.reveal() }),
      ...(check.database !== undefined && { database: check.database }),
      // No timer of its own: the socket is destroyed at our deadline.
      connectTimeout: 0,
      connectAttributes: { program_name: 'opskit' },
    })
  } catch (error) {
    socket.destroy()
    throw error
  }
}

const HEAD = `
  SELECT @@version AS version, @@global.read_only AS readOnly, @@max_connections AS maximum, CURRENT_USER() AS account`

async function readSession(connection: Connection, options: ReadDatabase, connectMs: number): Promise<DatabaseSession> {
  const query = async (sql: string, values: unknown[] = []) => (await connection.query<RowDataPacket[]>(sql, values))[0]
  const [head] = await query(HEAD)
  if (!head) throw new OpsError('FAILED', 'the server gave no version')
  const version = String(head['version'])
  const isMariaDb = /mariadb/i.test(version)
  const account = textOf(head['account'])
  const monitor = isMariaDb ? 'SLAVE MONITOR' : 'REPLICATION CLIENT'
  return {
    ok: true,
    version: `${isMariaDb ? 'MariaDB' : 'MySQL'} ${version.split('-')[0]}`,
    place: describePlace(options.place),
    connectMs,
    isReadOnly: !['0', 'OFF'].includes(String(head['readOnly'])),
    connections: await part(
      async () => {
        const [row] = await query("SHOW GLOBAL STATUS LIKE 'Threads_connected'")
        return { used: Number(row?.['Value']), limit: Number(head['maximum']), reserved: 1 }
      },
      mayNot('PROCESS', account),
    ),
    replication: await part(
      async () => {
        const rows = await query(replicaStatus(isMariaDb, version))
        return { engine: 'mysql', channels: rows.map(parseChannel) } as const
      },
      mayNot(monitor, account),
    ),
    transactions: await part(
      async () => {
        const rows = await query(LONG_TRANSACTIONS, [options.longSeconds, MAX_TRANSACTIONS])
        return rows.map(parseTransaction)
      },
      mayNot('PROCESS', account),
    ),
  }
}

const LONG_TRANSACTIONS = `
  SELECT t.trx_mysql_thread_id AS id, p.user AS user, TIMESTAMPDIFF(SECOND, t.trx_started, NOW()) AS seconds,
         LEFT(t.trx_query, 2000) AS query
  FROM information_schema.innodb_trx t LEFT JOIN information_schema.processlist p ON p.id = t.trx_mysql_thread_id
  WHERE t.trx_mysql_thread_id <> 0 AND COALESCE(p.user, '') <> 'system user'
    AND TIMESTAMPDIFF(SECOND, t.trx_started, NOW()) >= ?
  ORDER BY t.trx_started LIMIT ?`

function parseTransaction(row: RowDataPacket): LongTransaction {
  const query = redactSql(textOf(row['query']))
  return { id: Number(row['id']), user: textOf(row['user']), seconds: Number(row['seconds']), query }
}

function replicaStatus(isMariaDb: boolean, version: string): string {
  if (isMariaDb) return 'SHOW ALL SLAVES STATUS'
  const [major = 0, minor = 0, patch = 0] = version.split(/[.-]/).map(Number)
  const isNew = major > 8 || (major === 8 && (minor > 0 || patch >= 22))
  return isNew ? 'SHOW REPLICA STATUS' : 'SHOW SLAVE STATUS'
}

/** @param account `user@host` as CURRENT_USER() gives it */
function mayNot(privilege: string, account: string) {
  const [user = '', host = '%'] = account.split(/@(?=[^@]*$)/)
  return { codes: PRIVILEGE_CODES, grant: `GRANT ${privilege} ON *.* TO '${user}'@'${host}'` }
}

function parseGtids(position: string): Map<string, number> {
  const sequences = new Map<string, number>()
  for (const gtid of position.split(',')) {
    const [domain = '', , sequence] = gtid.trim().split('-')
    if (sequence !== undefined) sequences.set(domain, Number(sequence))
  }
  return sequences
}

function textOf(value: unknown): string {
  if (typeof value === 'string') return value
  return typeof value === 'number' || typeof value === 'bigint' ? String(value) : ''
}

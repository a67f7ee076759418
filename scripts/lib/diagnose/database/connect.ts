/**
 * The way to a database server, and what a failed login says. The socket is ours, so that it can be destroyed at the
 * deadline whatever the driver is doing, and so that a refused, a silent and a missing server are told apart.
 *
 * Sources: MariaDB error codes (mariadb.com/kb/en/mariadb-error-code-reference), PostgreSQL appendix A (SQLSTATE).
 */
import { access, readFile } from 'node:fs/promises'
import { connect, type Socket } from 'node:net'
import type { DatabaseCheck } from '../../config/types.ts'
import { formatDuration } from '../../core/duration.ts'
import { isOpsError, messageOf, systemCode } from '../../core/errors.ts'
import { formatHostPort } from '../network/address.ts'
import { describeFailure, lookup } from '../network/lookup.ts'
import { connected, openSocket } from '../network/tcp.ts'

/** Where a server listens. */
export type Place =
  | { readonly kind: 'socket'; readonly path: string }
  | { readonly kind: 'tcp'; readonly host: string; readonly port: number }

/** Why there is no session. `login`: our credentials. `database`: no such database. `full`: no free connection. */
export type RefusalKind =
  | 'no-name'
  | 'refused'
  | 'no-socket'
  | 'not-permitted'
  | 'silent'
  | 'login'
  | 'database'
  | 'full'
  | 'not-ready'
  | 'tls'
  | 'other'

export interface Refusal {
  readonly ok: false
  readonly kind: RefusalKind
  /** Driver or system code: `28P01`, `ER_ACCESS_DENIED_ERROR`, `ECONNREFUSED`. */
  readonly code: string
  /** The server's words, bounded; drivers put no password into them. */
  readonly message: string
  readonly place: string
}

/** One part of what was asked: a part that our user may not see does not spoil the others. */
export type Part<T> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly because: 'privilege' | 'failed'; readonly message: string; readonly grant?: string }

const MAX_MESSAGE = 300

const DEFAULT_PORT = { mariadb: 3306, mysql: 3306, postgresql: 5432 } as const

/** Where the distributions put the socket: Debian and Red Hat for MariaDB and MySQL; Debian and PGDG for PostgreSQL. */
const MYSQL_SOCKETS = ['/run/mysqld/mysqld.sock', '/var/lib/mysql/mysql.sock', '/tmp/mysql.sock']
const POSTGRES_DIRECTORIES = ['/var/run/postgresql', '/tmp']

const KIND_OF_CODE: Readonly<Record<string, RefusalKind>> = {
  ECONNREFUSED: 'refused',
  ENOENT: 'no-socket',
  EACCES: 'not-permitted',
  EPERM: 'not-permitted',
  ETIMEDOUT: 'silent',
  // MariaDB and MySQL
  ER_ACCESS_DENIED_ERROR: 'login',
  ER_ACCESS_DENIED_NO_PASSWORD_ERROR: 'login',
  ER_HOST_NOT_PRIVILEGED: 'login',
  ER_HOST_IS_BLOCKED: 'login',
  ER_ACCOUNT_HAS_BEEN_LOCKED: 'login',
  ER_MUST_CHANGE_PASSWORD_LOGIN: 'login',
  AUTH_SWITCH_PLUGIN_ERROR: 'login',
  ER_NOT_SUPPORTED_AUTH_MODE: 'login',
  ER_BAD_DB_ERROR: 'database',
  ER_DBACCESS_DENIED_ERROR: 'login',
  ER_CON_COUNT_ERROR: 'full',
  ER_TOO_MANY_USER_CONNECTIONS: 'full',
  ER_USER_LIMIT_REACHED: 'full',
  ER_SERVER_SHUTDOWN: 'not-ready',
  // PostgreSQL
  '28P01': 'login',
  '28000': 'login',
  '42501': 'login',
  '3D000': 'database',
  '53300': 'full',
  '57P03': 'not-ready',
  '57P01': 'not-ready',
  '57P02': 'not-ready',
  // Node's TLS, and the drivers' words for a server without it
  HANDSHAKE_NO_SSL_SUPPORT: 'tls',
  HANDSHAKE_SSL_ERROR: 'tls',
  SELF_SIGNED_CERT_IN_CHAIN: 'tls',
  DEPTH_ZERO_SELF_SIGNED_CERT: 'tls',
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: 'tls',
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: 'tls',
  CERT_HAS_EXPIRED: 'tls',
  ERR_TLS_CERT_ALTNAME_INVALID: 'tls',
  NO_TLS: 'tls',
}

/** Where the check's server is: its socket, its host, else the usual socket of this machine, else loopback. */
export async function findPlace({ type, host, port, socket }: DatabaseCheck): Promise<Place> {
  const tcpPort = port ?? DEFAULT_PORT[type]
  if (socket !== undefined)
    return { kind: 'socket', path: type === 'postgresql' ? postgresSocket(socket, tcpPort) : socket }
  if (host !== undefined) return { kind: 'tcp', host, port: tcpPort }
  const usual = type === 'postgresql' ? POSTGRES_DIRECTORIES.map((dir) => postgresSocket(dir, tcpPort)) : MYSQL_SOCKETS
  for (const path of usual) {
    if (await exists(path)) return { kind: 'socket', path }
  }
  return { kind: 'tcp', host: '127.0.0.1', port: tcpPort }
}

/** What both drivers hand to Node's TLS. @throws the system error of a CA file that cannot be read */
export async function readTls({ tls, ca }: DatabaseCheck): Promise<DatabaseTls | undefined> {
  if (tls === 'off') return undefined
  return { rejectUnauthorized: tls === 'verify', ...(ca !== undefined && { ca: await readFile(ca, 'utf8') }) }
}

export interface DatabaseTls {
  readonly rejectUnauthorized: boolean
  readonly ca?: string
}

/** `192.0.2.10:5432`, `/run/mysqld/mysqld.sock`. */
export function describePlace(place: Place): string {
  return place.kind === 'socket' ? place.path : formatHostPort(place.host, place.port)
}

/**
 * A connected socket, destroyed when `signal` aborts.
 * @throws the system error; an error with code ENONAME when the host has no address
 */
export async function connectTo(place: Place, timeoutMs: number, signal: AbortSignal): Promise<Socket> {
  if (place.kind === 'socket') return connected(connect(place.path), signal)
  const found = await lookup(place.host, { timeoutMs, signal })
  if (!found.ok) throw new NoName(`${place.host} ${describeFailure(found.because)}`)
  return openSocket({ addresses: found.addresses, port: place.port }, signal)
}

/** What a failed connection or login says. */
export function refusalOf(error: unknown, place: Place, waitedMs: number): Refusal {
  const at = describePlace(place)
  if (isOpsError(error, 'TIMEOUT')) {
    return {
      ok: false,
      kind: 'silent',
      code: 'TIMEOUT',
      message: `no answer in ${formatDuration(waitedMs)}`,
      place: at,
    }
  }
  const message = messageOf(error).slice(0, MAX_MESSAGE)
  if (error instanceof NoName) return { ok: false, kind: 'no-name', code: 'ENONAME', message, place: at }
  const codes = error instanceof AggregateError ? error.errors.map(systemCode) : [systemCode(error)]
  const code = codes.find((one) => one !== undefined && one in KIND_OF_CODE) ?? codes[0] ?? 'UNKNOWN'
  return { ok: false, kind: KIND_OF_CODE[code] ?? 'other', code, message, place: at }
}

/** Runs one part of a look. Privileges that are missing and queries that fail are values. @param codes that mean "may not" */
export async function part<T>(
  work: () => Promise<T>,
  { codes, grant }: { readonly codes: readonly string[]; readonly grant: string },
): Promise<Part<T>> {
  try {
    return { ok: true, value: await work() }
  } catch (error) {
    const message = messageOf(error).slice(0, MAX_MESSAGE)
    if (codes.includes(systemCode(error) ?? '')) return { ok: false, because: 'privilege', message, grant }
    if (systemCode(error) === undefined || isConnectionLoss(error)) throw error
    return { ok: false, because: 'failed', message }
  }
}

class NoName extends Error {}

function isConnectionLoss(error: unknown): boolean {
  const code = systemCode(error) ?? ''
  return (
    code.startsWith('ECONN') ||
    code === 'EPIPE' ||
    code === 'PROTOCOL_CONNECTION_LOST' ||
    KIND_OF_CODE[code] === 'not-ready'
  )
}

function postgresSocket(path: string, port: number): string {
  return /\.s\.PGSQL\.\d+$/.test(path) ? path : `${path.replace(/\/$/, '')}/.s.PGSQL.${port}`
}

async function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  )
}

/**
 * How a source's connections are encrypted and what is proved by it, in the words of each client: MariaDB's and MySQL's take
 * different options, libpq takes its environment. `off` asks for nothing, so each does what it does by itself.
 * Sources: mariadb.com/kb/en/securing-connections-for-client-and-server, MySQL manual "--ssl-mode", libpq "sslmode".
 */
import { isIP } from 'node:net'
import type { DatabaseSource } from '../../config/types.ts'

export interface DatabaseTls {
  /** The certificate is proved, and its name where the server is reached by one. */
  readonly verify: boolean
  /** Where the client tools run. */
  readonly ca: string
}

/** Where Debian keeps the public authorities: of the clients only MariaDB's and libpq 16's know a place of their own. */
const PUBLIC_AUTHORITIES = '/etc/ssl/certs/ca-certificates.crt'

export const TLS_HINT =
  'Is `ca` of this source the authority of the server (a file where the client tools run), and is its certificate made out to `host`?'

export function tlsOf({ tls, ca }: Partial<Pick<DatabaseSource, 'tls' | 'ca'>>): DatabaseTls | undefined {
  if (tls === undefined || tls === 'off') return undefined
  return { verify: tls === 'verify', ca: ca ?? PUBLIC_AUTHORITIES }
}

/**
 * Lines of an option file. MariaDB's clients take `ssl` for a wish: that it was granted has to be looked at afterwards; and
 * those of 11.4 and newer verify unless they are told not to.
 */
export function mysqlTlsOptions(
  { verify, ca }: DatabaseTls,
  host: string | undefined,
  family: 'mariadb' | 'mysql',
): Readonly<Record<string, string>> {
  if (family === 'mariadb') {
    return { ssl: '1', 'ssl-verify-server-cert': verify ? '1' : '0', ...(verify ? { 'ssl-ca': ca } : {}) }
  }
  if (!verify) return { 'ssl-mode': 'REQUIRED' }
  return { 'ssl-mode': hasName(host) ? 'VERIFY_IDENTITY' : 'VERIFY_CA', 'ssl-ca': ca }
}

/** Over a Unix socket libpq leaves it out. */
export function postgresTlsEnv(
  { verify, ca }: DatabaseTls,
  host: string | undefined,
): Readonly<Record<string, string>> {
  if (!verify) return { PGSSLMODE: 'require' }
  return { PGSSLMODE: hasName(host) ? 'verify-full' : 'verify-ca', PGSSLROOTCERT: ca }
}

function hasName(host: string | undefined): boolean {
  return host !== undefined && isIP(host) === 0
}

/**
 * Whether a database server runs on the machine where its tools run: only then its data directory is one that can be looked
 * at there. A socket never leaves its machine; an address tells nothing (a tunnel's, a container's is 127.0.0.1 as well), so
 * over TCP the server has to prove it.
 */
import type { HostReader } from '../../host/types.ts'
import type { SqlSession } from '../database/session.ts'

/** Where a client goes: without an address, to the socket. */
interface Address {
  readonly host?: string | undefined
  readonly socket?: string | undefined
}

/** MariaDB, MySQL: the name that its machine had when it started; their clients take `localhost` for the socket. */
export async function isMysqlHere(session: SqlSession, host: HostReader, address: Address): Promise<boolean> {
  if (address.socket !== undefined || address.host === undefined || address.host === 'localhost') return true
  const [row] = await session.query('SELECT @@hostname')
  const { stdout } = await host.read(['uname', '-n'])
  const own = stdout.trim()
  // That name is everywhere.
  return own !== '' && own !== 'localhost' && row?.[0] === own
}

/** PostgreSQL: the process that serves the session is one of that machine. */
export async function isPostgresHere(session: SqlSession, host: HostReader, address: Address): Promise<boolean> {
  if (address.socket !== undefined || address.host === undefined || address.host.startsWith('/')) return true
  const [row] = await session.query('SELECT pg_backend_pid()')
  const { stdout, exitCode } = await host.read(['cat', `/proc/${Number(row?.[0])}/comm`])
  return exitCode === 0 && stdout.trim() === 'postgres'
}

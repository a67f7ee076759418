/** The next command of a database finding, as an operator would type it. Never with a password: the client asks for it. */
import type { DatabaseCheck } from '../../config/types.ts'
import { quoteArgv } from '../../core/quote.ts'

/** The client with a statement to run. */
export function sqlCommand(check: DatabaseCheck, sql: string): string {
  const client = clientArgv(check)
  return quoteArgv([...client, check.type === 'postgresql' ? '-c' : '-e', sql])
}

/** The client alone: it asks for the password. */
export function clientCommand(check: DatabaseCheck): string {
  return quoteArgv(clientArgv(check))
}

function clientArgv({ type, host, port, socket, user, database }: DatabaseCheck): [string, ...string[]] {
  if (type === 'postgresql') {
    const at = socket === undefined ? host : socket.replace(/\/\.s\.PGSQL\.\d+$/, '')
    return ['psql', ...flag('-h', at), ...flag('-p', port), ...flag('-U', user), ...flag('-d', database)]
  }
  const place = socket === undefined ? [...flag('-h', host), ...flag('-P', port)] : ['-S', socket]
  return [
    type === 'mariadb' ? 'mariadb' : 'mysql',
    ...place,
    ...flag('-u', user),
    '-p',
    ...(database === undefined ? [] : [database]),
  ]
}

function flag(name: string, value: string | number | undefined): string[] {
  return value === undefined ? [] : [name, `${value}`]
}

/** Accounts, roles and grants as SQL: by MariaDB's dump tool, or, for MySQL, from SHOW CREATE USER and SHOW GRANTS. */
import { messageOf } from '../../../core/errors.ts'
import { hasFailed, said } from '../../pipeline/failure.ts'
import { formatOptionFile, ONLY_OUR_OPTIONS, openMysqlSession, prepared, type MysqlAccess } from './connect.ts'
import type { DumpTool } from './dump.ts'
import type { MysqlServer } from './facts.ts'

export interface AccountsRequest {
  readonly access: MysqlAccess
  readonly tool: DumpTool
  readonly server: MysqlServer
  readonly write: (bytes: Buffer) => Promise<void>
}

const END = '-- Dump completed'

export interface AccountsOutcome {
  /** False: nothing of use was written. An account may be allowed to read data and not accounts. */
  readonly written: boolean
  readonly warning?: string
}

export function writeAccounts(request: AccountsRequest): Promise<AccountsOutcome> {
  return request.server.family === 'mariadb' && request.tool.family === 'mariadb'
    ? writeByTool(request)
    : writeByQueries(request)
}

/**
 * `--force`: one account that cannot be shown does not cost the others. With skip-name-resolve the server refuses to show
 * every account of a host name (1133).
 */
async function writeByTool({ access, tool, write }: AccountsRequest): Promise<AccountsOutcome> {
  const { place, address } = access
  const dump = await place.start({
    argv: [tool.program, ONLY_OUR_OPTIONS, '--default-character-set=utf8mb4', '--force', '--system=users'],
    credentials: formatOptionFile(address, tool.family),
  })
  let tail = ''
  for await (const chunk of dump.output ?? []) {
    tail = (tail + (chunk as Buffer).toString('latin1')).slice(-200)
    await write(chunk as Buffer)
  }
  const end = await dump.ended
  const words = said(end.stderr, place.redact)
  if (!tail.includes(END)) return { written: false, warning: `accounts and grants are not in the backup${words}` }
  return hasFailed(end) ? { written: true, warning: `not every account is in the backup${words}` } : { written: true }
}

/** A session of its own: one refused statement ends it. */
async function writeByQueries({ access, write }: AccountsRequest): Promise<AccountsOutcome> {
  const session = await openMysqlSession(access)
  try {
    const users = await session.query("SELECT user, host FROM mysql.user WHERE user NOT LIKE 'mysql.%'")
    for (const [user = '', host = ''] of users) {
      const account = `${sqlString(user)}@${sqlString(host)}`
      const lines = [
        ...(await session.query(prepared(`SHOW CREATE USER ${account}`))),
        ...(await session.query(prepared(`SHOW GRANTS FOR ${account}`))),
      ]
      await write(Buffer.from(lines.map(([line]) => `${line};\n`).join('')))
    }
    await write(Buffer.from(`\n${END}\n`))
    return { written: true }
  } catch (error) {
    return { written: false, warning: `accounts and grants are not in the backup: ${messageOf(error)}` }
  } finally {
    await session.close()
  }
}

function sqlString(text: string): string {
  return `'${text.replaceAll('\\', '\\\\').replaceAll("'", "''")}'`
}

/**
 * Which database questions about a whole PostgreSQL server are asked in: one has to be connected to. `postgres` is made for
 * that, but it may have been dropped, refuse us, or be the very one that is replaced.
 */
import { isOpsError, OpsError } from '../../../core/errors.ts'
import type { SqlSession } from '../session.ts'
import { MAINTENANCE, openPostgresSession, type PostgresAccess } from './connect.ts'

export interface Maintenance {
  readonly database: string
  readonly session: SqlSession
}

export interface MaintenanceOptions {
  /** Tried before all others. */
  readonly first?: readonly string[]
  /** Databases that must be free of us. */
  readonly avoid?: readonly string[]
}

/** While somebody is in it, nobody can make a database like it: it is left as soon as another one is found. */
const TEMPLATE = 'template1'
/** Of so many others one lets us in, or we stay in the template. */
const OTHERS = 3

/** @throws OpsError NOT_PERMITTED when none lets us in, with what the first of them said; UNREACHABLE, MISSING_TOOL */
export async function openMaintenance(
  access: PostgresAccess,
  { first = [], avoid = [] }: MaintenanceOptions = {},
): Promise<Maintenance> {
  const names = [...new Set([...first, MAINTENANCE, TEMPLATE])].filter((name) => !avoid.includes(name))
  const found = await openFirst(access, names)
  if (found.database !== TEMPLATE) return found
  const rows = await found.session.query(
    `SELECT datname FROM pg_database WHERE datallowconn AND NOT datistemplate AND has_database_privilege(oid, 'CONNECT')
     AND datname !~ '^opskit_restore_' ORDER BY datname`,
  )
  const others = rows.map(([name = '']) => name).filter((name) => !avoid.includes(name) && name !== MAINTENANCE)
  const other = await openFirst(access, others.slice(0, OTHERS)).catch(() => undefined)
  if (!other) return found
  await found.session.close()
  return other
}

async function openFirst(access: PostgresAccess, names: readonly string[]): Promise<Maintenance> {
  let refusal = new OpsError('NOT_PERMITTED', `no database of the server on ${access.place.host} lets us in`)
  for (const [index, database] of names.entries()) {
    try {
      return { database, session: await openPostgresSession(access, database) }
    } catch (error) {
      // One that is not there refuses like one that may not be entered.
      if (!isOpsError(error, 'NOT_PERMITTED')) throw error
      if (index === 0) refusal = error
    }
  }
  throw refusal
}

/**
 * `database`: is each configured database reachable, and does it do what it is for? One check per database, so a frozen
 * one costs only its own deadline. The drivers are loaded only when a database is configured.
 */
import type { Config } from '../../config/types.ts'
import { budgetOf } from '../deadline.ts'
import type { Check } from '../types.ts'
import { findPlace } from './connect.ts'
import { DATABASE_PARTS, decideDatabase } from './decide.ts'
import { readMysql } from './mysql.ts'
import { readPostgres } from './postgres.ts'

/** The engine's deadline stands this far behind the database's own, so that the check can say itself that it got no answer. */
const SPARE_MS = 500
/** A transaction that is open longer holds locks and old row versions that others feel. */
const LONG_TRANSACTION_SECONDS = 600

export function databaseChecks(config: Config): Check[] {
  return config.diagnose.databases.map((check) => ({
    name: 'database',
    covers: DATABASE_PARTS,
    group: 'database',
    scope: 'vantage',
    timeoutMs: check.timeout + SPARE_MS,
    run: async (context) => {
      const password = check.password && (await context.resolveSecret(check.password))
      const facts = await (check.type === 'postgresql' ? readPostgres : readMysql)({
        check,
        place: await findPlace(check),
        ...(password && { password }),
        longSeconds: LONG_TRANSACTION_SECONDS,
        timeoutMs: budgetOf(context, check.timeout),
        signal: context.signal,
      })
      return { findings: decideDatabase(check, facts, context.settings.thresholds.connections_percent) }
    },
  }))
}

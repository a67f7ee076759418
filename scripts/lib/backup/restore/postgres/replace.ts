/**
 * A scratch database of PostgreSQL put in the place of a live one, and back: two renames in one transaction. Which names
 * are there tells what has happened, so both directions may begin anywhere and be repeated.
 *
 *   loaded    `scratch` is complete; the live one is untouched
 *   swapped   the live name holds what was restored, `aside` what was there before
 */
import { OpsError } from '../../../core/errors.ts'
import { quoteIdentifier, quoteLiteral } from '../../database/postgres/connect.ts'
import { ask, runScript, swapLock, waitForSwap, type ServerAccess } from './client.ts'

export interface DatabaseRename {
  readonly target: string
  readonly scratch: string
  readonly aside: string
}

/** Terminated sessions are gone at once; one that is being undone may take a while. */
const LEAVE_SECONDS = 20

export async function applyRename(access: ServerAccess, { target, scratch, aside }: DatabaseRename): Promise<void> {
  await waitForSwap(access, access.maintenance, scratch)
  const there = await readNames(access, [target, scratch, aside])
  // Renamed already; whoever did it may have died before anybody was let in again.
  if (!there.has(scratch)) return allow(access, [target, aside])
  const renames = [`ALTER DATABASE ${quoteIdentifier(scratch)} RENAME TO ${quoteIdentifier(target)}`]
  if (there.has(target))
    renames.unshift(`ALTER DATABASE ${quoteIdentifier(target)} RENAME TO ${quoteIdentifier(aside)}`)
  await renameAlone(
    access,
    [target, scratch].filter((name) => there.has(name)),
    [swapLock(scratch), ...renames],
  )
  await allow(access, [target, aside])
}

/** The scratch database has its name again, and is left there. */
export async function undoRename(access: ServerAccess, { target, scratch, aside }: DatabaseRename): Promise<void> {
  await waitForSwap(access, access.maintenance, scratch)
  const there = await readNames(access, [target, scratch, aside])
  // Swapped: the restored one has left the scratch name.
  if (!there.has(scratch) && there.has(target)) {
    const renames = [`ALTER DATABASE ${quoteIdentifier(target)} RENAME TO ${quoteIdentifier(scratch)}`]
    if (there.has(aside)) renames.push(`ALTER DATABASE ${quoteIdentifier(aside)} RENAME TO ${quoteIdentifier(target)}`)
    await renameAlone(
      access,
      [target, aside].filter((name) => there.has(name)),
      [swapLock(scratch), ...renames],
    )
  }
  await allow(access, [target, scratch])
}

export async function dropPostgres(access: ServerAccess, database: string): Promise<void> {
  await runScript(access, access.maintenance, `DROP DATABASE IF EXISTS ${quoteIdentifier(database)};`)
}

/** @returns those of the names that are databases */
export async function readNames(access: ServerAccess, names: readonly string[]): Promise<Set<string>> {
  const list = names.map(quoteLiteral).join(', ')
  const rows = await ask(access, access.maintenance, `SELECT datname FROM pg_database WHERE datname IN (${list})`)
  return new Set(rows.map(([name = '']) => name))
}

/** Nobody may come in, everybody is sent out, then all statements or none. */
async function renameAlone(
  access: ServerAccess,
  names: readonly string[],
  statements: readonly string[],
): Promise<void> {
  const closed = names.map((name) => `ALTER DATABASE ${quoteIdentifier(name)} ALLOW_CONNECTIONS false;`)
  const list = names.map(quoteLiteral).join(', ')
  try {
    await runScript(access, access.maintenance, closed.join('\n'))
    const [row] = await ask(access, access.maintenance, sendOut(list))
    if (row?.[0] !== '0') {
      throw new OpsError('LOCKED', `${row?.[0] ?? 'some'} sessions of ${names.join(', ')} do not end`, {
        hint: 'Look at them: SELECT pid, usename, state, query FROM pg_stat_activity',
      })
    }
    await runScript(access, access.maintenance, ['BEGIN', ...statements, 'COMMIT', ''].join(';\n'))
  } catch (error) {
    await allow(access, names).catch(() => undefined)
    throw error
  }
}

/** Asks them to leave until they have, and says how many are left. */
function sendOut(list: string): string {
  return `DO $$ BEGIN
  FOR i IN 1..${LEAVE_SECONDS * 10} LOOP
    PERFORM pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname IN (${list}) AND pid <> pg_backend_pid();
    PERFORM pg_stat_clear_snapshot();
    EXIT WHEN NOT EXISTS (SELECT FROM pg_stat_activity WHERE datname IN (${list}) AND pid <> pg_backend_pid());
    PERFORM pg_sleep(0.1);
    PERFORM pg_stat_clear_snapshot();
  END LOOP;
END $$;
SELECT count(*) FROM pg_stat_activity WHERE datname IN (${list})`
}

/** Whoever was refused may connect again. */
async function allow(access: ServerAccess, names: readonly string[]): Promise<void> {
  const there = await readNames(access, names)
  const opened = [...there].map((name) => `ALTER DATABASE ${quoteIdentifier(name)} ALLOW_CONNECTIONS true;`)
  if (opened.length > 0) await runScript(access, access.maintenance, opened.join('\n'))
}

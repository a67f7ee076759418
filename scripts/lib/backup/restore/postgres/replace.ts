/**
 * A scratch database of PostgreSQL put in the place of a live one, and back: two renames in one transaction. Which names
 * are there tells what has happened, so both directions may begin anywhere and be repeated.
 *
 *   loaded    `scratch` is complete; the live one is untouched
 *   swapped   the live name holds what was restored, `aside` what was there before
 */
import { OpsError } from '../../../core/errors.ts'
import { quoteIdentifier, quoteLiteral } from '../../database/postgres/connect.ts'
import type { SqlSession } from '../../database/session.ts'
import { inSession, swapLock, type ServerAccess } from './client.ts'

export interface DatabaseRename {
  readonly target: string
  readonly scratch: string
  readonly aside: string
}

interface Move {
  readonly from: string
  readonly to: string
}

/** Terminated sessions are gone at once; one that is being undone may take a while. */
const LEAVE_SECONDS = 20

export function applyRename(access: ServerAccess, names: DatabaseRename): Promise<void> {
  const { target, scratch, aside } = names
  return rename(access, names, (there) => {
    // Renamed already; whoever did it may have died before anybody was let in again.
    if (!there.has(scratch)) return []
    const away = there.has(target) ? [{ from: target, to: aside }] : []
    return [...away, { from: scratch, to: target }]
  })
}

/** The scratch database has its name again, and is left there. */
export function undoRename(access: ServerAccess, names: DatabaseRename): Promise<void> {
  const { target, scratch, aside } = names
  return rename(access, names, (there) => {
    // Not swapped: the restored one has not left the scratch name.
    if (there.has(scratch) || !there.has(target)) return []
    const back = there.has(aside) ? [{ from: aside, to: target }] : []
    return [{ from: target, to: scratch }, ...back]
  })
}

/** A database of ours: whoever is in it is a client of ours that has not ended yet, and is sent out. */
export function dropScratch(access: ServerAccess, scratch: string): Promise<void> {
  return changing(access, async (session) => {
    await sendOut(session, [scratch])
    await session.query(`DROP DATABASE IF EXISTS ${quoteIdentifier(scratch)}`)
  })
}

export function dropDatabase(access: ServerAccess, database: string): Promise<void> {
  return changing(access, async (session) => {
    await session.query(`DROP DATABASE IF EXISTS ${quoteIdentifier(database)}`)
  })
}

/** @returns those of the names that are databases */
export function readNames(access: ServerAccess, names: readonly string[]): Promise<Set<string>> {
  return inSession(access, access.maintenance, (session) => findNames(session, names))
}

/** Nobody may come in, everybody is sent out, then all renames or none; whoever was refused may connect again. */
async function rename(
  access: ServerAccess,
  { target, scratch, aside }: DatabaseRename,
  decide: (there: ReadonlySet<string>) => readonly Move[],
): Promise<void> {
  const names = [target, scratch, aside]
  try {
    await changing(access, async (session) => {
      await session.query(swapLock(scratch))
      const moves = decide(await findNames(session, names))
      if (moves.length > 0) await renameAlone(session, moves, scratch)
      await allow(session, names)
    })
  } catch (error) {
    await changing(access, (session) => allow(session, names)).catch(() => undefined)
    throw error
  }
}

async function renameAlone(session: SqlSession, moves: readonly Move[], scratch: string): Promise<void> {
  const leaving = moves.map(({ from }) => from)
  for (const name of leaving) await session.query(`ALTER DATABASE ${quoteIdentifier(name)} ALLOW_CONNECTIONS false`)
  const left = await sendOut(session, leaving)
  if (left !== '0') {
    throw new OpsError('LOCKED', `${left} sessions of ${leaving.join(', ')} do not end`, {
      hint: 'Look at them: SELECT pid, usename, state, query FROM pg_stat_activity',
    })
  }
  await session.query('BEGIN')
  await session.query(swapLock(scratch))
  for (const { from, to } of moves)
    await session.query(`ALTER DATABASE ${quoteIdentifier(from)} RENAME TO ${quoteIdentifier(to)}`)
  await session.query('COMMIT')
}

/** Whatever the account or the server has set; a lock is waited for as long as a question may. */
function changing(access: ServerAccess, work: (session: SqlSession) => Promise<void>): Promise<void> {
  return inSession(access, access.maintenance, async (session) => {
    await session.query('SET statement_timeout = 0; SET default_transaction_read_only = off')
    await work(session)
  })
}

async function findNames(session: SqlSession, names: readonly string[]): Promise<Set<string>> {
  const rows = await session.query(`SELECT datname FROM pg_database WHERE datname IN (${listOf(names)})`)
  return new Set(rows.map(([name = '']) => name))
}

/** Asks them to leave until they have; what cleans up leaves by itself. @returns how many are left */
async function sendOut(session: SqlSession, names: readonly string[]): Promise<string> {
  const others = `FROM pg_stat_activity WHERE datname IN (${listOf(names)}) AND pid <> pg_backend_pid()
    AND backend_type <> 'autovacuum worker'`
  await session.query(`DO $$ BEGIN
  FOR i IN 1..${LEAVE_SECONDS * 10} LOOP
    PERFORM pg_terminate_backend(pid) ${others};
    PERFORM pg_stat_clear_snapshot();
    EXIT WHEN NOT EXISTS (SELECT ${others});
    PERFORM pg_sleep(0.1);
    PERFORM pg_stat_clear_snapshot();
  END LOOP;
END $$`)
  const [row] = await session.query(`SELECT count(*) ${others}`)
  return row?.[0] ?? 'some'
}

async function allow(session: SqlSession, names: readonly string[]): Promise<void> {
  for (const name of await findNames(session, names))
    await session.query(`ALTER DATABASE ${quoteIdentifier(name)} ALLOW_CONNECTIONS true`)
}

function listOf(names: readonly string[]): string {
  return names.map(quoteLiteral).join(', ')
}

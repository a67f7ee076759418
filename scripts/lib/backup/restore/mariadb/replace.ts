/**
 * A scratch database put in the place of a live one, and back. There is no RENAME DATABASE: tables move by one RENAME
 * TABLE, everything else is made anew where it belongs, because a table with triggers does not move (error 1435) and a
 * view does not move between databases.
 *
 *   loaded    the scratch database is complete; the live one is untouched
 *   swapping  from the first dropped trigger until the restored objects stand; tables may lie in any of the three places
 *   swapped   the live name holds what was restored, `aside` what was there before
 *
 * Where a table lies tells what has happened to it, so both directions may begin anywhere and be repeated.
 */
import { OpsError } from '../../../core/errors.ts'
import type { MysqlAccess } from '../../database/mysql/connect.ts'
import type { SqlSession } from '../../database/session.ts'
import type { BulkDecoding } from '../decode.ts'
import type { Replacement } from '../engine.ts'
import { createDatabase, dropDatabase, dropObjects, moveTables, readInventory, type Move } from './inventory.ts'
import { loadDump } from './load.ts'

export interface ReplaceContext {
  readonly access: MysqlAccess
  readonly session: SqlSession
  readonly signal: AbortSignal
  /** The account may not make objects of other owners. */
  readonly ownDefiner: boolean
  /** Views, routines, triggers and events of the target as they were. */
  openOldObjects(path: string): Promise<BulkDecoding>
}

/** How long the swap waits for transactions that hold a table. */
const LOCK_WAIT_SECONDS = 20

/** @param openDump the dump that is restored, from its beginning; undefined when it holds nothing but tables */
export async function applyReplacement(
  replacement: Replacement,
  openDump: (() => Promise<BulkDecoding>) | undefined,
  context: ReplaceContext,
): Promise<void> {
  const { session } = context
  const { target, scratch, aside, tables, existed } = replacement
  await beAlone(session, scratch)
  await createDatabase(session, target, scratch)
  if (existed) await createDatabase(session, aside, target)
  await dropObjects(session, scratch)
  await dropObjects(session, target, tables)
  await moveTables(session, await forwardMoves(replacement, session))
  if (openDump) await loadObjects(target, openDump, replacement, context)
  await dropDatabase(session, scratch)
}

/** The old objects beside the old tables, for whoever looks there; events do not run from there. */
export async function completeAside(replacement: Replacement, context: ReplaceContext): Promise<void> {
  const { existed, oldObjects } = replacement
  if (!existed || oldObjects === undefined) return
  const options = { ...optionsOf(replacement, context), without: ['event'] as const }
  await loadDump(context.access, () => context.openOldObjects(oldObjects), { ...options, database: replacement.aside })
}

/** Back to what was there before; safe at any point, also when nothing was swapped yet. */
export async function undoReplacement(replacement: Replacement, context: ReplaceContext): Promise<void> {
  const { session } = context
  const { target, scratch, aside, existed, tables, oldObjects, kept } = replacement
  await beAlone(session, scratch)
  // Nothing of the target was touched before its objects were saved.
  if (existed && oldObjects === undefined) return kept ? undefined : dropDatabase(session, scratch)
  const moves = await backwardMoves(replacement, session)
  await createDatabase(session, scratch, target)
  await dropObjects(session, aside)
  await dropObjects(session, target, tables)
  await moveTables(session, moves)
  if (oldObjects !== undefined)
    await loadObjects(target, () => context.openOldObjects(oldObjects), replacement, context)
  await removeEmpty(session, aside)
  if (!existed) await removeEmpty(session, target)
  if (kept) await completeKept(replacement, context)
  else await dropDatabase(session, scratch)
}

/** What was kept is to be what it was, with its objects. */
async function completeKept(replacement: Replacement, context: ReplaceContext): Promise<void> {
  const { scratch, kept } = replacement
  if (kept?.objects === undefined) return
  await dropObjects(context.session, scratch)
  await completeAside({ ...replacement, existed: true, aside: scratch, oldObjects: kept.objects }, context)
}

async function forwardMoves(
  { target, scratch, aside, old = [], fresh = [] }: Replacement,
  session: SqlSession,
): Promise<Move[]> {
  const [kept, waiting] = await Promise.all([readInventory(session, aside), readInventory(session, scratch)])
  return [
    ...old.filter((table) => !kept.tables.includes(table)).map((table) => ({ from: target, to: aside, table })),
    ...fresh.filter((table) => waiting.tables.includes(table)).map((table) => ({ from: scratch, to: target, table })),
  ]
}

async function backwardMoves(
  { target, scratch, aside, old = [], fresh = [] }: Replacement,
  session: SqlSession,
): Promise<Move[]> {
  const kept = await readInventory(session, aside)
  const waiting = await readInventory(session, scratch)
  const live = await readInventory(session, target)
  const isNew = (table: string) =>
    live.tables.includes(table) &&
    !waiting.tables.includes(table) &&
    (kept.tables.includes(table) || !old.includes(table))
  return [
    ...fresh.filter(isNew).map((table) => ({ from: target, to: scratch, table })),
    ...old.filter((table) => kept.tables.includes(table)).map((table) => ({ from: aside, to: target, table })),
  ]
}

async function loadObjects(
  database: string,
  openDump: () => Promise<BulkDecoding>,
  replacement: Replacement,
  context: ReplaceContext,
): Promise<void> {
  await loadDump(context.access, openDump, { ...optionsOf(replacement, context), database })
}

function optionsOf({ tables }: Replacement, { signal, ownDefiner }: ReplaceContext) {
  return { jobs: 1, signal, ownDefiner, parts: 'objects' as const, ...(tables ? { tables } : {}) }
}

/** Never drops a table: what is not empty is left and said. */
async function removeEmpty(session: SqlSession, database: string): Promise<void> {
  const { exists, tables } = await readInventory(session, database)
  if (!exists) return
  if (tables.length > 0) {
    throw new OpsError('STUCK', `${database} still holds ${tables.length} tables and was left alone`, {
      hint: `Look into it: SHOW TABLES IN \`${database}\``,
    })
  }
  await dropDatabase(session, database)
}

/**
 * A client that outlived whoever started it may still wait for a table, and move it when nobody expects it any more: it has
 * the lock until it ends. Ours is given back with the session.
 */
async function beAlone(session: SqlSession, scratch: string): Promise<void> {
  await session.query(`SET SESSION lock_wait_timeout = ${LOCK_WAIT_SECONDS}`)
  const [row] = await session.query(`SELECT GET_LOCK('${scratch}', ${2 * LOCK_WAIT_SECONDS})`)
  if (row?.[0] === '1') return
  throw new OpsError('LOCKED', 'an interrupted restore of the same database is still at work on the server', {
    hint: 'Try again when it has ended: SHOW PROCESSLIST shows its statement.',
  })
}

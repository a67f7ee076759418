/**
 * What restoring asks of PostgreSQL's programs beyond what a backup does: scripts from a backup, which may hold anything,
 * run in psql's restricted mode, where nothing but SQL is obeyed (`\restrict`, CVE-2025-8714).
 */
import { randomBytes } from 'node:crypto'
import {
  connected,
  openPostgresSession,
  postgresError,
  quoteLiteral,
  type PostgresAccess,
} from '../../database/postgres/connect.ts'
import type { SqlSession } from '../../database/session.ts'
import { hasFailed } from '../../pipeline/failure.ts'
import type { Tool, ToolSpec } from '../../pipeline/place.ts'
import { feed, type DecodeOptions } from '../decode.ts'

export interface LoadAccess extends PostgresAccess {
  /** The programs run on this machine, so files and pipes can be handed to them. */
  readonly isLocal: boolean
}

/** Knows where to ask about the whole server; see openMaintenance. */
export interface ServerAccess extends LoadAccess {
  readonly maintenance: string
}

/** A tool whose lock waits end with the tool's own deadline: an index may take hours. */
export function loading(argv: ToolSpec['argv'], access: LoadAccess, database: string): ToolSpec {
  const spec = connected(argv, access, database)
  return { ...spec, env: { ...spec.env, PGOPTIONS: '-c statement_timeout=0 -c default_transaction_read_only=off' } }
}

const PSQL = ['psql', '-X', '-q', '-w', '-f', '-'] as const

/** Runs a script; the first error ends it. */
export async function runScript(access: LoadAccess, database: string, script: string): Promise<void> {
  const tool = await startScript(access, database)
  tool.input.end(`${script}\n`)
  await endScript(tool, access)
}

/** Runs the script in a data file of a backup. */
export async function runScriptFile(
  access: LoadAccess,
  database: string,
  { path, stopAtErrors, ...options }: DecodeOptions & { readonly path: string; readonly stopAtErrors: boolean },
): Promise<void> {
  const tool = await startScript(access, database, stopAtErrors)
  const fed = feed(path, { ...options, into: tool.input, isPipe: false })
  fed.catch(tool.kill)
  await endScript(tool, access, fed)
}

/** A session that runs what is written into it, nothing but SQL; the first error ends it. */
export async function startScript(access: LoadAccess, database: string, stopAtErrors = true): Promise<Tool> {
  const argv = [...PSQL, '-v', `ON_ERROR_STOP=${stopAtErrors ? 1 : 0}`] as const
  const tool = await access.place.start({ ...loading(['psql', ...argv.slice(1)], access, database), wantsInput: true })
  tool.input.on('error', () => undefined)
  tool.output?.resume()
  tool.input.write(`\\restrict ${randomBytes(16).toString('hex')}\n`)
  return tool
}

async function endScript(tool: Tool, access: LoadAccess, fed?: Promise<void>): Promise<void> {
  const end = await tool.ended
  await fed
  if (hasFailed(end)) throw await postgresError(end, access)
}

/**
 * The lock of a swap, for the transaction that makes it. A client that outlived whoever started it may still wait for a table
 * or a database and swap when nobody expects it any more: it has the lock until it ends.
 */
export function swapLock(scratch: string): string {
  return `SELECT pg_advisory_xact_lock(hashtextextended(${quoteLiteral(`opskit ${scratch}`)}, 0))`
}

/** Waits for such a client. @throws OpsError LOCKED when it does not end */
export async function waitForSwap(access: LoadAccess, database: string, scratch: string): Promise<void> {
  await ask(access, database, swapLock(scratch))
}

/** One question in a session of its own. */
export function ask(
  access: LoadAccess,
  database: string,
  statement: string,
  { asOperator = false } = {},
): Promise<string[][]> {
  return inSession(access, database, async (session) => {
    // An operator's tables are found as his own client finds them.
    if (asOperator) await session.query('RESET search_path')
    return session.query(statement)
  })
}

export async function inSession<T>(
  access: LoadAccess,
  database: string,
  work: (session: SqlSession) => Promise<T>,
): Promise<T> {
  const session = await openPostgresSession(access, database)
  try {
    return await work(session)
  } finally {
    await session.close()
  }
}

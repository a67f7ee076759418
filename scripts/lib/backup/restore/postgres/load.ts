/**
 * A PostgreSQL backup into a new database: pre-data from the schema archive, every part of the rows at once, then keys,
 * indexes and triggers by several sessions. The first error of any of them ends the load.
 */
import { rm } from 'node:fs/promises'
import { createWriteStream } from 'node:fs'
import { join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { connected, MAINTENANCE, postgresError } from '../../database/postgres/connect.ts'
import { systemCode } from '../../../core/errors.ts'
import { mapLimited } from '../../../core/map-limited.ts'
import { hasFailed } from '../../pipeline/failure.ts'
import type { ToolSpec } from '../../pipeline/place.ts'
import { makeTempDirectory } from '../../pipeline/private.ts'
import { asWriteError } from '../../repository/durable.ts'
import { feed, startDecoding, type DecodeOptions } from '../decode.ts'
import { loading, runScript, type ServerAccess } from './client.ts'
import { loadRows } from './rows.ts'
import { readStatements, type DatabaseStatements } from './statements.ts'

/** Where the files of one database lie on this machine. */
export interface PostgresFiles {
  readonly schema: string
  readonly rows: readonly string[]
}

export interface PostgresLoad extends DecodeOptions {
  readonly access: ServerAccess
  readonly files: PostgresFiles
  /** The name in the backup. */
  readonly original: string
  /** Made new, and filled. */
  readonly database: string
  readonly jobs: number
  /** Owners and grants are left out: for accounts that may not set them. */
  readonly ownOwner?: boolean
  /** Everything goes where the server keeps what has no place of its own. */
  readonly noTablespaces?: boolean
  /** Rows of these tables only: `orders` (in public) or `sales.orders`. */
  readonly tables?: readonly string[]
  /** Plain bytes of rows so far. */
  readonly onBytes?: (bytes: number) => void
}

/** @throws OpsError DATA_MISMATCH, NOT_PERMITTED, FAILED with what the server refused */
export async function loadArchives(load: PostgresLoad): Promise<void> {
  const { access, files, database, jobs } = load
  const directory = await makeTempDirectory('opskit-schema-')
  try {
    const schema = join(directory, 'schema.dump')
    const decoding = startDecoding(files.schema, load)
    await pipeline(decoding.stdout, createWriteStream(schema, { mode: 0o600 })).catch((error: unknown) => {
      throw systemCode(error) === undefined ? error : asWriteError(error, directory)
    })
    await decoding.done
    const own = await readDatabaseStatements(load, schema)
    await runScript(access, access.maintenance, own.create)
    await restore(load, { section: 'pre-data', path: schema })
    await restoreRows(load)
    await restore(load, { section: 'post-data', path: schema, jobs })
    // Last: a setting of the database (read-only, say) must not stand in the way of its own restore.
    if (own.properties !== '') await runScript(access, database, own.properties)
  } finally {
    await rm(directory, { recursive: true, force: true })
  }
}

/** Elsewhere than on this machine, one process there for each archive: its bytes shall go there once. */
async function restoreRows(load: PostgresLoad): Promise<void> {
  const { access, files, jobs, tables } = load
  if (!access.isLocal)
    return void (await mapLimited(files.rows, jobs, (path) => restore(load, { section: 'data', path })))
  await loadRows({ ...load, archives: files.rows, only: tables?.flatMap(tableOptions) ?? [], sessions: jobs })
}

interface Section {
  readonly section: 'pre-data' | 'data' | 'post-data'
  readonly path: string
  readonly jobs?: number
}

async function restore(load: PostgresLoad, { section, path, jobs = 1 }: Section): Promise<void> {
  const { access, database, ownOwner = false, noTablespaces = false, tables } = load
  const only = section === 'data' && tables ? tables.flatMap(tableOptions) : []
  const own = [...(ownOwner ? ['--no-owner', '--no-privileges'] : []), ...(noTablespaces ? ['--no-tablespaces'] : [])]
  // Several jobs need a file to seek in, which is on this machine.
  const several = jobs > 1 && access.isLocal ? [`--jobs=${jobs}`, path] : []
  // A name given as an option may be read as a connection string; this one says nothing, so the environment decides.
  const args = [
    '--exit-on-error',
    '--no-password',
    `--section=${section}`,
    ...own,
    ...only,
    '--dbname=connect_timeout=10',
    ...several,
  ]
  await fedTool(load, several.length > 0 ? undefined : path, loading(['pg_restore', ...args], access, database))
}

/** Several `-t` mean any of them, in any of the schemas named. */
function tableOptions(table: string): string[] {
  const dot = table.indexOf('.')
  return dot === -1
    ? ['--schema=public', `--table=${table}`]
    : [`--schema=${table.slice(0, dot)}`, `--table=${table.slice(dot + 1)}`]
}

async function fedTool(load: PostgresLoad, path: string | undefined, spec: ToolSpec): Promise<void> {
  const { access, identity, signal } = load
  const tool = await access.place.start({ ...spec, wantsInput: path !== undefined })
  tool.output?.resume()
  const fed =
    path === undefined ? undefined : feed(path, { into: tool.input, isPipe: access.isLocal, identity, signal })
  fed?.catch(tool.kill)
  const end = await tool.ended
  // A file that cannot be read is the cause; what the tool says about it is its consequence.
  await fed
  if (hasFailed(end)) throw await postgresError(end, access)
}

/** The statements that make the database itself, as the archive has them, under its new name. */
async function readDatabaseStatements(load: PostgresLoad, schema: string): Promise<DatabaseStatements> {
  const { access, original, database, ownOwner = false, signal } = load
  const tool = await access.place.start({
    ...connected(['pg_restore', '--create', '--schema-only', '--file=-'], access, MAINTENANCE),
    wantsInput: true,
  })
  const pieces: Buffer[] = []
  tool.output?.on('data', (piece: Buffer) => pieces.push(piece))
  await feed(schema, { into: tool.input, isPipe: access.isLocal, signal })
  const end = await tool.ended
  if (hasFailed(end)) throw await postgresError(end, access)
  return readStatements(Buffer.concat(pieces).toString(), { original, database, ownOwner })
}

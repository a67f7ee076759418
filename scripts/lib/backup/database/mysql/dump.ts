/**
 * Runs the server's own dump tool once for all databases, so that they share one snapshot, and writes one file each.
 * The options are those of docs/decisions/032-backup-dump-format.md.
 */
import { OpsError } from '../../../core/errors.ts'
import type { Argv } from '../../../core/quote.ts'
import { hasFailed } from '../../pipeline/failure.ts'
import type { Place } from '../../pipeline/place.ts'
import { watchStall, writeTo } from '../../pipeline/pump.ts'
import type { Sink } from '../../pipeline/sink.ts'
import { formatOptionFile, mysqlError, ONLY_OUR_OPTIONS, type MysqlAddress } from './connect.ts'
import { isAtLeast } from './facts.ts'
import { createCutter, type Cut, type Cutter, type Piece } from './cut.ts'

export interface DumpTool {
  readonly program: string
  /** The tool's own family: MariaDB installs its tools under MySQL's names too. */
  readonly family: 'mariadb' | 'mysql'
  readonly version: string
}

export interface DumpRequest {
  readonly tool: DumpTool
  readonly databases: readonly string[]
  /** Record the position in the binary log at the snapshot. Needs RELOAD. */
  readonly withPosition: boolean
}

export function dumpArgv({ tool, databases, withPosition }: DumpRequest): Argv {
  const position =
    tool.family === 'mariadb'
      ? ['--master-data=2', '--gtid']
      : [isAtLeast(tool.version, '8.0.26') ? '--source-data=2' : '--master-data=2']
  const ownOfMysql = [
    '--set-gtid-purged=OFF',
    '--no-tablespaces',
    ...(isAtLeast(tool.version, '8.0.2') ? ['--column-statistics=0'] : []),
  ]
  return [
    tool.program,
    ONLY_OUR_OPTIONS,
    '--single-transaction',
    '--quick',
    '--hex-blob',
    '--routines',
    '--triggers',
    '--events',
    '--tz-utc',
    '--default-character-set=utf8mb4',
    '--max-allowed-packet=1G',
    ...(tool.family === 'mysql' ? ownOfMysql : []),
    ...(withPosition ? position : []),
    '--databases',
    '--',
    ...databases,
  ]
}

export interface DumpRun extends DumpRequest {
  readonly place: Place
  readonly address: MysqlAddress
  /** Databases that come twice in the stream, for their views. */
  readonly withViews: ReadonlySet<string>
  /** Opens the file of a database. */
  readonly open: (database: string) => Promise<Sink>
  /** The database's dump is complete. */
  readonly close: (sink: Sink, plainBytes: number) => Promise<void>
  /** Milliseconds without a byte until the tool is given up. */
  readonly stallMs: number
  /** Why nothing comes any more, when the server knows. */
  readonly readObstacle: () => Promise<string | undefined>
  /** Called as bytes come; the first are printed after the snapshot has begun. */
  readonly onBytes?: () => void
}

/**
 * @throws OpsError of the tool, the disk, or the stall (LOCKED, TIMEOUT). Files that are still open are the caller's to
 *   throw away
 */
export async function runDump(run: DumpRun): Promise<Cut> {
  const { place, address } = run
  const tool = await place.start({
    argv: dumpArgv(run),
    credentials: formatOptionFile(address, run.tool.family),
    bulk: true,
  })
  const cutter = createCutter(run.databases)
  const writer = createWriter(run, cutter)
  let stalled = false
  const watch = watchStall(run.stallMs, () => {
    stalled = true
    tool.kill()
  })
  try {
    await tool.each(async (bytes) => {
      watch.seen()
      run.onBytes?.()
      for (const piece of cutter.push(bytes)) await writer.write(piece)
    })
  } catch (error) {
    // What came is no dump, or the disk refuses.
    tool.kill()
    throw error
  } finally {
    watch.stop()
  }
  const end = await tool.ended
  if (stalled) throw await stallError(run)
  if (hasFailed(end)) throw mysqlError(end, place)
  const cut = cutter.finish()
  await writer.closeAll()
  return cut
}

/** Writes pieces into the files of their databases; one compressor runs at a time. */
function createWriter(run: DumpRun, cutter: Cutter) {
  const open = new Map<string, { sink: Sink; plainBytes: number }>()
  let current: string | undefined

  const close = async (database: string) => {
    const file = open.get(database)
    if (!file) return
    open.delete(database)
    const closing = cutter.closing()
    await writeTo(file.sink.input(), closing)
    await run.close(file.sink, file.plainBytes + closing.length)
  }
  const leave = async (database: string) => {
    if (run.withViews.has(database)) await open.get(database)?.sink.rest()
    else await close(database)
  }

  return {
    async write({ database, bytes }: Piece): Promise<void> {
      if (current !== undefined && current !== database) await leave(current)
      current = database
      const file = open.get(database) ?? { sink: await run.open(database), plainBytes: 0 }
      open.set(database, file)
      file.plainBytes += bytes.length
      const input = file.sink.input()
      await writeTo(input, bytes)
      if (input.destroyed) throw (await file.sink.failure()) ?? new OpsError('FAILED', `${file.sink.path} was closed`)
    },
    async closeAll(): Promise<void> {
      for (const database of [...open.keys()]) await close(database)
    },
  }
}

async function stallError({ place, stallMs, readObstacle }: DumpRun): Promise<OpsError> {
  const obstacle = await readObstacle().catch(() => undefined)
  const waited = `the dump on ${place.host} got no byte for ${Math.round(stallMs / 1000)} s`
  if (obstacle !== undefined) {
    return new OpsError('LOCKED', `${waited}: ${obstacle}`, {
      host: place.host,
      transient: true,
      hint: 'Wait for that session, or end it (KILL), and run the backup again.',
    })
  }
  return new OpsError('TIMEOUT', waited, {
    host: place.host,
    transient: true,
    hint: 'Look at SHOW FULL PROCESSLIST and the disk of the server.',
  })
}

/**
 * What a restore and a drill (of MariaDB) cost beside the plain tools, in the same run and on the same data:
 * `node_modules/.bin/node test/bench/restore.ts`. Ours is the whole restore: checksums, load, comparison with the manifest,
 * swap. Some three minutes on a quiet machine at the size that is the default; `BENCH_SHARE=1` is 460 MB of SQL for MariaDB.
 * Needs root, mariadb-server, postgresql, zstd, mydumper.
 */
import { join } from 'node:path'
import { runAction } from '../../scripts/lib/action/run.ts'
import type { Action, ActionContext } from '../../scripts/lib/action/types.ts'
import { backUpDatabase } from '../../scripts/lib/backup/database/index.ts'
import { drillAction } from '../../scripts/lib/backup/drill/action.ts'
import { openRepository } from '../../scripts/lib/backup/repository/open.ts'
import { restoreDatabaseAction } from '../../scripts/lib/backup/restore/action-database.ts'
import { configSchema } from '../../scripts/lib/config/schema/index.ts'
import { systemClock } from '../../scripts/lib/core/clock.ts'
import { silentLog } from '../../scripts/lib/core/log.ts'
import { Secret } from '../../scripts/lib/core/secret.ts'
import { createHosts } from '../../scripts/lib/host/index.ts'
import { openLocalHost } from '../../scripts/lib/host/local.ts'
import { openJournal } from '../../scripts/lib/journal/index.ts'
import { makeManifest } from '../backup/support.ts'
import { MARIADB_ROOT_PASSWORD, startMariaDb } from '../support/mariadb.ts'
import { startPostgres } from '../support/postgres.ts'
import { makeTempDir } from '../support/temp.ts'
import { mariadbData, postgresData } from './databases.ts'
import { memoryRow, race, ratioRow, shell, timed, type Times } from './measure.ts'
import { printRows } from './print.ts'
import { median, type BenchRow } from './types.ts'

/** PostgreSQL restores four times as fast, and is measured whole. */
const SHARE = Number(process.env['BENCH_SHARE'] ?? 0.3)
/** A private server has to be made first. */
const DRILL_MORE_SECONDS = 6

export async function bench(): Promise<BenchRow[]> {
  const dir = await makeTempDir('bench')
  try {
    return [...(await benchMariaDb(dir.path)), ...(await benchPostgres(dir.path))]
  } finally {
    await dir.remove()
  }
}

async function benchMariaDb(dir: string): Promise<BenchRow[]> {
  const server = await startMariaDb({ settings: ['innodb-buffer-pool-size=512M', 'innodb-flush-log-at-trx-commit=1'] })
  const password = { env: MARIADB_ROOT_PASSWORD }
  const source = { type: 'mariadb', socket: server.socket, user: 'root', password, databases: ['bench'] }
  const directory = join(dir, 'mariadb')
  await using context = await openContext(directory, source)
  try {
    await server.sql(...mariadbData(SHARE))
    await backUp(context)
    const login = `--no-defaults -S ${server.socket} -u root`
    const env = { MYSQL_PWD: MARIADB_ROOT_PASSWORD }
    await shell(`mariadb-dump ${login} --routines --triggers bench | gzip -1 > ${dir}/seed.sql.gz`, env)
    const chunks = `-S ${server.socket} -u root -p ${MARIADB_ROOT_PASSWORD}`
    await shell(`mydumper ${chunks} -B bench -t 2 -r 60000 -o ${dir}/chunks`)
    const fresh = (name: string) => () =>
      server.sql(`DROP DATABASE IF EXISTS ${name}`, ...(name === 'copy' ? [] : [`CREATE DATABASE ${name}`]))
    const seed = `gunzip -c ${dir}/seed.sql.gz > ${dir}/t.sql; mariadb ${login} seed < ${dir}/t.sql; rm ${dir}/t.sql`
    const times = await race([
      { name: 'ours', run: () => restore(context, 'copy'), prepare: fresh('copy') },
      { name: 'seed', run: () => shell(seed, env), prepare: fresh('seed'), once: true },
      {
        name: 'myloader',
        run: () => shell(`myloader ${chunks} -t 2 -o -B chunked -d ${dir}/chunks`),
        prepare: fresh('chunked'),
      },
    ])
    const drilled = await timed(() => drill(context))
    await fresh('copy')()
    const call = `restoreOnce(${JSON.stringify(directory)}, ${JSON.stringify(source)})`
    const myloader = 'myloader -t2, 60,000 rows a chunk'
    return [
      ratioRow('MariaDB restore', times, { peer: 'seed', peerName: 'gunzip > f; mysql < f', target: 0.6 }),
      ratioRow('the same', times, { peer: 'myloader', peerName: myloader, target: 1.2 }),
      drillRow('MariaDB drill', drilled, times),
      await memoryRow('MariaDB restore', import.meta.url, call),
    ]
  } finally {
    await server.stop()
  }
}

async function benchPostgres(dir: string): Promise<BenchRow[]> {
  const server = await startPostgres({ settings: ['shared_buffers = 256MB', 'max_wal_size = 4GB'] })
  const login = `-h ${server.socket} -p ${server.port} -U postgres`
  const address = { socket: server.socket, port: server.port, user: 'postgres' }
  await using context = await openContext(join(dir, 'postgres'), {
    ...{ type: 'postgresql', databases: ['postgres'], ...address },
  })
  try {
    await server.sql(...postgresData(1))
    await backUp(context)
    await shell(
      `pg_dump ${login} -Fc -Z0 postgres | zstd -q -T0 -3 > ${dir}/c.zst; pg_dump ${login} -Fd -j2 -Z0 -f ${dir}/d postgres;
       pg_dump ${login} -Fd -j2 -f ${dir}/z postgres`,
    )
    const fresh = (name: string) => () =>
      server.sql(
        `DROP DATABASE IF EXISTS ${name}`,
        ...(name === 'copy' ? [] : [`CREATE DATABASE ${name} TEMPLATE template0`]),
      )
    const times = await race([
      { name: 'ours', run: () => restore(context, 'copy'), prepare: fresh('copy') },
      {
        name: 'stream',
        run: () => shell(`zstd -dc ${dir}/c.zst | pg_restore ${login} -d stream`),
        prepare: fresh('stream'),
      },
      {
        name: 'directory',
        run: () => shell(`pg_restore ${login} -j2 -d directory ${dir}/d`),
        prepare: fresh('directory'),
      },
      {
        name: 'compressed',
        run: () => shell(`pg_restore ${login} -j2 -d compressed ${dir}/z`),
        prepare: fresh('compressed'),
      },
    ])
    const better = median(times.get('stream') ?? []) < median(times.get('directory') ?? []) ? 'stream' : 'directory'
    const peerName = `the better of zstd | -Fc and -Fd -j2 -Z0: ${better}`
    return [
      ratioRow('PostgreSQL restore', times, { peer: 'compressed', peerName: 'pg_restore -j2 of -Fd', target: 1.1 }),
      ratioRow('the same, beside what is not compressed', times, { peer: better, peerName, target: 1.1 }),
    ]
  } finally {
    await server.stop()
  }
}

function drillRow(name: string, seconds: number, of: Times): BenchRow {
  const target = median(of.get('ours') ?? []) + DRILL_MORE_SECONDS
  return {
    name: `${name}, at most the restore and ${DRILL_MORE_SECONDS} s`,
    ours: seconds,
    unit: 's',
    target,
    met: seconds <= target,
  }
}

/** For a process of its own: the newest backup of that directory. */
export async function restoreOnce(directory: string, source: object): Promise<void> {
  await using context = await openContext(directory, source)
  await restore(context, 'copy')
}

type BenchContext = ActionContext & AsyncDisposable

async function openContext(directory: string, source: object): Promise<BenchContext> {
  const config = configSchema.parse({
    backup: { repository: join(directory, 'backups'), databases: { bench: source } },
  })
  const journal = openJournal({ dir: join(directory, 'state') })
  const resolveSecret = async (ref: object) => new Secret(String(Object.values(ref)[0]), 'bench')
  const hosts = createHosts({ config, resolveSecret })
  return {
    ...{ config, localName: 'bench', hosts, journal, clock: systemClock, log: silentLog, resolveSecret },
    ...{ signal: new AbortController().signal, redact: (text: string) => text },
    async [Symbol.asyncDispose]() {
      await hosts.close()
      journal.close()
    },
  }
}

async function backUp({ config, resolveSecret, signal, clock }: BenchContext): Promise<void> {
  const source = config.backup.databases['bench']
  if (!source) throw new Error('no source')
  const staging = await openRepository(config.backup.repository).stage('database', 'bench')
  const { files, server, tools, databases } = await backUpDatabase({
    ...{ name: 'bench', source, host: openLocalHost(), resolveSecret, staging, signal, clock },
    settings: { compression: config.backup.compression },
  })
  await staging.publish(
    makeManifest(staging, { files, tools, ...(server && { server }), ...(databases && { databases }) }),
  )
}

/** A drill that finds something is no measure of one that does not. */
async function drill(context: BenchContext): Promise<void> {
  const done = await runAction(drillAction as Action, { backups: ['bench'] }, context)
  const bad = done.kind === 'report' ? done.report.findings.find(({ severity }) => severity !== 'ok') : undefined
  if (done.kind !== 'report' || bad)
    throw new Error(`the drill failed: ${bad?.title ?? done.kind}: ${bad?.evidence ?? ''}`)
}

async function restore(context: BenchContext, to: string): Promise<void> {
  await runAction(restoreDatabaseAction as Action, { backup: 'bench', to }, context)
}

if (process.argv[1] === import.meta.filename) printRows(await bench())

/**
 * What a database backup costs beside the plain tools, in the same run and on the same data:
 * `node_modules/.bin/node test/bench/backup-database.ts`. Two minutes at the half size that is the default;
 * `BENCH_SHARE=1` is 460 MB of SQL and 340 MB of PostgreSQL archive.
 * Needs root, mariadb-server, postgresql, zstd, restic, borgbackup.
 */
import { mkdir, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { backUpDatabase } from '../../scripts/lib/backup/database/index.ts'
import type { DatabaseSource } from '../../scripts/lib/config/types.ts'
import { systemClock } from '../../scripts/lib/core/clock.ts'
import { Secret } from '../../scripts/lib/core/secret.ts'
import { openLocalHost } from '../../scripts/lib/host/local.ts'
import { MARIADB_ROOT_PASSWORD, startMariaDb } from '../support/mariadb.ts'
import { POSTGRES_PASSWORD, startPostgres } from '../support/postgres.ts'
import { makeTempDir } from '../support/temp.ts'
import { mariadbData, postgresData } from './databases.ts'
import { memoryRow, race, ratioRow, shell } from './measure.ts'
import { printRows } from './print.ts'
import type { BenchRow } from './types.ts'

const SHARE = Number(process.env['BENCH_SHARE'] ?? 0.5)

export async function bench(): Promise<BenchRow[]> {
  const dir = await makeTempDir('bench')
  try {
    return [...(await benchMariaDb(dir.path)), ...(await benchPostgres(dir.path))]
  } finally {
    await dir.remove()
  }
}

async function benchMariaDb(dir: string): Promise<BenchRow[]> {
  const server = await startMariaDb({ settings: ['innodb-buffer-pool-size=512M', 'skip-log-bin'] })
  try {
    await server.sql('CREATE DATABASE warm', ...mariadbData(SHARE))
    const options = '--single-transaction --quick --routines --triggers --events --hex-blob'
    const dump = `mariadb-dump --no-defaults -S ${server.socket} -u root ${options} bench`
    const env = {
      ...{ MYSQL_PWD: MARIADB_ROOT_PASSWORD, RESTIC_PASSWORD: 'bench', RESTIC_CACHE_DIR: `${dir}/cache` },
      ...{ BORG_BASE_DIR: `${dir}/borg-home`, BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK: 'yes' },
    }
    await shell(`restic -q -r ${dir}/restic init; borg init -e none ${dir}/borg`, env)
    const source = (more: object) => ({ type: 'mariadb' as const, socket: server.socket, user: 'root', ...more })
    const ours = (more: Partial<DatabaseSource>) => () => backUp(dir, MARIADB_ROOT_PASSWORD, source(more))
    await ours({ databases: ['warm'] })()
    const times = await race([
      { name: 'plain', run: () => shell(`${dump} | zstd -q -T0 -3 > ${dir}/plain.zst`, env) },
      { name: 'counted', run: ours({ row_counts: true }) },
      { name: 'uncounted', run: ours({ row_counts: false }) },
      { name: 'seed', run: () => shell(`${dump} > ${dir}/seed.sql; gzip -f ${dir}/seed.sql`, env), once: true },
      { name: 'restic', run: () => shell(`${dump} | restic -q -r ${dir}/restic backup --stdin`, env), once: true },
      { name: 'borg', run: () => shell(`${dump} | borg create ${dir}/borg::a -`, env), once: true },
    ])
    const size = `${Math.round((await stat(join(dir, 'plain.zst'))).size / 1e6)} MB`
    const plain = { peer: 'plain', peerName: 'mariadb-dump | zstd' }
    const against = (peer: string, peerName: string, target: number) =>
      ratioRow('the same', times, { ours: 'counted', peer, peerName, target })
    const call = `backUp(${[`${dir}`, MARIADB_ROOT_PASSWORD, source({})].map((one) => JSON.stringify(one)).join(', ')})`
    return [
      ratioRow(`MariaDB to ${size}, with row counts`, times, { ours: 'counted', ...plain, target: 1.25 }),
      ratioRow('MariaDB, without', times, { ours: 'uncounted', ...plain, target: 1.15 }),
      against('seed', 'dump > f; gzip f', 0.22),
      against('restic', 'restic --stdin', 1),
      against('borg', 'borg create -', 1),
      await memoryRow('MariaDB', import.meta.url, call),
    ]
  } finally {
    await server.stop()
  }
}

async function benchPostgres(dir: string): Promise<BenchRow[]> {
  const server = await startPostgres({ settings: ['shared_buffers = 256MB', 'max_wal_size = 4GB'] })
  try {
    await server.sql(...postgresData(SHARE))
    const dump = `pg_dump -h ${server.socket} -p ${server.port} -U postgres`
    const source = { type: 'postgresql' as const, host: '127.0.0.1', port: server.port, user: 'postgres' }
    const ours = (more: Partial<DatabaseSource>) => () =>
      backUp(dir, POSTGRES_PASSWORD, { ...source, databases: ['postgres'], ...more })
    await ours({ row_counts: false })()
    const times = await race([
      { name: 'plain', run: () => shell(`${dump} -Fc -Z0 postgres | zstd -q -T0 -3 > ${dir}/plain.zst`) },
      { name: 'counted', run: ours({ row_counts: true }) },
      { name: 'uncounted', run: ours({ row_counts: false }) },
      {
        name: 'parallel',
        run: () => shell(`${dump} -Fd -j2 -f ${dir}/parallel postgres; rm -r ${dir}/parallel`),
        once: true,
      },
    ])
    const plain = { peer: 'plain', peerName: 'pg_dump -Fc -Z0 | zstd' }
    const parallel = { peer: 'parallel', peerName: 'pg_dump -Fd -j2' }
    return [
      ratioRow('PostgreSQL, with row counts', times, { ours: 'counted', ...plain, target: 1.25 }),
      ratioRow('PostgreSQL, without', times, { ours: 'uncounted', ...plain, target: 1.15 }),
      ratioRow('the same, with row counts', times, { ours: 'counted', ...parallel, target: 1 }),
    ]
  } finally {
    await server.stop()
  }
}

/** One backup as a run makes it, without repository, journal and hooks. */
export async function backUp(
  dir: string,
  password: string,
  source: Partial<DatabaseSource> & Pick<DatabaseSource, 'type'>,
): Promise<void> {
  const staging = join(dir, 'staging')
  await mkdir(staging, { mode: 0o700 })
  await backUpDatabase({
    name: 'bench',
    source: {
      ...{ databases: ['bench'], users: false, row_counts: true, fingerprints: false, checks: [], tls: 'off' },
      ...{ hooks: { before: [], after: [] }, timeout: 600_000, password: { env: 'PASSWORD' } },
      ...source,
    },
    host: openLocalHost(),
    resolveSecret: async () => new Secret(password, 'env:PASSWORD'),
    staging: { path: staging },
    settings: { compression: { level: 3, threads: 0 } },
    signal: new AbortController().signal,
    clock: systemClock,
  })
  await rm(staging, { recursive: true })
}

if (process.argv[1] === import.meta.filename) printRows(await bench())

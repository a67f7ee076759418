/**
 * What a database backup costs beside the plain tools, in the same run and on the same data:
 * `node_modules/.bin/node test/bench/backup-database.ts`. Wall clock; each round runs every contender once, and the ratio is
 * the median of the rounds' ratios. Needs root, mariadb-server, postgresql, zstd. About three minutes.
 */
import { execFile } from 'node:child_process'
import { mkdir, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { backUpDatabase } from '../../scripts/lib/backup/database/index.ts'
import type { DatabaseSource } from '../../scripts/lib/config/types.ts'
import { systemClock } from '../../scripts/lib/core/clock.ts'
import { Secret } from '../../scripts/lib/core/secret.ts'
import { openLocalHost } from '../../scripts/lib/host/local.ts'
import { MARIADB_ROOT_PASSWORD, startMariaDb } from '../support/mariadb.ts'
import { POSTGRES_PASSWORD, startPostgres } from '../support/postgres.ts'
import { makeTempDir } from '../support/temp.ts'
import { printRows } from './print.ts'
import { median, type BenchRow } from './types.ts'

const execute = promisify(execFile)
const ROUNDS = 3
const MOST_MIB = 150

type Contender = readonly [name: string, run: () => Promise<void>]

export async function bench(): Promise<BenchRow[]> {
  const dir = await makeTempDir('bench')
  try {
    return [...(await benchMariaDb(dir.path)), ...(await benchPostgres(dir.path)), memory()]
  } finally {
    await dir.remove()
  }
}

async function benchMariaDb(dir: string): Promise<BenchRow[]> {
  const server = await startMariaDb({ settings: ['innodb-buffer-pool-size=512M', 'skip-log-bin'] })
  try {
    await server.sql(...MARIADB_DATA)
    const options = '--single-transaction --quick --routines --triggers --events --hex-blob'
    const dump = `mariadb-dump --no-defaults -S ${server.socket} -u root ${options} bench`
    const env = { MYSQL_PWD: MARIADB_ROOT_PASSWORD }
    const source = { type: 'mariadb' as const, socket: server.socket, user: 'root' }
    const ours = (more: Partial<DatabaseSource>) => () => backUp(dir, MARIADB_ROOT_PASSWORD, { ...source, ...more })
    await ours({ databases: ['warm'] })()
    const times = await race([
      ['plain', () => shell(`${dump} | zstd -q -T0 -3 > ${dir}/plain.zst`, env)],
      ['counted', ours({ row_counts: true })],
      ['uncounted', ours({ row_counts: false })],
    ])
    const seed = await timed(() => shell(`${dump} > ${dir}/seed.sql; gzip -f ${dir}/seed.sql`, env))
    times.set('seed', Array<number>(ROUNDS).fill(seed))
    await rm(join(dir, 'seed.sql.gz'), { force: true })
    const size = `${Math.round((await stat(join(dir, 'plain.zst'))).size / 1e6)} MB`
    const peerName = 'mariadb-dump | zstd'
    return [
      row(`MariaDB to ${size}, with row counts`, times, { ours: 'counted', peer: 'plain', peerName, target: 1.25 }),
      row('MariaDB, without', times, { ours: 'uncounted', peer: 'plain', peerName, target: 1.15 }),
      row('MariaDB, against dump then gzip', times, {
        ours: 'counted',
        peer: 'seed',
        peerName: 'dump; gzip',
        target: 0.22,
      }),
    ]
  } finally {
    await server.stop()
  }
}

async function benchPostgres(dir: string): Promise<BenchRow[]> {
  const server = await startPostgres({ settings: ['shared_buffers = 256MB', 'max_wal_size = 4GB'] })
  try {
    await server.sql(...POSTGRES_DATA)
    const dump = `pg_dump -h ${server.socket} -p ${server.port} -U postgres`
    const source = { type: 'postgresql' as const, host: '127.0.0.1', port: server.port, user: 'postgres' }
    const ours = (more: Partial<DatabaseSource>) => () =>
      backUp(dir, POSTGRES_PASSWORD, { ...source, databases: ['postgres'], ...more })
    await ours({ row_counts: false })()
    const times = await race([
      ['plain', () => shell(`${dump} -Fc -Z0 postgres | zstd -q -T0 -3 > ${dir}/plain.zst`)],
      ['counted', ours({ row_counts: true })],
      ['uncounted', ours({ row_counts: false })],
    ])
    const parallel = await timed(() => shell(`${dump} -Fd -j2 -f ${dir}/parallel postgres; rm -r ${dir}/parallel`))
    times.set('parallel', Array<number>(ROUNDS).fill(parallel))
    const peer = { peer: 'plain', peerName: 'pg_dump -Fc -Z0 | zstd' }
    return [
      row('PostgreSQL, with row counts', times, { ours: 'counted', ...peer, target: 1.25 }),
      row('PostgreSQL, without', times, { ours: 'uncounted', ...peer, target: 1.15 }),
      row('PostgreSQL, against -Fd -j2', times, {
        ours: 'counted',
        peer: 'parallel',
        peerName: 'pg_dump -Fd -j2',
        target: 1,
      }),
    ]
  } finally {
    await server.stop()
  }
}

function memory(): BenchRow {
  const mib = process.resourceUsage().maxRSS / 1024
  return { name: 'memory of this process, at most', ours: mib, unit: 'MiB', target: MOST_MIB, met: mib <= MOST_MIB }
}

async function race(contenders: readonly Contender[]): Promise<Map<string, number[]>> {
  const times = new Map<string, number[]>()
  for (let round = 0; round < ROUNDS; round += 1) {
    for (const [name, run] of contenders) times.set(name, [...(times.get(name) ?? []), await timed(run)])
  }
  return times
}

async function timed(run: () => Promise<void>): Promise<number> {
  const startedAt = performance.now()
  await run()
  return (performance.now() - startedAt) / 1_000
}

interface Pair {
  readonly ours: string
  readonly peer: string
  readonly peerName: string
  /** Most that the ratio may be. */
  readonly target: number
}

function row(name: string, times: ReadonlyMap<string, readonly number[]>, pair: Pair): BenchRow {
  const [ours, peer] = [times.get(pair.ours) ?? [], times.get(pair.peer) ?? []]
  const ratio = median(ours.map((time, round) => time / (peer[round] ?? Number.NaN)))
  return {
    ...{ name, ours: median(ours), peer: median(peer), peerName: pair.peerName, unit: 's' },
    ...{ ratio, target: pair.target, met: ratio <= pair.target },
  }
}

async function shell(line: string, env: NodeJS.ProcessEnv = {}): Promise<void> {
  await execute('bash', ['-o', 'pipefail', '-c', line], { env: { ...process.env, ...env } })
}

async function backUp(
  dir: string,
  password: string,
  source: Partial<DatabaseSource> & Pick<DatabaseSource, 'type'>,
): Promise<void> {
  const staging = join(dir, 'staging')
  await mkdir(staging, { mode: 0o700 })
  await backUpDatabase({
    name: 'bench',
    source: {
      ...{ databases: ['bench'], users: false, row_counts: true, fingerprints: false, checks: [] },
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

const WORDS = 'the quick brown fox jumps over the lazy dog while servers hum in the cold aisle of the data centre '

/** 470 MB as SQL: text, JSON, hashes, blobs, generated columns, a foreign key. */
export const MARIADB_DATA = [
  'SET SESSION group_concat_max_len = 1000000',
  'CREATE DATABASE warm',
  'CREATE DATABASE bench CHARACTER SET utf8mb4',
  'USE bench',
  `CREATE TABLE bench.people (id int PRIMARY KEY, name varchar(100), mail varchar(120), hash char(64), KEY (name)) ENGINE=InnoDB`,
  `INSERT INTO bench.people SELECT seq, CONCAT('Ünïcödé ', seq), CONCAT(MD5(seq), '@example.com'), SHA2(seq, 256) FROM seq_1_to_300000`,
  `CREATE TABLE bench.orders (id int PRIMARY KEY, person int, code char(32), note varchar(400), amount decimal(10,2), at datetime,
     doc longtext, half decimal(10,2) AS (amount / 2) STORED, twice decimal(12,2) AS (amount * 2) VIRTUAL, KEY (code), KEY (at),
     FOREIGN KEY (person) REFERENCES bench.people (id)) ENGINE=InnoDB`,
  `INSERT INTO bench.orders (id, person, code, note, amount, at, doc) SELECT seq, 1 + seq % 300000, MD5(seq),
     CONCAT(SUBSTR('${WORDS}', 1 + seq % 40, 50), MD5(seq + 1)), seq % 9999, '2026-01-01' + INTERVAL seq SECOND,
     CONCAT('{"sku":"', SHA1(seq), '","tags":["', MD5(seq + 2), '","', SHA2(seq, 512), '"],"text":"', SUBSTR('${WORDS}', 1 + seq % 60, 40), '"}')
     FROM seq_1_to_800000`,
  `CREATE TABLE bench.files (id int PRIMARY KEY, body longblob) ENGINE=InnoDB`,
  `INSERT INTO bench.files SELECT a.seq, (SELECT GROUP_CONCAT(UNHEX(SHA2(CONCAT(a.seq, '-', b.seq), 512)) SEPARATOR '')
     FROM seq_1_to_1000 b) FROM seq_1_to_300 a`,
]

export const POSTGRES_DATA = [
  'CREATE TABLE people (id int PRIMARY KEY, name text, mail text, hash text)',
  `INSERT INTO people SELECT i, 'Ünïcödé ' || i, md5(i::text) || '@example.com', sha256(i::text::bytea)::text FROM generate_series(1, 300000) i`,
  'CREATE TABLE orders (id int PRIMARY KEY, person int REFERENCES people, code text, note text, amount numeric, at timestamptz, doc jsonb)',
  `INSERT INTO orders SELECT i, 1 + i % 300000, md5(i::text), substr('${WORDS}', 1 + i % 40, 50) || md5((i + 1)::text), i % 9999,
     '2026-01-01'::timestamptz + i * interval '1 second',
     jsonb_build_object('sku', md5((i + 2)::text), 'tags', sha512(i::text::bytea)::text) FROM generate_series(1, 800000) i`,
  'CREATE TABLE files (id int PRIMARY KEY, body bytea)',
  `INSERT INTO files SELECT i, (SELECT string_agg(sha512((i || '-' || j)::bytea), ''::bytea) FROM generate_series(1, 1000) j)
     FROM generate_series(1, 300) i`,
]

if (process.argv[1] === import.meta.filename) printRows(await bench())

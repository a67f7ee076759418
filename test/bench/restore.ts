/**
 * What a restore and a drill cost beside the plain tools, in the same run and on the same data:
 * `node_modules/.bin/node test/bench/restore.ts`. Wall clock; each round runs every contender once, and the ratio is the
 * median of the rounds' ratios. Ours is the whole restore: checksums, load, comparison with the manifest, swap.
 * Needs root, mariadb-server, postgresql, zstd, mydumper. About five minutes.
 */
import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'
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
import { MARIADB_DATA, POSTGRES_DATA } from './backup-database.ts'
import { printRows } from './print.ts'
import { median, type BenchRow } from './types.ts'

const execute = promisify(execFile)
const ROUNDS = 2
const MOST_MIB = 150
/** A private server has to be made first. */
const DRILL_MORE_SECONDS = 6

export async function bench(): Promise<BenchRow[]> {
  const dir = await makeTempDir('bench')
  try {
    return [...(await benchMariaDb(dir.path)), ...(await benchPostgres(dir.path)), memory()]
  } finally {
    await dir.remove()
  }
}

async function benchMariaDb(dir: string): Promise<BenchRow[]> {
  const server = await startMariaDb({ settings: ['innodb-buffer-pool-size=256M', 'innodb-flush-log-at-trx-commit=1'] })
  const source = {
    type: 'mariadb',
    socket: server.socket,
    user: 'root',
    password: { env: MARIADB_ROOT_PASSWORD },
    databases: ['bench'],
  }
  await using context = await openContext(join(dir, 'mariadb'), source)
  try {
    await server.sql(...MARIADB_DATA)
    await backUp(context)
    const login = `--no-defaults -S ${server.socket} -u root`
    const env = { MYSQL_PWD: MARIADB_ROOT_PASSWORD }
    await shell(`mariadb-dump ${login} --routines --triggers bench | gzip -1 > ${dir}/seed.sql.gz`, env)
    const chunks = `-S ${server.socket} -u root -p ${MARIADB_ROOT_PASSWORD}`
    await shell(`mydumper ${chunks} -B bench -t 2 -r 60000 -o ${dir}/chunks`)
    const fresh = async (name: string) =>
      void (await server.sql(`DROP DATABASE IF EXISTS ${name}`, `CREATE DATABASE ${name}`))
    const seconds = await race([
      ['ours', () => restore(context, 'copy'), () => server.sql('DROP DATABASE IF EXISTS copy')],
      [
        'seed',
        () =>
          shell(
            `gunzip -c ${dir}/seed.sql.gz > ${dir}/t.sql; mariadb ${login} seed < ${dir}/t.sql; rm ${dir}/t.sql`,
            env,
          ),
        () => fresh('seed'),
      ],
      ['myloader', () => shell(`myloader ${chunks} -t 2 -o -B chunked -d ${dir}/chunks`), () => fresh('chunked')],
    ])
    const drill = await timed(() => runAction(drillAction as Action, { backups: ['bench'] }, context))
    return [
      row('MariaDB restore, against gunzip then mysql', seconds, {
        peer: 'seed',
        peerName: 'gunzip > f; mysql < f',
        target: 0.6,
      }),
      row('MariaDB restore, against chunks', seconds, {
        peer: 'myloader',
        peerName: 'myloader -t2, 60,000 rows a chunk',
        target: 1.2,
      }),
      drillRow('MariaDB drill', drill, seconds),
    ]
  } finally {
    await server.stop()
  }
}

async function benchPostgres(dir: string): Promise<BenchRow[]> {
  const server = await startPostgres({ settings: ['shared_buffers = 256MB', 'max_wal_size = 4GB'] })
  const source = {
    type: 'postgresql',
    socket: server.socket,
    port: server.port,
    user: 'postgres',
    databases: ['postgres'],
  }
  await using context = await openContext(join(dir, 'postgres'), source)
  try {
    await server.sql(...POSTGRES_DATA)
    await backUp(context)
    const login = `-h ${server.socket} -p ${server.port} -U postgres`
    await shell(
      `pg_dump ${login} -Fc -Z0 postgres | zstd -q -T0 -3 > ${dir}/c.zst; pg_dump ${login} -Fd -j2 -Z0 -f ${dir}/d postgres`,
    )
    const fresh = (name: string) => () =>
      server.sql(`DROP DATABASE IF EXISTS ${name}`, `CREATE DATABASE ${name} TEMPLATE template0`)
    const seconds = await race([
      ['ours', () => restore(context, 'copy'), () => server.sql('DROP DATABASE IF EXISTS copy')],
      ['stream', () => shell(`zstd -dc ${dir}/c.zst | pg_restore ${login} -d stream`), fresh('stream')],
      ['directory', () => shell(`pg_restore ${login} -j2 -d directory ${dir}/d`), fresh('directory')],
    ])
    const drill = await timed(() => runAction(drillAction as Action, { backups: ['bench'] }, context))
    const better = median(seconds.get('stream') ?? []) < median(seconds.get('directory') ?? []) ? 'stream' : 'directory'
    const peerName = `the better of -Fc and -Fd -j2: ${better}`
    return [
      row('PostgreSQL restore', seconds, { peer: better, peerName, target: 1.1 }),
      drillRow('PostgreSQL drill', drill, seconds),
    ]
  } finally {
    await server.stop()
  }
}

function memory(): BenchRow {
  const mib = process.resourceUsage().maxRSS / 1024
  return { name: 'memory of this process, at most', ours: mib, unit: 'MiB', target: MOST_MIB, met: mib <= MOST_MIB }
}

type Contender = readonly [name: string, run: () => Promise<unknown>, prepare: () => Promise<unknown>]

async function race(contenders: readonly Contender[]): Promise<Map<string, number[]>> {
  const seconds = new Map<string, number[]>()
  for (let round = 0; round < ROUNDS; round += 1) {
    for (const [name, run, prepare] of contenders) {
      await prepare()
      seconds.set(name, [...(seconds.get(name) ?? []), await timed(run)])
    }
  }
  return seconds
}

async function timed(run: () => Promise<unknown>): Promise<number> {
  const startedAt = performance.now()
  await run()
  return (performance.now() - startedAt) / 1_000
}

interface Pair {
  readonly peer: string
  readonly peerName: string
  /** Most that the ratio may be. */
  readonly target: number
}

function row(
  name: string,
  seconds: ReadonlyMap<string, readonly number[]>,
  { peer: other, peerName, target }: Pair,
): BenchRow {
  const [ours, peer] = [seconds.get('ours') ?? [], seconds.get(other) ?? []]
  const ratio = median(ours.map((time, round) => time / (peer[round] ?? Number.NaN)))
  return {
    ...{ name, ours: median(ours), peer: median(peer), peerName, unit: 's' },
    ...{ ratio, target, met: ratio <= target },
  }
}

function drillRow(name: string, seconds: number, of: ReadonlyMap<string, readonly number[]>): BenchRow {
  const target = median(of.get('ours') ?? []) + DRILL_MORE_SECONDS
  return {
    name: `${name}, at most the restore and ${DRILL_MORE_SECONDS} s`,
    ours: seconds,
    unit: 's',
    target,
    met: seconds <= target,
  }
}

async function shell(line: string, env: NodeJS.ProcessEnv = {}): Promise<void> {
  await execute('bash', ['-o', 'pipefail', '-c', line], { env: { ...process.env, ...env }, maxBuffer: 64 * 1024 ** 2 })
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

async function restore(context: BenchContext, to: string): Promise<void> {
  await runAction(restoreDatabaseAction as Action, { backup: 'bench', to }, context)
}

if (process.argv[1] === import.meta.filename) printRows(await bench())

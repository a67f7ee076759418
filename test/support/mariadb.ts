/**
 * Private MariaDB servers in temp directories: alone, or a primary with a standby that follows it by GTID.
 * Needs the package mariadb-server and, as root, its user mysql. Durability is off: a test loses nothing by a crash.
 */
import { execFile } from 'node:child_process'
import { chown, mkdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { createConnection, type RowDataPacket } from 'mysql2/promise'
import { freePort } from './ports.ts'
import { startServer, type ServerProcess } from './server.ts'
import { makeTempDir } from './temp.ts'

const execute = promisify(execFile)

export interface MariaDb {
  readonly port: number
  readonly socket: string
  readonly process: ServerProcess
  /** Runs statements as root, one after another, and gives the rows of the last. */
  sql(...statements: readonly string[]): Promise<RowDataPacket[]>
  stop(): Promise<void>
}

export interface MariaDbOptions {
  readonly serverId?: number
  /** Lines of the `[mariadbd]` section: `max-connections=5`. */
  readonly settings?: readonly string[]
}

/** The password of `root`, over the socket and over TCP. */
export const MARIADB_ROOT_PASSWORD = 'root-secret'

export async function startMariaDb(options: MariaDbOptions = {}): Promise<MariaDb> {
  const dir = await makeTempDir('mariadb')
  try {
    return await startIn(dir, options)
  } catch (error) {
    await dir.remove()
    throw error
  }
}

type TempDir = Awaited<ReturnType<typeof makeTempDir>>

async function startIn(dir: TempDir, { serverId = 1, settings = [] }: MariaDbOptions): Promise<MariaDb> {
  const user = await ownerOf('mysql')
  // Its own: servers that are set up at the same time take each other's temporary tables away.
  const tmpdir = join(dir.path, 'tmp')
  await mkdir(tmpdir)
  if (user) for (const path of [dir.path, tmpdir]) await chown(path, user.uid, user.gid)
  const [datadir, socket, port] = [join(dir.path, 'data'), join(dir.path, 's'), await freePort()]
  const asUser = user ? ['--user=mysql'] : []
  await execute(
    'mariadb-install-db',
    ['--no-defaults', `--datadir=${datadir}`, ...asUser, '--auth-root-authentication-method=normal', '--skip-test-db'],
    { timeout: 60_000, env: { ...process.env, TMPDIR: tmpdir } },
  )
  const argv: readonly [string, ...string[]] = [
    'mariadbd',
    '--no-defaults',
    ...asUser,
    `--datadir=${datadir}`,
    `--socket=${socket}`,
    `--tmpdir=${tmpdir}`,
    `--pid-file=${join(dir.path, 'pid')}`,
    '--bind-address=127.0.0.1',
    `--port=${port}`,
    `--server-id=${serverId}`,
    '--log-bin=binlog',
    '--gtid-strict-mode=ON',
    '--skip-name-resolve',
    '--innodb-flush-log-at-trx-commit=0',
    '--innodb-buffer-pool-size=16M',
    '--innodb-fast-shutdown=2',
    ...settings.map((line) => `--${line}`),
  ]
  const server = await startServer({
    argv,
    timeoutMs: 60_000,
    ready: async () => {
      const connection = await createConnection({ socketPath: socket, user: 'root' })
      await connection.query(`ALTER USER root@localhost IDENTIFIED BY '${MARIADB_ROOT_PASSWORD}'`)
      await connection.end()
      return true
    },
  })
  return {
    port,
    socket,
    process: server,
    async sql(...statements) {
      const connection = await createConnection({ socketPath: socket, user: 'root', password: MARIADB_ROOT_PASSWORD })
      try {
        let rows: RowDataPacket[] = []
        for (const statement of statements) [rows] = await connection.query<RowDataPacket[]>(statement)
        return rows
      } finally {
        await connection.end()
      }
    },
    async stop() {
      server.kill('SIGCONT')
      await server.stop(10_000)
      await dir.remove()
    },
  }
}

/** Makes `standby` follow `primary` by GTID. The standby is set read-only. */
export async function followMariaDb(standby: MariaDb, primary: MariaDb): Promise<void> {
  await primary.sql(
    "CREATE USER IF NOT EXISTS 'repl'@'127.0.0.1' IDENTIFIED BY 'repl-secret'",
    "GRANT REPLICATION SLAVE ON *.* TO 'repl'@'127.0.0.1'",
  )
  const [position] = await primary.sql('SELECT @@gtid_binlog_pos AS pos')
  await standby.sql(
    `SET GLOBAL gtid_slave_pos = '${String(position?.['pos'])}'`,
    `CHANGE MASTER TO MASTER_HOST='127.0.0.1', MASTER_PORT=${primary.port}, MASTER_USER='repl',
     MASTER_PASSWORD='repl-secret', MASTER_USE_GTID=slave_pos, MASTER_CONNECT_RETRY=1`,
    'SET GLOBAL read_only = ON',
    'START SLAVE',
  )
}

/** The user that a server wants to run as, when we are root. */
export async function ownerOf(name: string): Promise<{ uid: number; gid: number } | undefined> {
  if (process.getuid?.() !== 0) return undefined
  const line = (await readFile('/etc/passwd', 'utf8')).split('\n').find((one) => one.startsWith(`${name}:`))
  const [, , uid, gid] = line?.split(':') ?? []
  if (uid === undefined || gid === undefined) throw new Error(`there is no user ${name}: is its server installed?`)
  return { uid: Number(uid), gid: Number(gid) }
}

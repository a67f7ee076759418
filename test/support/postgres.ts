/**
 * Private PostgreSQL servers in temp directories: alone, or a primary with a streaming standby made by pg_basebackup.
 * Needs the package postgresql and, as root, its user postgres (the server refuses to run as root). fsync is off.
 */
import { execFile } from 'node:child_process'
import { appendFile, chown, mkdir, readdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import pg from 'pg'
import { ownerOf } from './mariadb.ts'
import { freePort } from './ports.ts'
import { startServer, type ServerProcess } from './server.ts'
import { makeTempDir } from './temp.ts'

const execute = promisify(execFile)

export interface Postgres {
  readonly port: number
  /** Directory of the Unix socket. */
  readonly socket: string
  readonly process: ServerProcess
  /** Runs statements as the superuser, one after another, and gives the rows of the last. */
  sql(...statements: readonly string[]): Promise<Record<string, unknown>[]>
  stop(): Promise<void>
}

export interface PostgresOptions {
  /** Lines of postgresql.conf: `max_connections = 8`. */
  readonly settings?: readonly string[]
  /** Start as a streaming standby of this server, through a slot of this name. */
  readonly follow?: { readonly primary: Postgres; readonly slot: string }
}

/** The superuser's password; TCP logins need it (scram-sha-256), the socket trusts everyone. */
export const POSTGRES_PASSWORD = 'super-secret'

export async function startPostgres(options: PostgresOptions = {}): Promise<Postgres> {
  const dir = await makeTempDir('postgres')
  try {
    return await startIn(dir, options)
  } catch (error) {
    await dir.remove()
    throw error
  }
}

type TempDir = Awaited<ReturnType<typeof makeTempDir>>

async function startIn(dir: TempDir, { settings = [], follow }: PostgresOptions): Promise<Postgres> {
  const bin = await binDirectory()
  const owner = await ownerOf('postgres')
  const as = owner ?? {}
  const [data, port] = [join(dir.path, 'data'), await freePort()]
  await mkdir(data, { mode: 0o700 })
  if (owner) for (const path of [dir.path, data]) await chown(path, owner.uid, owner.gid)
  const run = (program: string, args: readonly string[]) =>
    execute(join(bin, program), [...args], { ...as, cwd: dir.path, timeout: 60_000 })
  if (follow) {
    const source = `host=${follow.primary.socket} port=${follow.primary.port} user=postgres`
    await run('pg_basebackup', ['-D', data, '-d', source, '-R', '-C', '-S', follow.slot, '-c', 'fast', '-X', 'stream'])
  } else {
    await run('initdb', [
      '-D',
      data,
      '-U',
      'postgres',
      '-N',
      '-A',
      'scram-sha-256',
      '--auth-local=trust',
      '--pwfile',
      await passwordFile(dir.path),
    ])
  }
  const own = [
    `port = ${port}`,
    `unix_socket_directories = '${dir.path}'`,
    "listen_addresses = '127.0.0.1'",
    'fsync = off',
    'shared_buffers = 16MB',
    ...settings,
  ]
  await appendFile(join(data, 'postgresql.conf'), `\n${own.join('\n')}\n`)
  const server = await startServer({
    argv: [join(bin, 'postgres'), '-D', data],
    ...as,
    timeoutMs: 60_000,
    ready: async () => (await query(dir.path, port, ['SELECT 1'])).length === 1,
  })
  return {
    port,
    socket: dir.path,
    process: server,
    sql: (...statements) => query(dir.path, port, statements),
    async stop() {
      server.kill('SIGCONT')
      // SIGINT is PostgreSQL's fast shutdown: it does not wait for sessions as SIGTERM does.
      server.kill('SIGINT')
      await server.stop(10_000)
      await dir.remove()
    },
  }
}

async function query(host: string, port: number, statements: readonly string[]): Promise<Record<string, unknown>[]> {
  const client = new pg.Client({ host, port, user: 'postgres', database: 'postgres' })
  await client.connect()
  try {
    let rows: Record<string, unknown>[] = []
    for (const statement of statements) rows = (await client.query<Record<string, unknown>>(statement)).rows
    return rows
  } finally {
    await client.end()
  }
}

async function passwordFile(dir: string): Promise<string> {
  const path = join(dir, 'pw')
  await writeFile(path, `${POSTGRES_PASSWORD}\n`, { mode: 0o644 })
  return path
}

/** The newest installed server's programs: /usr/lib/postgresql/15/bin on Debian 12. */
async function binDirectory(): Promise<string> {
  const versions = (await readdir('/usr/lib/postgresql')).map(Number).sort((a, b) => b - a)
  return `/usr/lib/postgresql/${versions[0]}/bin`
}

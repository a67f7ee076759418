/** How a private server of each family is made: no network, no durability, nothing of the machine's own settings. */
import { execFile } from 'node:child_process'
import { glob, mkdir, chown, writeFile } from 'node:fs/promises'
import { connect } from 'node:net'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { messageOf, OpsError, systemCode } from '../../core/errors.ts'
import { parseToolVersion } from '../pipeline/tools.ts'
import { compareSeries } from '../restore/versions.ts'
import type { Manifest } from '../types.ts'
import { makeInstanceDirectory, readOwner, startGuarded, SUPERUSER, type Instance } from './instance.ts'

const execute = promisify(execFile)
const SETUP_MS = 120_000

/**
 * @param server what the backup was taken of; the private one is not older
 * @throws OpsError MISSING_TOOL with the package, FAILED with the server's own words
 */
export function startInstance(server: NonNullable<Manifest['server']>, signal: AbortSignal): Promise<Instance> {
  switch (server.family) {
    case 'mariadb':
    case 'mysql':
      return startMysql(server, signal)
    case 'postgresql':
      return startPostgres(server, signal)
    case 'sqlite':
      throw new OpsError('FAILED', 'SQLite has no server')
  }
}

async function startMysql(server: NonNullable<Manifest['server']>, signal: AbortSignal): Promise<Instance> {
  const isMariaDb = server.family === 'mariadb'
  const [program, debianPackage] = isMariaDb ? ['mariadbd', 'mariadb-server'] : ['mysqld', 'mysql-server']
  const version = await readVersion(program, ['--no-defaults', '--version'], debianPackage)
  refuseOlder(server, version, 2, debianPackage)
  const owner = await readOwner('mysql', debianPackage)
  const directory = await makeInstanceDirectory(owner)
  const [data, socket] = [join(directory, 'data'), join(directory, 's')]
  // `mysql_install_db` changes to the user itself; the server is started as that user already.
  const asUser = owner ? ['--user=mysql'] : []
  const setup = isMariaDb
    ? [
        'mariadb-install-db',
        '--no-defaults',
        `--datadir=${data}`,
        ...asUser,
        '--auth-root-authentication-method=normal',
        '--skip-test-db',
        '--skip-name-resolve',
      ]
    : ['mysqld', '--no-defaults', '--initialize-insecure', `--datadir=${data}`, ...asUser]
  await setUp(setup as [string, ...string[]], { signal })
  const argv = [
    program,
    '--no-defaults',
    `--datadir=${data}`,
    `--socket=${socket}`,
    `--pid-file=${join(directory, 'pid')}`,
    '--skip-networking',
    '--skip-log-bin',
    '--event-scheduler=OFF',
    '--max-allowed-packet=1G',
    '--innodb-buffer-pool-size=256M',
    '--innodb-log-file-size=512M',
    '--innodb-flush-log-at-trx-commit=0',
    '--innodb-doublewrite=0',
    '--skip-name-resolve',
  ] as const
  const stop = await startGuarded({
    directory,
    argv: [pathOf(program), ...argv.slice(1)],
    owner,
    signal,
    endSignal: 'KILL',
    isReady: () => answers(socket),
  })
  return { directory, version, settings: { socket, user: 'root' }, stop }
}

async function startPostgres(server: NonNullable<Manifest['server']>, signal: AbortSignal): Promise<Instance> {
  const { bin, version } = await findPostgres(server.version)
  const owner = await readOwner('postgres', 'postgresql')
  const directory = await makeInstanceDirectory(owner)
  const data = join(directory, 'data')
  await mkdir(data, { mode: 0o700 })
  if (owner) await chown(data, owner.uid, owner.gid)
  const setup = [
    join(bin, 'initdb'),
    '-D',
    data,
    '-U',
    SUPERUSER,
    '--no-sync',
    '--auth=trust',
    '--encoding=UTF8',
    '--locale=C.UTF-8',
  ] as const
  await setUp([...setup], { signal, cwd: directory, ...owner })
  const settings = {
    listen_addresses: "''",
    unix_socket_directories: `'${directory}'`,
    fsync: 'off',
    synchronous_commit: 'off',
    full_page_writes: 'off',
    wal_level: 'minimal',
    max_wal_senders: '0',
    max_wal_size: '4GB',
    autovacuum: 'off',
    shared_buffers: '256MB',
    maintenance_work_mem: '256MB',
    max_locks_per_transaction: '1024',
  }
  const lines = Object.entries(settings).map(([name, value]) => `${name} = ${value}`)
  await writeFile(join(data, 'postgresql.auto.conf'), `${lines.join('\n')}\n`, { mode: 0o600 })
  if (owner) await chown(join(data, 'postgresql.auto.conf'), owner.uid, owner.gid)
  const argv: [string, ...string[]] = [join(bin, 'postgres'), '-D', data]
  const socket = join(directory, '.s.PGSQL.5432')
  const isReady = async () => (await answers(socket)) && (await isUp(bin, directory))
  const stop = await startGuarded({ directory, argv, owner, signal, endSignal: 'QUIT', isReady })
  return { directory, version, settings: { socket: directory, port: 5432, user: SUPERUSER }, stop }
}

/** The same major version, or else the next newer one. */
async function findPostgres(wanted: string): Promise<{ bin: string; version: string }> {
  const found: { bin: string; version: string }[] = []
  for await (const path of glob('/usr/lib/postgresql/*/bin/postgres')) {
    found.push({ bin: path.slice(0, -'/postgres'.length), version: path.split('/')[4] ?? '' })
  }
  const able = found.filter(({ version }) => compareSeries(version, wanted, 1) >= 0)
  const [best] = able.sort((a, b) => Number(a.version) - Number(b.version))
  if (best) return best
  const major = Number.parseInt(wanted, 10)
  throw new OpsError('MISSING_TOOL', `there is no PostgreSQL ${major} on this machine to drill with`, {
    hint: `Install it: apt-get install postgresql-${major}`,
  })
}

async function isUp(bin: string, directory: string): Promise<boolean> {
  return execute(join(bin, 'pg_isready'), ['-q', '-h', directory, '-p', '5432']).then(
    () => true,
    () => false,
  )
}

async function readVersion(program: string, args: readonly string[], debianPackage: string): Promise<string> {
  try {
    return parseToolVersion((await execute(pathOf(program), [...args])).stdout)
  } catch (error) {
    if (systemCode(error) !== 'ENOENT') throw new OpsError('FAILED', messageOf(error))
    throw new OpsError('MISSING_TOOL', `${program} is not installed on this machine to drill with`, {
      hint: `Install it: apt-get install ${debianPackage} (the service need not run)`,
    })
  }
}

function refuseOlder(
  server: NonNullable<Manifest['server']>,
  own: string,
  numbers: number,
  debianPackage: string,
): void {
  if (compareSeries(server.version, own, numbers) <= 0) return
  throw new OpsError(
    'MISSING_TOOL',
    `the backup is of ${server.family} ${server.version}, and this machine has ${own} to drill with`,
    {
      hint: `Install ${debianPackage} ${server.version} or newer here, or drill in a container with --image, or on another server with --into SOURCE.`,
    },
  )
}

async function setUp(
  [program, ...args]: readonly [string, ...string[]],
  options: { readonly signal: AbortSignal; readonly cwd?: string; readonly uid?: number; readonly gid?: number },
): Promise<void> {
  try {
    await execute(program, args, { timeout: SETUP_MS, ...options })
  } catch (error) {
    options.signal.throwIfAborted()
    throw new OpsError('FAILED', `${program} could not make a private server: ${messageOf(error)}`, { cause: error })
  }
}

/** Administrators' programs are found although sbin is not in PATH. */
function pathOf(program: string): string {
  return program === 'mariadbd' || program === 'mysqld' ? `/usr/sbin/${program}` : program
}

function answers(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ path })
    const end = (up: boolean) => {
      socket.destroy()
      resolve(up)
    }
    socket.once('connect', () => end(true)).once('error', () => end(false))
  })
}

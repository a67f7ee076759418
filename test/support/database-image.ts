/**
 * Images of database servers, made of this machine's own programs, that behave as the official ones do: flags go to the
 * server, the environment says who may come in, the data are a volume, and on the first start the entry script sets up a
 * temporary server on the same socket before it becomes the server itself. Needs mariadb-server, postgresql, util-linux.
 */
import { execFile } from 'node:child_process'
import { chmod, mkdir, readdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { makeBusyboxRoot, type DockerEngine } from './docker.ts'
import { makeTempDir } from './temp.ts'

const execute = promisify(execFile)

export interface DatabaseImage {
  readonly name: string
  /** Lines of the entry script while the temporary server runs. */
  readonly setUp?: string
}

/** What both entry scripts begin with; `$server` and `$account` are set. */
const BEGINNING = `#!/bin/sh
set -e
case "$1" in -*) set -- "$server" "$@" ;; esac
if [ "$1" = "$server" ] && [ "$(id -u)" = 0 ]; then
  chown -R "$account" "$data" "$run"
  exec /usr/bin/setpriv --reuid="$account" --regid="$account" --clear-groups "$0" "$@"
fi
`

/** As mariadb-docker's docker-entrypoint.sh, in short. */
export async function makeMariaDbImage(engine: DockerEngine, { name, setUp = '' }: DatabaseImage): Promise<void> {
  const script = `${BEGINNING.replace('set -e', 'set -e; server=mariadbd account=mysql data=/var/lib/mysql run=/run/mysqld')}
if [ -z "$MARIADB_ALLOW_EMPTY_ROOT_PASSWORD" ]; then
  echo '[ERROR] [Entrypoint]: Database is uninitialized and password option is not specified' >&2
  exit 1
fi
socket=/run/mysqld/mysqld.sock
for each; do case "$each" in --socket=*) socket="\${each#--socket=}" ;; esac; done
mariadb-install-db --datadir="$data" --rpm --auth-root-authentication-method=normal --skip-test-db --skip-log-bin >/dev/null
echo '[Note] [Entrypoint]: Starting temporary server'
"$@" --skip-networking --socket="$socket" &
until mariadb --no-defaults -uroot -S "$socket" -e 'SELECT 1' >/dev/null 2>&1; do sleep 0.1; done
${setUp}
kill $!
wait $!
exec "$@"
`
  await importRoot(engine, name, {
    script,
    programs: ['/usr/sbin/mariadbd', '/usr/bin/mariadb', '/usr/bin/my_print_defaults', '/usr/bin/setpriv'],
    paths: ['/usr/bin/mariadb-install-db', '/usr/share/mysql'],
    account: 'mysql',
    directories: ['run/mysqld', 'var/lib/mysql'],
    changes: ['VOLUME /var/lib/mysql'],
  })
}

/** As docker-library/postgres's docker-entrypoint.sh, in short. */
export async function makePostgresImage(engine: DockerEngine, { name, setUp = '' }: DatabaseImage): Promise<void> {
  const [version = ''] = (await readdir('/usr/lib/postgresql')).sort((a, b) => Number(b) - Number(a))
  const home = `/usr/lib/postgresql/${version}`
  const script = `${BEGINNING.replace('set -e', 'set -e; server=postgres account=postgres data=/var/lib/postgresql run=/var/run/postgresql')}
if [ "$POSTGRES_HOST_AUTH_METHOD" != trust ]; then
  echo 'Error: Database is uninitialized and superuser password is not specified.' >&2
  exit 1
fi
export PGDATA=/var/lib/postgresql/data
eval "initdb --username=$POSTGRES_USER --auth=trust $POSTGRES_INITDB_ARGS" >/dev/null
"$@" -c listen_addresses='' &
until pg_isready -q; do sleep 0.1; done
${setUp}
pg_ctl -m fast -w stop >/dev/null
exec "$@"
`
  const programs = ['postgres', 'initdb', 'pg_ctl', 'psql', 'pg_isready', 'pg_restore'].map(
    (each) => `${home}/bin/${each}`,
  )
  await importRoot(engine, name, {
    script,
    programs: [...programs, '/usr/bin/setpriv'],
    paths: [
      '/usr/lib/locale/C.utf8',
      '/usr/share/zoneinfo/UTC',
      `/usr/share/postgresql/${version}`,
      ...['pgcrypto', 'plpgsql', 'dict_snowball'].map((each) => `${home}/lib/${each}.so`),
    ],
    account: 'postgres',
    directories: ['var/run/postgresql', 'var/lib/postgresql'],
    changes: ['VOLUME /var/lib/postgresql', `ENV PATH=${home}/bin:/usr/sbin:/usr/bin:/sbin:/bin`],
  })
}

interface Root {
  readonly script: string
  /** With the libraries that they name. */
  readonly programs: readonly string[]
  readonly paths: readonly string[]
  readonly account: string
  readonly directories: readonly string[]
  readonly changes: readonly string[]
}

async function importRoot(engine: DockerEngine, name: string, root: Root): Promise<void> {
  const temp = await makeTempDir('image')
  try {
    const dir = join(temp.path, 'root')
    await makeBusyboxRoot(dir)
    for (const each of [...root.directories, 'dev/shm', 'proc']) await mkdir(join(dir, each), { recursive: true })
    await chmod(join(dir, 'tmp'), 0o1777)
    await writeFile(join(dir, 'etc/passwd'), `root:x:0:0::/root:/bin/sh\n${root.account}:x:999:999::/:/bin/sh\n`)
    await writeFile(join(dir, 'etc/group'), `root:x:0:\n${root.account}:x:999:\n`)
    await writeFile(join(dir, 'entrypoint.sh'), root.script, { mode: 0o755 })
    const files = [...root.programs, ...root.paths, ...(await librariesOf([...root.programs, ...root.paths]))]
    // The links by which Debian names them are not needed.
    await execute('sh', [
      '-c',
      'd=$1; shift; tar -chf - --transform "s,^\\(lib\\|lib64\\)/,usr/\\1/," -C / "$@" | tar -xf - -C "$d"',
      'copy',
      dir,
      ...files.map((path) => path.slice(1)),
    ])
    await execute('ln', ['-s', 'usr/lib', join(dir, 'lib')])
    await execute('ln', ['-s', 'usr/lib64', join(dir, 'lib64')])
    const archive = join(temp.path, 'root.tar')
    await execute('tar', ['-C', dir, '-cf', archive, '.'])
    const changes = ['ENTRYPOINT ["/entrypoint.sh"]', ...root.changes]
    await engine.docker('import', ...changes.flatMap((change) => ['--change', change]), archive, name)
  } finally {
    await temp.remove()
  }
}

async function librariesOf(files: readonly string[]): Promise<string[]> {
  const binaries = files.filter((path) => /\/s?bin\/[^/]+$|\.so$/.test(path) && !path.endsWith('mariadb-install-db'))
  const { stdout } = await execute('ldd', binaries)
  return [...new Set(stdout.match(/\/\S*\.so[.\d]*(?= \()/g) ?? [])]
}

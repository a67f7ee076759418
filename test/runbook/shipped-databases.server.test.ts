/** The runbooks about databases and backups, run for real: MariaDB and PostgreSQL, replication, dumps and restores. */
import { execFile } from 'node:child_process'
import { chmod, mkdir, readFile, readlink, rm, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { followMariaDb, MARIADB_ROOT_PASSWORD, startMariaDb, type MariaDb } from '../support/mariadb.ts'
import { startNginx } from '../support/nginx.ts'
import { opskit } from '../support/opskit.ts'
import { startPostgres } from '../support/postgres.ts'
import { startSshd } from '../support/sshd.ts'
import { startHttpServer } from '../support/tcp.ts'
import { waitFor } from '../support/wait.ts'
import { makeBench, sshHost, startListener, type Bench } from './shipped-support.ts'

const execute = promisify(execFile)

/** A my.cnf with what the client needs to log in as the system's own would by its socket. @returns its environment */
async function clientOf({ socket }: MariaDb, password = MARIADB_ROOT_PASSWORD): Promise<Record<string, string>> {
  const dir = join(dirname(socket), `client-${password}`)
  await mkdir(dir, { recursive: true })
  await writeFile(join(dir, 'my.cnf'), `[client]\nsocket=${socket}\nuser=root\npassword=${password}\n`)
  return { MYSQL_HOME: dir }
}

describe('primary-down', () => {
  it('promotes a standby that has not applied everything yet, and serves the site, its files and its name from there', async () => {
    const [primary, standby] = await Promise.all([startMariaDb(), startMariaDb({ serverId: 2 })])
    const { MYSQL_HOME } = await clientOf(standby)
    const sshd = await startSshd({ config: [`SetEnv MYSQL_HOME=${MYSQL_HOME}`] })
    const nginx = await startNginx({ server: "location / { return 503 'only a standby'; }" })
    const www = join(nginx.directory, 'www')
    const bench = await makeBench({
      hosts: { standby: sshHost(sshd) },
      backup: { repository: join(nginx.directory, 'backups'), static: { site: { paths: [www] } } },
    })
    try {
      await mkdir(www)
      await writeFile(join(www, 'health'), 'from the standby\n')
      await mkdir(join(www, 'api'))
      await writeFile(join(www, 'api/health'), 'api\n')
      await expectDone(backup(bench, ['run', 'static/site']))
      await rm(www, { recursive: true })

      await followMariaDb(standby, primary)
      await primary.sql('CREATE DATABASE app', 'CREATE TABLE app.t (n INT PRIMARY KEY)', 'INSERT INTO app.t VALUES (1)')
      await waitFor('the standby to follow', async () => (await standby.sql('SELECT n FROM app.t')).length === 1)
      // Received, not applied: what a promotion in a hurry throws away.
      await standby.sql('STOP SLAVE SQL_THREAD')
      await primary.sql('INSERT INTO app.t VALUES (2), (3), (4)')
      const [at] = await primary.sql('SELECT @@gtid_binlog_pos AS pos')
      await waitFor('the rows to arrive', async () => {
        const [status] = await standby.sql('SHOW SLAVE STATUS')
        return status?.['Gtid_IO_Pos'] === at?.['pos']
      })
      primary.process.kill('SIGKILL')
      await waitFor('the primary to be dead', () => !primary.process.running())

      const full = join(nginx.directory, 'ready', 'full.conf')
      const site = join(nginx.directory, 'sites-available/app.conf')
      const link = join(nginx.directory, 'conf.d/site.conf')
      await mkdir(dirname(full))
      await writeFile(full, `server { listen 127.0.0.1:${nginx.port}; root ${www}; }\n`)
      const params = {
        ...{ primary: '127.0.0.1', outside: '127.0.0.1', standby: 'standby', database_port: primary.port },
        ...{ domain: 'localhost', standby_address: '127.0.0.1', url: `http://localhost:${nginx.port}` },
        ...{ full_config: full, site, site_link: link, nginx_config: nginx.config, static: 'site' },
      }

      const waiting = await bench.start('primary-down', { params })
      expect(waiting.exitCode, waiting.said).toBe(10)
      expect(waiting.said).toContain('approve promote')
      expect((await standby.sql('SELECT @@read_only AS ro'))[0]?.['ro']).toBe(1)

      const own = await bench.command(['approve', 'promote'])
      expect(own.exitCode).not.toBe(0)
      expect((await bench.command(['approve', 'promote', '--json'], { OPSKIT_USER: 'ben' })).exitCode).toBe(0)
      const ran = await bench.resume()
      expect(ran.exitCode, ran.said).toBe(0)

      expect((await standby.sql('SELECT COUNT(*) AS c, @@read_only AS ro FROM app.t'))[0]).toMatchObject({
        c: 4,
        ro: 0,
      })
      expect(await standby.sql('SHOW SLAVE STATUS')).toEqual([])
      expect(await (await fetch(`${nginx.url}/health`)).text()).toBe('from the standby\n')
      expect(await readlink(link)).toBe(site)
    } finally {
      await Promise.all([primary.stop(), standby.stop(), sshd.stop(), nginx.stop()])
      await bench.remove()
    }
  })

  it('refuses to go on while the old primary takes connections', async () => {
    const primary = await startListener()
    const bench = await makeBench()
    try {
      const ran = await bench.start('primary-down', {
        params: {
          ...{
            primary: '127.0.0.1',
            outside: '127.0.0.1',
            standby: 'local',
            database_port: primary.port,
            standby_address: '127.0.0.1',
          },
        },
      })
      expect(ran.said).toContain('still answers')
      expect(ran.said).not.toContain('"step":"promote"')
      expect(ran.exitCode, ran.said).not.toBe(0)
    } finally {
      await Promise.all([primary.close(), bench.remove()])
    }
  })

  it('promotes a PostgreSQL standby', async () => {
    const primary = await startPostgres()
    const standby = await startPostgres({ follow: { primary, slot: 'standby' } })
    const bench = await makeBench()
    const site = await startHttpServer('ok')
    const env = { PGHOST: standby.socket, PGPORT: String(standby.port), PGUSER: 'postgres' }
    try {
      await primary.sql('CREATE TABLE t (n int)', 'INSERT INTO t VALUES (1), (2)')
      await waitFor('the standby to follow', async () => (await standby.sql('SELECT n FROM t')).length === 2)
      primary.process.kill('SIGQUIT')
      await waitFor('the primary to be dead', () => !primary.process.running())
      const ran = await bench.start('primary-down', {
        params: {
          ...{
            primary: '127.0.0.1',
            outside: '127.0.0.1',
            standby: 'local',
            database: 'postgresql',
            database_port: primary.port,
          },
          ...{
            domain: 'localhost',
            standby_address: '127.0.0.1',
            full_config: '/nowhere/full.conf',
            url: `http://127.0.0.1:${site.port}`,
          },
        },
        answers: {
          promote: { approve: 'ben' },
          nginx: { skip: 'not what is tried here' },
        },
        flags: ['--drill'],
        env,
      })
      expect(ran.exitCode, ran.said).toBe(0)
      expect(await standby.sql('INSERT INTO t VALUES (3) RETURNING n')).toEqual([{ n: 3 }])
    } finally {
      await Promise.all([standby.stop(), primary.stop(), bench.remove(), site.close()])
    }
  })
})

describe('backups and restores', () => {
  let db: MariaDb
  let bench: Bench
  const password = { TEST_DB_PASSWORD: MARIADB_ROOT_PASSWORD }

  beforeAll(async () => {
    db = await startMariaDb()
    bench = await makeBench({
      backup: {
        repository: 'backups',
        databases: {
          app: {
            type: 'mariadb',
            socket: db.socket,
            user: 'root',
            password: { env: 'TEST_DB_PASSWORD' },
            databases: ['app'],
          },
        },
      },
      diagnose: {
        databases: [
          {
            name: 'app',
            type: 'mariadb',
            socket: db.socket,
            user: 'root',
            password: { env: 'TEST_DB_PASSWORD' },
            role: 'primary',
          },
        ],
      },
    })
    await db.sql(
      'CREATE DATABASE app',
      'CREATE TABLE app.orders (n INT PRIMARY KEY)',
      'INSERT INTO app.orders VALUES (1), (2), (3)',
    )
  })

  afterAll(async () => {
    await db?.stop()
    await bench?.remove()
  })

  const orders = async () => (await db.sql('SELECT n FROM app.orders ORDER BY n')).map(({ n }) => Number(n))

  it('backup-failed: says why it failed, makes one when the cause is gone, and proves it by a drill', async () => {
    const params = { name: 'database/app' }
    const wrong = await bench.start('backup-failed', { params, env: { TEST_DB_PASSWORD: 'wrong' } })
    expect(wrong.exitCode, wrong.said).toBe(12)
    expect(wrong.said).toMatch(/[Aa]ccess denied/)

    const ran = await bench.start('backup-failed', { params, env: password })
    expect(ran.exitCode, ran.said).toBe(0)
    const listed = await backup(bench, ['list', '--json'], password)
    expect(listed.stdout).toContain('database/app/')
  })

  it('database-restore: brings lost rows back, and keeps what was there', async () => {
    const [id] = /database\/app\/\w+/.exec((await backup(bench, ['list', '--json'], password)).stdout) ?? []
    await db.sql('DELETE FROM app.orders WHERE n > 1', 'INSERT INTO app.orders VALUES (9)')
    const params = { name: 'app', backup: id ?? '' }

    const ran = await bench.start('database-restore', { params, env: password })
    expect(ran.exitCode, ran.said).toBe(0)
    expect(await orders()).toEqual([1, 2, 3])
    const kept = await db.sql("SHOW DATABASES LIKE 'app\\_before\\_%'")
    expect(kept).toHaveLength(1)
  })
})

describe('database-down', () => {
  it('starts the service, and is not content before it answers a query', async () => {
    const db = await startMariaDb()
    const bench = await makeBench()
    const service = `opskit-test-${process.pid}`
    const script = join('/etc/init.d', service)
    const pidFile = join(dirname(db.socket), 'pid')
    const isUp = () =>
      db.sql('SELECT 1').then(
        () => true,
        () => false,
      )
    try {
      await writeFile(script, initScript(db, pidFile))
      await chmod(script, 0o755)
      await db.process.stop()
      const params = { service, port: db.port, data: join(dirname(db.socket), 'data'), log: '' }

      const refused = await bench.start('database-down', {
        params,
        env: await clientOf(db, 'wrong'),
        within: '1s',
      })
      expect(refused.exitCode, refused.said).toBe(12)
      expect(refused.said).toContain('Access denied')
      expect(await isUp()).toBe(true)
      await execute('service', [service, 'stop'])
      expect(await isUp()).toBe(false)

      const ran = await bench.start('database-down', { params, env: await clientOf(db) })
      expect(ran.exitCode, ran.said).toBe(0)
      expect(await isUp()).toBe(true)
    } finally {
      const pid = Number(await readFile(pidFile, 'utf8').catch(() => ''))
      if (pid > 0) process.kill(pid, 'SIGKILL')
      await rm(script, { force: true })
      await Promise.all([db.stop(), bench.remove()])
    }
  })
})

/** A service in the manner of System V, for machines without systemd. */
function initScript({ socket, port }: MariaDb, pidFile: string): string {
  const dir = dirname(socket)
  return `#!/bin/sh
case $1 in
  start)
    setsid mariadbd --no-defaults --user=mysql --datadir=${dir}/data --socket=${socket} --tmpdir=${dir}/tmp \\
      --pid-file=${pidFile} --bind-address=127.0.0.1 --port=${port} --skip-name-resolve </dev/null >${dir}/log 2>&1 &
    for try in 1 2 3 4 5 6 7 8 9 10; do test -S ${socket} && test -s ${pidFile} && exit 0; sleep 1; done
    exit 1 ;;
  stop)
    kill "$(cat ${pidFile})"
    for try in 1 2 3 4 5 6 7 8 9 10; do test -e ${pidFile} || exit 0; sleep 1; done
    exit 1 ;;
esac
`
}

async function expectDone(running: ReturnType<typeof opskit>): Promise<void> {
  const { exitCode, stderr } = await running
  expect(exitCode, stderr).toBe(0)
}

function backup(bench: Bench, args: readonly string[], env: Readonly<Record<string, string>> = {}) {
  return opskit('backup', [...args, '--config', join(bench.path, 'opskit.yaml')], {
    cwd: bench.path,
    env,
    timeoutMs: 60_000,
  })
}

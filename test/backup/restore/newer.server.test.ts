/** A dump of a newer server is refused by an older one: by its versions, before anything changes. */
import { execFileSync } from 'node:child_process'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import { openRepository } from '../../../scripts/lib/backup/repository/open.ts'
import { MARIADB_ROOT_PASSWORD, startMariaDb } from '../../support/mariadb.ts'
import { opskit } from '../../support/opskit.ts'
import { startPostgres } from '../../support/postgres.ts'
import { tempDir } from '../../support/temp.ts'

interface Running {
  readonly source: object
  /** Everything that a restore could have changed, as text. */
  contents(): string
}

async function mariadb(): Promise<Running> {
  const server = await startMariaDb()
  onTestFinished(() => server.stop())
  await server.sql('CREATE DATABASE app', 'CREATE TABLE app.t (id INT)', 'INSERT INTO app.t VALUES (1)')
  const env = { ...process.env, MYSQL_PWD: MARIADB_ROOT_PASSWORD }
  const ask = (sql: string) =>
    execFileSync('mariadb', ['-uroot', '-S', server.socket, '-BNe', sql], { encoding: 'utf8', env })
  return {
    source: { type: 'mariadb', socket: server.socket, user: 'root', password: { env: 'OPSKIT_TEST_DB' } },
    contents: () => ask('SHOW DATABASES; SELECT * FROM app.t; CHECKSUM TABLE app.t'),
  }
}

async function postgresql(): Promise<Running> {
  const server = await startPostgres()
  onTestFinished(() => server.stop())
  const at = ['-qAtX', '-h', server.socket, '-p', String(server.port), '-U', 'postgres', '-d']
  const ask = (database: string, sql: string) =>
    execFileSync('psql', [...at, database, '-c', sql], { encoding: 'utf8' })
  ask('postgres', 'CREATE DATABASE app')
  ask('app', 'CREATE TABLE t AS SELECT 1 AS id')
  return {
    source: { type: 'postgresql', socket: server.socket, port: server.port, user: 'postgres' },
    contents: () =>
      ask('postgres', 'SELECT oid, datname FROM pg_database ORDER BY 1') + ask('app', 'SELECT *, xmin FROM t'),
  }
}

describe('a dump of a newer server', () => {
  it.each([
    ['mariadb', mariadb, '12.1.2', /the backup is of mariadb 12\.1\.2, newer than 10\.\d+\.\d+ on localhost/],
    ['postgresql', postgresql, '99.4', /the backup is of postgresql 99\.4, newer than \d+\.\d+ on localhost/],
  ] as const)('is not restored into an older %s', async (family, start, version, message) => {
    const { source, contents } = await start()
    const dir = await tempDir('newer')
    const backup = { repository: join(dir, 'repository'), databases: { app: { ...source, databases: ['app'] } } }
    await writeFile(join(dir, 'opskit.yaml'), JSON.stringify({ state: { dir: 'state' }, backup }))
    const run = (command: string, ...args: string[]) =>
      opskit(command, args, { cwd: dir, env: { OPSKIT_TEST_DB: MARIADB_ROOT_PASSWORD } })
    expect(await run('backup', 'run', 'app')).toMatchObject({ exitCode: 0 })
    const { path } = await openRepository(backup.repository).find('app')
    const manifest = JSON.parse(await readFile(join(path, 'manifest.json'), 'utf8')) as object
    await writeFile(join(path, 'manifest.json'), JSON.stringify({ ...manifest, server: { family, version } }))

    const before = contents()
    const refused = { exitCode: 1, stdout: '', stderr: expect.stringMatching(message) as string }
    expect(await run('restore', 'database', 'app', '--yes')).toMatchObject(refused)
    expect(await run('restore', 'database', 'app', '--to', 'copy', '--yes')).toMatchObject(refused)
    expect(contents()).toBe(before)
    expect((await run('restore', '--undo', '--yes')).stdout).toContain('no restore is unfinished')
  })
})

it('an old psql, which a backup could make run commands, is refused before anything changes', async () => {
  const { source, contents } = await postgresql()
  const dir = await tempDir('old')
  const backup = { repository: join(dir, 'repository'), databases: { app: { ...source, databases: ['app'] } } }
  await writeFile(join(dir, 'opskit.yaml'), JSON.stringify({ state: { dir: 'state' }, backup }))
  const old = `#!/bin/sh
case "$*" in *--help=commands*) /usr/bin/psql --help=commands | grep -v restrict ;; *) exec /usr/bin/psql "$@" ;; esac`
  await writeFile(join(dir, 'psql'), old, { mode: 0o755 })
  const run = (command: string, ...args: string[]) =>
    opskit(command, args, { cwd: dir, env: { PATH: `${dir}:${process.env['PATH']}` } })
  expect(await run('backup', 'run', 'app')).toMatchObject({ exitCode: 0 })
  const before = contents()
  expect(await run('restore', 'database', 'app', '--yes')).toMatchObject({
    stdout: '',
    stderr: expect.stringMatching(/psql on localhost is too old: .*\n {2}next: .*15\.14/s) as string,
  })
  expect(contents()).toBe(before)
})

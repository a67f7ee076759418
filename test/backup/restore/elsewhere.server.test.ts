/** Over SSH and inside a container: every kind is backed up there, comes back there, and is drilled on a server there. */
import { execFileSync } from 'node:child_process'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import type { ActionContext } from '../../../scripts/lib/action/types.ts'
import { runAction } from '../../../scripts/lib/action/run.ts'
import { findAction } from '../../../scripts/lib/catalog.ts'
import { openRepository } from '../../../scripts/lib/backup/repository/open.ts'
import { startDocker, type DockerEngine } from '../../support/docker.ts'
import { MARIADB_ROOT_PASSWORD, startMariaDb, type MariaDb } from '../../support/mariadb.ts'
import { startPostgres, type Postgres } from '../../support/postgres.ts'
import { startSshd, type Sshd } from '../../support/sshd.ts'
import { makeTempDir, tempDir } from '../../support/temp.ts'
import { act, failureOf, makeContext } from '../context.ts'

let maria: MariaDb
let postgres: Postgres
let sshd: Sshd
let engine: DockerEngine
/** What the container and this machine both see, at the same path. */
let shared: { path: string; remove(): Promise<void> }

beforeAll(async () => {
  shared = await makeTempDir('shared')
  ;[maria, postgres, sshd, engine] = await Promise.all([startMariaDb(), startPostgres(), startSshd(), startDocker()])
  // The tools of this machine, seen from inside.
  const seen = ['/usr', '/lib', '/lib64'].map((path) => `${path}:${path}:ro`)
  const own = [shared.path, join(maria.socket, '..'), postgres.socket].map((path) => `${path}:${path}`)
  const mounts = [...seen, ...own].flatMap((mount) => ['-v', mount])
  const env = ['-e', 'PATH=/usr/lib/postgresql/15/bin:/usr/sbin:/usr/bin:/sbin:/bin']
  await engine.run({ name: 'tools', args: [...mounts, ...env] })
  process.env['OPSKIT_TEST_DB'] = MARIADB_ROOT_PASSWORD
})
afterAll(async () => {
  delete process.env['OPSKIT_TEST_DB']
  await Promise.all([engine?.stop(), maria?.stop(), postgres?.stop(), sshd?.stop()])
  await shared?.remove()
})

const shell = (script: string) =>
  execFileSync('bash', ['--norc', '-euo', 'pipefail', '-c', script], { encoding: 'utf8' })
const psql = (database: string, sql: string) =>
  shell(
    `psql -qAtX -v ON_ERROR_STOP=1 -h ${postgres.socket} -p ${postgres.port} -U postgres -d ${database} -c "${sql}"`,
  )
const [file, tree] = [() => join(shared.path, 'app.db'), () => join(shared.path, 'srv')]

beforeEach(async () => {
  await maria.sql(
    'DROP DATABASE IF EXISTS shop',
    'CREATE DATABASE shop',
    'CREATE TABLE shop.t (id int PRIMARY KEY, v varchar(20)) CHARACTER SET utf8mb4',
    "INSERT INTO shop.t VALUES (1, 'one'), (2, '🦊')",
    'CREATE VIEW shop.v AS SELECT v FROM shop.t',
    'CREATE TRIGGER shop.tr BEFORE INSERT ON shop.t FOR EACH ROW SET NEW.v = UPPER(NEW.v)',
  )
  psql('postgres', 'DROP DATABASE IF EXISTS crm WITH (FORCE)')
  psql('postgres', 'CREATE DATABASE crm')
  psql('crm', "CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t VALUES (1, 'one'), (2, '🦊')")
  shell(`rm -rf ${file()}* ${tree()}; mkdir ${tree()}; echo hello > ${tree()}/index.html; echo A=1 > ${tree()}/.env
    sqlite3 ${file()} "CREATE TABLE t (id integer PRIMARY KEY, v text); INSERT INTO t VALUES (1, 'one'), (2, 'two')"`)
})

async function contextOf(on: string, more: object = {}): Promise<ActionContext> {
  const { host, port, user, identityFile, knownHosts } = sshd.settings
  const ssh = { host, port, user, identity_file: identityFile, known_hosts: knownHosts, agent: false }
  process.env['DOCKER_HOST'] = `unix://${engine.socketPath}`
  return makeContext({
    config: {
      hosts: { far: { ssh }, box: { container: { name: 'tools' } }, bare: { container: { name: 'bare' } } },
      backup: {
        repository: join(await tempDir('repository'), 'r'),
        databases: {
          shop: {
            ...{ type: 'mariadb', on, socket: maria.socket, user: 'root', password: { env: 'OPSKIT_TEST_DB' } },
            ...{ databases: ['shop'], users: false, fingerprints: true, ...more },
          },
          crm: {
            ...{ type: 'postgresql', on, socket: postgres.socket, port: postgres.port, user: 'postgres' },
            ...{ databases: ['crm'], users: false, fingerprints: true, ...more },
          },
          notes: { type: 'sqlite', on, file: file() },
        },
        static: { www: { on, paths: [tree()] } },
      },
    },
  })
}

describe.each(['far', 'box'])('on %s', (on) => {
  it('every kind is backed up and comes back', async () => {
    const context = await contextOf(on)
    for (const name of ['shop', 'crm', 'notes']) await act(context, 'backup.database', { name })
    await act(context, 'backup.static', { name: 'www' })
    const entries = await openRepository(context.config.backup.repository).list()
    expect(entries.map(({ manifest }) => manifest.host)).toEqual(Array(4).fill(on))

    await maria.sql('DELETE FROM shop.t WHERE id = 2', 'DROP VIEW shop.v', 'DROP TRIGGER shop.tr')
    psql('crm', 'DELETE FROM t WHERE id = 2; CREATE TABLE newer (id int)')
    shell(`sqlite3 ${file()} 'DELETE FROM t WHERE id = 2'; echo changed > ${tree()}/index.html; rm ${tree()}/.env`)
    for (const backup of ['shop', 'crm', 'notes']) await act(context, 'restore.database', { backup })
    await act(context, 'restore.static', { backup: 'www' })

    expect(await maria.sql('SELECT * FROM shop.v')).toEqual([{ v: 'one' }, { v: '🦊' }])
    await maria.sql("INSERT INTO shop.t VALUES (3, 'x')")
    expect(await maria.sql('SELECT v FROM shop.t WHERE id = 3')).toEqual([{ v: 'X' }])
    expect(psql('crm', "SELECT v, to_regclass('newer') FROM t ORDER BY id")).toBe('one|\n🦊|\n')
    expect(shell(`sqlite3 ${file()} 'SELECT v FROM t'`)).toBe('one\ntwo\n')
    expect(shell(`cat ${tree()}/index.html ${tree()}/.env`)).toBe('hello\nA=1\n')
    // What was there before is kept, and nothing of ours stays.
    expect(shell(`ls -A ${shared.path} | sed 's/[0-9]\\{8\\}T[0-9]*Z/TIME/'`).trim().split('\n').sort()).toEqual([
      '.opskit-before-TIME',
      'app.db',
      'app.db.before-TIME',
      'srv',
    ])
    expect(await maria.sql("SHOW DATABASES LIKE 'opskit%'")).toEqual([])
    shell(`rm -rf ${shared.path}/.opskit-before* ${shared.path}/*.before-*`)
  })

  it('a drill uses its server, as the source says, and leaves nothing there', async () => {
    const context = await contextOf('localhost', { drill_into: on })
    for (const name of ['shop', 'crm']) await act(context, 'backup.database', { name })
    const result = await runAction(await findAction('backup.drill'), { all: true }, context)
    expect(result).toMatchObject({ report: { findings: [{ severity: 'ok' }, { severity: 'ok' }] } })
    expect(await maria.sql("SHOW DATABASES LIKE 'opskit%'")).toEqual([])
    expect(psql('postgres', "SELECT count(*) FROM pg_database WHERE datname LIKE 'opskit%'")).toBe('0\n')
  })
})

describe('somewhere else than where it came from', () => {
  it('a database goes to the server of a host, files to a directory of one', async () => {
    const context = await contextOf('localhost')
    await act(context, 'backup.database', { name: 'shop' })
    await act(context, 'backup.static', { name: 'www' })
    await act(context, 'restore.database', { backup: 'shop', to: 'far/copy' })
    expect(await maria.sql('SELECT COUNT(*) AS n FROM copy.t')).toEqual([{ n: 2 }])
    await maria.sql('DROP DATABASE copy')
    await act(context, 'restore.static', { backup: 'www', to: `box:${shared.path}/else` })
    expect(shell(`cat ${shared.path}/else${tree()}/index.html`)).toBe('hello\n')
    shell(`rm -rf ${shared.path}/else`)
  })

  it('a host where the tools are missing is told so with the package, an unknown one with the nearest', async () => {
    await engine.run({ name: 'bare' })
    const context = await contextOf('localhost')
    for (const name of ['shop', 'crm']) await act(context, 'backup.database', { name })
    const refused = (backup: string, to: string) => failureOf(act(context, 'restore.database', { backup, to }))
    expect(await refused('shop', 'bare/')).toMatchObject({
      code: 'MISSING_TOOL',
      hint: 'Install it on bare: apt-get install mariadb-client',
    })
    expect(await refused('crm', 'bare/')).toMatchObject({
      code: 'MISSING_TOOL',
      hint: 'Install it on bare: apt-get install postgresql-client',
    })
    expect(await refused('crm', 'farr/')).toMatchObject({ code: 'USAGE', hint: 'Did you mean far?' })
  })
})

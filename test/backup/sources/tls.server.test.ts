/** Servers that want TLS, under an authority of their own: backed up and restored by who knows it, and by nobody else. */
import { chmod, chown, copyFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { openRepository } from '../../../scripts/lib/backup/repository/open.ts'
import { makeCertificate, type KeyPair } from '../../support/certificates.ts'
import { MARIADB_ROOT_PASSWORD, ownerOf, startMariaDb, type MariaDb } from '../../support/mariadb.ts'
import { POSTGRES_PASSWORD, startPostgres, type Postgres } from '../../support/postgres.ts'
import { makeTempDir, tempDir } from '../../support/temp.ts'
import { act, failureOf, makeContext } from '../context.ts'

const dir = await makeTempDir('database-tls')
let authority: KeyPair
let stranger: KeyPair
let maria: MariaDb
let plain: MariaDb
let postgres: Postgres

beforeAll(async () => {
  await chmod(dir.path, 0o755)
  authority = await makeCertificate(dir.path, { name: 'authority', isCa: true })
  stranger = await makeCertificate(dir.path, { name: 'stranger', isCa: true })
  const pair = await makeCertificate(dir.path, { name: 'maria', names: 'IP:127.0.0.1', ca: authority })
  const named = await makeCertificate(dir.path, { name: 'postgres', names: 'DNS:localhost', ca: authority })
  const [mine, theirs] = await Promise.all([keyFor('mysql', pair), keyFor('postgres', named)])
  ;[maria, plain, postgres] = await Promise.all([
    startMariaDb({ settings: [`ssl-cert=${pair.certFile}`, `ssl-key=${mine}`, 'require-secure-transport=ON'] }),
    startMariaDb({ settings: ['skip-ssl'] }),
    startPostgres({ settings: ['ssl = on', `ssl_cert_file = '${named.certFile}'`, `ssl_key_file = '${theirs}'`] }),
  ])
  vi.stubEnv('MARIADB_PW', MARIADB_ROOT_PASSWORD)
  vi.stubEnv('POSTGRES_PW', POSTGRES_PASSWORD)
  for (const server of [maria, plain]) {
    await server.sql(
      `GRANT ALL ON *.* TO 'backup'@'127.0.0.1' IDENTIFIED BY '${MARIADB_ROOT_PASSWORD}' ${server === maria ? 'REQUIRE SSL' : ''}`,
      'CREATE DATABASE app',
      'CREATE TABLE app.t (id int PRIMARY KEY)',
      'INSERT INTO app.t VALUES (1), (2)',
      'CREATE VIEW app.v AS SELECT id FROM app.t',
    )
  }
  await postgres.sql('CREATE TABLE t (id int PRIMARY KEY)', 'INSERT INTO t VALUES (1), (2)')
})
afterAll(async () => {
  vi.unstubAllEnvs()
  await Promise.all([maria?.stop(), plain?.stop(), postgres?.stop()])
  await dir.remove()
})

/** A copy of the key that only the user of a server may read. */
async function keyFor(user: string, { keyFile }: KeyPair): Promise<string> {
  const file = join(dir.path, `${user}.key`)
  await copyFile(keyFile, file)
  await chmod(file, 0o600)
  const owner = await ownerOf(user)
  if (owner) await chown(file, owner.uid, owner.gid)
  return file
}

type Type = 'mariadb' | 'postgresql'

async function contextOf(type: Type, settings: object) {
  const own =
    type === 'mariadb'
      ? { host: '127.0.0.1', port: maria.port, user: 'backup', password: { env: 'MARIADB_PW' }, databases: ['app'] }
      : {
          host: 'localhost',
          port: postgres.port,
          user: 'postgres',
          password: { env: 'POSTGRES_PW' },
          databases: ['postgres'],
        }
  const app = { type, ...own, users: type === 'mariadb', ...settings }
  const repository = join(await tempDir('repository'), 'r')
  return makeContext({ config: { backup: { repository, databases: { app } } } })
}

const restored = {
  mariadb: async () => {
    const rows = await maria.sql('SELECT COUNT(*) AS n FROM copy.v')
    await maria.sql('DROP DATABASE copy')
    return Number(rows[0]?.['n'])
  },
  postgresql: async () => {
    const rows = await postgres.sql("SELECT 2 AS n FROM pg_database WHERE datname = 'copy'")
    await postgres.sql('DROP DATABASE copy')
    return Number(rows[0]?.['n'])
  },
}

describe.each(['mariadb', 'postgresql'] as const)('%s over TLS', (type) => {
  it.each<[string, () => object]>([
    ['encrypted', () => ({ tls: 'require' })],
    ['under its authority', () => ({ tls: 'verify', ca: authority.certFile })],
  ])('%s is backed up and restored', async (_how, settings) => {
    const context = await contextOf(type, settings())
    await act(context, 'backup.database', { name: 'app' })
    await act(context, 'restore.database', { backup: 'app', to: 'copy' })
    expect(await restored[type]()).toBe(2)
  })

  it.each<[string, () => object]>([
    ['another authority', () => ({ ca: stranger.certFile })],
    ['public ones alone', () => ({})],
    ['no such file', () => ({ ca: join(dir.path, 'nothing.pem') })],
    // Loopback by another name.
    ['a name that is not in its certificate', () => ({ ca: authority.certFile, host: '127.1' })],
  ])('is refused under %s, and nothing is listed', async (_what, settings) => {
    const context = await contextOf(type, { tls: 'verify', ...settings() })
    expect(await failureOf(act(context, 'backup.database', { name: 'app' }))).toEqual({
      code: type === 'mariadb' ? 'UNREACHABLE' : 'NOT_PERMITTED',
      message: expect.stringMatching(/certificate|No such file/) as string,
      hint: expect.stringContaining('Is `ca` of this source the authority of the server') as string,
    })
    expect(await openRepository(context.config.backup.repository).list()).toEqual([])
  })
})

describe('a server without TLS', () => {
  it('is refused where it is asked for', async () => {
    const context = await contextOf('mariadb', { port: plain.port, tls: 'require' })
    expect(await failureOf(act(context, 'backup.database', { name: 'app' }))).toMatchObject({
      code: 'UNREACHABLE',
      message: 'the database server does not encrypt its connections, and `tls` asks for it',
    })
    expect(await openRepository(context.config.backup.repository).list()).toEqual([])
  })
})

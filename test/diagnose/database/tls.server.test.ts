/** Databases that want TLS: encrypted, verified against an authority and a name, and refused when any of it is not as asked. */
import { chmod, chown, copyFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { databaseChecks } from '../../../scripts/lib/diagnose/database/check.ts'
import { makeCertificate, type KeyPair } from '../../support/certificates.ts'
import { configOf, runChecks } from '../../support/check-context.ts'
import { MARIADB_ROOT_PASSWORD, ownerOf, startMariaDb, type MariaDb } from '../../support/mariadb.ts'
import { POSTGRES_PASSWORD, startPostgres, type Postgres } from '../../support/postgres.ts'
import { makeTempDir } from '../../support/temp.ts'

const dir = await makeTempDir('database-tls')
let authority: KeyPair
let stranger: KeyPair
const servers: { mariadb?: MariaDb; postgresql?: Postgres } = {}

beforeAll(async () => {
  authority = await makeCertificate(dir.path, { name: 'authority', isCa: true })
  stranger = await makeCertificate(dir.path, { name: 'stranger', isCa: true })
  const pair = await makeCertificate(dir.path, { name: 'server', names: 'DNS:localhost', ca: authority })
  await chmod(dir.path, 0o755)
  const [mine, theirs] = await Promise.all([keyFor('mysql', pair), keyFor('postgres', pair)])
  servers.mariadb = await startMariaDb({
    settings: [`ssl-cert=${pair.certFile}`, `ssl-key=${mine}`, 'require-secure-transport=ON'],
  })
  await servers.mariadb.sql(`CREATE USER 'watch'@'127.0.0.1' IDENTIFIED BY '${MARIADB_ROOT_PASSWORD}'`)
  servers.postgresql = await startPostgres({
    settings: ['ssl = on', `ssl_cert_file = '${pair.certFile}'`, `ssl_key_file = '${theirs}'`],
  })
})

afterAll(async () => {
  await Promise.all([servers.mariadb?.stop(), servers.postgresql?.stop()])
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

async function look(type: 'mariadb' | 'postgresql', settings: object) {
  const [user, secret] = type === 'mariadb' ? ['watch', MARIADB_ROOT_PASSWORD] : ['postgres', POSTGRES_PASSWORD]
  const config = configOf({
    diagnose: {
      databases: [
        { name: 'db', type, host: 'localhost', port: servers[type]?.port, user, password: { env: 'PW' }, ...settings },
      ],
    },
  })
  const findings = await runChecks(databaseChecks(config), config, { secrets: { PW: secret } })
  return findings.find(({ check }) => check === 'database.reachable')
}

describe.each(['mariadb', 'postgresql'] as const)('%s over TLS', (type) => {
  it.each([
    ['that is only asked to be encrypted', 'require', undefined],
    ['that is verified against its authority and name', 'verify', 'authority'],
  ])('%s is let in', async (_, tls, ca) => {
    expect(await look(type, { tls, ...(ca && { ca: authority.certFile }) })).toMatchObject({ severity: 'ok' })
  })

  it('whose certificate is of another authority is refused by name', async () => {
    expect(await look(type, { tls: 'verify', ca: stranger.certFile })).toMatchObject({
      severity: 'critical',
      title: 'The database cannot be reached over TLS as asked',
    })
  })
})

it('a server that wants TLS and is not asked for it does not let us in, and the cause names it', async () => {
  const finding = await look('mariadb', {})
  expect(finding).toMatchObject({ title: 'The database does not let us in' })
  expect(finding?.cause).toContain('or wants TLS (tls)')
})

it('a server without TLS is not spoken to in clear when TLS is asked for', async () => {
  const plain = await startPostgres()
  try {
    expect(await look('postgresql', { tls: 'require', port: plain.port })).toMatchObject({
      severity: 'critical',
      title: 'The database cannot be reached over TLS as asked',
    })
  } finally {
    await plain.stop()
  }
})

/** Backups that are not plain zstd: encrypted by age from end to end, and packed by gzip as other tools do. */
import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { runAction } from '../../../scripts/lib/action/run.ts'
import type { ActionContext } from '../../../scripts/lib/action/types.ts'
import { openRepository } from '../../../scripts/lib/backup/repository/open.ts'
import type { BackupEntry } from '../../../scripts/lib/backup/types.ts'
import { findAction } from '../../../scripts/lib/catalog.ts'
import type { Report } from '../../../scripts/lib/report/types.ts'
import { MARIADB_ROOT_PASSWORD, startMariaDb, type MariaDb } from '../../support/mariadb.ts'
import { startPostgres, type Postgres } from '../../support/postgres.ts'
import { tempDir } from '../../support/temp.ts'
import { act, failureOf, makeContext } from '../context.ts'
import { withoutSecretInArgv } from '../sources/support.ts'

/** In every source; nowhere in an encrypted repository. */
const MARKER = 'plain-text-marker-5e1f'

let maria: MariaDb
let postgres: Postgres
let dir: string
let identity: string
let recipient: string

beforeAll(async () => {
  ;[maria, postgres] = await Promise.all([startMariaDb(), startPostgres()])
  process.env['OPSKIT_TEST_DB'] = MARIADB_ROOT_PASSWORD
})
afterAll(async () => {
  delete process.env['OPSKIT_TEST_DB']
  await Promise.all([maria?.stop(), postgres?.stop()])
})

const shell = (script: string) =>
  execFileSync('bash', ['--norc', '-euo', 'pipefail', '-c', script], { encoding: 'utf8' })
const psql = (database: string, sql: string) =>
  shell(
    `psql -qAtX -v ON_ERROR_STOP=1 -h ${postgres.socket} -p ${postgres.port} -U postgres -d ${database} -c "${sql}"`,
  )

function makeIdentity(path: string): string {
  return /age1\w+/.exec(shell(`age-keygen -o ${path} 2>&1`))?.[0] ?? ''
}

beforeEach(async () => {
  dir = await tempDir('encoded')
  await maria.sql(
    'DROP DATABASE IF EXISTS shop',
    'CREATE DATABASE shop',
    'CREATE TABLE shop.t (id int PRIMARY KEY, v varchar(40))',
    `INSERT INTO shop.t VALUES (1, '${MARKER}'), (2, 'two')`,
  )
  psql('postgres', 'DROP DATABASE IF EXISTS crm WITH (FORCE)')
  psql('postgres', 'CREATE DATABASE crm')
  psql('crm', `CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t VALUES (1, '${MARKER}'), (2, 'two')`)
  shell(`mkdir ${dir}/srv; echo ${MARKER} > ${dir}/srv/${MARKER}.txt
    sqlite3 ${dir}/app.db "CREATE TABLE t (v text); INSERT INTO t VALUES ('${MARKER}')"`)
  identity = join(dir, 'identity')
  recipient = makeIdentity(identity)
})

function contextOf(encryption?: object): Promise<ActionContext> {
  const databases = {
    shop: {
      ...{ type: 'mariadb', socket: maria.socket, user: 'root', password: { env: 'OPSKIT_TEST_DB' } },
      ...{ databases: ['shop'], users: false },
    },
    crm: { type: 'postgresql', socket: postgres.socket, port: postgres.port, user: 'postgres', databases: ['crm'] },
    notes: { type: 'sqlite', file: join(dir, 'app.db') },
  }
  const files = { paths: [join(dir, 'srv')] }
  const backup = { repository: join(dir, 'repository'), databases, config: { web: files }, static: { www: files } }
  return makeContext({
    config: { backup: { ...backup, ...(encryption && { encryption }) } },
    stateDir: join(dir, 'state'),
  })
}

async function look(context: ActionContext, action: string): Promise<Report> {
  const result = await runAction(await findAction(action), { all: true }, context)
  if (result.kind !== 'report') throw new Error(`${action} gave no report`)
  return result.report
}

const severities = ({ findings }: Report) => findings.map(({ severity }) => severity)
const list = () => openRepository(join(dir, 'repository')).list()

async function destroyAndRestore(context: ActionContext): Promise<void> {
  await maria.sql('DELETE FROM shop.t')
  psql('crm', 'DELETE FROM t')
  shell(`sqlite3 ${dir}/app.db 'DELETE FROM t'; rm -r ${dir}/srv`)
  for (const backup of ['shop', 'crm', 'notes']) await act(context, 'restore.database', { backup, keep: false })
  await act(context, 'restore.static', { backup: 'www', keep: false })
  expect(await maria.sql('SELECT COUNT(*) AS n FROM shop.t')).toEqual([{ n: 2 }])
  expect(psql('crm', 'SELECT count(*) FROM t')).toBe('2\n')
  expect(shell(`sqlite3 ${dir}/app.db 'SELECT v FROM t'; cat ${dir}/srv/*`)).toBe(`${MARKER}\n${MARKER}\n`)
  // Nothing is kept of what was there before, because that was asked for.
  expect(await maria.sql("SHOW DATABASES LIKE 'shop_%'")).toEqual([])
  expect(psql('postgres', "SELECT count(*) FROM pg_database WHERE datname LIKE 'crm_%'")).toBe('0\n')
  expect(shell(`ls -A ${dir} | grep -c before || :`)).toBe('0\n')
}

describe('encrypted by age', () => {
  it('every kind is saved, listed, verified, drilled and restored, and no plain text is in the repository', async () => {
    const secret = shell(`grep AGE-SECRET-KEY ${identity}`).trim()
    process.env['OPSKIT_TEST_AGE'] = await readFile(identity, 'utf8')
    const context = await contextOf({ recipients: [recipient], identity: { env: 'OPSKIT_TEST_AGE' } })
    await act(context, 'backup.run', { all: true })
    const data = (await list()).flatMap(({ manifest }) => manifest.files.map(({ path }) => path))
    expect(data.filter((path) => !path.endsWith('.age'))).toEqual([])
    expect(shell(`grep -rc ${MARKER} ${dir}/repository | grep -v ':0$' || :`)).toBe('')
    const reports = await withoutSecretInArgv(secret, async () => [
      await look(context, 'backup.verify'),
      await look(context, 'backup.drill'),
    ])
    expect(reports.map(severities)).toEqual([Array(5).fill('ok'), Array(5).fill('ok')])
    expect(reports[0]?.findings.map(({ evidence = '' }) => evidence)).toEqual(
      Array(5).fill(expect.stringContaining('can be read to the end')),
    )
    await destroyAndRestore(context)
    delete process.env['OPSKIT_TEST_AGE']
  })

  it('another identity is told as such: nothing is restored, and nothing is said against the backup', async () => {
    const other = join(dir, 'other')
    const wrong = makeIdentity(other)
    await act(await contextOf({ recipients: [recipient] }), 'backup.run', { all: true })
    const context = await contextOf({ recipients: [recipient], identity: { file: other } })
    for (const [action, backup] of [
      ['restore.database', 'shop'],
      ['restore.static', 'www'],
    ] as const) {
      const to = backup === 'www' ? { to: `${dir}/else` } : {}
      const refused = await failureOf(act(context, action, { backup, ...to }))
      expect(refused.code).toBe('CONFIG_INVALID')
      expect(refused.message).toContain(`${other} is the identity of ${wrong}, and it was encrypted to ${recipient}`)
      expect(refused.hint).toBe(`Set backup.encryption.identity to the identity of ${recipient}.`)
    }
    expect(severities(await look(context, 'backup.verify'))).toEqual(Array(5).fill('ok'))
    const drilled = await look(context, 'backup.drill')
    expect(severities(drilled)).toEqual(Array(5).fill('unknown'))
    expect((await list()).map(({ failedBecause }) => failedBecause)).toEqual(Array(5).fill(undefined))

    const none = await contextOf({ recipients: [recipient] })
    expect(await failureOf(act(none, 'restore.database', { backup: 'shop' }))).toMatchObject({
      code: 'CONFIG_INVALID',
      message: expect.stringContaining('no age identity is configured') as string,
    })
    const gone = await contextOf({ recipients: [recipient], identity: { file: join(dir, 'gone') } })
    expect(await failureOf(act(gone, 'restore.database', { backup: 'shop' }))).toMatchObject({
      code: 'CONFIG_INVALID',
      message: expect.stringContaining('gone cannot be read') as string,
    })
  })
})

/** As if it had been written by gzip: the same plain bytes, other names, and a manifest that fits. */
async function repack({ path, manifest }: BackupEntry): Promise<void> {
  const files = manifest.files.map((file) => {
    const packed = file.path.replace(/\.zst$/, '.gz')
    shell(`cd ${path}; zstd -dcq ${file.path} | gzip -c > ${packed}; rm ${file.path}`)
    const bytes = execFileSync('cat', [join(path, packed)])
    const sha256 = createHash('sha256').update(bytes).digest('hex')
    return { ...file, path: packed, sizeBytes: bytes.length, sha256 }
  })
  await writeFile(join(path, 'manifest.json'), JSON.stringify({ ...manifest, compression: 'gzip', files }))
}

describe('packed by gzip', () => {
  it('is verified, drilled and restored all the same', async () => {
    const context = await contextOf()
    await act(context, 'backup.run', { all: true })
    for (const entry of await list()) await repack(entry)
    expect(severities(await look(context, 'backup.verify'))).toEqual(Array(5).fill('ok'))
    expect(severities(await look(context, 'backup.drill'))).toEqual(Array(5).fill('ok'))
    await destroyAndRestore(context)
  })
})

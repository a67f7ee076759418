/** The README of a repository, word for word: its commands, run by a plain shell, bring every kind of backup back. */
import { execFileSync } from 'node:child_process'
import { copyFile, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { beforeEach, describe, expect, it, onTestFinished } from 'vitest'
import { openRepository } from '../../../scripts/lib/backup/repository/open.ts'
import { REPOSITORY_README } from '../../../scripts/lib/backup/repository/read-me.ts'
import type { BackupEntry } from '../../../scripts/lib/backup/types.ts'
import { MARIADB_ROOT_PASSWORD, startMariaDb } from '../../support/mariadb.ts'
import { POSTGRES_PASSWORD, startPostgres } from '../../support/postgres.ts'
import { tempDir } from '../../support/temp.ts'
import { act, makeContext } from '../context.ts'

let dir: string
beforeEach(async () => {
  dir = await tempDir('readme')
  process.env['TEST_DB_PASSWORD'] = ''
})

const repository = () => openRepository(join(dir, 'repository'))
const contextFor = (backup: object) =>
  makeContext({ config: { backup: { repository: join(dir, 'repository'), ...backup } }, stateDir: join(dir, 'state') })

/** The command that the README's fence of this name holds. */
async function commandOf(name: string): Promise<string> {
  const text = await readFile(join(dir, 'repository/README.md'), 'utf8')
  const command = new RegExp(`^\`\`\`sh ${name}\\n([^]*?)^\`\`\``, 'm').exec(text)?.[1]
  if (command === undefined) throw new Error(`the README has no command ${name}`)
  return command
}

/** Runs it as an operator would: a plain `sh`, in the backup's directory. */
async function follow(
  name: string,
  { path }: Pick<BackupEntry, 'path'>,
  env: Record<string, string> = {},
): Promise<string> {
  return execFileSync('sh', ['-e', '-c', await commandOf(name)], {
    cwd: path,
    encoding: 'utf8',
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
}

async function newest(): Promise<BackupEntry> {
  const [entry] = await repository().list()
  if (!entry) throw new Error('there is no backup')
  return entry
}

it('stands in the default repository as it is written into every other', async () => {
  expect(await readFile(new URL('../../../backups/README.md', import.meta.url), 'utf8')).toBe(REPOSITORY_README)
})

describe('files', () => {
  it('come back, the full backup and the incremental one; every checksum is right', async () => {
    const [tree, target] = [join(dir, 'srv'), join(dir, 'target')]
    await mkdir(tree)
    await mkdir(target)
    for (const name of ['.env', 'gone', 'kept']) await writeFile(join(tree, name), name)
    const context = await contextFor({ static: { www: { paths: [tree], full_every: '1d' } } })
    await act(context, 'backup.static', { name: 'www' })
    const full = await newest()
    await rm(join(tree, 'gone'))
    await writeFile(join(tree, 'new'), 'new')
    await act(context, 'backup.static', { name: 'www' })
    const incremental = await newest()
    expect(await follow('check', full)).toMatch(/^(\S+: OK\n){2}$/)
    expect(await follow('check', incremental)).toMatch(/^(\S+: OK\n){3}$/)
    await follow('files', full, { TARGET: target })
    await follow('deleted', incremental, { TARGET: target })
    await follow('files', incremental, { TARGET: target })
    expect(await readdir(join(target, tree))).toEqual(['.env', 'kept', 'new'])
    expect(await follow('list', full)).toContain(`${tree.slice(1)}/.env`)
  })

  it('that are encrypted come back with the identity', async () => {
    const [tree, target, identity] = [join(dir, 'srv'), join(dir, 'target'), join(dir, 'identity')]
    await mkdir(tree)
    await mkdir(target)
    await writeFile(join(tree, '.env'), 'SECRET=1')
    execFileSync('age-keygen', ['-o', identity], { stdio: 'ignore' })
    const recipients = [execFileSync('age-keygen', ['-y', identity], { encoding: 'utf8' }).trim()]
    await act(await contextFor({ encryption: { recipients }, config: { web: { paths: [tree] } } }), 'backup.config', {
      name: 'web',
    })
    const entry = await newest()
    expect(await follow('check', entry)).toContain('files.tar.zst.age: OK')
    const path = await mkdtemp(join(dir, 'plain-'))
    for (const name of await readdir(entry.path)) await copyFile(join(entry.path, name), join(path, name))
    await follow('decrypt', { path }, { IDENTITY: identity })
    await follow('files', { path }, { TARGET: target })
    expect(await readFile(join(target, tree, '.env'), 'utf8')).toBe('SECRET=1')
  })

  it('with a flipped bit do not pass the check', async () => {
    const tree = join(dir, 'srv')
    await mkdir(tree)
    await writeFile(join(tree, 'x'), 'x')
    await act(await contextFor({ config: { web: { paths: [tree] } } }), 'backup.config', { name: 'web' })
    const entry = await newest()
    const bytes = await readFile(join(entry.path, 'files.tar.zst'))
    bytes[20] = (bytes[20] ?? 0) ^ 1
    await writeFile(join(entry.path, 'files.tar.zst'), bytes)
    await expect(follow('check', entry)).rejects.toMatchObject({ stdout: expect.stringContaining('FAILED') as string })
  })
})

describe('databases', () => {
  it('of MariaDB come back', async () => {
    const server = await startMariaDb()
    onTestFinished(() => server.stop())
    await server.sql(
      'CREATE DATABASE shop CHARACTER SET utf8mb4',
      'CREATE TABLE shop.t (id INT PRIMARY KEY, name TEXT)',
      "INSERT INTO shop.t VALUES (1, '🙂')",
    )
    process.env['TEST_DB_PASSWORD'] = MARIADB_ROOT_PASSWORD
    const source = {
      type: 'mariadb',
      socket: server.socket,
      user: 'root',
      password: { env: 'TEST_DB_PASSWORD' },
      databases: ['shop'],
    }
    await act(await contextFor({ databases: { shop: source } }), 'backup.database', { name: 'shop' })
    const entry = await newest()
    await server.sql('DROP DATABASE shop')
    const home = join(dir, 'home')
    await mkdir(home)
    await writeFile(
      join(home, '.my.cnf'),
      `[client]\nsocket=${server.socket}\nuser=root\npassword=${MARIADB_ROOT_PASSWORD}\n`,
      { mode: 0o600 },
    )
    expect(await follow('check', entry)).toContain('shop.sql.zst: OK')
    await follow('mariadb', entry, { DATABASE: 'shop', HOME: home })
    expect(await server.sql('SELECT name FROM shop.t')).toEqual([{ name: '🙂' }])
  })

  it('of PostgreSQL come back', async () => {
    const server = await startPostgres()
    onTestFinished(() => server.stop())
    await server.sql('CREATE DATABASE shop')
    const env = { PGHOST: '127.0.0.1', PGPORT: String(server.port), PGUSER: 'postgres', PGPASSWORD: POSTGRES_PASSWORD }
    const psql = (database: string, sql: string) =>
      execFileSync('psql', ['-d', database, '-qAtc', sql], { encoding: 'utf8', env: { ...process.env, ...env } }).trim()
    psql('shop', "CREATE TABLE t (id serial PRIMARY KEY, name text); INSERT INTO t (name) VALUES ('🙂'), ('x')")
    process.env['TEST_DB_PASSWORD'] = POSTGRES_PASSWORD
    const source = {
      type: 'postgresql',
      host: '127.0.0.1',
      port: server.port,
      user: 'postgres',
      password: { env: 'TEST_DB_PASSWORD' },
      databases: ['shop'],
    }
    await act(await contextFor({ databases: { shop: source } }), 'backup.database', { name: 'shop' })
    const entry = await newest()
    psql('postgres', 'DROP DATABASE shop')
    await follow('postgresql', entry, { DATABASE: 'shop', ...env })
    expect(psql('shop', 'SELECT string_agg(name, $$,$$ ORDER BY id) FROM t')).toBe('🙂,x')
  })

  it('of SQLite come back', async () => {
    const file = join(dir, 'app.sqlite')
    const database = new DatabaseSync(file)
    database.exec("CREATE TABLE t (name TEXT); INSERT INTO t VALUES ('x')")
    database.close()
    await act(await contextFor({ databases: { app: { type: 'sqlite', file } } }), 'backup.database', { name: 'app' })
    const entry = await newest()
    const target = join(dir, 'target')
    await mkdir(target)
    const stem = entry.manifest.files[0]?.path.replace('.sqlite.zst', '') ?? ''
    await follow('sqlite', entry, { DATABASE: stem, TARGET: target })
    const back = new DatabaseSync(join(target, `${stem}.sqlite`))
    expect(back.prepare('SELECT name FROM t').all()).toEqual([{ name: 'x' }])
    back.close()
  })
})

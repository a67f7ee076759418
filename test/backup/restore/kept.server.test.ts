/** What a finished restore has kept: listed, brought back (and that taken back in turn), removed. */
import { execFileSync } from 'node:child_process'
import { readdirSync } from 'node:fs'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { ActionContext } from '../../../scripts/lib/action/types.ts'
import { readKept } from '../../../scripts/lib/backup/restore/kept.ts'
import { MARIADB_ROOT_PASSWORD, startMariaDb, type MariaDb } from '../../support/mariadb.ts'
import { opskit } from '../../support/opskit.ts'
import { startPostgres, type Postgres } from '../../support/postgres.ts'
import { tempDir } from '../../support/temp.ts'
import { act, failureOf, makeContext } from '../context.ts'

interface Case {
  readonly source: object
  readonly databases: readonly string[]
  /** Names that this test has made, but for the live one's. */
  others(): string[]
  /** Everything in the live database, as text. */
  contents(): string
  /** Changes it: after the backup, and after the restore. */
  change(word: string): void
  readonly params: object
}

let [mariadb, postgres] = [undefined as MariaDb | undefined, undefined as Postgres | undefined]
beforeAll(async () => {
  process.env['OPSKIT_TEST_DB'] = MARIADB_ROOT_PASSWORD
  ;[mariadb, postgres] = await Promise.all([startMariaDb(), startPostgres()])
})
afterAll(async () => {
  await mariadb?.stop()
  await postgres?.stop()
})

const fixture = (name: string) => readFile(new URL(`../fixtures/${name}`, import.meta.url), 'utf8')
const run = (argv: readonly string[], input = '') =>
  execFileSync(argv[0] ?? '', argv.slice(1), { input, encoding: 'latin1', maxBuffer: 64 * 1024 ** 2 })

async function ofMariaDb(params: { tables?: string[] }): Promise<Case> {
  const account = ['-uroot', `-p${MARIADB_ROOT_PASSWORD}`, '-S', mariadb?.socket ?? '']
  const sql = (text: string) => run(['mariadb', ...account, '-BN'], text)
  const names = () => sql("SHOW DATABASES LIKE '%app%'; SHOW DATABASES LIKE '%opskit%'").split('\n').filter(Boolean)
  for (const name of names()) sql(`DROP DATABASE \`${name}\``)
  sql('CREATE DATABASE app')
  run(['mariadb', ...account, 'app'], await fixture('nasty-mariadb.sql'))
  const dump = ['--skip-dump-date', '--skip-comments', '--hex-blob', '--routines', '--triggers', '--events']
  return {
    ...{ databases: ['app'], params },
    source: { type: 'mariadb', socket: mariadb?.socket, user: 'root', password: { env: 'OPSKIT_TEST_DB' } },
    others: () => names().filter((name) => name !== 'app'),
    contents: () => run(['mariadb-dump', ...account, ...dump, '--order-by-primary', 'app']),
    change: (word) =>
      void sql(
        params.tables
          ? `USE app; DELETE FROM ring_c LIMIT 1; CREATE OR REPLACE TRIGGER r_later BEFORE INSERT ON ring_c
             FOR EACH ROW SET @a = '${word}'`
          : `USE app; DELETE FROM ring_c; CREATE TABLE IF NOT EXISTS later (w TEXT);
             INSERT INTO later VALUES ('${word}');
             CREATE OR REPLACE TRIGGER t_later BEFORE INSERT ON later FOR EACH ROW SET NEW.w = '${word}';
             CREATE OR REPLACE VIEW v_later AS SELECT '${word}' AS w;
             CREATE OR REPLACE EVENT e_later ON SCHEDULE EVERY 1 YEAR DO SET @a = '${word}'`,
      ),
  }
}

async function ofPostgres(params: object): Promise<Case> {
  const at = ['-h', postgres?.socket ?? '', '-p', String(postgres?.port), '-U', 'postgres']
  const psql = (database: string, text: string) =>
    run(['psql', ...at, '-qAtX', '-v', 'ON_ERROR_STOP=1', '-d', database], text)
  const names = () =>
    psql('postgres', "SELECT datname FROM pg_database WHERE datname ~ 'app|opskit'").split('\n').filter(Boolean)
  for (const name of names()) psql('postgres', `DROP DATABASE "${name}" WITH (FORCE)`)
  psql('postgres', 'CREATE DATABASE app')
  psql('app', 'CREATE TABLE t (id int PRIMARY KEY, v text); CREATE SCHEMA s; CREATE TABLE s.u AS SELECT 1 AS id')
  psql('app', 'INSERT INTO t SELECT i, md5(i::text) FROM generate_series(1, 500) i')
  return {
    ...{ databases: ['app'], params },
    source: { type: 'postgresql', socket: postgres?.socket, port: postgres?.port, user: 'postgres' },
    others: () => [
      ...names().filter((name) => name !== 'app'),
      ...psql('app', "SELECT nspname FROM pg_namespace WHERE nspname ~ 'before'").split('\n').filter(Boolean),
    ],
    contents: () =>
      run(['pg_dump', ...at, '--exclude-schema=*before*', 'app']).replaceAll(/^\\(?:un)?restrict .*$/gm, ''),
    change: (word) =>
      void psql('app', `DELETE FROM t WHERE id > 100; UPDATE t SET v = '${word}' WHERE id = 1; UPDATE s.u SET id = 7`),
  }
}

async function ofSqlite(): Promise<Case> {
  const dir = await tempDir('sqlite')
  const file = join(dir, 'app.db')
  const sql = (text: string) => {
    const database = new DatabaseSync(file)
    database.exec(text)
    return database
  }
  sql('CREATE TABLE t (w TEXT)').close()
  return {
    ...{ databases: [], params: {}, source: { type: 'sqlite', file } },
    others: () => readdirSync(dir).filter((name) => name !== 'app.db'),
    contents() {
      const database = new DatabaseSync(file, { readOnly: true })
      const rows = database.prepare('SELECT w FROM t').all()
      database.close()
      return JSON.stringify(rows)
    },
    change: (word) => sql(`INSERT INTO t VALUES ('${word}')`).close(),
  }
}

const only = (context: ActionContext) => {
  const kept = readKept(context.journal)
  expect(kept).toHaveLength(1)
  return kept[0]?.id ?? ''
}

describe('what a finished restore has kept', () => {
  it.each<[string, () => Promise<Case>]>([
    ['a whole MariaDB database, with everything in it', () => ofMariaDb({})],
    ['tables of MariaDB', () => ofMariaDb({ tables: ['ring_a', 'ring_b', 'ring_c'] })],
    ['a whole PostgreSQL database', () => ofPostgres({})],
    ['tables of PostgreSQL', () => ofPostgres({ tables: ['t', 's.u'] })],
    ['a SQLite file', ofSqlite],
  ])('is brought back, and that taken back, and removed: %s', async (_what, make) => {
    const { source, databases, params, others, contents, change } = await make()
    const list = databases.length > 0 ? { databases } : {}
    const backup = { repository: await tempDir('repository'), databases: { main: { ...source, ...list } } }
    const context = await makeContext({ config: { backup } })
    await act(context, 'backup.database', { name: 'main' })
    change('before')
    const before = contents()
    await act(context, 'restore.database', { backup: 'main', ...params })
    change('after')
    const after = contents()

    const first = only(context)
    const undone = await act(context, 'restore.undo', { id: first })
    expect(undone.steps).toMatchObject([{ outcome: 'verified' }])
    expect(contents()).toBe(before)
    const second = only(context)
    expect(second).not.toBe(first)
    expect(others()).toHaveLength(1)

    await act(context, 'restore.undo', { id: second })
    expect(contents()).toBe(after)
    expect(others()).toHaveLength(1)

    await act(context, 'restore.discard', { id: only(context) })
    expect([others(), readKept(context.journal), contents()]).toEqual([[], [], after])
    expect(await failureOf(act(context, 'restore.discard', { id: second }))).toMatchObject({ code: 'USAGE' })
  })

  it('stays what it is when it cannot be brought back', async () => {
    const { source, others, contents, change } = await ofPostgres({})
    const backup = { repository: await tempDir('repository'), databases: { main: { ...source, databases: ['app'] } } }
    const context = await makeContext({ config: { backup } })
    await act(context, 'backup.database', { name: 'main' })
    change('before')
    await act(context, 'restore.database', { backup: 'main' })
    const [after, id] = [contents(), only(context)]
    const failure = await failureOf(
      act(await makeContext({ config: { backup }, change: { journal: failingOnce(context) } }), 'restore.undo', { id }),
    )
    expect(failure.message).toContain('the journal is full')
    expect([contents(), only(context)]).toEqual([after, id])
    expect(others()).toHaveLength(1)
    await act(context, 'restore.undo', { id })
    expect(contents()).not.toBe(after)
  })

  it('is brought back by --resume when that was cut off', async () => {
    const { source, contents, change, others } = await ofMariaDb({})
    const backup = { repository: await tempDir('repository'), databases: { main: { ...source, databases: ['app'] } } }
    const context = await makeContext({ config: { backup } })
    await act(context, 'backup.database', { name: 'main' })
    change('before')
    const before = contents()
    await act(context, 'restore.database', { backup: 'main' })
    const [restored, id] = [contents(), only(context)]
    const cut: ActionContext = { ...context, journal: failingAlways(context) }
    expect(await failureOf(act(cut, 'restore.undo', { id }))).toMatchObject({ code: 'STUCK' })
    expect(contents()).toBe(restored)
    expect(await failureOf(act(context, 'restore.undo', { id: 'another' }))).toMatchObject({ code: 'USAGE' })
    await act(context, 'restore.resume', {})
    expect(contents()).toBe(before)
    expect(others()).toHaveLength(1)
    await act(context, 'restore.undo', { id: only(context) })
    expect(contents()).toBe(restored)
  })

  it('is listed with its size, and found again by the command line', async () => {
    const { source, others } = await ofPostgres({})
    const dir = await tempDir('kept')
    const databases = { main: { ...source, databases: ['app'] } }
    await writeFile(
      join(dir, 'opskit.yaml'),
      JSON.stringify({ state: { dir: 'state' }, backup: { repository: 'repository', databases } }),
    )
    const cli = (command: string, ...args: string[]) => opskit(command, args, { cwd: dir })
    expect(await cli('backup', 'run', 'main')).toMatchObject({ exitCode: 0 })
    expect(await cli('restore', 'database', 'main', '--yes')).toMatchObject({ exitCode: 0 })
    const { kept } = JSON.parse((await cli('restore', 'list', '--json')).stdout) as { kept: { id: string }[] }
    expect(kept).toEqual([expect.objectContaining({ of: 'app', as: others(), by: 'restore' })])
    const id = kept[0]?.id ?? ''
    expect((await cli('restore', 'list')).stdout).toMatch(new RegExp(`${id}.*2 tables, \\d+(\\.\\d+)? MiB`))
    expect((await cli('backup', 'list')).stdout).toMatch(/^what 1 restore replaced is still kept, for up to \d+/m)
    expect((await cli('restore', '--undo', id, '--dry-run')).stdout).toContain('back in the place of app')
    expect(await cli('restore', '--undo', 'nothing', '--yes')).toMatchObject({ exitCode: 64 })
    expect(await cli('restore', '--discard', id, '--yes')).toMatchObject({ exitCode: 0 })
    expect(others()).toEqual([])
    expect((await cli('backup', 'list')).stdout).not.toContain('kept')
  })
})

/** Nothing is noted of what is kept: neither at the end nor on the way back. */
function failingAlways({ journal }: ActionContext): ActionContext['journal'] {
  return {
    ...journal,
    setState(key, value) {
      if (key === 'backup.restore.kept') throw new Error('the journal is full')
      journal.setState(key, value)
    },
  }
}

/** Its last word of the swap cannot be written. */
function failingOnce({ journal }: ActionContext): ActionContext['journal'] {
  let swapped = false
  return {
    ...journal,
    setState(key, value) {
      if (key === 'backup.restore.kept' && !swapped) {
        swapped = true
        throw new Error('the journal is full')
      }
      journal.setState(key, value)
    },
  }
}

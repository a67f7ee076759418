import { execFile } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { promisify } from 'node:util'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { runAction } from '../../../scripts/lib/action/run.ts'
import type { Action } from '../../../scripts/lib/action/types.ts'
import { restoreDatabaseAction } from '../../../scripts/lib/backup/restore/action-database.ts'
import { startPostgres, type Postgres } from '../../support/postgres.ts'
import { backUp, createContext } from './support.ts'

const execute = promisify(execFile)
const restore = restoreDatabaseAction as Action

let server: Postgres
let nasty: string

beforeAll(async () => {
  server = await startPostgres()
  nasty = await readFile(new URL('../fixtures/nasty-postgres.sql', import.meta.url), 'utf8')
  await server.sql('CREATE ROLE "app owner" LOGIN', 'CREATE ROLE reader')
})
afterAll(() => server?.stop())
beforeEach(async () => {
  for (const { datname } of await server.sql(
    "SELECT datname FROM pg_database WHERE datname NOT IN ('postgres','template0','template1')",
  )) {
    await server.sql(`DROP DATABASE "${String(datname)}" WITH (FORCE)`)
  }
  await server.sql(
    'CREATE DATABASE app TEMPLATE template0 OWNER "app owner"',
    "ALTER DATABASE app SET work_mem = '5MB'",
    'GRANT CONNECT ON DATABASE app TO reader',
    "COMMENT ON DATABASE app IS 'the app; it''s here'",
  )
  await psql('app', nasty)
})

const where = () => ['-h', server.socket, '-p', String(server.port), '-U', 'postgres']

async function psql(database: string, input: string): Promise<string> {
  const running = execute('psql', [...where(), '-X', '-q', '-A', '-t', '-v', 'ON_ERROR_STOP=1', '-d', database], {
    maxBuffer: 64 * 1024 ** 2,
  })
  running.child.stdin?.end(input)
  return (await running).stdout
}

/** Everything in a database as text, so that two of them can be compared object by object. */
async function contents(database: string): Promise<string> {
  const { stdout } = await execute('pg_dump', [...where(), '--create', database], { maxBuffer: 64 * 1024 ** 2 })
  return stdout
    .replaceAll(/^\\(?:un)?restrict .*$/gm, '')
    .replaceAll(new RegExp(`(DATABASE |connect )${database}\\b`, 'g'), '$1X')
    .replaceAll(/Name: .*; Type: DATABASE.*/g, '')
    .replaceAll(new RegExp(`DATABASE "?${database}"?`, 'g'), 'DATABASE X')
}

const settings = () => ({
  databases: {
    main: {
      type: 'postgresql',
      socket: server.socket,
      port: server.port,
      user: 'postgres',
      databases: ['app'],
      fingerprints: true,
    },
  },
})

describe('restoring PostgreSQL', () => {
  it('brings back everything that breaks naive dumps, under another name', async () => {
    const context = await createContext(settings())
    await backUp(context, 'main')
    const before = await contents('app')
    const done = await runAction(restore, { backup: 'latest', to: 'copy' }, context)
    expect(done.kind).toBe('applied')
    expect(await contents('copy')).toBe(before)
    expect(await contents('app')).toBe(before)
  })

  it('puts it in the place of the live one although people are connected, and keeps what was there', async () => {
    const context = await createContext(settings())
    const before = await contents('app')
    await backUp(context, 'main')
    await psql('app', 'DELETE FROM fast; DROP TABLE big CASCADE; CREATE TABLE newer (id int); DROP VIEW a_view_on_v1')
    const user = psql('app', 'SELECT pg_sleep(60)').catch((error: unknown) => String(error))
    await runAction(restore, { backup: 'main' }, context)
    expect(await user).toContain('terminating connection')
    expect(await contents('app')).toBe(before)
    const names = (await server.sql('SELECT datname FROM pg_database ORDER BY 1')).map(({ datname }) => String(datname))
    expect(names).toEqual(['app', expect.stringMatching(/^app_before_/), 'postgres', 'template0', 'template1'])
    expect(await psql(names[1] ?? '', "SELECT to_regclass('newer'), to_regclass('big')")).toBe('newer|\n')
  })

  it('restores single tables in one transaction and keeps their rows as they were', async () => {
    const context = await createContext(settings())
    const before = await contents('app')
    await backUp(context, 'main')
    await psql('app', "DELETE FROM big WHERE id > 10; UPDATE plain SET name = 'changed'")
    await runAction(restore, { backup: 'main', tables: ['big', 'plain'] }, context)
    const schema = (await psql('app', "SELECT nspname FROM pg_namespace WHERE nspname LIKE 'app_before_%'")).trim()
    expect(await psql('app', `SELECT count(*) FROM "${schema}".big`)).toBe('10\n')
    await psql('app', `DROP SCHEMA "${schema}" CASCADE`)
    expect(await contents('app')).toBe(before)
  })
})

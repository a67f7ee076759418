import { execFile } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { promisify } from 'node:util'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { runAction } from '../../../scripts/lib/action/run.ts'
import type { Action } from '../../../scripts/lib/action/types.ts'
import { restoreDatabaseAction } from '../../../scripts/lib/backup/restore/action-database.ts'
import { MARIADB_ROOT_PASSWORD, startMariaDb, type MariaDb } from '../../support/mariadb.ts'
import { backUp, createContext } from './support.ts'

const execute = promisify(execFile)
const restore = restoreDatabaseAction as Action

let server: MariaDb
let nasty: string

beforeAll(async () => {
  server = await startMariaDb()
  nasty = await readFile(new URL('../fixtures/nasty-mariadb.sql', import.meta.url), 'utf8')
})
afterAll(() => server?.stop())
beforeEach(async () => {
  const rows = await server.sql(
    "SELECT schema_name AS name FROM information_schema.schemata WHERE schema_name NOT IN ('mysql','sys','information_schema','performance_schema')",
  )
  for (const { name } of rows) await server.sql(`DROP DATABASE \`${name}\``)
  await server.sql('CREATE DATABASE app CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci')
  await client(['app'], nasty)
})

async function client(args: readonly string[], input: string): Promise<string> {
  const running = execute('mariadb', ['-uroot', `-p${MARIADB_ROOT_PASSWORD}`, '-S', server.socket, ...args])
  running.child.stdin?.end(input)
  return (await running).stdout
}

/** Everything in a database as text, so that two of them can be compared object by object. */
async function contents(database: string): Promise<string> {
  const options = [
    '--skip-dump-date',
    '--skip-comments',
    '--hex-blob',
    '--routines',
    '--triggers',
    '--events',
    '--order-by-primary',
  ]
  const args = ['-uroot', `-p${MARIADB_ROOT_PASSWORD}`, '-S', server.socket, ...options, database]
  return (await execute('mariadb-dump', args, { maxBuffer: 64 * 1024 ** 2, encoding: 'latin1' })).stdout
}

const settings = () => ({
  databases: {
    main: {
      type: 'mariadb',
      socket: server.socket,
      user: 'root',
      password: { env: MARIADB_ROOT_PASSWORD },
      databases: ['app'],
      fingerprints: true,
    },
  },
})

describe('restoring MariaDB', () => {
  it('brings back everything that breaks naive dumps, under another name', async () => {
    const context = await createContext(settings())
    await backUp(context, 'main')
    const before = await contents('app')
    const done = await runAction(restore, { backup: 'latest', to: 'copy' }, context)
    expect(done.kind).toBe('applied')
    expect(await contents('copy')).toBe(before)
    expect(await contents('app')).toBe(before)
  })

  it('puts it in the place of the live one and keeps what was there', async () => {
    const context = await createContext(settings())
    const before = await contents('app')
    await backUp(context, 'main')
    await server.sql(
      'USE app',
      'DELETE FROM ring_c',
      'DROP TABLE big',
      'CREATE TABLE newer (id INT PRIMARY KEY)',
      'DROP PROCEDURE fill',
      'CREATE TRIGGER t_new BEFORE INSERT ON newer FOR EACH ROW SET NEW.id = 1',
      'CREATE VIEW v_new AS SELECT * FROM newer',
    )
    await runAction(restore, { backup: 'main' }, context)
    expect(await contents('app')).toBe(before)
    expect(context.warnings).toEqual([])
    const [aside] = await server.sql("SHOW DATABASES LIKE 'app_before_%'")
    const kept = String(Object.values(aside ?? {})[0])
    const tables = (await server.sql(`SHOW TABLES IN \`${kept}\``)).map((row) => Object.values(row)[0] as unknown)
    expect(tables).toContain('newer')
    expect(tables).toContain('v_new')
    expect(await server.sql("SHOW DATABASES LIKE 'opskit%'")).toEqual([])
  })
})

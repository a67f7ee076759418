/** The rows of a large table, loaded by several sessions of a real server at once. */
import { afterAll, beforeAll, expect, it } from 'vitest'
import type { Action } from '../../../scripts/lib/action/types.ts'
import { runAction } from '../../../scripts/lib/action/run.ts'
import { restoreDatabaseAction } from '../../../scripts/lib/backup/restore/action-database.ts'
import { startPostgres, type Postgres } from '../../support/postgres.ts'
import { waitFor } from '../../support/wait.ts'
import { failureOf } from '../context.ts'
import { backUp, createContext, type RestoreContext } from './support.ts'

let server: Postgres
let context: RestoreContext

/** Over the 32 MiB up to which a table keeps the order of its rows; one row is larger than what is read at a time. */
const TABLES = [
  'CREATE TABLE large (id int PRIMARY KEY, text text)',
  `INSERT INTO large SELECT i, repeat(md5(i::text), 8) FROM generate_series(1, 200000) i`,
  `INSERT INTO large SELECT i, repeat(md5(i::text), 40000) FROM generate_series(200001, 200010) i`,
  'CREATE TABLE small (id serial PRIMARY KEY, ref int REFERENCES large)',
  'INSERT INTO small (ref) SELECT i FROM generate_series(1, 1000) i',
]
const COPYING = "FROM pg_stat_activity WHERE datname ~ '^opskit_restore' AND query ~ '^COPY' AND state = 'active'"

beforeAll(async () => {
  server = await startPostgres()
  await server.sql(...TABLES)
})
afterAll(() => server?.stop())

async function prepare(): Promise<void> {
  const source = { type: 'postgresql', socket: server.socket, port: server.port, user: 'postgres' }
  context = await createContext({ databases: { app: { ...source, databases: ['postgres'], fingerprints: true } } })
  await backUp(context, 'app')
}

const restore = () => runAction(restoreDatabaseAction as Action, { backup: 'app', to: 'copy' }, context)

async function names(): Promise<string[]> {
  return (await server.sql('SELECT datname FROM pg_database WHERE NOT datistemplate ORDER BY 1')).map(({ datname }) =>
    String(datname),
  )
}

it('is loaded by more sessions than there are archives, and is what it was', async () => {
  await prepare()
  const restoring = restore()
  await waitFor(
    'several sessions',
    async () => Number((await server.sql(`SELECT count(*) AS n ${COPYING}`))[0]?.['n']) > 1,
  )
  expect((await restoring).kind).toBe('applied')
  expect(await names()).toEqual(['copy', 'postgres'])
  await server.sql('DROP DATABASE copy')
})

it('is taken back when one of the sessions is cut off, and nothing is left', async () => {
  await prepare()
  const failed = failureOf(restore())
  await waitFor('several sessions', async () => {
    const cut = await server.sql(
      `SELECT pg_terminate_backend(pid) ${COPYING} AND (SELECT count(*) ${COPYING}) > 1 LIMIT 1`,
    )
    return cut.length > 0
  })
  const { code, message } = await failed
  expect(code).toBe('UNREACHABLE')
  expect(message).toMatch(/has ended a session: FATAL: .*terminating connection.*COPY \w+, line \d+/)
  // What stood in the row.
  expect(message).not.toMatch(/[0-9a-f]{32}/)
  expect(await names()).toEqual(['postgres'])
  const sessions = "SELECT 1 FROM pg_stat_activity WHERE application_name = 'opskit'"
  await expect.poll(async () => (await server.sql(sessions)).length).toBe(0)
})

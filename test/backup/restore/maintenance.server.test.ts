/** PostgreSQL without the database that everybody asks in: it is the one that is restored, or there is none. */
import { execFileSync } from 'node:child_process'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { startPostgres, type Postgres } from '../../support/postgres.ts'
import { tempDir } from '../../support/temp.ts'
import { act, makeContext } from '../context.ts'

let server: Postgres
beforeAll(async () => {
  server = await startPostgres()
})
afterAll(() => server?.stop())

function psql(database: string, sql: string): string {
  const where = ['-h', server.socket, '-p', String(server.port), '-U', 'postgres', '-d', database]
  return execFileSync('psql', [...where, '-qAtX', '-v', 'ON_ERROR_STOP=1', '-c', sql], { encoding: 'utf8' }).trim()
}
const databases = () =>
  psql('template1', 'SELECT datname FROM pg_database WHERE NOT datistemplate ORDER BY 1').split('\n')

async function contextOf(names: 'all' | readonly string[]) {
  const source = { type: 'postgresql', socket: server.socket, port: server.port, user: 'postgres', databases: names }
  return makeContext({ config: { backup: { repository: await tempDir('repository'), databases: { main: source } } } })
}

describe('a PostgreSQL server', () => {
  it.each([
    ['only has that database', ''],
    ['has another one', 'CREATE DATABASE other'],
  ])('whose database "postgres" is restored in its place, when it %s', async (_what, more) => {
    if (more !== '') psql('template1', more)
    psql('postgres', 'DROP TABLE IF EXISTS t; CREATE TABLE t AS SELECT i AS id FROM generate_series(1, 100) i')
    const context = await contextOf(['postgres'])
    await act(context, 'backup.database', { name: 'main' })
    psql('postgres', 'DELETE FROM t WHERE id > 7')
    await act(context, 'restore.database', { backup: 'main' })
    expect(psql('postgres', 'SELECT count(*) FROM t')).toBe('100')
    const [kept = ''] = databases().filter((name) => name.startsWith('postgres_before_'))
    expect(psql(kept, 'SELECT count(*) FROM t')).toBe('7')
    expect(databases().filter((name) => name.startsWith('opskit'))).toEqual([])
  })

  it('whose database "postgres" was dropped is backed up whole, and restored', async () => {
    psql('template1', 'CREATE DATABASE app')
    psql('app', 'CREATE TABLE t AS SELECT i AS id FROM generate_series(1, 100) i')
    psql('app', 'DROP DATABASE postgres')
    const context = await contextOf('all')
    await act(context, 'backup.database', { name: 'main' })
    psql('app', 'DELETE FROM t WHERE id > 7')
    await act(context, 'restore.database', { backup: 'main', keep: false, databases: ['app'] })
    expect(psql('app', 'SELECT count(*) FROM t')).toBe('100')
    await act(context, 'restore.database', { backup: 'main', databases: ['app'], to: 'copy' })
    expect(psql('copy', 'SELECT count(*) FROM t')).toBe('100')
  })
})

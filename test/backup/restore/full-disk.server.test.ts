/** A disk that is full while a database is loaded: what was there stays, nothing of the attempt does, and the disk is named. */
import { execFileSync } from 'node:child_process'
import { readdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import { openRepository } from '../../../scripts/lib/backup/repository/open.ts'
import { runAction } from '../../../scripts/lib/action/run.ts'
import { findAction } from '../../../scripts/lib/catalog.ts'
import { mountMemory } from '../../support/file-system.ts'
import { MARIADB_ROOT_PASSWORD, startMariaDb } from '../../support/mariadb.ts'
import { startPostgres } from '../../support/postgres.ts'
import { tempDir } from '../../support/temp.ts'
import { waitFor } from '../../support/wait.ts'
import { act, failureOf, makeContext } from '../context.ts'

/** Servers and drills are made in `path` until the test ends. */
function useTemp(path: string): void {
  const before = process.env['TMPDIR']
  process.env['TMPDIR'] = path
  onTestFinished(() => {
    if (before === undefined) delete process.env['TMPDIR']
    else process.env['TMPDIR'] = before
  })
}

function fill(path: string): string {
  const file = join(path, 'filler')
  execFileSync('sh', ['-c', `head -c 2G /dev/zero > '${file}' 2>/dev/null || :`])
  return file
}

describe('a disk that is full', () => {
  it('under MariaDB while it loads: the old database stays, and the restore works when there is room again', async () => {
    const [repository, stateDir] = [join(await tempDir('repository'), 'r'), await tempDir('state')]
    const disk = await mountMemory(220)
    useTemp(disk.path)
    const small = ['skip-log-bin', 'innodb-log-file-size=4M', 'innodb-undo-tablespaces=0', 'aria-log-file-size=8M']
    const server = await startMariaDb({ settings: small })
    try {
      process.env['OPSKIT_TEST_DB'] = MARIADB_ROOT_PASSWORD
      await server.sql(
        'CREATE DATABASE app',
        'USE app',
        'CREATE TABLE app.t (id int PRIMARY KEY, v longblob NOT NULL)',
        'INSERT INTO app.t SELECT seq, RANDOM_BYTES(1024) FROM seq_1_to_20000',
      )
      const app = { type: 'mariadb', socket: server.socket, user: 'root', password: { env: 'OPSKIT_TEST_DB' } }
      const databases = { app: { ...app, databases: ['app'], users: false } }
      const context = await makeContext({ config: { backup: { repository, databases } }, stateDir })
      await act(context, 'backup.database', { name: 'app' })
      await server.sql('DELETE FROM app.t WHERE id > 7')
      const failing = failureOf(act(context, 'restore.database', { backup: 'app' }))
      const scratch = async () => (await server.sql("SHOW DATABASES LIKE 'opskit_restore_%'")).length
      const loading =
        "SELECT 1 FROM information_schema.tables WHERE table_schema LIKE 'opskit_restore_%' AND table_name = 't'"
      await waitFor('the table that is loaded', async () => (await server.sql(loading)).length === 1)
      const filler = fill(disk.path)
      expect(await failing).toMatchObject({
        code: 'CANNOT_WRITE',
        message: expect.stringContaining('the disk of the server on localhost is full') as string,
      })
      expect(await server.sql('SELECT COUNT(*) AS n FROM app.t')).toEqual([{ n: 7 }])
      expect(await scratch()).toBe(0)
      rmSync(filler)
      await act(context, 'restore.database', { backup: 'app', keep: false })
      expect(await server.sql('SELECT COUNT(*) AS n FROM app.t')).toEqual([{ n: 20_000 }])
    } finally {
      await server.stop()
    }
  })

  it('under a drill says nothing against the backup: it is not recorded, and the disk is named', async () => {
    const [repository, stateDir] = [join(await tempDir('repository'), 'r'), await tempDir('state')]
    const server = await startPostgres()
    try {
      await server.sql('CREATE DATABASE app')
      const psql = ['-qX', '-h', server.socket, '-p', String(server.port), '-U', 'postgres', '-d', 'app', '-c']
      execFileSync('psql', [
        ...psql,
        'CREATE TABLE t AS SELECT i, repeat(md5(i::text), 40) FROM generate_series(1, 60000) i',
      ])
      const app = { type: 'postgresql', socket: server.socket, port: server.port, user: 'postgres', databases: ['app'] }
      const config = { backup: { repository, databases: { app } } }
      const context = await makeContext({ config, stateDir })
      await act(context, 'backup.database', { name: 'app' })
      const disk = await mountMemory(90)
      useTemp(disk.path)
      const drill = await findAction('backup.drill')
      expect(await failureOf(runAction(drill, { backups: ['app'] }, context))).toMatchObject({
        code: 'CANNOT_WRITE',
        message: expect.stringContaining('is full') as string,
      })
      expect(readdirSync(disk.path)).toEqual([])
      expect((await openRepository(repository).find('app')).records.map(({ type }) => type)).toEqual(['verified'])
    } finally {
      await server.stop()
    }
  })
})

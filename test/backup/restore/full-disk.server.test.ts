/** A disk that is full while a database is loaded: what was there stays, nothing of the attempt does, and the disk is named. */
import { execFileSync, spawn } from 'node:child_process'
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import { openRepository } from '../../../scripts/lib/backup/repository/open.ts'
import { runAction } from '../../../scripts/lib/action/run.ts'
import { findAction } from '../../../scripts/lib/catalog.ts'
import { mountMemory } from '../../support/file-system.ts'
import { mountMemory as mountAt } from '../../support/mounts.ts'
import { opskit } from '../../support/opskit.ts'
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

/** At once, whatever else the machine does: what is loaded meanwhile must not be loaded whole before. */
function fill(path: string): string {
  const file = join(path, 'filler')
  const most = `fallocate -l "$(df --output=avail -k '${path}' | tail -n 1)k" '${file}'`
  execFileSync('sh', ['-c', `${most} 2>/dev/null; head -c 2G /dev/zero >> '${file}' 2>/dev/null || :`])
  return file
}

/** Fits on a small disk. */
const SMALL = ['skip-log-bin', 'innodb-log-file-size=4M', 'innodb-undo-tablespaces=0', 'aria-log-file-size=8M']

describe('a disk that is full', () => {
  it('under MariaDB while it loads: the old database stays, and the restore works when there is room again', async () => {
    const [repository, stateDir] = [join(await tempDir('repository'), 'r'), await tempDir('state')]
    const disk = await mountMemory(220)
    useTemp(disk.path)
    const server = await startMariaDb({ settings: SMALL })
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
      const yaml = join(stateDir, 'opskit.yaml')
      await writeFile(yaml, JSON.stringify({ state: { dir: stateDir }, backup: { repository, databases } }))
      const failing = opskit('restore', ['database', 'app', '--yes', '--config', yaml], { timeoutMs: 60_000 })
      const scratch = async () => (await server.sql("SHOW DATABASES LIKE 'opskit_restore_%'")).length
      const loading =
        "SELECT 1 FROM information_schema.tables WHERE table_schema LIKE 'opskit_restore_%' AND table_name = 't'"
      await waitFor('the table that is loaded', async () => (await server.sql(loading)).length === 1)
      const filler = fill(disk.path)
      expect(await failing).toMatchObject({
        exitCode: 73,
        stderr: expect.stringMatching(/is full.*everything was undone\n {2}next: .*[Ff]ree space there/s) as string,
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

  it('in the middle of a swap of MariaDB, and still full for the undo: says how to undo it, and that brings all back', async () => {
    const dir = await tempDir('swap')
    const disk = await mountMemory(220)
    useTemp(disk.path)
    const server = await startMariaDb({ settings: SMALL })
    try {
      await server.sql(
        'CREATE DATABASE app',
        'USE app',
        'CREATE TABLE t AS SELECT seq AS id FROM seq_1_to_1000',
        'CREATE VIEW v AS SELECT id FROM t',
        'CREATE TRIGGER tr BEFORE INSERT ON t FOR EACH ROW SET NEW.id = NEW.id',
        'CREATE PROCEDURE p() SELECT 1',
      )
      const app = { type: 'mariadb', socket: server.socket, user: 'root', password: { env: 'OPSKIT_TEST_DB' } }
      const databases = { app: { ...app, databases: ['app'], users: false } }
      const config = { state: { dir: 'state' }, backup: { repository: 'repository', databases } }
      await writeFile(join(dir, 'opskit.yaml'), JSON.stringify(config))
      const run = (command: string, ...args: string[]) =>
        opskit(command, args, { cwd: dir, env: { OPSKIT_TEST_DB: MARIADB_ROOT_PASSWORD, TMPDIR: dir } })
      expect(await run('backup', 'run', 'app')).toMatchObject({ exitCode: 0 })
      await server.sql('DELETE FROM app.t WHERE id > 7')
      const client = ['-uroot', `-p${MARIADB_ROOT_PASSWORD}`, '-S', server.socket]
      const dump = () =>
        execFileSync('mariadb-dump', [...client, '--skip-dump-date', '--routines', 'app'], { encoding: 'latin1' })
      const before = dump()
      const holder = spawn('mariadb', [...client, 'app'], { stdio: ['pipe', 'ignore', 'ignore'] })
      onTestFinished(() => void holder.kill())
      holder.stdin.write('BEGIN; SELECT * FROM t;\n')
      const failing = run('restore', 'database', 'app', '--yes')
      const moving = "SELECT 1 FROM information_schema.processlist WHERE state = 'Waiting for table metadata lock'"
      await waitFor('the swap', async () => (await server.sql(moving)).length > 0, 30_000)
      const filler = fill(disk.path)
      holder.stdin.end()
      const { exitCode, stderr } = await failing
      expect(exitCode).toBe(12)
      const [, id = ''] =
        /when that is mended: npx zx scripts\/restore\.ts --undo (opskit_restore_\w+)/.exec(stderr) ?? []
      rmSync(filler)
      expect(await run('restore', '--undo', id, '--yes')).toMatchObject({ exitCode: 0 })
      expect(dump()).toBe(before)
      expect((await run('restore', 'list')).stdout).not.toContain('app')
    } finally {
      await server.stop()
    }
  })

  it.each(['config', 'static'])(
    'under files of a %s restore ends it with 73, and nothing of it is left',
    async (kind) => {
      const dir = await tempDir('full')
      const [tree, small] = [join(dir, 'tree'), join(dir, 'small')]
      execFileSync('sh', ['-c', 'mkdir "$1"; for i in $(seq 60); do echo new > "$1/$i"; done', 'sh', tree])
      const backup = { repository: join(dir, 'repository'), [kind]: { web: { paths: [tree] } } }
      await writeFile(join(dir, 'opskit.yaml'), JSON.stringify({ state: { dir: 'state' }, backup }))
      const run = (command: string, ...args: string[]) => opskit(command, [...args, '--yes'], { cwd: dir })
      expect(await opskit('backup', ['run', 'web'], { cwd: dir })).toMatchObject({ exitCode: 0 })
      // Room for all bytes, not for all files: what no look at the free space tells.
      const mount = await mountAt(small, { size: '4m,nr_inodes=40' })
      onTestFinished(() => mount.unmount())
      mkdirSync(join(small, tree), { recursive: true })
      writeFileSync(join(small, tree, '1'), 'old')
      expect(await run('restore', kind, 'web', '--to', small)).toMatchObject({
        exitCode: 73,
        stderr: expect.stringMatching(/there is no space to unpack .*everything was undone/) as string,
      })
      expect(execFileSync('find', [small, '-type', 'f', '-o', '-name', '.opskit*'], { encoding: 'utf8' })).toBe(
        `${join(small, tree, '1')}\n`,
      )
      expect(readFileSync(join(small, tree, '1'), 'utf8')).toBe('old')
      expect((await run('restore', '--undo')).stdout).toContain('no restore is unfinished')
    },
  )

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

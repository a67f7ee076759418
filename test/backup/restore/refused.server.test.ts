/** What a restore refuses, and what it takes back: nothing is changed in either case. */
import { execFileSync } from 'node:child_process'
import { mkdir, readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, it, onTestFinished } from 'vitest'
import { runAction } from '../../../scripts/lib/action/run.ts'
import type { Action } from '../../../scripts/lib/action/types.ts'
import { restoreDatabaseAction } from '../../../scripts/lib/backup/restore/action-database.ts'
import { restoreConfigAction, restoreStaticAction } from '../../../scripts/lib/backup/restore/action-files.ts'
import { openEngine } from '../../../scripts/lib/backup/restore/open-engine.ts'
import type { BackupEntry, Manifest } from '../../../scripts/lib/backup/types.ts'
import { openLocalHost } from '../../../scripts/lib/host/local.ts'
import { MARIADB_ROOT_PASSWORD, startMariaDb, type MariaDb } from '../../support/mariadb.ts'
import { mountMemory } from '../../support/mounts.ts'
import { startNginx } from '../../support/nginx.ts'
import { backUp, backUpTree, createContext, forge } from './support.ts'

const restore = restoreDatabaseAction as Action
const [restoreStatic, restoreConfig] = [restoreStaticAction as Action, restoreConfigAction as Action]

const shell = (script: string) => execFileSync('bash', ['-euo', 'pipefail', '-c', script], { encoding: 'utf8' })
const refused = (code: string, message: RegExp) =>
  expect.objectContaining({ code, message: expect.stringMatching(message) as string }) as Error

describe('a MariaDB restore refuses', () => {
  let server: MariaDb
  beforeAll(async () => {
    server = await startMariaDb()
    await server.sql(
      "CREATE USER small@localhost IDENTIFIED BY 'small'",
      'GRANT SELECT, SHOW VIEW, TRIGGER, EVENT, RELOAD ON *.* TO small@localhost',
    )
  })
  afterAll(() => server?.stop())
  beforeEach(async () => {
    await server.sql(
      'DROP DATABASE IF EXISTS other',
      'DROP DATABASE IF EXISTS app',
      'CREATE DATABASE app',
      'USE app',
      'CREATE TABLE t (id INT PRIMARY KEY, v TEXT, KEY kv (v(10)))',
      "INSERT INTO t VALUES (1, 'a'), (2, 'b')",
      'CREATE TABLE child (id INT PRIMARY KEY, t INT, CONSTRAINT c FOREIGN KEY (t) REFERENCES t (id))',
      'INSERT INTO child VALUES (1, 1)',
    )
  })
  const settings = (change: object = {}) => ({
    databases: {
      app: {
        type: 'mariadb',
        socket: server.socket,
        user: 'root',
        password: { env: MARIADB_ROOT_PASSWORD },
        databases: ['app'],
        ...change,
      },
    },
  })
  const rewrite = async (entry: BackupEntry, change: Partial<Manifest>) =>
    writeFile(join(entry.path, 'manifest.json'), JSON.stringify({ ...entry.manifest, ...change }))

  it('a dump of a newer server, by its reason', async () => {
    const context = await createContext(settings())
    const entry = await backUp(context, 'app')
    await rewrite(entry, { server: { family: 'mariadb', version: '12.1.2' } })
    await expect(runAction(restore, { backup: 'app' }, context)).rejects.toThrow(
      refused('FAILED', /12\.1\.2, newer than 10\.11/),
    )
  })

  it('bytes that are not those that were written', async () => {
    const context = await createContext(settings())
    const entry = await backUp(context, 'app')
    const bytes = await readFile(join(entry.path, 'app.sql.zst'))
    bytes.writeUInt8(bytes.readUInt8(200) ^ 1, 200)
    await writeFile(join(entry.path, 'app.sql.zst'), bytes)
    await expect(runAction(restore, { backup: 'app' }, context)).rejects.toThrow(
      refused('DATA_MISMATCH', /does not match its checksum/),
    )
  })

  it('an account that may not do it all, before it does half of it', async () => {
    const context = await createContext(settings())
    await backUp(context, 'app')
    const small = await createContext({
      ...settings({ user: 'small', password: { env: 'small' } }),
      repository: context.config.backup.repository,
    })
    await expect(runAction(restore, { backup: 'app' }, small)).rejects.toThrow(
      refused('NOT_PERMITTED', /may not INSERT, CREATE, DROP/),
    )
  })

  it('tables that foreign keys of others point to', async () => {
    const context = await createContext(settings())
    await backUp(context, 'app')
    await expect(runAction(restore, { backup: 'app', tables: ['t'] }, context)).rejects.toThrow(
      refused('FAILED', /app\.child \(c\)/),
    )
    await server.sql(
      'CREATE DATABASE other',
      'CREATE TABLE other.x (t INT, CONSTRAINT far FOREIGN KEY (t) REFERENCES app.t (id))',
    )
    await expect(runAction(restore, { backup: 'app' }, context)).rejects.toThrow(refused('FAILED', /other\.x \(far\)/))
  })

  it.each([
    ['a backup that is not there', { backup: 'ap' }, /there is no backup/, 'Did you mean database/app?'],
    [
      'a database that is not in it',
      { backup: 'app', databases: ['nothing'] },
      /has no database nothing/,
      'It has: app.',
    ],
    ['a table that is not in it', { backup: 'app', tables: ['nothing'] }, /has no table nothing/, undefined],
    [
      'a place that is not configured',
      { backup: 'app', to: 'stagign/x' },
      /neither a configured database source nor a host/,
      undefined,
    ],
  ])('%s', async (_what, params, message, hint) => {
    const context = await createContext(settings())
    await backUp(context, 'app')
    const error = await runAction(restore, params, context).catch((thrown: unknown) => thrown)
    expect(error).toEqual(refused('USAGE', message))
    if (hint !== undefined) expect(error).toMatchObject({ details: { hint } })
  })

  it('and never runs what a dump says to the client, nor goes where it says', async () => {
    const context = await createContext(settings())
    const entry = await backUp(context, 'app')
    const owned = join(context.directory, 'owned')
    for (const evil of [
      `\\! touch ${owned}\n`,
      `system touch ${owned}\n`,
      `SELECT 1 \\! touch ${owned}\n;`,
      `tee ${owned}\n`,
      `source ${owned}\n`,
    ]) {
      await forge(entry, 'app.sql.zst', (plain) =>
        Buffer.from(plain.toString().replace('-- Table structure', () => `${evil}\n-- Table structure`)),
      )
      await runAction(restore, { backup: 'app', to: 'other' }, context).catch(() => undefined)
      await expect(stat(owned)).rejects.toMatchObject({ code: 'ENOENT' })
      const again = await backUp(context, 'app')
      Object.assign(entry, again)
    }
    await forge(entry, 'app.sql.zst', (plain) =>
      Buffer.from(plain.toString().replace('DROP TABLE', () => 'USE `mysql`;\nDROP DATABASE `app`;\nDROP TABLE')),
    )
    await runAction(restore, { backup: 'app', to: 'other' }, context)
    expect((await server.sql('SELECT COUNT(*) AS n FROM app.t'))[0]?.['n']).toBe(2)
    expect((await server.sql('SELECT COUNT(*) AS n FROM other.t'))[0]?.['n']).toBe(2)
  })

  it('takes back what cannot be proved, and nothing of it stays', async () => {
    const context = await createContext(settings())
    const entry = await backUp(context, 'app')
    await forge(entry, 'app.sql.zst', (plain) => Buffer.from(plain.toString().replace("(2,'b')", "(3,'b'),\n(4,'c')")))
    await server.sql("UPDATE app.t SET v = 'newer'")
    await expect(runAction(restore, { backup: 'app' }, context)).rejects.toThrow(
      refused('ROLLED_BACK', /table t has 3 rows, the backup has 2/),
    )
    expect((await server.sql('SELECT GROUP_CONCAT(v) AS v FROM app.t'))[0]?.['v']).toBe('newer,newer')
    expect(await server.sql("SHOW DATABASES LIKE 'opskit%'")).toEqual([])
  })

  it('a statement that does not end, in place of waiting for its end for ever', async () => {
    const context = await createContext(settings())
    const entry = await backUp(context, 'app')
    await forge(entry, 'app.sql.zst', (plain) => Buffer.from(plain.toString().replace("(2,'b')", "(2,'b)")))
    await expect(runAction(restore, { backup: 'app' }, context)).rejects.toThrow(
      refused('ROLLED_BACK', /a statement of the dump has no end/),
    )
    expect(await server.sql("SHOW DATABASES LIKE 'opskit%'")).toEqual([])
  })

  it('not a database with a view whose table is lost: that is what is restored', async () => {
    const context = await createContext(settings())
    await server.sql('USE app', 'CREATE VIEW v AS SELECT * FROM child', 'CREATE VIEW w AS SELECT 1 AS a')
    await backUp(context, 'app')
    await server.sql('DROP TABLE app.child')
    const planned = await runAction(restore, { backup: 'app' }, context, { dryRun: true })
    expect(JSON.stringify(planned)).toContain('for what they refer to is missing now: the 1 view v')
    await runAction(restore, { backup: 'app' }, context)
    expect(await server.sql('SELECT id FROM app.v')).toEqual([{ id: 1 }])
  })

  it('to drop views and triggers that it has not saved', async () => {
    const context = await createContext(settings())
    await server.sql('USE app', 'CREATE VIEW w AS SELECT 1 AS a')
    const source = context.config.backup.databases['app']
    if (!source) throw new Error('no source app')
    const { resolveSecret, signal, directory } = context
    const host = openLocalHost()
    const engine = await openEngine({
      source,
      host,
      resolveSecret,
      signal,
      stateDirectory: directory,
      redact: (t) => t,
    })
    await engine.undo({ target: 'app', scratch: 'opskit_restore_x', aside: 'app_before_x', existed: true }, true)
    await engine.close()
    expect(await server.sql('SELECT a FROM app.w')).toEqual([{ a: 1 }])
  })

  it('restores single tables and keeps the others as they are', async () => {
    const context = await createContext(settings())
    await server.sql('CREATE TRIGGER app.tr BEFORE INSERT ON app.child FOR EACH ROW SET @a = 1')
    await backUp(context, 'app')
    await server.sql('DELETE FROM app.child', "UPDATE app.t SET v = 'newer'")
    await runAction(restore, { backup: 'app', tables: ['child'] }, context)
    expect((await server.sql('SELECT COUNT(*) AS n FROM app.child'))[0]?.['n']).toBe(1)
    expect((await server.sql('SELECT GROUP_CONCAT(v) AS v FROM app.t'))[0]?.['v']).toBe('newer,newer')
    expect(await server.sql('SHOW TRIGGERS IN app')).toHaveLength(1)
  })
})

describe('a restore of files', () => {
  async function tree(setUp = '') {
    const context = await createContext()
    const path = join(context.directory, 'srv')
    shell(`mkdir -p ${path}/d; echo a > ${path}/d/a; echo b > ${path}/b; ${setUp}`)
    return { context, path }
  }

  it.each([
    ['an absolute path', 'cd / && tar -P -rf "$T" "$O"', /absolute path/],
    ['a path with ..', 'cd "$S/d" && tar -P -rf "$T" ../../outside', /\.\./],
    ['a device', 'mknod "$S/d/null" c 1 3; cd / && tar -rf "$T" "${S#/}/d/null"', /device/],
    [
      'a link turned out of the tree, and what would be written through it',
      'rm -r "$S/d"; ln -s "$O.d" "$S/d"; cd / && tar -rf "$T" "${S#/}/d"',
      /is a link in the archive/,
    ],
    [
      'a hard link out of the tree',
      'ln "$O" "$S/h"; cd / && tar -P -rf "$T" "$O" "${S#/}/h"',
      /absolute path|hard link|not in the index/,
    ],
    ['a file nobody backed up', 'echo x > "$S/more"; cd / && tar -rf "$T" "${S#/}/more"', /not in the index/],
    ['a bomb', 'truncate -s 3G "$S/b"; cd / && tar -S -rf "$T" "${S#/}/b"', /far more than was backed up/],
  ])('refuses %s before a byte is written', async (_what, evil, message) => {
    const { context, path } = await tree()
    await writeFile(join(context.directory, 'outside'), 'outside')
    const entry = await backUpTree(context, { kind: 'static', name: 'web', paths: [path] })
    await forge(entry, 'files.tar.zst', (plain) => {
      const tar = join(context.directory, 'evil.tar')
      execFileSync('sh', ['-c', 'cat > "$1"', 'sh', tar], { input: plain })
      shell(`T=${tar} O=${context.directory}/outside S=${path}; ${evil}`)
      return execFileSync('cat', [tar], { maxBuffer: 1024 ** 3 })
    })
    const into = join(context.directory, 'into')
    await expect(runAction(restoreStatic, { backup: 'web', to: into }, context)).rejects.toThrow(
      refused('DATA_MISMATCH', message),
    )
    await expect(stat(into)).rejects.toMatchObject({ code: 'ENOENT' })
    expect(await readFile(join(context.directory, 'outside'), 'utf8')).toBe('outside')
  })

  it('refuses a disk that is too small', async () => {
    const { context, path } = await tree()
    shell(`head -c 400000 /dev/urandom > ${path}/b`)
    await backUpTree(context, { kind: 'static', name: 'web', paths: [path] })
    const small = join(context.directory, 'small')
    await mkdir(small)
    const mount = await mountMemory(small, { size: '256k' })
    onTestFinished(() => mount.unmount())
    await expect(runAction(restoreStatic, { backup: 'web', to: small }, context)).rejects.toThrow(
      refused('CANNOT_WRITE', /would have 256 KiB, and the files take/),
    )
    expect(shell(`ls -A ${small}`)).toBe('')
  })

  it('brings nginx to serve what was restored, or brings back what was there', async () => {
    const nginx = await startNginx({ server: "location / { return 200 'first'; }" })
    onTestFinished(() => nginx.stop())
    const site = join(nginx.directory, 'conf.d/site.conf')
    const section = {
      config: {
        web: {
          paths: [join(nginx.directory, 'conf.d'), nginx.config],
          nginx: { config: nginx.config, url: nginx.url },
        },
      },
    }
    const context = await createContext(section)
    const paths = section.config.web.paths
    const ask = async () => (await fetch(nginx.url, { headers: { connection: 'close' } })).text()
    await backUpTree(context, { kind: 'config', name: 'web', paths })

    const first = await readFile(site, 'utf8')
    await writeFile(site, first.replace('first', 'second'))
    shell(`kill -HUP ${nginx.process.pid}`)
    await expect.poll(ask).toBe('second')
    await runAction(restoreConfig, { backup: 'web' }, context)
    expect(await ask()).toBe('first')

    // A configuration that nginx -t takes and that cannot be served: a port that this test holds.
    const { createServer } = await import('node:net')
    const holder = createServer().listen(0, '127.0.0.1')
    onTestFinished(() => void holder.close())
    await expect.poll(() => holder.address()).not.toBeNull()
    const { port } = holder.address() as { port: number }
    await writeFile(site, `${first}\nserver { listen 127.0.0.1:${port}; }\n`)
    await backUpTree(context, { kind: 'config', name: 'web', paths })
    await writeFile(site, first.replace('first', 'third'))
    shell(`kill -HUP ${nginx.process.pid}`)
    await expect.poll(ask).toBe('third')
    await expect(runAction(restoreConfig, { backup: 'web' }, context)).rejects.toThrow(
      refused('ROLLED_BACK', /refuses the restored configuration|old workers still serve/),
    )
    expect(await readFile(site, 'utf8')).toContain('third')
    await expect.poll(ask).toBe('third')
    expect(shell(`ls -A ${nginx.directory} | grep opskit-restore || true`)).toBe('')
  })
})

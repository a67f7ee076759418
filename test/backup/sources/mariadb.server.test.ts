/** MariaDB with everything that breaks naive dumps; and every way a dump can fail. */
import { readdirSync, readFileSync, statSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { createConnection } from 'mysql2/promise'
import { afterAll, beforeAll, describe, expect, it, onTestFinished, vi } from 'vitest'
import { openMysqlSession } from '../../../scripts/lib/backup/database/mysql/connect.ts'
import { countMysqlRows, readMysqlContents } from '../../../scripts/lib/backup/database/mysql/facts.ts'
import { fingerprintMysql } from '../../../scripts/lib/backup/database/mysql/fingerprint.ts'
import { openPlace } from '../../../scripts/lib/backup/pipeline/place.ts'
import type { DatabaseFacts, SourceResult } from '../../../scripts/lib/backup/types.ts'
import { openLocalHost } from '../../../scripts/lib/host/local.ts'
import { openSshHost } from '../../../scripts/lib/host/ssh/host.ts'
import { MARIADB_ROOT_PASSWORD, startMariaDb, type MariaDb } from '../../support/mariadb.ts'
import { mountMemory } from '../../support/mounts.ts'
import { startSshd } from '../../support/sshd.ts'
import { tempDir } from '../../support/temp.ts'
import { waitFor } from '../../support/wait.ts'
import {
  like,
  saying,
  filesIn,
  leftovers,
  run,
  shell,
  withoutSecretInArgv,
  type Run,
  type SourceSettings,
} from './support.ts'

const PASSWORD = `p"a\\s's #w`
const NASTY = 'my "shop"\n2'

let server: MariaDb
beforeAll(async () => {
  server = await startMariaDb({ settings: ['event-scheduler=OFF'] })
  await fill(server)
})
afterAll(() => server.stop())

describe('a backup of MariaDB', () => {
  it('restores with standard tools alone, object by object and byte by byte', async () => {
    const into = await tempDir('staging')
    const result = await withoutSecretInArgv(PASSWORD, () => run({ ...asBackup({ fingerprints: true }), into }))
    expect(await filesIn(into)).toEqual(['_users.sql.zst', 'app.sql.zst', 'my%20%22shop%22%0A2.sql.zst'])
    expect(result.warnings).toEqual([
      like(/^not transactional.*app\.aria \(Aria\)/),
      // The server runs with skip-name-resolve and has accounts of host names.
      like(/^not every account .*\(1133\)/),
    ])
    expect(await shell('zstd -dc "$1/_users.sql.zst"', [into])).toMatch(/^CREATE USER `backup`@`localhost`/m)
    for (const facts of result.databases ?? []) await expectRestored(into, result, facts)
  })

  it('is readable for nobody else, whole, and has the checksums of its bytes', async () => {
    const into = await tempDir('staging')
    const result = await run({ ...asBackup(), into })
    for (const { path, sizeBytes, sha256 } of result.files) {
      const { mode, size } = statSync(join(into, path))
      expect(mode & 0o777).toBe(0o600)
      expect(size).toBe(sizeBytes)
      expect((await shell('sha256sum < "$1"', [join(into, path)])).slice(0, 64)).toBe(sha256)
      expect(await shell('zstd -dc "$1" | tail -n 1', [join(into, path)])).toMatch(/^-- Dump completed/)
    }
    expect(result.server).toMatchObject({ family: 'mariadb', version: like(/^\d+\.\d+/) })
    expect(result.tools).toMatchObject({ 'mariadb-dump': like(/./), zstd: like(/./) })
    expect(result.position).toMatchObject({ binlogFile: 'binlog.000001', gtid: like(/^0-1-\d+$/) })
  })

  it('counts the rows of every table exactly', async () => {
    const { databases = [] } = await run({ ...asBackup(), into: await tempDir('staging') })
    for (const { name, tables } of databases) {
      const session = await openSession()
      const counts = await countMysqlRows(
        session,
        name,
        tables.map((table) => table.name),
      )
      await session.close()
      expect(Object.fromEntries(tables.map((table) => [table.name, table.rows]))).toEqual(Object.fromEntries(counts))
    }
  })

  it('is one moment of all databases, while they are written to', async () => {
    const writer = await createConnection({ socketPath: server.socket, user: 'root', password: MARIADB_ROOT_PASSWORD })
    let writing = true
    const write = async () => {
      for (let i = 0; writing; i += 1) {
        await writer.beginTransaction()
        await writer.query(`INSERT INTO app.pairs VALUES (${i})`)
        await writer.query(`INSERT INTO \`${NASTY}\`.pairs VALUES (${i})`)
        await writer.commit()
      }
    }
    const done = write()
    const result = await run({ ...asBackup({ fingerprints: true }), into: await tempDir('staging') })
    writing = false
    await done
    await writer.end()
    const [one, two] = (result.databases ?? []).map(({ tables }) => tables.find(({ name }) => name === 'pairs'))
    expect(one?.rows).toBeGreaterThan(0)
    expect(one).toEqual(two)
    expect(one?.fingerprint).toMatch(new RegExp(`^${one?.rows}:`))
  })

  it('takes only the databases that are named', async () => {
    const into = await tempDir('staging')
    const result = await run({ ...asBackup({ databases: [NASTY], users: false }), into })
    expect(result.databases?.map(({ name }) => name)).toEqual([NASTY])
    expect(await filesIn(into)).toEqual(['my%20%22shop%22%0A2.sql.zst'])
  })

  it('is encrypted on its way, so that the disk sees no plain text', async () => {
    const [into, keys] = [await tempDir('staging'), await tempDir('keys')]
    await shell('age-keygen -o "$1/key" 2>/dev/null', [keys])
    const recipient = (await shell('age-keygen -y "$1/key"', [keys])).trim()
    const settings = { compression: { level: 3, threads: 1 }, recipients: [recipient] }
    const result = await run({ ...asBackup(), settings, into })
    expect(result.files.map(({ path }) => path)).toContain('app.sql.zst.age')
    const decrypt = 'age -d -i "$2/key" "$1/app.sql.zst.age" | zstd -dc | tail -n 1'
    expect(await shell(decrypt, [into, keys])).toBe('-- Dump completed\n')
    expect((await readFile(join(into, 'app.sql.zst.age'))).subarray(0, 21).toString()).toBe('age-encryption.org/v1')
    expect(result.tools).toHaveProperty('age')
  })

  it('says what the account may not see or do', async () => {
    await server.sql(
      "CREATE USER IF NOT EXISTS few@localhost IDENTIFIED BY 'few'",
      'GRANT SELECT, LOCK TABLES ON app.* TO few@localhost',
    )
    const result = await run({
      source: { type: 'mariadb', socket: server.socket, user: 'few', databases: ['app'] },
      password: 'few',
      into: await tempDir('staging'),
    }).catch((error: unknown) => error)
    expect(result).toMatchObject({ code: 'NOT_PERMITTED' })
  })

  it('works the same over SSH, and leaves nothing there', async () => {
    const sshd = await startSshd()
    const host = await openSshHost({ ...sshd.settings, name: 'web-1' })
    onTestFinished(async () => {
      await host.close()
      await sshd.stop()
    })
    const into = await tempDir('staging')
    const before = leftovers()
    const result = await withoutSecretInArgv(PASSWORD, () => run({ ...asBackup({ fingerprints: true }), host, into }))
    expect(leftovers()).toEqual(before)
    for (const facts of result.databases ?? []) await expectRestored(into, result, facts)
  })
})

describe('a backup of MariaDB that fails', () => {
  it.each<[string, Omit<SourceSettings, 'type'>, string, RegExp]>([
    ['a wrong password', { password: { file: 'wrong' } }, 'NOT_PERMITTED', /Access denied/],
    ['a server that is not there', { socket: '/run/none.sock' }, 'UNREACHABLE', /none\.sock/],
    ['an unknown database', { databases: ['ap'] }, 'FAILED', /there is no database "ap" on the server/],
  ])('names %s', async (_name, source, code, message) => {
    const into = await tempDir('staging')
    const resolveSecret = source.password && { password: 'secret-and-wrong' }
    const failed = await failure({ ...asBackup(source), ...resolveSecret, into })
    expect(failed).toMatchObject({ code, message: like(message) })
    expect(JSON.stringify(failed)).not.toContain('secret-and-wrong')
  })

  it('suggests the database that was meant', async () => {
    const failed = await failure({ ...asBackup({ databases: ['ap'] }), into: await tempDir('staging') })
    expect(failed.details.hint).toBe('Did you mean "app"?')
  })

  it('says which package brings a missing tool', async () => {
    const path = await tempDir('path')
    vi.stubEnv('PATH', path)
    onTestFinished(() => void vi.unstubAllEnvs())
    const failed = await failure({ ...asBackup(), into: await tempDir('staging') })
    expect(failed).toMatchObject({
      code: 'MISSING_TOOL',
      message: 'mariadb is not installed on localhost',
      details: { hint: 'Install it on localhost: apt-get install mariadb-client' },
    })
  })

  it('on a full disk, as such', async () => {
    const mount = await mountMemory(join(await tempDir('small'), 'm'))
    onTestFinished(() => mount.unmount())
    const failed = await failure({ ...asBackup(), into: mount.path })
    expect(failed).toMatchObject({ code: 'CANNOT_WRITE', message: saying('no space is left') })
  })

  it('when a stage of the pipeline is killed, and names it', async () => {
    const failing = failure({ ...slow(), into: await tempDir('staging') })
    await dumpSession()
    const [zstd] = children('zstd')
    process.kill(zstd ?? 0, 'SIGKILL')
    expect(await failing).toMatchObject({
      code: 'FAILED',
      message: like(/^zstd on .* killed by SIGKILL/),
    })
  })

  it('when its session is killed half-way', async () => {
    const failing = failure({ ...slow(), into: await tempDir('staging') })
    await killDumps()
    expect(await failing).toMatchObject({
      code: like(/^(UNREACHABLE|FAILED)$/),
      details: { transient: true },
    })
  })

  it('when it is told to stop, with that reason', async () => {
    const abort = new AbortController()
    const failing = failure({ ...slow(), into: await tempDir('staging'), signal: abort.signal })
    await dumpSession()
    abort.abort(new Error('told to stop'))
    expect(await failing).toMatchObject({ message: 'told to stop' })
  })

  it('when a table is held by somebody, and says by whom', async () => {
    const holder = await createConnection({ socketPath: server.socket, user: 'root', password: MARIADB_ROOT_PASSWORD })
    await holder.query('LOCK TABLES app.plain WRITE')
    onTestFinished(() => holder.end())
    const settings = { compression: { level: 3, threads: 1 }, stallMs: 1_500 }
    const failed = await failure({ ...asBackup(), settings, into: await tempDir('staging') })
    expect(failed).toMatchObject({ code: 'LOCKED', message: like(/waits for a lock.*\(root, /) })
  })

  it('when a table cannot be read, and names it', async () => {
    await server.sql('CREATE TABLE app.broken (id int) ENGINE=InnoDB', 'ALTER TABLE app.broken DISCARD TABLESPACE')
    const failed = await failure({ ...asBackup(), into: await tempDir('staging') })
    await server.sql('DROP TABLE app.broken')
    expect(failed).toMatchObject({ code: 'FAILED', message: saying('broken') })
  })

  it('when the server dies half-way', async () => {
    const failing = failure({ ...slow(), into: await tempDir('staging') })
    await dumpSession()
    server.process.kill('SIGKILL')
    expect(await failing).toMatchObject({ code: 'UNREACHABLE', details: { transient: true } })
  })
})

function asBackup(source: Omit<SourceSettings, 'type'> = {}): Omit<Run, 'into'> {
  return { source: { type: 'mariadb', socket: server.socket, user: 'backup', ...source }, password: PASSWORD }
}

/** Compression that takes many seconds, so that something can happen meanwhile. */
function slow(): Omit<Run, 'into'> {
  return { ...asBackup(), settings: { compression: { level: 19, threads: 1 } } }
}

interface Failed {
  readonly code: string
  readonly message: string
  readonly details: { readonly hint?: string; readonly transient?: boolean }
}

/** The error of a backup; nothing is left of it: no file, no process, no credentials. */
async function failure(request: Run): Promise<Failed> {
  const before = leftovers()
  const outcome = await run(request).then(
    () => ({ code: 'none', message: 'it did not fail', details: {} }),
    (error: unknown) => error as Failed,
  )
  expect(await filesIn(request.into)).toEqual([])
  expect(leftovers()).toEqual(before)
  expect(children('zstd')).toEqual([])
  return outcome
}

/** Our children of that program that have not ended. */
function children(name: string): number[] {
  return readdirSync('/proc')
    .filter((pid) => /^\d+$/.test(pid))
    .flatMap((pid) => {
      try {
        const [, program = '', parent] = /\((.*)\) \S (\d+)/.exec(readFileSync(`/proc/${pid}/stat`, 'latin1')) ?? []
        return program === name && Number(parent) === process.pid ? [Number(pid)] : []
      } catch {
        return []
      }
    })
}

async function dumpSession(): Promise<number> {
  const row = await waitFor('the dump to read rows', async () => {
    const rows = await server.sql("SELECT id FROM information_schema.processlist WHERE info LIKE 'SELECT /*!40001%'")
    return rows[0]
  })
  return Number(row['id'])
}

async function killDumps(): Promise<void> {
  await server.sql(`KILL ${await dumpSession()}`)
}

function openSession() {
  const place = openPlace({
    host: openLocalHost(),
    redact: (text) => text,
    signal: new AbortController().signal,
    timeoutMs: 60_000,
  })
  const address = { socket: server.socket, user: 'root', password: MARIADB_ROOT_PASSWORD }
  return openMysqlSession({ place, address, client: 'mariadb', family: 'mariadb' })
}

/** Restores one database into another by the client alone and compares everything that the backup says of it. */
async function expectRestored(into: string, { files }: SourceResult, facts: DatabaseFacts): Promise<void> {
  const file = files.find(({ database }) => database === facts.name)
  const create = (facts.create ?? '').replace(/`(?:[^`]|``)*`/, '`copy`').replace(';', '')
  await server.sql('DROP DATABASE IF EXISTS copy', create)
  await shell(
    'zstd -dc "$1" | mariadb --no-defaults --sandbox -S "$2" -u root copy',
    [join(into, file?.path ?? ''), server.socket],
    {
      MYSQL_PWD: MARIADB_ROOT_PASSWORD,
    },
  )
  const session = await openSession()
  try {
    const [copy] = (await readMysqlContents(session, ['copy'])).databases
    const names = facts.tables.map(({ name }) => name)
    const rows = await countMysqlRows(session, 'copy', names)
    const digests = await fingerprintMysql(session, 'copy', names)
    const tables = copy?.tables.map(({ name }) => ({ name, rows: rows.get(name), fingerprint: digests.get(name) }))
    expect({ ...copy, tables, name: facts.name, create: facts.create }).toEqual(facts)
  } finally {
    await session.close()
    await server.sql('DROP DATABASE copy')
  }
}

async function fill(db: MariaDb): Promise<void> {
  const nasty = `\`${NASTY.replaceAll('`', '``')}\``
  await db.sql(
    'CREATE DATABASE app CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci',
    `CREATE DATABASE ${nasty} CHARACTER SET latin1`,
    `CREATE USER backup@localhost IDENTIFIED BY ${"'p\"a\\\\s''s #w'"}`,
    'GRANT SELECT, SHOW VIEW, TRIGGER, EVENT, RELOAD, BINLOG MONITOR, LOCK TABLES, PROCESS ON *.* TO backup@localhost',
    'USE app',
  )
  const root = await createConnection({ socketPath: db.socket, user: 'root', password: MARIADB_ROOT_PASSWORD })
  const all = async (...statements: string[]) => {
    for (const statement of statements) await root.query(statement)
  }
  await all(
    'USE app',
    "SET sql_mode = 'ALLOW_INVALID_DATES'",
    'CREATE TABLE plain (id int PRIMARY KEY, s varchar(200), KEY (s)) ENGINE=InnoDB',
    `INSERT INTO plain VALUES (1, 'emoji 😀 日本'), (2, 'a\\nb\\t(),(\\'"\\\\'), (3, NULL), (4, ''), (5, 'NULL')`,
    'CREATE TABLE `we``ird "t"\nname` (`co l` int, `x``y` text) ENGINE=InnoDB',
    "INSERT INTO `we``ird \"t\"\nname` VALUES (1, 'INSERT INTO `plain` VALUES\\n(1)'), (2, '-- Dump completed')",
    'CREATE TABLE blobs (id int PRIMARY KEY, b longblob, bits bit(9), f float, d double, z datetime, y year, e enum("a","b")) ENGINE=InnoDB',
    `INSERT INTO blobs VALUES (1, 0x00ff0a0d27225c, b'101', 1.1, 0.1e-9, '0000-00-00 00:00:00', 0, 'b'), (2, '', NULL, -0.0, 1e300, '2026-02-31 00:00:00', 2155, NULL)`,
    'CREATE TABLE generated (id int PRIMARY KEY, a int, s int AS (a + 1) STORED, v int AS (a * 2) VIRTUAL, KEY (v)) ENGINE=InnoDB',
    'INSERT INTO generated (id, a) VALUES (1, 10), (2, NULL), (3, -5)',
    'CREATE TABLE parts (id int, k int, PRIMARY KEY (id, k)) ENGINE=InnoDB PARTITION BY RANGE (k) (PARTITION p0 VALUES LESS THAN (10), PARTITION p1 VALUES LESS THAN MAXVALUE)',
    'INSERT INTO parts VALUES (1, 1), (2, 11)',
    'CREATE TABLE ring_a (id int PRIMARY KEY, b int) ENGINE=InnoDB',
    'CREATE TABLE ring_b (id int PRIMARY KEY, a int, FOREIGN KEY (a) REFERENCES ring_a (id)) ENGINE=InnoDB',
    'INSERT INTO ring_a VALUES (1, 1)',
    'INSERT INTO ring_b VALUES (1, 1)',
    'ALTER TABLE ring_a ADD FOREIGN KEY (b) REFERENCES ring_b (id)',
    'CREATE TABLE aria (id int) ENGINE=Aria',
    'CREATE TABLE empty (id int) ENGINE=InnoDB',
    'CREATE TABLE pairs (id int) ENGINE=InnoDB',
    'CREATE SEQUENCE numbers START WITH 7',
    'SELECT NEXTVAL(numbers)',
    'CREATE VIEW top AS SELECT id, s FROM plain',
    'CREATE VIEW above AS SELECT t.id FROM top t JOIN generated g ON g.id = t.id',
    "CREATE TRIGGER mark BEFORE INSERT ON plain FOR EACH ROW SET NEW.s = CONCAT(NEW.s, '!')",
    "CREATE PROCEDURE copy_rows() BEGIN\nINSERT INTO `plain` VALUES\n(100, 'x'),\n(101, ';;');\n-- Current Database: `app`\nEND",
    'CREATE FUNCTION twice(n int) RETURNS int DETERMINISTIC RETURN n * 2',
    'CREATE EVENT nightly ON SCHEDULE EVERY 1 DAY DO DELETE FROM empty',
    'CREATE TABLE big (id int PRIMARY KEY AUTO_INCREMENT, noise varbinary(2000)) ENGINE=InnoDB',
    `INSERT INTO big (noise) SELECT UNHEX(REPEAT(SHA2(CONCAT(seq, RAND()), 512), 14)) FROM seq_1_to_6000`,
    `USE ${nasty}`,
    'CREATE TABLE pairs (id int) ENGINE=InnoDB',
    'CREATE TABLE `tab le` (id int PRIMARY KEY, s varchar(20)) ENGINE=InnoDB',
    "INSERT INTO `tab le` VALUES (1, 'é')",
    'CREATE VIEW across AS SELECT id FROM app.above',
  )
  await root.end()
}

/** Drills of everything a backup can be, and of everything that can be wrong with one. */
import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmod, cp, readdir, readFile, truncate, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { runAction } from '../../../scripts/lib/action/run.ts'
import type { Action } from '../../../scripts/lib/action/types.ts'
import { drillAction } from '../../../scripts/lib/backup/drill/action.ts'
import { openPrivate, restoreAndCompare, type DatabaseDrill } from '../../../scripts/lib/backup/drill/database.ts'
import { sweepInstances, type Instance } from '../../../scripts/lib/backup/drill/instance.ts'
import { startInstance } from '../../../scripts/lib/backup/drill/servers.ts'
import { openRepository } from '../../../scripts/lib/backup/repository/open.ts'
import type { RestoreEngine } from '../../../scripts/lib/backup/restore/engine.ts'
import type { BackupEntry } from '../../../scripts/lib/backup/types.ts'
import { verifyAction } from '../../../scripts/lib/backup/verify/action.ts'
import { systemClock } from '../../../scripts/lib/core/clock.ts'
import { silentProgress } from '../../../scripts/lib/core/progress.ts'
import { openLocalHost } from '../../../scripts/lib/host/local.ts'
import { MARIADB_ROOT_PASSWORD, startMariaDb, type MariaDb } from '../../support/mariadb.ts'
import { startPostgres } from '../../support/postgres.ts'
import { makeTempDir, tempDir } from '../../support/temp.ts'
import { waitFor } from '../../support/wait.ts'
import { backUp, backUpTree, createContext, forge, type RestoreContext } from './support.ts'

const execute = promisify(execFile)
const [drill, verify] = [drillAction as Action, verifyAction as Action]

let server: MariaDb
/** A repository with a good backup of the awkward database; tests work on copies of it. */
let original: { path: string; remove(): Promise<void> }

const settings = () => ({
  type: 'mariadb',
  socket: server.socket,
  user: 'root',
  password: { env: MARIADB_ROOT_PASSWORD },
  databases: ['app'],
  fingerprints: true,
})

async function pipe(argv: readonly [string, ...string[]], input: string): Promise<void> {
  const running = execute(argv[0], argv.slice(1))
  running.child.stdin?.end(input)
  await running
}

/** With a tenth of the rows: there are many drills here. */
const fixture = async (name: string) =>
  (await readFile(new URL(`../fixtures/${name}`, import.meta.url), 'utf8'))
    .replace('seq_1_to_20000', 'seq_1_to_2000')
    .replace('generate_series(1, 20000)', 'generate_series(1, 2000)')

/** A place of its own: drills of other tests look for what dead ones have left, too. Open to the users of the servers, as /tmp is. */
let own: Awaited<ReturnType<typeof makeTempDir>>
const everybodys = process.env['TMPDIR']
beforeAll(async () => {
  own = await makeTempDir('drills')
  await chmod(own.path, 0o1777)
  process.env['TMPDIR'] = own.path
})
afterAll(async () => {
  if (everybodys === undefined) delete process.env['TMPDIR']
  else process.env['TMPDIR'] = everybodys
  await own.remove()
})

beforeAll(async () => {
  original = await makeTempDir('good')
  server = await startMariaDb()
  await server.sql('CREATE DATABASE app')
  await pipe(
    ['mariadb', '-uroot', `-p${MARIADB_ROOT_PASSWORD}`, '-S', server.socket, 'app'],
    await fixture('nasty-mariadb.sql'),
  )
})
afterAll(async () => {
  await server?.stop()
  await original?.remove()
})

/** A context whose repository holds a copy of the good backup. */
async function withBackup(change: object = {}): Promise<{ context: RestoreContext; entry: BackupEntry }> {
  const context = await createContext({ databases: { app: { ...settings(), ...change } } })
  const path = context.config.backup.repository
  if ((await readdir(original.path)).length === 0) {
    await backUp(context, 'app')
    await cp(path, original.path, { recursive: true, preserveTimestamps: true })
  } else await cp(original.path, path, { recursive: true, preserveTimestamps: true })
  return { context, entry: await openRepository(path).find('database/app') }
}

const DUMP = 'app.sql.zst'
const edit = (from: RegExp | string, to: string) => (plain: Buffer) =>
  Buffer.from(
    plain.toString('latin1').replace(from, () => to),
    'latin1',
  )

describe('a drill of MariaDB', () => {
  it("proves a good backup, asks the operator's questions, records how long it took, and leaves nothing", async () => {
    const checks = [
      { name: 'many rows', sql: 'SELECT COUNT(*) FROM big', expect: '>=2000' },
      { name: 'the first', sql: 'SELECT k FROM big WHERE id = 1', expect: 1 },
    ]
    const { context, entry } = await withBackup({ checks })
    const result = await runAction(drill, { backups: ['app'] }, context)
    expect(result).toMatchObject({
      report: { findings: [{ severity: 'ok', evidence: expect.stringContaining('fingerprints too') as string }] },
    })
    const [after] = await openRepository(context.config.backup.repository).list()
    expect(after).toMatchObject({
      id: entry.id,
      drilledAt: expect.any(Number) as number,
      rtoMs: expect.any(Number) as number,
    })
    expect((await readdir(tmpdir())).filter((name) => name.startsWith('opskit-instance-'))).toEqual([])
  })

  it('says which of the questions has another answer', async () => {
    const checks = [
      { name: 'few rows', sql: 'SELECT COUNT(*) FROM big', expect: '<5' },
      { name: 'nonsense', sql: 'SELECT nothing FROM nowhere', expect: '1' },
    ]
    const { context } = await withBackup({ checks })
    const result = await runAction(drill, { backups: ['app'] }, context)
    expect(result).toMatchObject({
      report: {
        findings: [
          {
            severity: 'critical',
            lines: [
              'check "few rows": "2000", expected < 5',
              expect.stringContaining('check "nonsense" could not be asked') as string,
            ],
          },
        ],
      },
    })
  })

  describe('finds everything that can be wrong', () => {
    let instance: Instance
    let engine: RestoreEngine
    const { signal } = new AbortController()
    const common = {
      identity: undefined,
      checks: [],
      timeoutMs: 120_000,
      redact: (text: string) => text,
      signal,
      clock: systemClock,
      progress: silentProgress,
    }

    beforeAll(async () => {
      const host = openLocalHost()
      instance = await startInstance({ family: 'mariadb', version: '10.3.0' }, signal)
      engine = await openPrivate(
        { ...common, host, entry: { manifest: { server: { family: 'mariadb' } } } as BackupEntry },
        instance,
      )
    })
    afterAll(async () => {
      await engine?.close()
      await instance?.stop()
    })

    it.each<[string, (plain: Buffer) => Buffer, RegExp]>([
      ['nothing wrong but a comment', edit('-- Host: ', '-- host: '), /^$/],
      [
        'a table that is missing',
        edit(/DROP TABLE IF EXISTS `ring_c`[^]*?UNLOCK TABLES;\n/, ''),
        /table ring_c is missing/,
      ],
      ['a row that is missing', edit(/\n\(7,7,[^\n]*\),\n/, '\n'), /table big has 1999 rows, the backup has 2000/],
      [
        'a cell that is different',
        edit(/\n\(7,7,'[0-9a-f]{32}'/, "\n(7,7,'00000000000000000000000000000000'"),
        /content of table big differs/,
      ],
      [
        'a trigger that is missing',
        edit(/\/\*!50003 CREATE\*\/ \/\*!50017 [^\n]* TRIGGER `t_big`[^]*?;;/, 'SELECT 1;;'),
        /trigger t_big is missing/,
      ],
      [
        'an event that is missing',
        edit(/\/\*!50106 CREATE\*\/[^\n]*EVENT `nightly`[^]*?;;/, 'SELECT 1;;'),
        /event nightly is missing/,
      ],
      [
        'a routine that is missing',
        edit(/CREATE DEFINER=\S* FUNCTION `twice`[^]*?END\n?\s?;;/, 'SELECT 1 ;;'),
        /routine FUNCTION twice is missing/,
      ],
      ['an index that is missing', edit(/,\n {2}KEY `kh` \(`h`\)/, ''), /index big.kh is missing/],
      [
        'a foreign key that is missing',
        edit(/,\n {2}CONSTRAINT `ring_cb` [^\n]*/, ''),
        /foreign key ring_c.ring_cb is missing/,
      ],
      [
        'a view that is missing',
        edit(
          /\/\*!50001 CREATE (?:VIEW `v1` AS[^]*?;|ALGORITHM=UNDEFINED \*\/\n[^\n]*\n\/\*!50001 VIEW `v1` [^\n]*)/g,
          'SELECT 1;',
        ),
        /view v1 is missing|cannot be restored/,
      ],
      [
        'a sequence that is missing',
        edit(/CREATE SEQUENCE `numbers`[^;]*;\nDO SETVAL[^;]*;/, ''),
        /sequence numbers is missing/,
      ],
      ['a statement that is wrong', edit('KEY `kk` (`k`)', 'KEY `kk` (`nothing`)'), /cannot be restored.*kk|nothing/],
      ['an end that is missing', edit(/\n-- Dump completed.*\n$/, '\n'), /no end marker/],
      [
        'a quote that is missing',
        (plain) => Buffer.from(plain.toString('latin1').replace(/(\n\(2000,46,[^\n]*)'\);/, '$1);'), 'latin1'),
        /cannot be restored/,
      ],
      [
        'rows that break off',
        edit(/\n\(7,7,'[0-9a-f]{10}/, "\n(7,7,'\nUNLOCK TABLES"),
        /the rows of table big break off/,
      ],
      [
        'a cut in the middle of a row',
        (plain) => plain.subarray(0, Math.floor(plain.length / 2)),
        /cut short|ends inside a statement|no end marker/,
      ],
    ])('%s', async (_what, change, expected) => {
      const { entry } = await withBackup()
      const forged = await forge(entry, DUMP, change)
      const request: DatabaseDrill = { ...common, host: openLocalHost(), entry: forged }
      expect((await restoreAndCompare(request, engine, instance)).join('; ')).toMatch(expected)
    })
  })

  it.each([
    [
      'a flipped byte',
      async (path: string) => {
        const bytes = await readFile(path)
        bytes.writeUInt8(bytes.readUInt8(5_000) ^ 1, 5_000)
        await writeFile(path, bytes)
      },
    ],
  ])('and a verification refuse %s, and record it', async (_what, damage) => {
    const { context, entry } = await withBackup()
    await damage(join(entry.path, DUMP))
    for (const action of [verify, drill]) {
      const result = await runAction(action, { backups: ['app'] }, context)
      expect(result).toMatchObject({
        report: { findings: [{ severity: 'critical', evidence: expect.stringContaining(DUMP) as string }] },
      })
    }
    const [after] = await openRepository(context.config.backup.repository).list()
    expect(after?.failedBecause).toContain(DUMP)
    expect(after?.drilledAt).toBeUndefined()
  })

  it('and a verification refuse a truncated tail, by name and among all', async () => {
    const { context, entry } = await withBackup()
    await truncate(join(entry.path, DUMP), 10_000)
    for (const action of [verify, drill]) {
      await expect(runAction(action, { backups: [entry.id] }, context)).rejects.toMatchObject({ code: 'DATA_MISMATCH' })
    }
    expect(await runAction(verify, { all: true }, context)).toMatchObject({
      report: { findings: [{ severity: 'critical', subject: entry.id }] },
    })
  })
})

describe('a private server whose owner is killed', () => {
  it.each([
    ['mariadb', '10.3.0', 'its guard lives'],
    ['postgresql', '13.0', 'its guard lives'],
    ['postgresql', '13.0', 'its guard is killed too'],
  ])('%s %s leaves nothing, at once or at the next drill: %s', async (family, version, guard) => {
    const servers = new URL('../../../scripts/lib/backup/drill/servers.ts', import.meta.url).pathname
    const script = `const { startInstance } = await import(${JSON.stringify(servers)})
      const i = await startInstance(${JSON.stringify({ family, version })}, new AbortController().signal)
      console.log(i.directory); setInterval(() => {}, 1000)`
    const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    const [line] = (await once(child.stdout, 'data')) as [Buffer]
    const directory = line.toString().trim()
    const pidOf = async (name: string) => (await readFile(join(directory, name), 'utf8')).trim()
    const [server, guardian] = [await pidOf('server.pid'), await pidOf('guard.pid')]
    const memory = family === 'postgresql' ? await readSegment(directory) : ''
    if (guard !== 'its guard lives') process.kill(Number(guardian), 'SIGKILL')
    child.kill('SIGKILL')
    if (guard !== 'its guard lives') expect(await sweepInstances()).toEqual([directory])
    await waitFor('the server to end', async () => !(await readdir('/proc')).includes(server))
    await waitFor(
      'its directory to go',
      async () => !(await readdir(tmpdir())).includes(directory.split('/').at(-1) ?? ''),
    )
    if (memory !== '') expect(await readSegments()).not.toContain(memory)
    expect(await sweepInstances()).toEqual([])
  })
})

/** The shared memory of a PostgreSQL, by the number the kernel gave it: the last word of line 7 of postmaster.pid. */
async function readSegment(directory: string): Promise<string> {
  const lines = (await readFile(join(directory, 'data', 'postmaster.pid'), 'utf8')).split('\n')
  const segment = lines[6]?.trim().split(/\s+/).at(-1) ?? ''
  expect(await readSegments()).toContain(segment)
  return segment
}

async function readSegments(): Promise<string[]> {
  const [, ...lines] = (await readFile('/proc/sysvipc/shm', 'utf8')).trim().split('\n')
  return lines.map((one) => one.trim().split(/\s+/)[1] ?? '')
}

describe('a drill of PostgreSQL', () => {
  it('proves a good backup with its roles, and finds a missing index, a missing row and a changed cell', async () => {
    const postgres = await startPostgres()
    try {
      await postgres.sql('CREATE ROLE "app owner"', 'CREATE DATABASE app OWNER "app owner"')
      // The one that every server has from its beginning.
      await postgres.sql('CREATE TABLE jobs (id int)', 'INSERT INTO jobs VALUES (1), (2)')
      const psql = [
        'psql',
        '-h',
        postgres.socket,
        '-p',
        String(postgres.port),
        '-U',
        'postgres',
        '-q',
        '-X',
        '-d',
        'app',
      ] as const
      await pipe(['psql', ...psql.slice(1)], await fixture('nasty-postgres.sql'))
      const source = {
        type: 'postgresql',
        socket: postgres.socket,
        port: postgres.port,
        user: 'postgres',
        databases: ['app', 'postgres'],
        fingerprints: true,
        checks: [{ name: 'has jobs', database: 'postgres', sql: 'SELECT count(*) FROM jobs', expect: '2' }],
      }
      const context = await createContext({ databases: { app: source } })
      const entry = await backUp(context, 'app')
      expect(await runAction(verify, { backups: ['app'] }, context)).toMatchObject({
        report: { findings: [{ severity: 'ok' }] },
      })
      expect(await runAction(drill, { backups: ['app'] }, context)).toMatchObject({
        report: { findings: [{ severity: 'ok' }] },
      })

      // Rows in an archive without compression are plain text of the same length.
      await forge(entry, 'app.data-1.dump.zst', edit('7\t7\t8f14e45f', '7\t7\tzzzzzzzz'))
      expect(await runAction(drill, { backups: ['app'] }, context)).toMatchObject({
        report: {
          findings: [
            { severity: 'critical', evidence: expect.stringMatching(/content of table big differs/) as string },
          ],
        },
      })
    } finally {
      await postgres.stop()
    }
  })
})

describe('a drill of files and of SQLite', () => {
  it('proves configuration by content, owner and mode', async () => {
    const context = await createContext()
    const tree = join(await tempDir('tree'), 'etc')
    await execute('sh', [
      '-c',
      `mkdir -p ${tree}; echo a > ${tree}/a; echo b > ${tree}/b; chown 33:33 ${tree}/b; ln ${tree}/a ${tree}/c`,
    ])
    const entry = await backUpTree(context, { kind: 'config', name: 'web', paths: [tree] })
    for (const action of [verify, drill]) {
      expect(await runAction(action, { backups: ['web'] }, context)).toMatchObject({
        report: { findings: [{ severity: 'ok' }] },
      })
    }
    await forge(entry, 'files.tar.zst', edit('b\n', 'x\n'))
    expect(await runAction(drill, { backups: ['web'] }, context)).toMatchObject({
      report: {
        findings: [{ severity: 'critical', evidence: expect.stringContaining('/b has other content') as string }],
      },
    })
  })

  it('proves a SQLite file by its own integrity check and its rows', async () => {
    const file = join(await tempDir('sqlite'), 'app.db')
    const { DatabaseSync } = await import('node:sqlite')
    const database = new DatabaseSync(file)
    database.exec(
      "PRAGMA journal_mode = WAL; CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT); CREATE INDEX tv ON t (v); INSERT INTO t (v) VALUES ('a'), ('b')",
    )
    const context = await createContext({
      databases: {
        lite: {
          type: 'sqlite',
          file,
          fingerprints: true,
          checks: [{ name: 'two', sql: 'SELECT count(*) FROM t', expect: 2 }],
        },
      },
    })
    const entry = await backUp(context, 'lite')
    database.close()
    for (const action of [verify, drill]) {
      expect(await runAction(action, { backups: ['lite'] }, context)).toMatchObject({
        report: { findings: [{ severity: 'ok' }] },
      })
    }
    const path = entry.manifest.files[0]?.path ?? ''
    await forge(entry, path, (plain) => Buffer.concat([plain.subarray(0, 4096), Buffer.alloc(plain.length - 4096)]))
    expect(await runAction(drill, { backups: ['lite'] }, context)).toMatchObject({
      report: { findings: [{ severity: 'critical' }] },
    })
  })
})

/** PostgreSQL with everything that breaks naive dumps; and every way a dump can fail. */
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import pg from 'pg'
import { afterAll, beforeAll, describe, expect, it, onTestFinished, vi } from 'vitest'
import { openPostgresSession } from '../../../scripts/lib/backup/database/postgres/connect.ts'
import { readPostgresFacts, readPostgresRows } from '../../../scripts/lib/backup/database/postgres/facts.ts'
import { openPlace } from '../../../scripts/lib/backup/pipeline/place.ts'
import type { DatabaseFacts } from '../../../scripts/lib/backup/types.ts'
import { openLocalHost } from '../../../scripts/lib/host/local.ts'
import { openSshHost } from '../../../scripts/lib/host/ssh/host.ts'
import { mountMemory } from '../../support/mounts.ts'
import { startPostgres, type Postgres } from '../../support/postgres.ts'
import { startSshd } from '../../support/sshd.ts'
import { tempDir } from '../../support/temp.ts'
import { waitFor } from '../../support/wait.ts'
import { like, saying, filesIn, run, shell, withoutSecretInArgv, type Run, type SourceSettings } from './support.ts'

const PASSWORD = `p"a\\s's:w`
const NASTY = `my "shop"=\n2`

let server: Postgres
beforeAll(async () => {
  server = await startPostgres()
  await fill(server)
})
afterAll(() => server.stop())

describe('a backup of PostgreSQL', () => {
  it('restores with standard tools alone, object by object and row by row', async () => {
    const into = await tempDir('staging')
    const result = await withoutSecretInArgv(PASSWORD, () => run({ ...asBackup({ fingerprints: true }), into }))
    expect(result.warnings).toEqual([])
    expect(await filesIn(into)).toEqual([
      '_globals.sql.zst',
      'app.data-1.dump.zst',
      'app.data-2.dump.zst',
      'app.schema.dump.zst',
      'my%20%22shop%22%3D%0A2.data-1.dump.zst',
      'my%20%22shop%22%3D%0A2.schema.dump.zst',
      'postgres.data-1.dump.zst',
      'postgres.schema.dump.zst',
    ])
    const [app, nasty] = result.databases ?? []
    await expectRestored(into, 'app', app)
    await expectRestored(into, 'my%20%22shop%22%3D%0A2', nasty)
    expect(await shell('zstd -dc "$1/_globals.sql.zst"', [into])).toContain('CREATE ROLE backup;')
    expect(result.position).toMatchObject({ 'lsn.app': like(/^[0-9A-F]+\/[0-9A-F]+$/) })
  })

  it('counts and dumps one moment, while rows are written', async () => {
    const writer = new pg.Client({ host: server.socket, port: server.port, user: 'postgres', database: 'app' })
    await writer.connect()
    let writing = true
    const write = async () => {
      while (writing) await writer.query('INSERT INTO moving DEFAULT VALUES')
    }
    const done = write()
    const into = await tempDir('staging')
    const result = await run({ ...asBackup({ databases: ['app'], fingerprints: true, users: false }), into })
    writing = false
    await done
    await writer.end()
    await expectRestored(into, 'app', result.databases?.[0])
  })

  it('works the same over SSH', async () => {
    const sshd = await startSshd()
    const host = await openSshHost({ ...sshd.settings, name: 'db-1' })
    onTestFinished(async () => {
      await host.close()
      await sshd.stop()
    })
    const into = await tempDir('staging')
    const request = asBackup({ databases: [NASTY], fingerprints: true })
    const result = await withoutSecretInArgv(PASSWORD, () => run({ ...request, host, into }))
    await expectRestored(into, 'my%20%22shop%22%3D%0A2', result.databases?.[0])
  })

  it('goes without the passwords of roles that the account may not read, and says so', async () => {
    await server.sql(`CREATE ROLE few LOGIN PASSWORD 'few'`)
    const owner = new pg.Client({ host: server.socket, port: server.port, user: 'postgres', database: NASTY })
    await owner.connect()
    await owner.query('GRANT SELECT ON "tab le" TO few')
    await owner.end()
    const source = { ...asBackup().source, user: 'few', databases: [NASTY] }
    const result = await run({ source, password: 'few', into: await tempDir('staging') })
    expect(result.warnings).toEqual([like(/^roles are saved without their passwords/)])
  })
})

describe('a backup of PostgreSQL that fails', () => {
  it.each<[string, Omit<SourceSettings, 'type'>, string, RegExp]>([
    ['a wrong password', { password: { file: 'wrong' } }, 'NOT_PERMITTED', /does not let us in.*password/],
    ['a server that is not there', { port: 1 }, 'UNREACHABLE', /does not answer/],
    ['an unknown database', { databases: ['postgres', 'ap'] }, 'FAILED', /no database "ap"/],
  ])('names %s', async (_name, source, code, message) => {
    const wrong = source.password && { password: 'secret-and-wrong' }
    const failed = await failure({ ...asBackup(source), ...wrong, into: await tempDir('staging') })
    expect(failed).toMatchObject({ code, message: like(message) })
    expect(JSON.stringify(failed)).not.toContain('secret-and-wrong')
  })

  it('when the account may not read a table, and names it', async () => {
    await server.sql(`CREATE ROLE nobody LOGIN PASSWORD 'nobody'`)
    const source = { ...asBackup().source, user: 'nobody', databases: ['app'] }
    const failed = await failure({ source, password: 'nobody', into: await tempDir('staging') })
    expect(failed).toMatchObject({ code: 'NOT_PERMITTED', message: saying('the account may not read') })
  })

  it('when pg_dump is older than the server, and names the package', async () => {
    const path = await tempDir('path')
    await writeFile(join(path, 'pg_dump'), '#!/bin/sh\necho "pg_dump (PostgreSQL) 9.6.24"\n', { mode: 0o755 })
    vi.stubEnv('PATH', `${path}:${process.env['PATH']}`)
    onTestFinished(() => void vi.unstubAllEnvs())
    const failed = await failure({ ...asBackup(), into: await tempDir('staging') })
    expect(failed).toMatchObject({
      code: 'MISSING_TOOL',
      message: like(/^the server is PostgreSQL \d+\.\d+ and pg_dump on localhost is 9\.6\.24$/),
      details: { hint: like(/apt-get install postgresql-client-\d+$/) },
    })
  })

  it('on a full disk, as such', async () => {
    const mount = await mountMemory(join(await tempDir('small'), 'm'))
    onTestFinished(() => mount.unmount())
    const failed = await failure({ ...asBackup(), into: mount.path })
    expect(failed).toMatchObject({ code: 'CANNOT_WRITE', message: saying('no space is left') })
  })

  it('when its sessions are ended half-way', async () => {
    const failing = failure({ ...slow(), into: await tempDir('staging') })
    await dumping()
    await server.sql(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'COPY %'`)
    expect(await failing).toMatchObject({ code: 'FAILED', message: saying('pg_dump') })
  })

  it('when it is told to stop, with that reason', async () => {
    const abort = new AbortController()
    const failing = failure({ ...slow(), into: await tempDir('staging'), signal: abort.signal })
    await dumping()
    abort.abort(new Error('told to stop'))
    expect(await failing).toMatchObject({ message: 'told to stop' })
  })

  it('when a table is held by somebody, and says by whom', async () => {
    const holder = new pg.Client({ host: server.socket, port: server.port, user: 'postgres', database: 'app' })
    await holder.connect()
    await holder.query('BEGIN; LOCK TABLE moving IN ACCESS EXCLUSIVE MODE')
    onTestFinished(() => holder.end())
    const settings = { compression: { level: 3, threads: 1 }, lockWaitMs: 500 }
    const failed = await failure({ ...asBackup({ databases: ['app'] }), settings, into: await tempDir('staging') })
    expect(failed).toMatchObject({ code: 'LOCKED', message: like(/session \d+ \(postgres, .*holds/) })
  })

  it('when the server dies half-way', async () => {
    const failing = failure({ ...slow(), into: await tempDir('staging') })
    await dumping()
    server.process.kill('SIGQUIT')
    expect(await failing).toMatchObject({ code: 'UNREACHABLE', details: { transient: true } })
  })
})

function asBackup(source: Omit<SourceSettings, 'type'> = {}): Omit<Run, 'into'> {
  return {
    source: { type: 'postgresql', host: '127.0.0.1', port: server.port, user: 'backup', ...source },
    password: PASSWORD,
  }
}

function slow(): Omit<Run, 'into'> {
  return { ...asBackup({ databases: ['app'] }), settings: { compression: { level: 19, threads: 1 } } }
}

async function dumping(): Promise<void> {
  await waitFor('pg_dump to copy rows', async () => {
    const rows = await server.sql(`SELECT pid FROM pg_stat_activity WHERE query LIKE 'COPY %' AND state = 'active'`)
    return rows.length > 0
  })
}

interface Failed {
  readonly code: string
  readonly message: string
  readonly details: { readonly hint?: string; readonly transient?: boolean }
}

async function failure(request: Run): Promise<Failed> {
  const outcome = await run(request).then(
    () => ({ code: 'none', message: 'it did not fail', details: {} }),
    (error: unknown) => error as Failed,
  )
  expect(await filesIn(request.into)).toEqual([])
  return outcome
}

/** Restores one database into another by zstd and pg_restore alone and compares everything the backup says of it. */
async function expectRestored(into: string, stem: string, facts: DatabaseFacts | undefined): Promise<void> {
  await server.sql('DROP DATABASE IF EXISTS copy', 'CREATE DATABASE copy TEMPLATE template0')
  const env = { PGHOST: server.socket, PGPORT: String(server.port), PGUSER: 'postgres' }
  await shell(
    `set -e; cd "$1"
     zstd -dc "$2.schema.dump.zst" | pg_restore --exit-on-error --section=pre-data -d copy
     for part in "$2".data-*.dump.zst; do zstd -dc "$part" | pg_restore --exit-on-error --section=data -d copy & wait $!; done
     zstd -dc "$2.schema.dump.zst" | pg_restore --exit-on-error --section=post-data -d copy`,
    [into, stem],
    env,
  )
  const place = openPlace({
    host: openLocalHost(),
    redact: (text) => text,
    signal: new AbortController().signal,
    timeoutMs: 60_000,
  })
  const address = { socket: server.socket, port: server.port, user: 'postgres' }
  const session = await openPostgresSession({ place, address, lockWaitMs: 10_000 }, 'copy')
  try {
    const copy = await readPostgresFacts(session, 'copy')
    const rows = await readPostgresRows(session, copy.tables, { fingerprints: true })
    const tables = copy.tables.map((table, index) => ({ ...table, ...rows[index] }))
    expect({ ...copy, name: facts?.name, tables }).toEqual(facts)
  } finally {
    await session.close()
  }
}

async function fill(db: Postgres): Promise<void> {
  await db.sql(
    `CREATE ROLE backup SUPERUSER LOGIN PASSWORD '${PASSWORD.replaceAll("'", "''")}'`,
    'CREATE DATABASE app',
    `CREATE DATABASE "${NASTY.replaceAll('"', '""')}"`,
  )
  const all = async (database: string, ...statements: string[]) => {
    const client = new pg.Client({ host: db.socket, port: db.port, user: 'postgres', database })
    await client.connect()
    for (const statement of statements) await client.query(statement)
    await client.end()
  }
  await all(
    'app',
    'CREATE EXTENSION hstore',
    'CREATE SCHEMA "my s"',
    `CREATE TYPE mood AS ENUM ('sad', 'happy 😀')`,
    'CREATE TABLE plain (id serial PRIMARY KEY, s text, m mood, h hstore, b bytea, f float8, t timestamptz, j jsonb)',
    `INSERT INTO plain (s, m, h, b, f, t, j) VALUES ('emoji 😀 日本', 'happy 😀', 'a=>1', '\\x00ff0a', 0.1, '2026-01-01 00:00:00+02', '{"a": 1}'),
       (E'line\\nbreak\\t\\\\.', 'sad', NULL, NULL, 'NaN', 'infinity', NULL)`,
    `CREATE TABLE "my s"."we""ird.t\nname" ("co l" int, g int GENERATED ALWAYS AS ("co l" * 2) STORED)`,
    `INSERT INTO "my s"."we""ird.t\nname" VALUES (1), (NULL)`,
    'CREATE TABLE parts (id int, k int, PRIMARY KEY (id, k)) PARTITION BY RANGE (k)',
    'CREATE TABLE parts_low PARTITION OF parts FOR VALUES FROM (0) TO (10)',
    'CREATE TABLE parts_rest PARTITION OF parts DEFAULT',
    'INSERT INTO parts VALUES (1, 1), (2, 99)',
    'CREATE TABLE ring_a (id int PRIMARY KEY, b int)',
    'CREATE TABLE ring_b (id int PRIMARY KEY, a int REFERENCES ring_a)',
    'INSERT INTO ring_a VALUES (1, 1)',
    'INSERT INTO ring_b VALUES (1, 1)',
    'ALTER TABLE ring_a ADD FOREIGN KEY (b) REFERENCES ring_b',
    'CREATE SEQUENCE "my s".numbers START 7',
    `SELECT nextval('"my s".numbers')`,
    'CREATE VIEW top AS SELECT id, s FROM plain',
    'CREATE VIEW above AS SELECT id FROM top WHERE id > 0',
    'CREATE MATERIALIZED VIEW counted AS SELECT count(*) FROM plain',
    `CREATE FUNCTION twice(n int) RETURNS int LANGUAGE sql AS 'SELECT n * 2'`,
    `CREATE FUNCTION mark() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.s = NEW.s || '!'; RETURN NEW; END $$`,
    'CREATE TRIGGER mark BEFORE INSERT ON plain FOR EACH ROW EXECUTE FUNCTION mark()',
    `SELECT lo_from_bytea(4242, '\\xdeadbeef')`,
    'CREATE TABLE moving (id bigserial PRIMARY KEY)',
    'CREATE TABLE big_a (id int PRIMARY KEY, noise text)',
    'CREATE TABLE big_b (id int PRIMARY KEY, noise text)',
    `ALTER TABLE big_a ALTER noise SET STORAGE EXTERNAL`,
    `INSERT INTO big_a SELECT i, (SELECT string_agg(md5(i::text || j), '') FROM generate_series(1, 250) j) FROM generate_series(1, 2200) i`,
    `INSERT INTO big_b SELECT i, noise FROM generate_series(1, 1) k, LATERAL (SELECT id AS i, noise FROM big_a) a`,
  )
  await all(NASTY, `CREATE TABLE "tab le" (s text)`, `INSERT INTO "tab le" VALUES ('é')`)
}

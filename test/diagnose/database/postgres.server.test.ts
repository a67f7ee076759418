/** What the database check sees on real PostgreSQL servers: alone, full, wrong, frozen, and as a primary with a standby. */
import pg from 'pg'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { DatabaseCheck } from '../../../scripts/lib/config/types.ts'
import { Secret } from '../../../scripts/lib/core/secret.ts'
import { databaseChecks } from '../../../scripts/lib/diagnose/database/check.ts'
import { readPostgres } from '../../../scripts/lib/diagnose/database/postgres.ts'
import { configOf, runChecks } from '../../support/check-context.ts'
import { POSTGRES_PASSWORD, startPostgres, type Postgres } from '../../support/postgres.ts'
import { waitFor } from '../../support/wait.ts'

let primary: Postgres
let standby: Postgres

beforeAll(async () => {
  primary = await startPostgres({
    settings: ['max_connections = 15', 'superuser_reserved_connections = 3', 'wal_sender_timeout = 5s'],
  })
  await primary.sql(
    "CREATE ROLE watch LOGIN PASSWORD 'watch-secret'",
    'GRANT pg_monitor TO watch',
    "CREATE ROLE app LOGIN PASSWORD 'app-secret'",
    'CREATE TABLE orders (id int primary key)',
  )
  standby = await startPostgres({
    follow: { primary, slot: 'standby_1' },
    settings: ['wal_retrieve_retry_interval = 200ms'],
  })
  await applied()
})

afterAll(async () => {
  await standby?.stop()
  await primary?.stop()
})

async function look(server: { port: number }, settings: object = {}, secret = 'watch-secret') {
  const database = {
    name: 'db',
    type: 'postgresql',
    host: '127.0.0.1',
    port: server.port,
    user: 'watch',
    password: { env: 'PW' },
    database: 'postgres',
  }
  const config = configOf({ diagnose: { databases: [{ ...database, ...settings }] } })
  const findings = await runChecks(databaseChecks(config), config, { secrets: { PW: secret } })
  const of = (part: string) => findings.find(({ check }) => check === `database.${part}`)
  return { findings, of }
}

/** The standby has replayed all that the primary has written. */
async function applied() {
  const [row] = await primary.sql('SELECT pg_current_wal_lsn()::text AS lsn')
  await waitFor('the standby to follow', async () => {
    const [seen] = await standby.sql(`SELECT pg_last_wal_replay_lsn() >= '${String(row?.['lsn'])}'::pg_lsn AS done`)
    return seen?.['done'] === true
  })
}

describe('a healthy pair', () => {
  it('is ok in every part of the primary, and knows its standby and its slot', async () => {
    const { findings, of } = await look(primary, { role: 'primary' })
    expect(findings.map(({ check, severity }) => `${check} ${severity}`)).toEqual([
      'database.reachable ok',
      'database.connections ok',
      'database.role ok',
      'database.replication ok',
      'database.slots ok',
      'database.transactions ok',
    ])
    // 15 less the 3 that are kept for superusers
    expect(of('connections')?.measures?.[0]).toMatchObject({ label: 'connections', max: 12 })
    expect(of('slots')).toMatchObject({
      subject: 'db slot standby_1',
      evidence: expect.stringContaining('active') as string,
    })
  })

  it('has a standby with no lag, however long the primary has been idle', async () => {
    const { of } = await look(standby, { role: 'standby', lag: { warning: '1ms', critical: '2ms' } })
    expect(of('role')).toMatchObject({ severity: 'ok' })
    expect(of('replication')).toMatchObject({ severity: 'ok', measures: [{ label: 'lag', value: 0 }] })
  })

  it('is asked over a socket, too, by its directory', async () => {
    const { of } = await look(primary, { socket: primary.socket, host: undefined })
    expect(of('reachable')).toMatchObject({ severity: 'ok', evidence: expect.stringContaining('.s.PGSQL.') as string })
  })
})

describe('a login that fails', () => {
  it.each([
    ['a wrong password', {}],
    ['an unknown role', { user: 'nobody' }],
    ['no password', { password: undefined }],
  ])('for %s is unknown: it says nothing about the server', async (_name, settings) => {
    const { findings } = await look(primary, settings, 'nope')
    expect(findings).toMatchObject([{ severity: 'unknown', title: 'The database does not let us in' }])
    expect(findings[0]?.evidence).toContain('28P01')
    expect(JSON.stringify(findings)).not.toContain('nope')
  })

  it('for a database that is not there is critical', async () => {
    expect((await look(primary, { database: 'gone' })).findings).toMatchObject([
      { severity: 'critical', title: 'The database does not exist on the server' },
    ])
  })
})

describe('connections', () => {
  it('near the limit of ordinary users are critical, and at it there is none for us', async () => {
    const held: pg.Client[] = []
    const hold = async () => {
      const client = new pg.Client({
        host: '127.0.0.1',
        port: primary.port,
        user: 'app',
        password: 'app-secret',
        database: 'postgres',
      })
      await client.connect()
      held.push(client)
    }
    try {
      while (held.length < 11) await hold()
      expect((await look(primary)).of('connections')).toMatchObject({
        severity: 'critical',
        evidence: expect.stringContaining('of 12 used') as string,
      })
      await hold()
      const { of } = await look(primary)
      expect(of('reachable')).toMatchObject({ severity: 'critical', title: 'The database has no connection left' })
    } finally {
      await Promise.all(held.map((client) => client.end()))
    }
  })
})

describe('a user with few rights', () => {
  it('sees what it may, and is told what to grant for the rest', async () => {
    const { of } = await look(primary, { user: 'app' }, 'app-secret')
    expect(of('connections')).toMatchObject({ severity: 'ok' })
    expect(of('replication')).toMatchObject({ severity: 'ok', evidence: expect.stringContaining('hidden') as string })
    expect(of('transactions')).toMatchObject({ severity: 'skipped', next: 'GRANT pg_monitor TO app' })
  })

  it('does not call a standby broken whose receiver it may not see', async () => {
    expect((await look(standby, { user: 'app' }, 'app-secret')).of('replication')).toMatchObject({ severity: 'ok' })
  })
})

describe('a role that does not match', () => {
  it.each([
    [
      'a standby that is not in recovery',
      'standby',
      () => primary,
      'The standby does not replicate and accepts writes',
    ],
    ['a primary that is in recovery', 'primary', () => standby, 'The primary does not accept writes'],
  ])('%s is critical', async (_name, role, server, title) => {
    expect((await look(server(), { role })).of('role')).toMatchObject({ severity: 'critical', title })
  })
})

describe('replay that stands still', () => {
  it('is told when paused, and lags by real seconds once there is something to replay', async () => {
    await primary.sql('INSERT INTO orders VALUES (0)')
    await applied()
    await standby.sql('SELECT pg_wal_replay_pause()')
    try {
      expect((await look(standby)).of('replication')).toMatchObject({
        severity: 'warning',
        title: 'Replay is paused on the standby',
      })
      await primary.sql('INSERT INTO orders VALUES (1)')
      const lagging = await waitFor('the lag to show', async () => {
        const finding = (await look(standby, { lag: { warning: '500ms', critical: '1s' } })).of('replication')
        return finding?.severity === 'critical' ? finding : undefined
      })
      expect(lagging.measures?.[0]?.value).toBeGreaterThanOrEqual(1)
      expect(lagging.next).toContain('pg_wal_replay_resume')
    } finally {
      await standby.sql('SELECT pg_wal_replay_resume()')
      await applied()
    }
  })
})

describe('long transactions', () => {
  it('are told with their session, their statement without its literals', async () => {
    const session = new pg.Client({ host: primary.socket, port: primary.port, user: 'postgres', database: 'postgres' })
    // It is terminated below.
    session.on('error', () => {})
    await session.connect()
    const running = session.query("SELECT pg_sleep(30), 'secret literal'").catch(() => undefined)
    try {
      await waitFor(
        'the statement to run',
        async () =>
          (await primary.sql("SELECT 1 FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep%'")).length > 0,
      )
      const check = configOf({
        diagnose: { databases: [{ name: 'db', type: 'postgresql', user: 'watch', database: 'postgres' }] },
      })
      const facts = await readPostgres({
        check: check.diagnose.databases[0] as DatabaseCheck,
        place: { kind: 'tcp', host: '127.0.0.1', port: primary.port },
        password: new Secret('watch-secret', 'test'),
        longSeconds: 0,
        timeoutMs: 3_000,
      })
      expect(facts).toMatchObject({
        transactions: { ok: true, value: [{ user: 'postgres', query: 'SELECT pg_sleep(?), ?' }] },
      })
    } finally {
      await primary.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep%'")
      await running
      await session.end().catch(() => {})
    }
  })
})

describe('a server that is gone', () => {
  it('a frozen primary is critical at the deadline', async () => {
    primary.process.kill('SIGSTOP')
    try {
      const startedAt = performance.now()
      const { of } = await look(primary, { timeout: '700ms' })
      expect(of('reachable')).toMatchObject({ severity: 'critical', title: 'The database does not answer' })
      expect(performance.now() - startedAt).toBeLessThan(2_000)
    } finally {
      primary.process.kill('SIGCONT')
    }
  })

  it('a stopped standby leaves a slot that waits, and the primary says so', async () => {
    await standby.process.stop()
    await waitFor(
      'the primary to notice',
      async () => (await primary.sql('SELECT 1 FROM pg_stat_replication')).length === 0,
    )
    const { of } = await look(primary)
    expect(of('replication')).toMatchObject({ severity: 'warning', evidence: '1 replication slot waits for one' })
    expect(of('slots')).toMatchObject({ evidence: expect.stringContaining('inactive') as string })
  })
})

describe('a standby without its primary', () => {
  it('is critical, never a lag of 0', async () => {
    const other = await startPostgres({
      follow: { primary, slot: 'standby_2' },
      settings: ['wal_retrieve_retry_interval = 200ms'],
    })
    try {
      primary.process.kill('SIGINT')
      await primary.process.stop()
      const finding = await waitFor('the standby to notice', async () => {
        const found = (await look(other, { role: 'standby' })).of('replication')
        return found?.severity === 'critical' ? found : undefined
      })
      expect(finding).toMatchObject({ title: 'The standby does not receive WAL' })
      expect(finding.measures).toBeUndefined()
    } finally {
      await other.stop()
    }
  })
})

it('uses the password of the superuser nowhere in what it says', async () => {
  const { findings } = await look(primary, { user: 'postgres' }, POSTGRES_PASSWORD)
  expect(JSON.stringify(findings)).not.toContain(POSTGRES_PASSWORD)
})

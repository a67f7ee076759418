/** What the database check sees on real MariaDB servers: alone, full, wrong, frozen, and as a primary with a standby. */
import { createConnection, type Connection } from 'mysql2/promise'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { DatabaseCheck } from '../../../scripts/lib/config/types.ts'
import { Secret } from '../../../scripts/lib/core/secret.ts'
import { databaseChecks } from '../../../scripts/lib/diagnose/database/check.ts'
import { readMysql } from '../../../scripts/lib/diagnose/database/mysql.ts'
import { configOf, runChecks } from '../../support/check-context.ts'
import { followMariaDb, MARIADB_ROOT_PASSWORD, startMariaDb, type MariaDb } from '../../support/mariadb.ts'
import { freePort } from '../../support/ports.ts'
import { waitFor } from '../../support/wait.ts'

let primary: MariaDb
let standby: MariaDb

beforeAll(async () => {
  primary = await startMariaDb({ serverId: 1, settings: ['max-connections=12'] })
  standby = await startMariaDb({ serverId: 2 })
  await followMariaDb(standby, primary)
  await primary.sql(
    "CREATE USER 'watch'@'127.0.0.1' IDENTIFIED BY 'watch-secret'",
    "GRANT PROCESS, SLAVE MONITOR ON *.* TO 'watch'@'127.0.0.1'",
    "CREATE USER 'app'@'127.0.0.1' IDENTIFIED BY 'app-secret'",
    'CREATE DATABASE shop',
    'CREATE TABLE shop.orders (id INT PRIMARY KEY)',
  )
  await applied()
})

afterAll(async () => {
  await Promise.all([primary?.stop(), standby?.stop()])
})

/** Runs the check against one of the servers; findings by their check's name. */
async function look(server: { port: number }, settings: object = {}, secret = 'watch-secret') {
  const database = {
    name: 'db',
    type: 'mariadb',
    host: '127.0.0.1',
    port: server.port,
    user: 'watch',
    password: { env: 'PW' },
  }
  const config = configOf({ diagnose: { databases: [{ ...database, ...settings }] } })
  const findings = await runChecks(databaseChecks(config), config, { secrets: { PW: secret } })
  const of = (part: string) => findings.find(({ check }) => check === `database.${part}`)
  return { findings, of }
}

/** The standby has applied all that the primary has written. */
async function applied() {
  const [row] = await primary.sql('SELECT @@gtid_binlog_pos AS pos')
  await standby.sql(`SELECT MASTER_GTID_WAIT('${String(row?.['pos'])}', 10)`)
}

function openRoot({ socket }: MariaDb): Promise<Connection> {
  return createConnection({ socketPath: socket, user: 'root', password: MARIADB_ROOT_PASSWORD })
}

async function threads(io: string, sql: string) {
  await waitFor(`threads ${io}/${sql}`, async () => {
    const [row] = await standby.sql('SHOW ALL SLAVES STATUS')
    return row?.['Slave_IO_Running'] === io && row['Slave_SQL_Running'] === sql
  })
}

describe('a healthy pair', () => {
  it('is ok in every part, with its numbers', async () => {
    await threads('Yes', 'Yes')
    const { findings, of } = await look(primary, { role: 'primary' })
    expect(findings.map(({ check, severity }) => `${check} ${severity}`)).toEqual([
      'database.reachable ok',
      'database.connections ok',
      'database.role ok',
      'database.transactions ok',
    ])
    expect(of('reachable')?.evidence).toMatch(/^MariaDB 1\d\.\d+\.\d+ at 127\.0\.0\.1:\d+ in /)
    expect(of('connections')?.measures?.[0]).toMatchObject({ label: 'connections', max: 12 })
  })

  it('has a standby whose lag is a number', async () => {
    const { of } = await look(standby, { role: 'standby' })
    expect(of('role')).toMatchObject({ severity: 'ok' })
    expect(of('replication')).toMatchObject({ severity: 'ok', measures: [{ label: 'lag', value: 0, unit: 's' }] })
  })

  it('is asked over a socket, too', async () => {
    const { of } = await look(primary, { socket: primary.socket, host: undefined, user: 'root' }, MARIADB_ROOT_PASSWORD)
    expect(of('reachable')).toMatchObject({
      severity: 'ok',
      evidence: expect.stringContaining(primary.socket) as string,
    })
  })
})

describe('a login that fails', () => {
  it('for a wrong password is unknown: it says nothing about the server', async () => {
    const { findings } = await look(primary, {}, 'nope')
    expect(findings).toMatchObject([{ severity: 'unknown', title: 'The database does not let us in' }])
    expect(JSON.stringify(findings)).not.toContain('nope')
  })

  it('for a database that is not there is critical', async () => {
    const settings = { user: 'root', socket: primary.socket, host: undefined, database: 'gone' }
    const { findings } = await look(primary, settings, MARIADB_ROOT_PASSWORD)
    expect(findings).toMatchObject([{ severity: 'critical', title: 'The database does not exist on the server' }])
  })

  it('a port where nothing listens is refused, not silent', async () => {
    const { of } = await look({ port: await freePort() })
    expect(of('reachable')).toMatchObject({ severity: 'critical', title: 'The database refuses connections' })
  })

  it('a socket that does not exist is named', async () => {
    const { of } = await look(primary, { host: undefined, socket: '/nonexistent/mysqld.sock' })
    expect(of('reachable')).toMatchObject({ severity: 'critical', title: 'The database socket does not exist' })
  })
})

describe('connections', () => {
  it('near the limit are a warning, then a critical, then none is left', async () => {
    const held: Connection[] = []
    const hold = async () =>
      held.push(await createConnection({ host: '127.0.0.1', port: primary.port, user: 'app', password: 'app-secret' }))
    const used = async () => Number((await primary.sql("SHOW STATUS LIKE 'Threads_connected'"))[0]?.['Value'])
    try {
      // The session that counts and the standby's dump thread are connections, too.
      while ((await used()) < 10) await hold()
      expect((await look(primary)).of('connections')).toMatchObject({ severity: 'warning' })
      while ((await used()) < 12) await hold()
      expect((await look(primary)).of('connections')).toMatchObject({ severity: 'critical' })
      while ((await used()) < 13) await hold()
      const { of } = await look(primary)
      expect(of('reachable')).toMatchObject({ severity: 'critical', title: 'The database has no connection left' })
    } finally {
      await Promise.all(held.map((connection) => connection.end()))
    }
  })
})

describe('a user with few rights', () => {
  it('sees what it may, and is told what to grant for the rest', async () => {
    const { of } = await look(primary, { user: 'app' }, 'app-secret')
    expect(of('connections')).toMatchObject({ severity: 'ok' })
    expect(of('replication')).toMatchObject({
      severity: 'skipped',
      next: "GRANT SLAVE MONITOR ON *.* TO 'app'@'127.0.0.1'",
    })
    expect(of('transactions')).toMatchObject({ severity: 'skipped', next: "GRANT PROCESS ON *.* TO 'app'@'127.0.0.1'" })
  })
})

describe('a role that does not match', () => {
  it('a primary that is read-only is critical', async () => {
    await primary.sql('SET GLOBAL read_only = ON')
    try {
      expect((await look(primary, { role: 'primary' })).of('role')).toMatchObject({
        severity: 'critical',
        title: 'The primary does not accept writes',
      })
    } finally {
      await primary.sql('SET GLOBAL read_only = OFF')
    }
  })

  it('a standby that follows nobody is critical', async () => {
    expect((await look(primary, { role: 'standby' })).of('role')).toMatchObject({
      severity: 'critical',
      title: 'The standby does not replicate and accepts writes',
    })
  })

  it('a standby that accepts writes is a warning', async () => {
    await standby.sql('SET GLOBAL read_only = OFF')
    try {
      expect((await look(standby, { role: 'standby' })).of('role')).toMatchObject({
        severity: 'warning',
        title: 'The standby accepts writes',
      })
    } finally {
      await standby.sql('SET GLOBAL read_only = ON')
    }
  })
})

describe('replication that stands still', () => {
  it('a stopped SQL thread is critical although its lag is NULL, and says how much is pending', async () => {
    await standby.sql('STOP SLAVE SQL_THREAD')
    try {
      await primary.sql('INSERT INTO shop.orders VALUES (1)', 'INSERT INTO shop.orders VALUES (2)')
      const received = async () =>
        (await look(standby)).of('replication')?.evidence?.includes('2 transactions received and not applied')
      await waitFor('the changes to be received', received)
      const finding = (await look(standby)).of('replication')
      expect(finding).toMatchObject({ severity: 'critical', title: 'The standby does not apply changes' })
      expect(finding?.evidence).toContain('lag unknown')
    } finally {
      await standby.sql('START SLAVE SQL_THREAD')
      await applied()
    }
  })

  it('a change that fails on the standby is critical with the message of the server', async () => {
    await standby.sql(
      'SET GLOBAL read_only = OFF',
      'SET sql_log_bin = 0',
      'INSERT INTO shop.orders VALUES (99)',
      'SET GLOBAL read_only = ON',
    )
    await primary.sql('INSERT INTO shop.orders VALUES (99)')
    await threads('Yes', 'No')
    const finding = (await look(standby)).of('replication')
    expect(finding).toMatchObject({
      severity: 'critical',
      cause: expect.stringContaining('differs from the primary') as string,
    })
    expect(finding?.evidence).toContain('Duplicate entry')
    await standby.sql('SET sql_log_bin = 0', 'DELETE FROM shop.orders WHERE id = 99', 'START SLAVE')
    await applied()
  })

  it('a standby held up by a lock lags by real seconds', async () => {
    const locker = await openRoot(standby)
    try {
      await locker.query('LOCK TABLES shop.orders READ')
      await primary.sql('INSERT INTO shop.orders VALUES (3)')
      const lagging = await waitFor('the lag to show', async () => {
        const finding = (await look(standby, { lag: { warning: '1s', critical: '2s' } })).of('replication')
        return finding?.severity === 'critical' ? finding : undefined
      })
      expect(lagging).toMatchObject({ title: 'The standby lags behind' })
      expect(lagging.measures?.[0]?.value).toBeGreaterThanOrEqual(2)
      expect(lagging.evidence).toContain('critical from 2 s')
    } finally {
      await locker.end()
      await applied()
    }
  })
})

describe('long transactions', () => {
  it('are told with their session and statement, and not when they are young', async () => {
    const session = await openRoot(primary)
    try {
      await session.query('START TRANSACTION')
      await session.query('INSERT INTO shop.orders VALUES (500)')
      expect((await look(primary)).of('transactions')).toMatchObject({ severity: 'ok' })
      const check = configOf({
        diagnose: { databases: [{ name: 'db', type: 'mariadb', socket: primary.socket, user: 'root' }] },
      }).diagnose.databases[0]
      const facts = await readMysql({
        check: check as DatabaseCheck,
        place: { kind: 'socket', path: primary.socket },
        password: new Secret(MARIADB_ROOT_PASSWORD, 'test'),
        longSeconds: 0,
        timeoutMs: 3_000,
      })
      expect(facts).toMatchObject({
        transactions: { ok: true, value: [{ id: session.threadId, user: 'root', query: '' }] },
      })
    } finally {
      await session.end()
    }
  })
})

describe('a server that is gone', () => {
  it('a frozen primary is critical at the deadline, and leaves no socket', async () => {
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

  it('a dead primary makes the standby critical, never a lag of 0', async () => {
    await primary.process.stop()
    await threads('Connecting', 'Yes')
    const finding = (await look(standby, { role: 'standby' })).of('replication')
    expect(finding).toMatchObject({
      severity: 'critical',
      title: expect.stringContaining('does not receive') as string,
    })
    expect(finding?.evidence).toContain('lag unknown')
    expect(finding?.measures).toBeUndefined()
  })
})

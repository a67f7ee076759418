/** Rules of the database checks that need no server: NULLs, delays, slots, statements. */
import { describe, expect, it } from 'vitest'
import type { DatabaseCheck } from '../../../scripts/lib/config/types.ts'
import { findPlace } from '../../../scripts/lib/diagnose/database/connect.ts'
import {
  decideMysqlReplication,
  decidePostgresPrimary,
  decidePostgresStandby,
  decideSlots,
} from '../../../scripts/lib/diagnose/database/decide-replication.ts'
import { countPending, parseChannel } from '../../../scripts/lib/diagnose/database/mysql.ts'
import { redactSql } from '../../../scripts/lib/diagnose/database/sql-text.ts'
import { configOf } from '../../support/check-context.ts'

function check(settings: object = {}): DatabaseCheck {
  const [database] = configOf({ diagnose: { databases: [{ name: 'db', type: 'mariadb', ...settings }] } }).diagnose
    .databases
  if (!database) throw new Error('no database')
  return database
}

const row = {
  Connection_name: '',
  Master_Host: '192.0.2.5',
  Master_Port: 3306,
  Slave_IO_Running: 'Yes',
  Slave_SQL_Running: 'Yes',
  Seconds_Behind_Master: 0,
  Last_IO_Error: '',
  Last_SQL_Error: '',
}

describe('a replication row', () => {
  it('keeps NULL apart from 0', () => {
    expect(parseChannel({ ...row, Seconds_Behind_Master: null }).lagSeconds).toBeUndefined()
    expect(parseChannel({ ...row, Seconds_Behind_Master: '7' }).lagSeconds).toBe(7)
  })

  it('of MySQL 8.4 is read by its new names', () => {
    const renamed = {
      Channel_Name: 'c1',
      Source_Host: 'db-1',
      Source_Port: 3306,
      Replica_IO_Running: 'Yes',
      Replica_SQL_Running: 'No',
      Seconds_Behind_Source: null,
    }
    expect(parseChannel(renamed)).toMatchObject({ name: 'c1', source: 'db-1:3306', sqlThread: 'No' })
  })

  it.each([
    ['0-1-27', '0-1-20', 'Slave_Pos', 7],
    ['0-1-27,1-2-9', '1-2-9,0-1-27', 'Slave_Pos', 0],
    ['0-2-30,1-1-5', '0-1-30', 'Current_Pos', 5],
    ['0-1-27', '0-1-20', 'No', undefined],
    ['', '', 'Slave_Pos', undefined],
  ])('received %s, applied %s, by %s: %s pending', (received, applied, using, pending) => {
    expect(countPending(received, applied, using)).toBe(pending)
  })

  it.each([
    ['no lag', {}, 'ok'],
    ['a lag below the limit', { Seconds_Behind_Master: 29 }, 'ok'],
    ['a lag above the warning', { Seconds_Behind_Master: 30 }, 'warning'],
    ['a lag above the critical', { Seconds_Behind_Master: 300 }, 'critical'],
    ['a lag that is on purpose', { Seconds_Behind_Master: 3_610, SQL_Delay: 3_600 }, 'ok'],
    ['both threads and no number', { Seconds_Behind_Master: null }, 'unknown'],
    ['no IO thread and a lag of 0', { Slave_IO_Running: 'Connecting' }, 'critical'],
    ['no SQL thread', { Slave_SQL_Running: 'No', Seconds_Behind_Master: null }, 'critical'],
  ])('with %s is judged', (_name, over, severity) => {
    expect(decideMysqlReplication(check(), [parseChannel({ ...row, ...over })])[0]).toMatchObject({ severity })
  })
})

describe('a PostgreSQL standby', () => {
  const streaming = {
    receiver: 'streaming',
    receiverVisible: true,
    isPaused: false,
    pendingBytes: 0,
    replayLagSeconds: 0,
  }
  it.each([
    ['streams and has replayed everything', {}, 'ok'],
    ['has no receiver, and nothing left to replay', { receiver: undefined }, 'critical'],
    ['waits for WAL that is gone', { receiver: 'waiting' }, 'critical'],
    ['has not heard from a frozen primary', { silentSeconds: 90 }, 'critical'],
    ['has heard from an idle primary', { silentSeconds: 29 }, 'ok'],
    [
      'never replayed a transaction and has some pending',
      { pendingBytes: 9_000, replayLagSeconds: undefined },
      'unknown',
    ],
    ['is paused and lags unknown seconds', { isPaused: true, replayLagSeconds: undefined }, 'warning'],
    ['is paused and lags far', { isPaused: true, replayLagSeconds: 4_000 }, 'critical'],
  ])('that %s', (_name, over, severity) => {
    expect(decidePostgresStandby(check({ type: 'postgresql' }), { ...streaming, ...over })[0]).toMatchObject({
      severity,
    })
  })
})

describe('a PostgreSQL primary', () => {
  it('warns of a standby that is catching up, and not of one that has everything', () => {
    const replica = { name: 's1', state: 'streaming', sync: 'async', lagBytes: 0 }
    const primary = {
      replicas: [replica, { ...replica, name: 's2', state: 'catchup' }],
      slots: [],
      replicasVisible: true,
    }
    expect(decidePostgresPrimary(check({ type: 'postgresql' }), primary).map(({ severity }) => severity)).toEqual([
      'ok',
      'warning',
    ])
  })

  it.each([
    ['in use, however much it keeps', { isActive: true, retainedBytes: 20 * 1024 ** 3 }, 'ok'],
    ['idle with little', { isActive: false, retainedBytes: 1024 }, 'ok'],
    ['idle with much', { isActive: false, retainedBytes: 300 * 1024 ** 2 }, 'warning'],
    ['idle with very much', { isActive: false, retainedBytes: 11 * 1024 ** 3 }, 'critical'],
    ['that has lost WAL', { isActive: false, walStatus: 'lost' }, 'critical'],
  ])('judges a slot %s', (_name, slot, severity) => {
    expect(decideSlots([{ name: "o'slot", ...slot }])[0]).toMatchObject({ severity })
  })
})

describe('a statement', () => {
  it.each([
    ["ALTER USER app IDENTIFIED BY 'hunter2'", 'ALTER USER app IDENTIFIED BY ?'],
    ["SELECT 'it''s', 'a\\'b', 42 FROM t1", 'SELECT ?, ?, ? FROM t1'],
    ['SELECT "planted" -- planted', 'SELECT ?'],
    ["SELECT $tag$planted 'x'$tag$, $$y$$", 'SELECT ?, ?'],
    ["INSERT INTO t VALUES ('cut off by the serv", 'INSERT INTO t VALUES (?'],
    ['SELECT /* planted */\n  1', 'SELECT ?'],
  ])('%s is shown without its literals', (text, expected) => {
    expect(redactSql(text)).toBe(expected)
  })

  it('is bounded', () => {
    expect(redactSql(`SELECT ${'column_name, '.repeat(100)}`).length).toBeLessThanOrEqual(121)
  })
})

describe('where a database is', () => {
  it.each([
    [{ host: '192.0.2.1' }, { kind: 'tcp', host: '192.0.2.1', port: 3306 }],
    [
      { type: 'postgresql', host: '192.0.2.1' },
      { kind: 'tcp', host: '192.0.2.1', port: 5432 },
    ],
    [
      { socket: '/x/s.sock', host: '192.0.2.1' },
      { kind: 'socket', path: '/x/s.sock' },
    ],
    [
      { type: 'postgresql', socket: '/x/', port: 5433 },
      { kind: 'socket', path: '/x/.s.PGSQL.5433' },
    ],
    [
      { type: 'postgresql', socket: '/x/.s.PGSQL.5432' },
      { kind: 'socket', path: '/x/.s.PGSQL.5432' },
    ],
  ])('%o', async (settings, place) => {
    expect(await findPlace(check(settings))).toEqual(place)
  })
})

import { describe, expect, it } from 'vitest'
import {
  decideConntrack,
  decideFiles,
  parseConnections,
  parseFileTable,
  parseOpenFilesLimit,
} from '../../../scripts/lib/diagnose/host/limits.ts'
import { decideTcp, parseTcp } from '../../../scripts/lib/diagnose/host/tcp.ts'
import { thresholds } from './thresholds.ts'

describe('open files', () => {
  it('have room in a table without an end', () => {
    const table = parseFileTable('2208\t0\t9223372036854775807\n')
    expect(decideFiles(table, [], thresholds)).toMatchObject([{ severity: 'ok' }])
  })

  it('are judged for the machine and for each process against its own limit, the nearest first', () => {
    const processes = [
      { pid: 1, name: 'idle', open: 300, limit: 1024 },
      { pid: 2, name: 'proxy', open: 900, limit: 1024 },
      { pid: 3, name: 'leak', open: 1020, limit: 1024 },
    ]
    const findings = decideFiles(parseFileTable('960 0 1000'), processes, thresholds)
    expect(findings.map(({ subject, severity }) => [subject, severity])).toEqual([
      [undefined, 'critical'],
      ['leak (3)', 'critical'],
      ['proxy (2)', 'warning'],
    ])
  })

  it.each([
    [
      'Limit  Soft Limit  Hard Limit  Units\nMax open files            1024                 524288               files     \n',
      1024,
    ],
    ['Max open files            unlimited            unlimited            files\n', undefined],
    ['', undefined],
  ])('have a limit per process (%#)', (text, limit) => {
    expect(parseOpenFilesLimit(text)).toBe(limit)
  })
})

describe('tracked connections', () => {
  it.each([
    ['critical', '64000\n', '65536\n'],
    ['ok', '12\n', '65536\n'],
    ['skipped', undefined, undefined],
    ['skipped', '5', '0'],
  ])('are %s at %j of %j', (severity, tracked, limit) => {
    expect(decideConntrack(parseConnections(tracked, limit), thresholds).severity).toBe(severity)
  })
})

describe('TCP', () => {
  const texts = (out: number, again: number, overflows = 0, drops = 0) =>
    `Ip: A\nIp: 1\nTcp: ActiveOpens OutSegs RetransSegs\nTcp: 5 ${out} ${again}\nTcpExt: SyncookiesSent ListenOverflows ListenDrops\nTcpExt: 1 ${overflows} ${drops}\n`
  const decide = (before: string, after: string) => decideTcp(parseTcp({ before, after }), thresholds)

  it.each([
    ['ok', 'two segments, one sent again', 2, 1],
    ['ok', 'few sent again', 1000, 29],
    ['warning', 'some sent again', 1000, 30],
    ['critical', 'many sent again', 1000, 100],
  ])('is %s with %s', (severity, _, sent, again) => {
    expect(decide(texts(5000, 7), texts(5000 + sent, 7 + again))[0]?.severity).toBe(severity)
  })

  it('warns of drops in the window and only tells of those since boot', () => {
    expect(decide(texts(1, 0, 3, 4), texts(1, 0, 3, 4))[1]).toMatchObject({
      severity: 'ok',
      evidence: 'in the window 0 drops and 0 overflows of an accept queue, warning from 1; since boot 4 and 3',
    })
    expect(decide(texts(1, 0, 3, 4), texts(1, 0, 5, 6))[1]?.severity).toBe('warning')
  })

  it('is skipped without counters', () => {
    expect(decide('', '')).toMatchObject([{ severity: 'skipped' }])
  })
})

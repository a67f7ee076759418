import { describe, expect, it } from 'vitest'
import { decideClock, parseClock } from '../../../scripts/lib/diagnose/host/clock.ts'
import { parseKernelLog } from '../../../scripts/lib/diagnose/host/kernel-log.ts'
import { parseLogLine } from '../../../scripts/lib/diagnose/host/log-lines.ts'
import { decideLogs, parseLogs } from '../../../scripts/lib/diagnose/host/logs.ts'
import { decideRecords, parseRecords } from '../../../scripts/lib/diagnose/host/records.ts'
import { decideUnits, parseFailedUnits } from '../../../scripts/lib/diagnose/host/units.ts'
import { thresholds } from './thresholds.ts'

const NOW = Date.UTC(2026, 0, 1, 6, 0, 0)
const UTC = { now: NOW, utcOffsetMinutes: 0 }
const at = (text: string) => Date.parse(text)

describe('log lines', () => {
  const india = { now: NOW, utcOffsetMinutes: 330 }
  const newYear = { now: at('2025-12-31T23:30:00Z'), utcOffsetMinutes: 60 }
  const leapYear = { now: at('2024-03-01T00:00:00Z'), utcOffsetMinutes: 0 }

  it.each([
    ['traditional', 'Jan  1 05:00:00 web-1 nginx[12]: failed', UTC, '2026-01-01T05:00:00.000Z nginx: failed'],
    ['of last year', 'Dec 31 23:59:59 web-1 cron: error', UTC, '2025-12-31T23:59:59.000Z cron: error'],
    ['in local time', 'Jan  1 05:00:00 web-1 x: y', india, '2025-12-31T23:30:00.000Z x: y'],
    ['of next year where it is later', 'Jan  1 00:10:00 h x: y', newYear, '2025-12-31T23:10:00.000Z x: y'],
    ['of a leap day', 'Feb 29 00:00:00 h x: y', leapYear, '2024-02-29T00:00:00.000Z x: y'],
    ['ISO', '2026-01-01T05:00:00.123456+02:00 h sshd[9]: error: x', UTC, '2026-01-01T03:00:00.123Z sshd: error: x'],
    ['ISO without a zone', '2026-01-01T05:00:00 h x: y', india, '2025-12-31T23:30:00.000Z x: y'],
    ['of journalctl', '2026-01-01T05:00:00+0200 h kernel: oops', UTC, '2026-01-01T03:00:00.000Z kernel: oops'],
    ['with an odd program', 'Jan  1 05:00:00 h a/b(x)[1]: y', UTC, '2026-01-01T05:00:00.000Z a/b(x): y'],
    ['without a program', 'Jan  1 05:00:00 h last message', UTC, '2026-01-01T05:00:00.000Z last: last message'],
  ])('are read: %s', (_, line, clock, expected) => {
    const record = parseLogLine(line, clock) ?? expect.fail('no entry')
    expect(`${new Date(record.at).toISOString()} ${record.source}: ${record.message}`).toBe(expected)
  })

  it.each(['-- No entries --', '    continued', '', 'Foo  1 05:00:00 h x: y', 'Hint: You are currently not'])(
    'are not entries: %j',
    (line) => {
      expect(parseLogLine(line, UTC)).toBeUndefined()
    },
  )
})

describe('the kernel log', () => {
  it('gives errors of the kernel, from the device and from dmesg', () => {
    const text = `3,10,5000000,-;I/O error, dev sda
 SUBSYSTEM=block
6,11,6000000,-;all is well
30,12,7000000,-;systemd says something
<2>[    8.500000] EXT4-fs (sda1): Remounting filesystem read-only
<4>[    9.000000] a warning
0,13,10000000,c,caller=T1;panic \\x1b[31m \\xc3\\xa4
`
    expect(parseKernelLog(text, 1000)).toEqual([
      { at: 6000, source: 'kernel', message: 'I/O error, dev sda' },
      { at: 9500, source: 'kernel', message: 'EXT4-fs (sda1): Remounting filesystem read-only' },
      { at: 11_000, source: 'kernel', message: 'panic \u001b[31m ä' },
    ])
  })
})

describe('errors on record', () => {
  const line = (hour: number, rest: string) => `Jan  1 0${hour}:00:00 h ${rest}\n`
  const file = (text: string) => ({ file: { path: '/var/log/syslog', text } })

  it('are counted by source, with the newest as a sample, inert', () => {
    const text = Array.from({ length: 12 }, (_, index) =>
      line(index % 5, `app[${index}]: error \u001b[2J ${index}`),
    ).join('')
    const findings = decideLogs(parseLogs(file(`${text}${line(3, 'cron: failed once')}`), UTC, 0), thresholds, NOW)
    expect(findings).toMatchObject([
      { severity: 'ok', lines: ['1 × cron: failed once'] },
      { severity: 'warning', subject: 'app', lines: ['2026-01-01T04:00:00.000Z error \\x1b[2J 9'] },
    ])
  })

  it.each([
    ['errors=remount-ro', 0],
    ['finished with 0 errors', 0],
    ['no error found', 0],
    ['Failed to start', 1],
    ['segfault at 0', 1],
    ['terrorists', 0],
  ])('are told by words in a file without priorities: %s', (message, amount) => {
    expect(parseLogs(file(line(5, `x: ${message}`)), UTC, 0).records).toHaveLength(amount)
  })

  it('are those of 24 h, and the finding says when the log reaches back less far', () => {
    const old = parseLogs(file('Dec 30 05:00:00 h x: error\n'), UTC, 0)
    expect([old.records.length, old.reachesBackTo]).toEqual([0, undefined])
    const young = parseLogs(file(line(4, 'x: fine') + line(5, 'x: error')), UTC, 0)
    expect(decideLogs(young, thresholds, NOW)[0]?.evidence).toBe(
      '1 error of 1 source in the last 2 h (/var/log/syslog), warning from 10 of one source',
    )
  })

  it('come from the journal by priority, whatever their words', () => {
    const journal = '2026-01-01T05:00:00+0000 h app[1]: disk on fire\n    more of it\n'
    expect(parseLogs({ journal }, UTC, 0)).toMatchObject({ from: 'journal', records: [{ source: 'app' }] })
  })

  it.each([
    [
      'skipped',
      'this user may not see others',
      { journal: 'Hint: You are currently not seeing messages from other users and the system.\n' },
    ],
    ['skipped', 'the file may not be read', { denied: true }],
    ['skipped', 'there is none', {}],
    ['skipped', 'the journal has no files', { journal: 'No journal files were found.\n-- No entries --\n' }],
    ['unknown', 'the journal took too long', { late: true }],
    ['ok', 'only the kernel has one', { kmsg: '' }],
  ])('are %s when %s', (severity, _, texts) => {
    expect(decideLogs(parseLogs(texts, UTC, 0), thresholds, NOW)[0]?.severity).toBe(severity)
  })
})

describe('units', () => {
  it('that failed are findings, each with its next command', () => {
    const text =
      '● backup.service loaded failed failed Nightly backup\n  ok.service loaded active running x\ncron.service not-found failed failed cron.service\n'
    const units = parseFailedUnits(text, 0)
    expect(decideUnits(units).map(({ subject, evidence }) => [subject, evidence])).toEqual([
      ['backup.service', 'Nightly backup; 2 failed units, warning from 1'],
      ['cron.service', 'cron.service; 2 failed units, warning from 1'],
    ])
  })

  it('that failed in masses are summed up', () => {
    const units = Array.from({ length: 13 }, (_, index) => ({ name: `u${index}.service`, description: '' }))
    expect(decideUnits(units).at(-1)?.title).toBe('3 more units have failed')
  })

  it.each([
    ['skipped', 'absent' as const],
    ['unknown', parseFailedUnits('', 1)],
    ['ok', parseFailedUnits('\n', 0)],
  ])('are %s for %j', (severity, units) => {
    expect(decideUnits(units)[0]?.severity).toBe(severity)
  })
})

describe('the clock', () => {
  const chrony = (offset: string, leap: string) =>
    `C0000201,192.0.2.1,3,1767225600.1,${offset},0.0001,0.0002,-1.2,0.0,0.1,0.01,0.001,64.2,${leap}\n`

  it.each([
    ['ok', 'chrony in time', { chrony: chrony('-0.000012', 'Normal') }],
    ['warning', 'chrony off', { chrony: chrony('0.150', 'Normal') }],
    ['critical', 'chrony far off', { chrony: chrony('-3.5', 'Normal') }],
    ['warning', 'chrony without a source', { chrony: chrony('0.0', 'Not synchronised') }],
    ['ok', 'timesyncd', { timesyncd: true }],
    ['ok', 'ntpd', { ntp: 'associd=0 status=0615 leap_none,\nleap=00, stratum=3, offset=0.412\n' }],
    ['warning', 'ntpd alone', { ntp: 'leap=11, stratum=16, offset=0.000\n' }],
    ['ok', 'timedatectl', { timedatectl: 'NTPSynchronized=yes\n' }],
    ['warning', 'timedatectl says no', { timedatectl: 'NTPSynchronized=no\n' }],
    ['skipped', 'nobody', {}],
    ['skipped', 'garbage', { chrony: '506 Cannot talk to daemon\n', ntp: 'connection refused' }],
  ])('is %s: %s', (severity, _, texts) => {
    expect(decideClock(parseClock(texts), thresholds).severity).toBe(severity)
  })

  it.each([
    ['skipped', 1400],
    ['critical', 90_000],
    ['critical', -90_000],
  ])('of another machine is %s when %i ms apart', (severity, aheadMs) => {
    expect(decideClock({ apart: { aheadMs, toleranceMs: 1500 } }, thresholds).severity).toBe(severity)
  })
})

describe('records of a remote machine', () => {
  it('are dated by its own clock, and its clock is compared', () => {
    const ahead = 3_600_000
    const boot = (NOW + ahead) / 1000 - 7200
    const texts = new Map([
      ['/proc/uptime', '7200.00 1.0\n'],
      ['/proc/stat', `btime ${boot}\n`],
      ['/proc/vmstat', 'oom_kill 1\n'],
      ['present', '/run/systemd/system\n'],
      ['units 0', ''],
      ['kmsg', '3,1,7140000000,-;Out of memory: Killed process 5 (app) total-vm:1kB\n'],
    ])
    const facts = parseRecords({ texts, now: NOW, remoteMs: 200 })
    expect(facts.clock.apart).toEqual({ aheadMs: ahead + 100, toleranceMs: 1100 })
    expect(decideRecords(facts, thresholds).map(({ check, severity }) => [check, severity])).toEqual([
      ['host.oom', 'critical'],
      ['host.units', 'ok'],
      ['host.logs', 'ok'],
      ['host.clock', 'critical'],
    ])
    expect(decideRecords(facts, thresholds)[0]?.evidence).toContain('last 1 min ago')
  })
})

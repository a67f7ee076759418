import { describe, expect, it } from 'vitest'
import { acknowledgeAlert, escalate, notifyOutcome, readOpenAlerts } from '../../scripts/lib/notify/index.ts'
import { OpsError } from '../../scripts/lib/core/errors.ts'
import { setUp } from './setup.ts'

const LOG = 'channels: { console: { type: log } }'
const MINUTE = 60_000

describe('an alert', () => {
  it('is written with the event that raised it, or not at all', () => {
    const bench = setUp(LOG)
    const { journal } = bench
    expect(() =>
      journal.transaction(() => {
        journal.record({ kind: 'backup.failed', message: 'failed' })
        bench.raise()
        throw new Error('the disk is full')
      }),
    ).toThrow('the disk is full')
    expect(bench.outbox()).toEqual([])
    journal.transaction(() => {
      journal.record({ kind: 'backup.failed', message: 'failed' })
      bench.raise()
    })
    expect(journal.events().map(({ kind }) => kind)).toEqual(['alert.opened', 'backup.failed'])
    expect(bench.outbox()).toMatchObject([{ channel: 'console', state: 'waiting', kind: 'problem' }])
  })

  it('is sent once, with an id, and says what to do', async () => {
    const bench = setUp(LOG)
    bench.raise()
    expect(await bench.flush()).toMatchObject({ sent: 1, failed: 0, dead: 0, undelivered: [] })
    expect(await bench.flush()).toMatchObject({ sent: 0 })
    expect(bench.printed).toMatchObject([
      {
        summary: 'CRITICAL web-1: Backup of orders failed',
        status: 'problem',
        next: 'npx zx scripts/backup.ts run database/orders',
        details: { size: '0 B' },
        source: 'control',
        count: 1,
      },
    ])
    expect(bench.outbox()).toMatchObject([{ state: 'sent', id: bench.printed[0]?.['id'], answer: 'printed' }])
  })

  it('that comes 17 times before it is sent is one message with a count', async () => {
    const bench = setUp(LOG)
    for (let index = 0; index < 17; index += 1) {
      bench.raise({ text: `the ${index}th` })
      await bench.clock.advance(1_000)
    }
    expect(await bench.flush()).toMatchObject({ sent: 1 })
    expect(bench.printed).toMatchObject([{ count: 17, text: 'the 16th' }])
    expect(bench.printed[0]?.['summary']).toContain('(17 times in 16 s)')
  })

  it('that goes on after it was sent is told again once at the end of the window, with what came meanwhile', async () => {
    const bench = setUp(LOG)
    bench.raise()
    await bench.flush()
    for (let index = 0; index < 4; index += 1) {
      await bench.clock.advance(MINUTE)
      bench.raise()
      expect(await bench.flush()).toMatchObject({ sent: 0, nextDueAt: bench.clock.now() + (4 - index) * MINUTE })
    }
    await bench.clock.advance(MINUTE)
    expect(await bench.flush()).toMatchObject({ sent: 1 })
    expect(bench.printed).toMatchObject([{ status: 'problem' }, { status: 'repeated', count: 4 }])
  })

  it('that gets worse within the window is told at once', async () => {
    const bench = setUp(LOG)
    bench.raise({ severity: 'warning' })
    await bench.flush()
    bench.raise({ severity: 'critical' })
    await bench.flush()
    expect(bench.printed.map(({ severity }) => severity)).toEqual(['warning', 'critical'])
  })

  it('that is over is closed by one message, and the next one is new', async () => {
    const bench = setUp(LOG)
    bench.raise()
    await bench.flush()
    await bench.clock.advance(12 * MINUTE)
    expect(bench.recover().messages).toHaveLength(1)
    expect(bench.recover()).toMatchObject({ messages: [], because: 'no such alert is open' })
    await bench.flush()
    bench.raise()
    await bench.flush()
    expect(bench.printed.map(({ summary }) => summary)).toEqual([
      'CRITICAL web-1: Backup of orders failed',
      'RECOVERED web-1: Backup of orders failed after 12 min',
      'CRITICAL web-1: Backup of orders failed',
    ])
    expect(bench.printed[1]).not.toHaveProperty('next')
  })

  it('that is over before anybody was told is one message that says both', async () => {
    const bench = setUp(LOG)
    bench.raise()
    bench.raise()
    await bench.clock.advance(MINUTE)
    bench.recover()
    await bench.flush()
    expect(bench.printed).toMatchObject([{ status: 'recovered', count: 2 }])
    expect(bench.outbox().map(({ state }) => state)).toEqual(['closed', 'sent'])
  })

  it('that is news is told each time and never stays open', async () => {
    const bench = setUp(`min_severity: info\n${LOG}`)
    bench.raise({ severity: 'info', once: true })
    bench.raise({ severity: 'info', once: true })
    await bench.flush()
    expect(bench.printed.map(({ status }) => status)).toEqual(['news', 'news'])
    expect(readOpenAlerts(bench.journal)).toEqual([])
  })

  it('is stored without secrets, control characters and excess', () => {
    const bench = setUp(LOG)
    bench.raise({
      title: 'Login failed\r\nBcc: all@example.com\u001b[31m',
      text: `mysql --password=hunter2secret\n${'x'.repeat(100_000)}`,
      details: [
        ['db_password', 'hunter2secret'],
        ['note', 'a\nb'],
      ],
    })
    const [stored] = bench.outbox()
    expect(JSON.stringify(bench.journal.sql.all('SELECT * FROM notify_outbox'))).not.toContain('hunter2')
    expect(JSON.stringify(bench.journal.events())).not.toContain('hunter2')
    expect(stored?.title).toBe('Login failed Bcc: all@example.com\\x1b[31m')
    expect(stored?.text?.length).toBeLessThanOrEqual(8_000)
    expect(stored?.details).toEqual([
      ['db_password', '[REDACTED]'],
      ['note', 'a b'],
    ])
  })
})

describe('a channel', () => {
  it('in quiet hours keeps what can wait, across midnight and in its own time zone', async () => {
    // 2026-01-01 00:00 UTC is 01:00 in Vienna.
    const bench = setUp(`
channels:
  console:
    type: log
    quiet_hours: { from: "22:00", to: "07:00", timezone: Europe/Vienna }`)
    bench.raise({ key: 'a', severity: 'warning' })
    bench.raise({ key: 'b', severity: 'critical' })
    expect(await bench.flush()).toMatchObject({ sent: 1, nextDueAt: Date.UTC(2026, 0, 1, 6) })
    expect(bench.printed).toMatchObject([{ key: 'b' }])
    await bench.clock.advance(6 * 60 * MINUTE - 1_000)
    expect(await bench.flush()).toMatchObject({ sent: 0 })
    await bench.clock.advance(1_000)
    expect(await bench.flush()).toMatchObject({ sent: 1 })
  })

  it('keeps its rate, over flushes, and goes on when it may', async () => {
    const bench = setUp('channels: { console: { type: log, rate_limit: { messages: 3, per: 1m } } }')
    for (let index = 0; index < 5; index += 1) bench.raise({ key: `${index}` })
    expect(await bench.flush()).toMatchObject({ sent: 3 })
    const { nextDueAt } = await bench.flush()
    expect(nextDueAt).toBe(bench.clock.now() + 20_000)
    await bench.clock.advance(20_000)
    expect(await bench.flush()).toMatchObject({ sent: 1 })
    await bench.clock.advance(60_000)
    expect(await bench.flush()).toMatchObject({ sent: 1 })
  })

  it('sends the worst first', async () => {
    const bench = setUp(LOG)
    bench.raise({ key: 'a', severity: 'warning' })
    bench.raise({ key: 'b', severity: 'critical' })
    await bench.flush()
    expect(bench.printed.map(({ key }) => key)).toEqual(['b', 'a'])
  })

  it('that fails delays no other; its message is tried again with growing pauses, and given up loudly', async () => {
    const bench = setUp(`
retry: { first: 1m, max: 4m, give_up: 20m }
channels:
  file: { type: log, file: /proc/nowhere/alerts.jsonl }
  console: { type: log }`)
    bench.raise()
    expect(await bench.flush()).toMatchObject({ sent: 1, failed: 1, undelivered: [] })
    const pauses: number[] = []
    for (let tries = 0; tries < 20; tries += 1) {
      const [message] = bench.outbox()
      if (message?.state !== 'waiting') break
      pauses.push(message.dueAt - bench.clock.now())
      await bench.clock.advance(message.dueAt - bench.clock.now())
      await bench.flush()
    }
    expect(bench.outbox()[0]).toMatchObject({
      state: 'dead',
      answer: expect.stringContaining('given up after 20 min') as string,
    })
    expect(pauses[0]).toBeGreaterThanOrEqual(48_000)
    expect(pauses[0]).toBeLessThanOrEqual(72_000)
    expect(Math.max(...pauses)).toBeLessThanOrEqual(4 * MINUTE)
    expect(bench.journal.events({ kind: 'notify.given-up' })).toHaveLength(1)
  })

  it('that fails is not tried again for each message of the same flush, and works again for all at once', async () => {
    const bench = setUp('channels: { file: { type: log, file: /proc/nowhere/alerts.jsonl } }')
    for (let index = 0; index < 10; index += 1) bench.raise({ key: `${index}` })
    expect(await bench.flush()).toMatchObject({ failed: 1 })
    expect(bench.outbox().map(({ attempt }) => attempt)).toEqual([1, 0, 0, 0, 0, 0, 0, 0, 0, 0])
    const mended = setUp('channels: { file: { type: log } }', { journal: bench.journal })
    await mended.clock.advance(MINUTE)
    expect(await mended.flush()).toMatchObject({ sent: 10 })
  })

  it('that works again sends at once what waited for it', async () => {
    const more = 'retry: { first: 2h, max: 2h }\n'
    const bench = setUp(`${more}channels: { file: { type: log, file: /proc/nowhere/alerts.jsonl } }`)
    for (let index = 0; index < 3; index += 1) bench.raise({ key: `${index}` })
    await bench.flush()
    const mended = setUp(`${more}channels: { file: { type: log } }`, { journal: bench.journal })
    expect(await mended.flush()).toMatchObject({ sent: 0 })
    mended.raise({ key: 'new' })
    expect(await mended.flush()).toMatchObject({ sent: 4 })
  })

  it('that fails does not use up its rate with what it did not try', async () => {
    const rate = 'rate_limit: { messages: 5, per: 1h }'
    const bench = setUp(`channels: { file: { type: log, ${rate}, file: /proc/nowhere/alerts.jsonl } }`)
    for (let index = 0; index < 5; index += 1) bench.raise({ key: `${index}` })
    await bench.flush()
    const mended = setUp(`channels: { file: { type: log, ${rate} } }`, { journal: bench.journal })
    await mended.clock.advance(MINUTE)
    expect(await mended.flush()).toMatchObject({ sent: 4 })
  })

  it('that left the config takes its messages with it, and it is said', async () => {
    const bench = setUp(LOG)
    bench.raise()
    const other = setUp('channels: { other: { type: log } }', { journal: bench.journal })
    await other.flush()
    expect(other.outbox()).toMatchObject([{ state: 'dead', answer: 'the channel is not configured any more' }])
    expect(other.journal.events({ kind: 'notify.given-up' })).toHaveLength(1)
  })

  it('that does not exist is named', async () => {
    await expect(setUp(LOG).flush({ channels: ['consol'] })).rejects.toThrow('there is no channel "consol"')
  })
})

describe('when every channel fails', () => {
  it('the result and the journal say that nobody has been told', async () => {
    const bench = setUp('channels: { a: { type: log, file: /proc/x/a }, b: { type: log, file: /proc/x/b } }')
    bench.raise()
    const { undelivered } = await bench.flush()
    expect(undelivered).toMatchObject([{ alert: 'backup:orders', channels: [{ channel: 'a' }, { channel: 'b' }] }])
    expect(bench.journal.events({ kind: 'notify.undelivered' })).toMatchObject([
      { result: 'failed', message: 'NOBODY HAS BEEN TOLD, every channel failed: "Backup of orders failed"' },
    ])
  })

  it('but one that was not tried yet, it does not cry', async () => {
    const bench = setUp(`
channels:
  a: { type: log, file: /proc/x/a }
  b: { type: log, quiet_hours: { from: "23:00", to: "07:00", except: critical } }`)
    bench.raise({ severity: 'warning' })
    expect(await bench.flush()).toMatchObject({ failed: 1, undelivered: [] })
  })
})

describe('the end of a run', () => {
  const failure = { subject: 'backup.database orders', action: 'backup.database' }

  it('is told when it failed, with the hint, and when it works again', async () => {
    const bench = setUp(LOG)
    const error = new OpsError('UNREACHABLE', 'the database does not answer', { hint: 'Look whether it runs.' })
    const print = (line: string) => void bench.printed.push(JSON.parse(line) as Record<string, unknown>)
    expect(await notifyOutcome(bench, { ...failure, error }, { print })).toMatchObject({ flushed: { sent: 1 } })
    expect(await notifyOutcome(bench, failure, { print })).toMatchObject({ flushed: { sent: 1 } })
    expect(await notifyOutcome(bench, failure, { print })).toEqual({})
    expect(bench.printed).toMatchObject([
      { title: 'backup.database orders failed', text: 'the database does not answer', next: 'Look whether it runs.' },
      { title: 'backup.database orders works again', status: 'recovered' },
    ])
  })

  it('is told each time with always', async () => {
    const bench = setUp(`min_severity: info\n${LOG}`)
    const print = (line: string) => void bench.printed.push(JSON.parse(line) as Record<string, unknown>)
    await notifyOutcome(bench, { ...failure, when: ['always'], message: '3 GiB in 40 s' }, { print })
    expect(bench.printed).toMatchObject([
      { status: 'news', title: 'backup.database orders is done', text: '3 GiB in 40 s' },
    ])
  })

  it('never throws: what went wrong is a value', async () => {
    const bench = setUp('channels: { a: { type: log, file: /proc/x/a } }')
    expect(await notifyOutcome(bench, { ...failure, error: new Error('x') })).toMatchObject({
      problem: 'NOBODY HAS BEEN TOLD: a (cannot write /proc/x/a: ENOENT)',
    })
    bench.journal.close()
    expect((await notifyOutcome(bench, { ...failure, error: new Error('x') })).problem).toContain('nobody was told')
  })
})

describe('a ladder of escalation', () => {
  it('tells more people until somebody looks, or it is over', async () => {
    const bench = setUp('default: [first]\nchannels: { first: { type: log }, boss: { type: log } }')
    bench.raise()
    await bench.flush()
    const rung = { key: 'backup:orders', channels: ['boss'] }
    expect(escalate(bench.journal, bench.config, rung, { now: bench.clock.now() }).messages).toMatchObject([
      { channel: 'boss' },
    ])
    await bench.flush()
    expect(bench.printed.map(({ status }) => status)).toEqual(['problem', 'escalated'])
    expect(acknowledgeAlert(bench.journal, 'backup:orders', { by: 'alice', now: bench.clock.now() })).toBe(true)
    expect(acknowledgeAlert(bench.journal, 'backup:orders', { by: 'bob', now: bench.clock.now() })).toBe(false)
    expect(escalate(bench.journal, bench.config, rung)).toMatchObject({
      messages: [],
      because: 'alice is looking at it',
    })
    bench.recover()
    await bench.flush()
    expect(bench.printed.map(({ status }) => status)).toEqual(['problem', 'escalated', 'recovered', 'recovered'])
    expect(escalate(bench.journal, bench.config, rung)).toMatchObject({ because: 'the alert is over' })
  })
})

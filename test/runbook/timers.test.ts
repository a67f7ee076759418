import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import type { ActionContext } from '../../scripts/lib/action/types.ts'
import { runAction } from '../../scripts/lib/action/run.ts'
import { validateConfig } from '../../scripts/lib/config/validate.ts'
import { createManualClock, type ManualClock } from '../../scripts/lib/core/clock.ts'
import { silentLog } from '../../scripts/lib/core/log.ts'
import { openJournal } from '../../scripts/lib/journal/index.ts'
import { readOutbox } from '../../scripts/lib/notify/index.ts'
import { openIncidentJournal } from '../../scripts/lib/runbook/incident/journal.ts'
import { openStore } from '../../scripts/lib/runbook/incident/store.ts'
import { decideDue, viewTimers } from '../../scripts/lib/runbook/incident/timers.ts'
import type { EventBody, Incident } from '../../scripts/lib/runbook/incident/types.ts'
import { parseRunbook } from '../../scripts/lib/runbook/read/parse.ts'
import { journalOptions } from '../../scripts/lib/runbook/run/session.ts'
import { startIncident } from '../../scripts/lib/runbook/run/start.ts'
import { tickAction } from '../../scripts/lib/runbook/tick.ts'
import { writeFileSync } from 'node:fs'
import { createMemoryHosts } from '../support/memory-host.ts'
import { tempDir } from '../support/temp.ts'
import { formatRunbook, item } from './place.ts'

const MIN = 60_000
const CONFIG = validateConfig(
  `
notify: { channels: { log: { type: log, min_severity: info }, pager: { type: log } }, default: [log], routes: [{ tags: [oncall], channels: [pager] }] }
runbook:
  contacts: { ann: { name: Ann Example, role: technical lead, phone: '1234' } }
  escalation: [{ after: 5m, contact: ann, tags: [oncall] }, { after: 20m, role: technical lead, stopped_by: mitigated }]
`,
  'opskit.yaml',
)

/** Everything that one process has open; `end` is what its end leaves. */
function openProcess(dir: string, clock: ManualClock) {
  const journal = openJournal({ dir: join(dir, 'state'), clock })
  const context: ActionContext = {
    ...{ config: CONFIG, localName: 'web-1', hosts: createMemoryHosts([]), journal, clock, log: silentLog },
    ...{ signal: new AbortController().signal, redact: (text) => text },
    resolveSecret: async () => Promise.reject(new Error('there are no secrets')),
  }
  return { context, store: openStore(journal), end: () => journal.close() }
}

async function openIncident(dir: string, clock: ManualClock, drill = false): Promise<string> {
  const file = join(dir, 'demo.md')
  const text = formatRunbook('demo', `## One\n\n${item('Tell', 'id: tell')}`)
  writeFileSync(file, text)
  const { runbook } = parseRunbook(text, file)
  if (!runbook) throw new Error('the runbook is broken')
  const { context, store, end } = openProcess(dir, clock)
  const tools = { context, store, who: 'alice', actions: [] }
  const session = await startIncident({ ...tools, runbook, params: {}, drill, again: false })
  session.close()
  end()
  return session.id
}

/** What one run of `runbook.tick` does, in a process of its own. */
async function tick(dir: string, clock: ManualClock): Promise<{ fired: string[]; told: string[] }> {
  const { context, store, end } = openProcess(dir, clock)
  await runAction(tickAction, {}, context)
  const [id = ''] = store.ids()
  const journal = openIncidentJournal({ path: store.pathOf(id), ...journalOptions(context, 'bob') })
  const fired = journal.events().flatMap((event) => {
    if (event.kind === 'timer.fired') return [event.timer]
    return event.kind === 'escalated' ? [`call ${event.contact}`] : []
  })
  const told = readOutbox(context.journal).map(({ channel, title }) => `${channel}: ${title}`)
  journal.close()
  end()
  return { fired, told }
}

function say(dir: string, clock: ManualClock, id: string, ...bodies: EventBody[]): void {
  const { context, store, end } = openProcess(dir, clock)
  const journal = openIncidentJournal({ path: store.pathOf(id), ...journalOptions(context, 'bob') })
  journal.change(() => bodies)
  store.saveHead(journal.incident(), journal.head())
  journal.close()
  end()
}

describe('the clock of an incident', () => {
  it('fires each time once, whichever process looks and however late', async () => {
    const dir = await tempDir('timers')
    const clock = createManualClock()
    await openIncident(dir, clock)
    await clock.advance(5 * MIN - 1)
    expect((await tick(dir, clock)).fired).toEqual([])
    await clock.advance(1)
    const first = await tick(dir, clock)
    expect(first.fired).toEqual(['acknowledge', 'call technical lead: Ann Example, 1234'])
    expect(first.told.filter((title) => title.includes('not within'))).toHaveLength(1)
    expect(
      first.told.filter((title) => title.startsWith('pager: ') && title.includes('call technical lead')),
    ).toHaveLength(1)
    expect(await tick(dir, clock)).toEqual(first)
    // A machine that was off for two days tells of everything at once, and once.
    await clock.advance(48 * 60 * MIN)
    const later = await tick(dir, clock)
    expect(later.fired.slice(2)).toEqual([
      'mitigate',
      'call technical lead: Ann Example, 1234',
      'root-cause',
      'resolve',
    ])
    expect(await tick(dir, clock)).toEqual(later)
  })

  it('is stopped by what was reached in time', async () => {
    const dir = await tempDir('timers')
    const clock = createManualClock()
    const id = await openIncident(dir, clock)
    await clock.advance(4 * MIN)
    say(dir, clock, id, { kind: 'acknowledged' })
    await clock.advance(6 * MIN)
    say(dir, clock, id, { kind: 'reached', milestone: 'mitigated' })
    await clock.advance(20 * MIN)
    expect((await tick(dir, clock)).fired).toEqual([])
    await clock.advance(31 * MIN)
    expect((await tick(dir, clock)).fired).toEqual(['root-cause'])
    say(dir, clock, id, { kind: 'reached', milestone: 'resolved' })
    await clock.advance(48 * 60 * MIN)
    expect((await tick(dir, clock)).fired).toEqual(['root-cause'])
  })

  it.each<[string, boolean, EventBody, string[]]>([
    [
      'goes on when the runbook is done: the cause is still to be found',
      false,
      closed('done'),
      ['acknowledge', 'mitigate', 'root-cause', 'resolve'],
    ],
    ['stands when it was a false alarm', false, closed('aborted'), []],
    ['stands when a drill is over', true, closed('done'), []],
  ])('%s', async (_name, drill, event, expected) => {
    const dir = await tempDir('timers')
    const clock = createManualClock()
    const id = await openIncident(dir, clock, drill)
    say(dir, clock, id, event)
    await clock.advance(48 * 60 * MIN)
    expect((await tick(dir, clock)).fired.filter((name) => !name.startsWith('call'))).toEqual(expected)
  })

  it('shows what is left in the order of its ends', () => {
    const incident = {
      ...{ startedAt: 0, fired: [], rungs: [], reached: {}, drill: false },
      ladder: [{ afterMs: 3 * MIN, contact: 'ann', tags: [], stoppedBy: 'ack' }],
      timers: [
        { name: 'late', title: 'Late', afterMs: 9 * MIN, stoppedBy: 'resolved' },
        { name: 'soon', title: 'Soon', afterMs: 4 * MIN, stoppedBy: 'ack' },
      ],
    } as unknown as Incident
    expect(viewTimers(incident, 5 * MIN).map(({ timer, state }) => `${timer.name} ${state}`)).toEqual([
      'soon overdue',
      'late running',
    ])
    expect(decideDue(incident, 5 * MIN).map((due) => due.kind)).toEqual(['rung', 'timer'])
  })
})

function closed(outcome: 'done' | 'aborted'): EventBody {
  return { kind: 'closed', outcome, reason: 'x', remains: [] }
}

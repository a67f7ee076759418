/** What a param that is set during an incident does to steps, agreements and what may be taken back. */
import { describe, expect, it } from 'vitest'
import { decideAnswer } from '../../scripts/lib/runbook/incident/answers.ts'
import { incidentFrom } from '../../scripts/lib/runbook/incident/fold.ts'
import { decideSet } from '../../scripts/lib/runbook/incident/set.ts'
import type { EventBody } from '../../scripts/lib/runbook/incident/types.ts'
import { viewOf, type View } from '../../scripts/lib/runbook/incident/view.ts'
import { parseRunbook } from '../../scripts/lib/runbook/read/parse.ts'
import { planRollback } from '../../scripts/lib/runbook/run/rollback.ts'
import { formatRunbook, item } from './place.ts'

const { runbook, complaints } = parseRunbook(
  formatRunbook(
    'demo',
    [
      '## One\n',
      item(
        'Empty {{file}}',
        'id: empty\nwhen: "{{file}}"\nrun: [rm, "{{file}}"]\nconfirm: Really {{file}}?\nirreversible: yes',
      ),
      item(
        'Move {{from}} to {{to}}',
        'id: move\nneeds: [to]\nrun: mv "$OPSKIT_FROM" "$OPSKIT_TO"\nrollback: { run: [mv, "{{to}}", "{{from}}"] }',
      ),
      item('Ask {{url}}', 'id: ask\nrun: [curl, "{{url}}"]\nread_only: yes'),
    ].join('\n'),
    [
      'subject: [host]',
      'params:',
      '  host: { type: host, default: local, description: Where }',
      '  file: { type: text, default: "", description: A file }',
      '  from: { type: path, default: /from, description: From }',
      '  to: { type: text, default: "", description: To }',
      '  url: { type: text, default: "", description: An address }',
      '  wait: { type: duration, default: 30s, description: How long }',
    ].join('\n'),
  ),
  'demo.md',
)
if (!runbook) throw new Error(JSON.stringify(complaints))

const PARAMS = { host: 'local', file: '', from: '/from', to: '', url: '', wait: 30_000 }
const opened: EventBody = {
  ...{
    kind: 'opened',
    incident: 'demo-1',
    params: PARAMS,
    subject: 'host local',
    drill: false,
    timers: [],
    ladder: [],
  },
  runbook: { id: 'demo', title: '', severity: 'high', language: 'en', file: 'demo.md', sha256: '', copy: 'demo.md' },
}

function view(...bodies: readonly EventBody[]): View {
  const events = [opened, ...bodies].map((body, index) => ({
    seq: index + 1,
    at: index * 1_000,
    who: 'alice',
    ...body,
  }))
  return viewOf(runbook as NonNullable<typeof runbook>, incidentFrom(events), () => false)
}

const set = (param: keyof typeof PARAMS, to: string, from = ''): EventBody => ({ kind: 'param.set', param, from, to })
const passed: EventBody = {
  kind: 'step.answered',
  step: 'empty',
  answer: 'skip',
  reason: 'only when',
  automatic: 'when',
}
const confirmed: EventBody = { kind: 'step.answered', step: 'empty', answer: 'confirm' }
const ran = (step: string, result: 'ok' | 'failed' = 'ok', unchanged = false): EventBody[] => [
  { kind: 'step.started', step, fencing: 1 },
  { kind: 'step.ended', step, result, because: 'as it went', evidence: [], ...(unchanged && { unchanged: true }) },
]
const step = (from: View, id: string) => from.steps.find((one) => one.step.id === id)
const redo: EventBody = { kind: 'step.answered', step: 'move', answer: 'redo' }

describe('a step', () => {
  it.each<[string, readonly EventBody[], string, object]>([
    ['whose condition does not hold', [], 'empty', { state: 'does-not-apply' }],
    ['that was passed over', [passed], 'empty', { state: 'does-not-apply' }],
    [
      'that was passed over, and applies now',
      [passed, set('file', '/a')],
      'empty',
      { state: 'waiting', waitingFor: 'confirm' },
    ],
    [
      'that was skipped by somebody stays skipped',
      [{ ...passed, automatic: 'answers file' }, set('file', '/a')],
      'empty',
      { state: 'skipped' },
    ],
    ['that says what it needs', [passed], 'move', { state: 'waiting', waitingFor: 'param', missing: ['to'] }],
    ['that has what it needs', [passed, set('to', '/b')], 'move', { state: 'pending', missing: [] }],
    ['that hands it to a program', [passed], 'ask', { state: 'waiting', waitingFor: 'param', missing: ['url'] }],
    ['that was agreed to', [set('file', '/a'), confirmed], 'empty', { state: 'pending' }],
    [
      'that was agreed to with another value',
      [set('file', '/a'), confirmed, set('file', '/b', '/a')],
      'empty',
      { waitingFor: 'confirm' },
    ],
    [
      'whose agreement has nothing to do with it',
      [set('file', '/a'), confirmed, set('to', '/b')],
      'empty',
      { state: 'pending' },
    ],
  ])('%s', (_name, events, id, expected) => expect(step(view(...events), id)).toMatchObject(expected))

  it('keeps what it was run with when it is done, and takes the new value when it is done again', () => {
    const done = [set('to', '/b'), ...ran('move'), set('to', '/c', '/b')]
    expect(step(view(...done), 'move')?.words.title('{{to}}')).toBe('/b')
    const again = [set('to', '/b'), ...ran('move', 'failed'), set('to', '/c', '/b'), redo]
    expect(step(view(...again), 'move')?.words.title('{{to}}')).toBe('/c')
  })

  it('says … for what has no value', () => {
    expect(step(view(), 'empty')?.words.title('Empty {{file}}')).toBe('Empty …')
  })
})

describe('an agreement', () => {
  it('is refused when what was read was set meanwhile by somebody else', () => {
    const request = { step: 'empty', answer: 'confirm', by: 'alice', shownWith: { ...PARAMS, file: '/a' } } as const
    expect(decideAnswer(view(set('file', '/a'), set('url', 'x')), request).events).toHaveLength(1)
    const meanwhile = view(set('file', '/a'), set('file', '/b', '/a'))
    expect(() => decideAnswer(meanwhile, request)).toThrow('file was set meanwhile: look at 1.1 (empty) again')
  })

  it('waits for the value that it is about', () => {
    const request = { step: 'move', answer: 'done', by: 'alice' } as const
    expect(() => decideAnswer(view(passed), request)).toThrow('1.2 (move) needs a value for to first')
  })
})

describe('what is taken back', () => {
  const commands = (...events: readonly EventBody[]) =>
    planRollback(view(...events)).steps.map(({ command }) => command)

  it('is what was done, with the values of then, the last one first', () => {
    const twice = [set('to', '/b'), ...ran('move', 'failed'), set('to', '/c', '/b'), redo, ...ran('move')]
    expect(commands(...twice, set('to', '/d', '/c'))).toEqual(['mv /c /from', 'mv /b /from'])
  })

  it('is one thing when only other params have changed', () => {
    expect(commands(set('to', '/b'), ...ran('move', 'failed'), set('url', 'x'), redo, ...ran('move'))).toEqual([
      'mv /b /from',
    ])
  })

  it('is nothing of an action that has taken itself back, but what an attempt before it has done', () => {
    expect(commands(set('to', '/b'), ...ran('move', 'failed', true))).toEqual([])
    const before = [
      set('to', '/b'),
      ...ran('move', 'failed'),
      set('to', '/c', '/b'),
      redo,
      ...ran('move', 'failed', true),
    ]
    expect(commands(...before)).toEqual(['mv /b /from'])
  })
})

describe('setting', () => {
  const decide = (given: Readonly<Record<string, string>>, ...events: readonly EventBody[]) =>
    decideSet(view(...events), { given, hosts: ['web-1'] })

  it('checks as at the start, and tells what was before', () => {
    expect(decide({ to: '/b', wait: '2m' })).toMatchObject({
      events: [set('to', '/b'), { kind: 'param.set', param: 'wait', from: 30_000, to: 120_000 }],
      because: 'to: /b (before: nothing); wait: 2 min (before: 30 s)',
    })
    expect(decide({ wait: '30s' })).toMatchObject({ events: [], because: 'they have these values already' })
    expect(decide({ to: '' }, set('to', '/b')).because).toBe('to: nothing (before: /b)')
  })

  it.each([
    [{ frm: '/x' }, 'demo has no param "frm"'],
    [{ from: 'x' }, 'from: "x" is not a path from the root'],
    [{ host: 'web-9' }, 'there is no host "web-9"'],
    [{ host: 'web-1' }, 'demo-1 is about host local: host stays as it is'],
  ])('refuses %j', (given, message) => expect(() => decide(given as Record<string, string>)).toThrow(message))

  it('is over when the incident is', () => {
    const closed: EventBody = { kind: 'closed', outcome: 'done', reason: 'well again', remains: [] }
    expect(() => decide({ to: '/b' }, closed)).toThrow('demo-1 was closed by alice')
  })
})

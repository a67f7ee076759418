import { describe, expect, it } from 'vitest'
import { decideAnswer, type AnswerRequest } from '../../scripts/lib/runbook/incident/answers.ts'
import { incidentFrom } from '../../scripts/lib/runbook/incident/fold.ts'
import type { Answer, EventBody } from '../../scripts/lib/runbook/incident/types.ts'
import { viewOf, type View } from '../../scripts/lib/runbook/incident/view.ts'
import { parseRunbook } from '../../scripts/lib/runbook/read/parse.ts'
import { formatRunbook, item } from './place.ts'

const { runbook, complaints } = parseRunbook(
  formatRunbook(
    'demo',
    [
      '## One\n',
      item('Look', 'id: look\nrun: ["true"]\nread_only: yes'),
      item('Tell', 'id: tell'),
      item('Write', 'id: write\nevidence: required'),
      item('See', 'id: see\nverify: { run: ["true"] }'),
      '## Two\n',
      item('Ask', 'id: ask\nrun: ["true"]\nconfirm: yes\nirreversible: yes\nmarks: mitigated'),
      item('Agree', 'id: agree\nrun: ["true"]\napprove: lead\nirreversible: yes'),
      item('Perhaps', 'id: perhaps\nrun: ["true"]\nread_only: yes\nwhen: "{{extra}}"'),
      item('Note', 'id: last'),
    ].join('\n'),
    'params:\n  extra: { type: boolean, default: no, description: More }\nroles:\n  lead: agrees',
  ),
  'demo.md',
)
if (!runbook) throw new Error(JSON.stringify(complaints))

const LIVE = 7
const AT = Date.UTC(2026, 10, 21, 3, 14)
type Events = readonly EventBody[]

const opened: EventBody = {
  ...{ kind: 'opened', incident: 'demo-1', params: { extra: false }, subject: '', drill: false },
  ...{ timers: [], ladder: [] },
  runbook: {
    id: 'demo',
    title: 'Demo',
    severity: 'high',
    language: 'en',
    file: 'demo.md',
    sha256: '',
    copy: 'demo.md',
  },
}

function view(...bodies: Events): View {
  const events = [opened, ...bodies].map((body, index) => {
    return { seq: index + 1, at: AT + index * 1_000, who: 'alice', ...body }
  })
  return viewOf(runbook as NonNullable<typeof runbook>, incidentFrom(events), (fencing) => fencing === LIVE)
}

const started = (step: string, fencing = 1): EventBody => ({ kind: 'step.started', step, fencing })
const ended = (step: string, result: 'ok' | 'failed' | 'interrupted' = 'ok'): EventBody => {
  return { kind: 'step.ended', step, result, because: 'as it went', evidence: [] }
}
const said = (step: string, answer: Answer, reason?: string): EventBody => {
  return { kind: 'step.answered', step, answer, ...(reason !== undefined && { reason }) }
}
const closed: EventBody = { kind: 'closed', outcome: 'aborted', reason: 'false alarm', remains: [] }
const looked = [started('look'), ended('look')]
const failed = [started('look'), ended('look', 'failed')]
const phaseOne = [...looked, said('tell', 'done'), said('write', 'skip', 'no'), said('see', 'done')]

describe('the state of a step', () => {
  it.each<[string, Events, string]>([
    ['nothing has happened', [], 'pending'],
    ['it was begun and its process lives', [started('look', LIVE)], 'running'],
    ['it was begun and its process is gone', [started('look')], 'unknown'],
    ['it was interrupted', [started('look'), ended('look', 'interrupted')], 'unknown'],
    ['it ended well', looked, 'done'],
    ['it failed', failed, 'failed'],
    ['it failed and is to be done again', [...failed, said('look', 'redo')], 'pending'],
    ['it was left out', [said('look', 'skip', 'x')], 'skipped'],
    ['it failed and somebody goes on', [...failed, said('look', 'override', 'x')], 'overridden'],
    ['its rollback ended well', [...looked, rolledBack('ok')], 'rolled-back'],
    ['its rollback failed', [...looked, rolledBack('failed')], 'done'],
  ])('when %s', (_name, events, expected) => expect(view(...events).steps[0]?.state).toBe(expected))

  it('waits for a human only in the phase that has begun', () => {
    const { steps } = view()
    expect(steps.find(({ step }) => step.id === 'tell')).toMatchObject({ state: 'waiting', waitingFor: 'human' })
    expect(steps.find(({ step }) => step.id === 'ask')).toMatchObject({ state: 'pending' })
  })

  it.each<[string, Events, object]>([
    ['what can be run', [], { do: 'run' }],
    ['a human', looked, { do: 'wait', for: 'human' }],
    ['a word before it runs', phaseOne, { do: 'wait', for: 'confirm' }],
    ['agreement', [...phaseOne, said('ask', 'skip', 'x')], { do: 'wait', for: 'approval' }],
    ['a decision when a step failed', failed, { do: 'decide' }],
    ['a decision when nobody knows', [started('look')], { do: 'decide' }],
    ['the other process', [started('look', LIVE)], { do: 'watch' }],
    ['nothing once it is closed', [closed], { do: 'nothing' }],
    ['the rollback once it began', [{ kind: 'rollback.began', steps: [], reason: 'x' }], { do: 'rollback' }],
  ])('and then comes %s', (_name, events, expected) => expect(view(...events).next).toMatchObject(expected))

  it('is passed when it does not apply; behind the last one it is over', () => {
    const before = [...phaseOne, said('ask', 'skip', 'x'), said('agree', 'skip', 'x')]
    expect(view(...before).next).toMatchObject({ do: 'pass', because: 'only when extra is set' })
    expect(view(...before, said('perhaps', 'skip'), said('last', 'done')).next).toEqual({ do: 'finish' })
  })
})

describe('an answer', () => {
  const ask = (of: View, request: Partial<AnswerRequest> & Pick<AnswerRequest, 'step' | 'answer'>) =>
    decideAnswer(of, { by: 'bob', ...request })
  const evidence = [{ of: 'operator', text: 'green' }] as const

  it('is written down with what was seen, whether by id or by number', () => {
    const events = [{ kind: 'step.answered', step: 'tell', answer: 'done', evidence }]
    expect(ask(view(...looked), { step: '1.2', answer: 'done', evidence }).events).toEqual(events)
    expect(ask(view(...looked), { step: 'tell', answer: 'done', evidence }).events).toEqual(events)
  })

  it('reaches what the step marks', () => {
    const events = [...phaseOne, said('ask', 'confirm'), started('ask'), ended('ask', 'failed')]
    const { events: written } = ask(view(...events), { step: 'ask', answer: 'override', reason: 'y' })
    expect(written).toContainEqual({ kind: 'reached', milestone: 'mitigated', step: 'ask' })
  })

  it.each<[string, Events, string, Answer, RegExp, string?]>([
    ['done', [...looked, said('tell', 'done')], 'tell', 'done', /was done already, by alice at 03:14:03 UTC/],
    ['skip', [said('look', 'skip', 'r')], 'look', 'skip', /was skipped already, by alice/, 'r'],
    ['confirm', [...phaseOne, said('ask', 'confirm')], 'ask', 'confirm', /alice did that/],
    ['redo', [...failed, said('look', 'redo')], 'look', 'redo', /alice asked for that/],
  ])('that was given before does nothing: %s', (_name, events, step, answer, because, reason) => {
    const verdict = ask(view(...events), { step, answer, ...(reason !== undefined && { reason }) })
    expect(verdict).toEqual({ events: [], because: expect.stringMatching(because) as string })
  })

  it.each<[string, Events, Partial<AnswerRequest> & Pick<AnswerRequest, 'step' | 'answer'>, string, RegExp]>([
    [
      'another than the first',
      [...looked, said('tell', 'done')],
      { step: 'tell', answer: 'skip', reason: 'r' },
      'FAILED',
      /answered already: done, by alice at 03:14:03/,
    ],
    [
      'another reason than the first',
      [said('look', 'skip', 'a')],
      { step: 'look', answer: 'skip', reason: 'b' },
      'FAILED',
      /by alice .*: a/,
    ],
    ['skip without a reason', [], { step: 'look', answer: 'skip' }, 'USAGE', /needs a reason/],
    ['override without a reason', failed, { step: 'look', answer: 'override', reason: ' ' }, 'USAGE', /needs a reason/],
    ['done without the evidence it needs', looked, { step: 'write', answer: 'done' }, 'USAGE', /needs evidence/],
    ['done for what the program runs', [], { step: 'look', answer: 'done' }, 'FAILED', /run by the program/],
    ['done for what failed', failed, { step: 'look', answer: 'done' }, 'FAILED', /failed/],
    ['done for what nobody saw end', [started('look')], { step: 'look', answer: 'done' }, 'FAILED', /nobody knows/],
    [
      'anything while it runs',
      [started('look', LIVE)],
      { step: 'look', answer: 'skip', reason: 'r' },
      'LOCKED',
      /run by alice since 03:14:01/,
    ],
    ['a step of a later phase', [], { step: 'last', answer: 'done' }, 'FAILED', /phase 1 still waits for 1.1 \(look\)/],
    ['redo of what was not tried', [], { step: 'look', answer: 'redo' }, 'FAILED', /not been tried/],
    [
      'override of what did not fail',
      looked,
      { step: 'tell', answer: 'override', reason: 'r' },
      'FAILED',
      /nothing to override/,
    ],
    [
      'agreement by the starter',
      phaseOne,
      { step: 'agree', answer: 'approve', by: 'alice' },
      'NOT_PERMITTED',
      /alice started this run/,
    ],
    ['a step that is not there', [], { step: 'lok', answer: 'done' }, 'USAGE', /no step "lok"/],
    [
      'anything once it is closed',
      [closed],
      { step: 'look', answer: 'skip', reason: 'r' },
      'FAILED',
      /closed by alice/,
    ],
  ])('is refused: %s', (_name, events, request, code, message) => {
    const refusal = { code, message: expect.stringMatching(message) as string }
    expect(() => ask(view(...events), request)).toThrow(expect.objectContaining(refusal))
  })

  it('may come from somebody else, after a look, or against a verify', () => {
    expect(ask(view(...phaseOne), { step: 'agree', answer: 'approve' }).events).toHaveLength(1)
    expect(ask(view(started('look')), { step: 'look', answer: 'done', evidence }).events).toHaveLength(1)
    expect(ask(view(...looked), { step: 'see', answer: 'override', reason: 'it lies' }).events).toHaveLength(1)
  })
})

function rolledBack(result: 'ok' | 'failed'): EventBody {
  return { kind: 'rollback.ended', step: 'look', result, because: '', evidence: [] }
}

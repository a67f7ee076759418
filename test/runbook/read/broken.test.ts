/** What is wrong in a file by itself, each with the place at which it is told: the mark stands there. */
import { describe, expect, it } from 'vitest'
import { blockPage, marked, page, read } from '../pages.ts'

type Row = readonly [what: string, text: string, message: string, hint?: string]

const FRONT_ROWS: readonly Row[] = [
  ['no front matter', '¦# Demo\n\n- [ ] x\n', 'the front matter is missing'],
  ['a front matter without an end', '¦---\nid: demo\n', 'the front matter has no end: a line of ---'],
  ['a key that is missing', '---\n¦title: x\nseverity: low\nowner: me\n---\n', 'missing key "id"'],
  ['an unknown key', page('- [ ] x', '¦ownr: me'), 'ownr: unknown key; did you mean "owner"?'],
  ['a key twice', page('- [ ] x', '¦title: again'), 'the key "title" is here twice'],
  [
    'an unknown severity',
    page('- [ ] x').replace('high', '¦hihg'),
    '"hihg" is not one of critical, high, medium, low; did you mean "high"?',
  ],
  ['a day that is none', page('- [ ] x').replace('2026-11-01', '¦2026-02-30'), 'must be a day: 2026-11-21'],
  ['an unknown kind of param', page('- [ ] x', 'params: { a: { type: ¦txt } }'), '"txt" is not one of text,'],
  ['a param with a capital', page('- [ ] x', 'params: { ¦Host: {} }'), 'begins with a letter and holds small letters'],
  ['a param that Go templates take for theirs', page('- [ ] x', 'params: { ¦end: {} }'), 'a word of Go templates'],
  [
    'an unknown key of a param',
    page('- [ ] x', 'params: { a: { ¦descr: b } }'),
    'unknown key; did you mean "description"?',
  ],
  [
    'a comma that ends a text',
    page('- [ ] x', 'params: { a: { description: one, ¦two three } }'),
    'params.a.two three: unknown key',
    'Put a text that holds a comma in quotes: within braces it ends there.',
  ],
  ['a choice without choices', page('- [ ] x', 'params: { a: ¦{ type: choice } }'), 'a: a choice needs choices'],
  ['choices of a text', page('- [ ] x', 'params: { a: { choices: ¦[b] } }'), 'a: only a choice has choices'],
  [
    'a default of another type',
    page('- [ ] x', 'params: { a: { type: integer, default: ¦1.5 } }'),
    'the default of a: "1.5" is not a whole number',
  ],
  [
    'a default that is no choice',
    page('- [ ] x', 'params: { a: { type: choice, choices: [on-call, b], default: ¦oncall } }'),
    'the default of a: "oncall" is not one of on-call, b',
  ],
  ['a subject that is no param', page('- [ ] x', 'subject: [¦host]'), 'there is no param "host"'],
  [
    'a timer at once',
    page('- [ ] x', 'timers: [{ name: a, title: b, after: ¦0s, stopped_by: ack }]'),
    'a timer needs time: it would fire at once',
  ],
  [
    'a timer without a unit',
    page('- [ ] x', 'timers: [{ name: a, title: b, after: ¦5, stopped_by: ack }]'),
    'timers.0.after: expected text, got a number',
  ],
  [
    'a timer that nothing stops',
    page('- [ ] x', 'timers: [{ name: a, title: b, after: 5m, stopped_by: ¦acked }]'),
    'did you mean "ack"?',
  ],
  [
    'two timers of one name',
    page(
      '- [ ] x',
      'timers:\n  - { name: a, title: b, after: 5m, stopped_by: ack }\n  - { name: ¦a, title: b, after: 6m, stopped_by: ack }',
    ),
    'another timer is named "a"',
  ],
  ['YAML that is none', page('- [ ] x', 'roles: { a: [ ¦}'), ''],
  ['a tab as indentation', page('- [ ] x', 'roles:\n¦\tlead: x'), 'indent with spaces'],
  [
    'another id than the file',
    page('- [ ] x').replace('id: demo', 'id: ¦dmeo'),
    'the id is "dmeo", the file is named demo',
  ],
  ['no item at all', '¦' + page('Text.'), 'there is no item'],
]

const PAGE_ROWS: readonly Row[] = [
  [
    'an item before the first phase',
    page('- [ ] x').replace('# Demo', '¦- [ ] early'),
    'an item before the first phase',
  ],
  ['an item without a text', page('- [ ] x\n¦- [ ]'), 'an item needs a text'],
  ['brackets without a space', page('- [ ] x\n¦- [] y'), 'this is no item on a web page'],
  ['a dash without a space', page('- [ ] x\n\n¦-[ ] y'), 'this is no item on a web page'],
  ['no space behind the brackets', page('- [ ] x\n¦- [ ]y'), 'this is no item on a web page'],
  ['an item within an item', page('- [ ] x\n  ¦- [ ] y'), 'an item within an item is never run'],
  ['a heading within an item', page('- [ ] x\n\n  ¦## y'), 'a heading within an item begins no phase'],
  ['a heading without a space', page('- [ ] x\n\n¦##y'), 'this is no heading on a web page'],
  ['a heading without a text', page('- [ ] x\n\n¦##'), 'a phase needs a title'],
  ['an underlined heading', page('Phase\n¦-----\n\n- [ ] x'), 'underlined headings are not read'],
  ['an underlined heading within an item', page('- [ ] x\n\n  Phase\n  ¦==='), 'underlined headings are not read'],
  [
    'text between items',
    page('- [ ] x\n\n¦Now wait.\nAnd wait.\n\n- [ ] y'),
    'this stands between items and belongs to none',
  ],
  ['a plain list between items', page('- [ ] x\n¦- y\n- [ ] z'), 'this stands between items and belongs to none'],
  ['a block that belongs to no item', page('¦```yaml\nid: x\n```\n\n- [ ] x'), 'this block belongs to no item'],
  [
    'two blocks in an item',
    page('- [ ] x\n\n  ```yaml\n  id: x\n  ```\n\n  ¦```yaml\n  id: y\n  ```'),
    'an item has one block at most',
  ],
  [
    'a block of another name',
    page('- [ ] x\n\n  ¦```yml\n  id: x\n  ```'),
    'the block of an item is opened by ```yaml',
  ],
  ['a block without an end', page('- [ ] x\n\n  ¦```yaml\n  id: x'), 'this block has no end'],
  [
    'a block that leaves its item',
    page('- [ ] x\n\n  ```yaml\n  id: x\n¦read_only: yes\n  ```'),
    'this line is indented less than its item',
  ],
  ['a fence without an end', page('- [ ] x\n\n  ¦~~~text\n  a'), 'this block has no end'],
]

const BLOCK_ROWS: readonly Row[] = [
  ['an unknown key', blockPage('id: a\n¦aprove: lead'), 'aprove: unknown key; did you mean "approve"?'],
  [
    'an unknown key within verify',
    blockPage('verify: { run: [a], ¦witin: 3s }'),
    'verify.witin: unknown key; did you mean "within"?',
  ],
  [
    'an unknown key in a nested block',
    blockPage('rollback:\n  run: [a]\n  ¦expect: b'),
    'rollback.expect: unknown key',
  ],
  ['run and action', blockPage('action: diagnose.run\n¦run: [a]'), 'run and action exclude each other'],
  ['params without an action', blockPage('run: [a]\n¦params: {}'), 'params belong to an action'],
  ['an empty run', blockPage('run: ¦[]'), 'run: must be at least 1'],
  ['a run of lists', blockPage('run: [a, ¦[b]]'), 'run.1: expected text or a number or true or false'],
  ['braces without quotes', blockPage('on: ¦{{host}}\nrun: [a]'), '', 'Put {{…}} in quotes: YAML reads braces.'],
  ['braces without quotes in a list', blockPage('run: [a, ¦{{host}}]'), '', 'Put {{…}} in quotes: YAML reads braces.'],
  ['a timeout without a unit', blockPage('run: [a]\ntimeout: ¦20'), 'timeout: expected text, got a number (a duration'],
  ['a timeout that is none', blockPage('run: [a]\ntimeout: ¦soon'), '"soon" is not a duration'],
  ['a timeout of a human', blockPage('¦timeout: 20s'), 'timeout needs run or action: this item is done by a human'],
  ['retries of a human', blockPage('¦retries: 1'), 'retries needs run or action'],
  ['a host for nothing', blockPage('¦on: web-1'), 'on needs something that runs there'],
  ['a verify of nothing', blockPage('¦verify: { expect: ok }'), 'a verify needs run or action'],
  ['a rollback of nothing', blockPage('run: [a]\n¦rollback: { timeout: 3s }'), 'a rollback needs run or action'],
  [
    'a way back that is none',
    blockPage('run: [a]\nrollback: { run: [b] }\n¦irreversible: yes'),
    'it has a rollback: then there is a way back',
  ],
  [
    'a way back from a look',
    blockPage('run: [a]\n¦rollback: { run: [b] }\nread_only: yes'),
    'it is read_only: then nothing has to be taken back',
  ],
  ['yes in other words', blockPage('run: [a]\nread_only: ¦sure'), '"sure" is not one of true, false, yes, no'],
  ['evidence in other words', blockPage('evidence: ¦yes'), 'expected required'],
  ['an unknown milestone', blockPage('marks: ¦mitigate'), 'did you mean "mitigated"?'],
  ['a condition that is none', blockPage('¦when: host == a'), '"host == a" is no condition'],
  ['an id with a capital', blockPage('id: ¦Restart'), 'an id begins with a letter'],
  ['a list in place of keys', blockPage('¦- id: a'), 'expected keys and values, got a list'],
  ['YAML that is none', blockPage('id: "a¦'), ''],
]

describe.each([
  ['front matter', FRONT_ROWS],
  ['page', PAGE_ROWS],
  ['block', BLOCK_ROWS],
])('what is wrong in a %s is told with its place', (_, rows) => {
  it.each(rows)('%s', (_what, template = '', message = '', hint) => {
    const { text, place } = marked(template)
    const { runbook, complaints } = read(text)
    expect(runbook).toBeUndefined()
    const told = complaints.map((one) => [`${one.place.line}:${one.place.column}`, one.message])
    const match = complaints.find((one) => `${one.place.line}:${one.place.column}` === place)
    expect(told).toContainEqual([place, expect.stringContaining(message)])
    if (hint) expect(match?.hint).toBe(hint)
  })
})

it('an item that is ticked in the file is a warning', () => {
  const { runbook, complaints } = read(page('- [x] done'))
  expect(runbook).toBeDefined()
  expect(complaints).toMatchObject([{ severity: 'warning', message: 'this item is ticked in the file' }])
})

it('several mistakes are told together, in the order of the file', () => {
  const { complaints } = read(blockPage('id: A\naprove: lead', 'ownr: me'))
  expect(complaints.map(({ place }) => place.line)).toEqual([7, 17, 18])
})

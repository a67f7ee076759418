import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { parseRunbook } from '../../../scripts/lib/runbook/read/parse.ts'
import { blockPage, FILE, page, read, runbook, say } from '../pages.ts'

const WHOLE = `---
id: demo
title: Demo of {{service}}
severity: critical
owner: platform team
last_tested: 2026-11-01
mode: do-confirm
subject: [host, service]
params:
  host: { type: host, default: local, description: Where it runs }
  service: { type: text }
  tries: { type: integer, default: 007 }
  wait: { type: duration, default: 5m }
  loud: { type: boolean, default: no }
  kind: { type: choice, choices: [a, 1.10], default: 1.10 }
  compose: { type: path, default: '' }
roles:
  lead: decides
timers:
  - { name: acknowledge, title: Acknowledged, after: 5m, stopped_by: ack }
---

# Demo

Intro,
two lines.

- a list of the intro

## Look

Prose of the phase.

### A part

- [ ] **Read the state** of
  the container

  What to look for:

  - nothing odd

  \`\`\`yaml
  id: state
  run: [docker, inspect, --format, "{{.State.Status}}", "{{service}}", 007, 1.10, yes, -t]
  on: "{{host}}"
  read_only: yes
  timeout: 20s
  verify: { run: [curl, "http://{{host}}"], expect: ok, within: 30s }
  when: "{{kind}} == 1.10"
  \`\`\`

  And more of it.

- [ ] Restart

  \`\`\`yaml
  run: |
    docker restart "$OPSKIT_SERVICE"
      indented
  on: web-1
  rollback: { action: notify.flush, params: { a: [1, "{{tries}}"] } }
  confirm: Restart {{service}}?
  retries: 2
  approve: lead
  evidence: required
  marks: mitigated
  \`\`\`

## Tell

1. [ ] Diagnose

   \`\`\`yaml
   action: diagnose.run
   params: { hosts: ["{{host}}"] }
   \`\`\`
2. [ ] Tell the others
`

describe('a runbook that is whole', () => {
  it('is read with its head, its phases and its steps', () => {
    const { phases, ...head } = runbook(WHOLE)
    expect(head).toEqual({
      id: 'demo',
      language: 'en',
      title: 'Demo of {{service}}',
      severity: 'critical',
      owner: 'platform team',
      lastTested: '2026-11-01',
      mode: 'do-confirm',
      subject: ['host', 'service'],
      params: [
        { name: 'host', type: 'host', default: 'local', description: 'Where it runs' },
        { name: 'service', type: 'text', description: '' },
        { name: 'tries', type: 'integer', default: 7, description: '' },
        { name: 'wait', type: 'duration', default: 300_000, description: '' },
        { name: 'loud', type: 'boolean', default: false, description: '' },
        { name: 'kind', type: 'choice', choices: ['a', '1.10'], default: '1.10', description: '' },
        { name: 'compose', type: 'path', default: '', description: '' },
      ],
      roles: { lead: 'decides' },
      timers: [{ name: 'acknowledge', title: 'Acknowledged', afterMs: 300_000, stoppedBy: 'ack' }],
      intro: 'Intro,\ntwo lines.\n\n- a list of the intro',
      file: FILE,
      sha256: createHash('sha256').update(WHOLE).digest('hex'),
    })
    expect(phases.map(({ number, title, text }) => [number, title, text])).toEqual([
      [1, 'Look', 'Prose of the phase.\n\n### A part'],
      [2, 'Tell', ''],
    ])
    const [state, restart] = phases[0]?.steps ?? []
    const common = { evidenceRequired: false, irreversible: false, retries: 0 }
    expect(state).toEqual({
      ...common,
      number: '1.1',
      id: 'state',
      title: '**Read the state** of the container',
      text: 'What to look for:\n\n- nothing odd\n\nAnd more of it.',
      task: {
        work: {
          kind: 'argv',
          argv: ['docker', 'inspect', '--format', '{{.State.Status}}', '{{service}}', '007', '1.10', 'yes', '-t'],
        },
        on: '{{host}}',
        timeoutMs: 20_000,
      },
      verify: {
        work: { kind: 'argv', argv: ['curl', 'http://{{host}}'] },
        on: '{{host}}',
        timeoutMs: 60_000,
        expect: 'ok',
        withinMs: 30_000,
      },
      when: { param: 'kind', test: 'is', value: '1.10' },
      readOnly: true,
      place: { file: FILE, line: 36, column: 1 },
    })
    expect(restart).toEqual({
      number: '1.2',
      id: '1.2',
      title: 'Restart',
      text: '',
      task: {
        work: { kind: 'shell', script: 'docker restart "$OPSKIT_SERVICE"\n  indented\n' },
        on: 'web-1',
        timeoutMs: 60_000,
      },
      rollback: {
        work: { kind: 'action', name: 'notify.flush', params: { a: [1, '{{tries}}'] } },
        on: 'web-1',
        timeoutMs: 60_000,
      },
      readOnly: false,
      irreversible: false,
      confirm: 'Restart {{service}}?',
      retries: 2,
      approve: 'lead',
      evidenceRequired: true,
      marks: 'mitigated',
      place: { file: FILE, line: 55, column: 1 },
    })
    const [diagnose, human] = phases[1]?.steps ?? []
    expect(diagnose).toMatchObject({ number: '2.1', readOnly: true, task: { work: { name: 'diagnose.run' } } })
    expect(human).toEqual({
      ...common,
      number: '2.2',
      id: '2.2',
      title: 'Tell the others',
      text: '',
      readOnly: false,
      place: { file: FILE, line: 78, column: 1 },
    })
  })

  it('is the same with CRLF, a byte order mark, and tabs for indentation', () => {
    const { file, sha256, ...plain } = runbook(WHOLE)
    const odd = `\ufeff${WHOLE.replaceAll('\n', '\r\n')}`
    expect({ ...runbook(odd), file, sha256 }).toEqual({ ...plain, file, sha256 })
    expect(runbook(odd).sha256).toBe(createHash('sha256').update(odd).digest('hex'))

    const tabbed = page('-\t[ ] One\n\n\tText\n\n\t```yaml\n\trun: |\n\t  a\n\t  \tb\n\tread_only: yes\n\t```')
    expect(runbook(tabbed).phases[0]?.steps[0]).toMatchObject({
      title: 'One',
      text: 'Text',
      task: { work: { script: 'a\n\tb\n' } },
    })
  })

  it('takes language and id from the name of its file', () => {
    expect(runbook(page('- [ ] x'), '/a/demo.zh-CN.md').language).toBe('zh-CN')
    expect(read(page('- [ ] x'), '/a/other.md').complaints.map(say)).toEqual([
      '2:5 the id is "demo", the file is named other',
    ])
    expect(read(page('- [ ] x'), '/a/Demo.md').complaints.map(say)).toEqual(['2:5 "Demo.md" is no name of a runbook'])
  })

  it('takes the hash of the bytes, whatever else is in the file', async () => {
    const file = new URL('../../../runbooks/disk-full.md', import.meta.url)
    const bytes = await readFile(file)
    const found = parseRunbook(bytes.toString('utf8'), file.pathname).runbook
    expect(found?.sha256).toBe(createHash('sha256').update(bytes).digest('hex'))
  })
})

describe('what is an item, and what only looks like text', () => {
  const titles = (items: string) => runbook(page(items)).phases.flatMap(({ steps }) => steps.map(({ title }) => title))

  it.each([
    ['every kind of list', '- [ ] a\n* [ ] b\n+ [ ] c\n1. [ ] d\n2) [ ] e', ['a', 'b', 'c', 'd', 'e']],
    ['up to three spaces before it', ' - [ ] a\n   - [ ] b', undefined],
    ['a title over several lines', '- [ ] one\n  two\nthree\n\n  text', ['one two three']],
    ['not in a fence of the phase', '```text\n- [ ] no\n## no\n```\n\n- [ ] yes', ['yes']],
    ['not in a fence of an item', '- [ ] yes\n\n  ```text\n  - [ ] no\n  ## no\n  ```', ['yes']],
    ['not in a comment', '<!-- - [ ] no -->\n<!--\n- [ ] no\n\n## no\n-->\n- [ ] yes\n  <!-- no\n  no -->', ['yes']],
    ['not what is indented as code', '    - [ ] no\n\n- [ ] yes', ['yes']],
    ['a longer fence holds a shorter one', '````text\n```\n- [ ] no\n````\n\n- [ ] yes', ['yes']],
    ['a list item that begins with a link', '- [x](https://example.com) is a link\n\n- [ ] yes', ['yes']],
  ])('%s', (_, items, expected) => {
    if (expected) expect(titles(items)).toEqual(expected)
    else expect(read(page(items)).complaints.map(say)).toEqual(['14:4 an item within an item is never run'])
  })
})

describe('reading never fails but with complaints at places of the file', () => {
  const word = fc.constantFrom(
    ...[
      '---',
      '\n',
      '\n',
      '\r\n',
      '\t',
      '  ',
      '- [ ] a',
      '- [x] b',
      '## P',
      '# T',
      '```yaml',
      '```',
      '~~~',
      '<!--',
      '-->',
    ],
    ...[
      'id: demo',
      'run: [a, {b: c}]',
      'run: |',
      'on: {{host}}',
      'verify: { run: x }',
      '? [',
      '&a *a',
      '<<: *a',
      '{{host}}',
      '}',
      '\0',
    ],
    ...[
      'params:',
      'host: { type: host }',
      'when: "{{a}} == b"',
      'timers: [{ after: 0s }]',
      '===',
      '1. [ ] c',
      '> q',
      '\ufeff',
    ],
  )
  const text = fc
    .array(fc.oneof(word, fc.string({ unit: 'binary', maxLength: 8 })), { maxLength: 60 })
    .map((parts) => parts.join(''))

  it.each([
    ['any text', text],
    ['any front matter', text.map((inner) => `---\nid: demo\n${inner}\n---\n\n## A\n\n- [ ] b\n`)],
    ['any items', text.map((inner) => page(inner))],
    ['any block', text.map((inner) => blockPage(inner))],
  ])('%s', (_, texts) => {
    fc.assert(
      fc.property(texts, (input) => {
        const { runbook: found, complaints } = read(input)
        const lines = input.split(/\r\n|\n|\r/).length
        for (const { place, message } of complaints) {
          expect(place.line).toBeGreaterThanOrEqual(1)
          expect(place.line).toBeLessThanOrEqual(lines)
          expect(place.column).toBeGreaterThanOrEqual(1)
          expect(message).not.toBe('')
        }
        expect(found === undefined).toBe(complaints.some(({ severity }) => severity === 'error'))
      }),
      { numRuns: 300 },
    )
  })

  it('soon, however large or deep it is', () => {
    expect(read(page('- [ ] x\n'.repeat(40_000))).complaints.map(({ message }) => message)).toContain(
      'the file is larger than 256 KiB',
    )
    const wide = ' '.repeat(100_000)
    for (const line of [`## a${wide}x`, `a${wide}x`, `- [ ] a${wide}x`, '#'.repeat(200_000), '`'.repeat(200_000)]) {
      expect(read(page(`- [ ] x\n\n  ${line}\n`)).outline.prose.length).toBeGreaterThan(0)
    }
    const deep = `a: ${'['.repeat(20_000)}`
    expect(read(blockPage(deep)).complaints.length).toBeGreaterThan(0)
    const many = Array.from({ length: 2_000 }, (_, index) => `k${index}: 1`).join('\n')
    expect(read(blockPage(many)).complaints.length).toBeLessThanOrEqual(50)
  }, 10_000)
})

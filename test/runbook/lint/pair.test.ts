/** A translation beside its original: the mark stands at the place in the translation that differs. */
import { describe, expect, it } from 'vitest'
import { lintPair } from '../../../scripts/lib/runbook/lint/pair.ts'
import { FILE, marked, read, say } from '../pages.ts'

const ORIGINAL = `---
id: demo
title: Demo
severity: high
owner: platform team
last_tested: 2026-11-01
mode: read-do
subject: [host]
params:
  host: { type: host, default: local, description: Where }
  kind: { type: choice, choices: [a, b], default: a, description: Which }
roles:
  lead: decides
timers:
  - { name: ack, title: Acknowledged, after: 5m, stopped_by: ack }
---

# Demo

## Look

- [ ] Look

  \`\`\`yaml
  id: look
  run: [df, -h]
  on: "{{host}}"
  read_only: yes
  \`\`\`

- [ ] Do

  \`\`\`yaml
  id: do
  run: [rm, x]
  timeout: 20s
  verify: { run: [test, -e, x], within: 5s }
  rollback: { run: [touch, x] }
  confirm: Sure?
  when: "{{kind}} == a"
  \`\`\`

## Tell

- [ ] Tell
`

const TRANSLATION = ORIGINAL.replace('title: Demo', 'title: 演示')
  .replace('owner: platform team', 'owner: 平台组')
  .replace('description: Where', 'description: 哪台')
  .replace('lead: decides', 'lead: 决定')
  .replace('title: Acknowledged', 'title: 已确认')
  .replace('# Demo', '# 演示')
  .replace('- [ ] Tell', '- [ ] 通知')
  .replace('Sure?', '确定？')

const file = FILE.replace('.md', '.zh-CN.md')

describe('a translation', () => {
  it('may differ in words', () => {
    expect(lintPair(read(ORIGINAL), read(TRANSLATION, file))).toEqual([])
  })

  it.each([
    ['severity', 'high', '¦low', 'severity is not that of the original'],
    ['the day of the last test', '2026-11-01', '¦2026-11-02', 'last_tested is not that of the original'],
    ['the mode', 'read-do', '¦do-confirm', 'mode is not that of the original'],
    ['the subject', '[host]', '¦[kind]', 'subject is not that of the original'],
    ['a param more', '\nroles:', '\n  more: {}\nroles:', 'params is not that of the original'],
    ['a param of another type', 'type: host', 'type: ¦text', 'params.host.type is not that of the original'],
    ['another default', 'default: a', 'default: ¦b', 'params.kind.default is not that of the original'],
    ['other choices', 'choices: [a, b]', 'choices: ¦[a, c]', 'params.kind.choices is not that of the original'],
    ['another role', 'lead:', 'boss:', 'roles is not that of the original'],
    ['another timer', 'after: 5m', 'after: 6m', 'timers is not that of the original'],
    ['an item less', '- [ ] 通知', '通知', 'phase 2 has 0 items, in the original 1 items'],
    ['a phase less', '## Tell\n\n', '', 'phase 1 has 3 items, in the original 2 items'],
    ['a phase more', '## Tell', '¦## Wait\n\n## Tell', 'phase 2 has 0 items, in the original 1 items'],
    ['another id', 'id: look', 'id: ¦see', 'id is not that of item 1.1 of the original'],
    ['another argument', '[df, -h]', '¦[df, -H]', 'run is not that of item 1.1 of the original'],
    ['another host', 'on: "{{host}}"', 'on: ¦local', 'on is not that of item 1.1 of the original'],
    ['another timeout', '20s', '¦30s', 'timeout is not that of item 1.2 of the original'],
    ['another verify', '[test, -e, x]', '¦[test, -f, x]', 'verify.run is not that of item 1.2 of the original'],
    ['another patience', 'within: 5s', 'within: ¦6s', 'verify.within is not that of item 1.2 of the original'],
    ['no rollback', '\n  rollback: { run: [touch, x] }', '', 'rollback is not that of item 1.2 of the original'],
    ['another condition', '"{{kind}} == a"', '¦"{{kind}} != a"', 'when is not that of item 1.2 of the original'],
    ['no question', '\n  confirm: 确定？', '', 'confirm is not that of item 1.2 of the original'],
    ['other needs', '\n  when:', '\n  needs: ¦[kind]\n  when:', 'needs is not that of item 1.2 of the original'],
    ['an approval', '\n  when:', '\n  approve: ¦lead\n  when:', 'approve is not that of item 1.2 of the original'],
    ['a milestone', '\n  when:', '\n  marks: ¦resolved\n  when:', 'marks is not that of item 1.2 of the original'],
  ])('may not differ in %s', (_, from, to, message) => {
    const changed = TRANSLATION.replace(from, to)
    expect(changed).not.toBe(TRANSLATION)
    const { text, place } = changed.includes('¦') ? marked(changed) : { text: changed, place: undefined }
    const translation = read(text, file)
    expect(translation.complaints).toEqual([])
    const complaints = lintPair(read(ORIGINAL), translation)
    expect(complaints.map((one) => one.place.file)).toEqual(complaints.map(() => file))
    expect(complaints.length).toBeGreaterThan(0)
    if (message !== undefined) expect(complaints.map(say).join('\n')).toContain(message)
    if (place !== undefined) expect(complaints.map(({ place: at }) => `${at.line}:${at.column}`)).toContain(place)
  })
})

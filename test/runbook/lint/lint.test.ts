/** What a file means beside its form, each with the place at which it is told: the mark stands there. */
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { CATALOG } from '../../../scripts/lib/catalog.ts'
import { lintRunbooks, openRunbook } from '../../../scripts/lib/runbook/lint/index.ts'
import { anchorsIn } from '../../../scripts/lib/runbook/lint/links.ts'
import { readAllRunbooks } from '../../../scripts/lib/runbook/read/find.ts'
import { tempDir } from '../../support/temp.ts'
import { blockPage, lint, marked, NOW, page, say } from '../pages.ts'

const HOST = 'params: { host: { type: host, default: local } }'
const NAME = 'params: { name: {} }'
const LOOK = 'read_only: yes\nrun: [echo, '

type Row = readonly [what: string, text: string, message: string, hint?: string]

const ERRORS: readonly Row[] = [
  [
    'a param that is not there, in an argument',
    blockPage(`${LOOK}¦"{{nam}}"]`, NAME).replace('Do it', '{{name}}'),
    'there is no param "nam"',
    'Did you mean "name"?',
  ],
  [
    'a param that is not there, in a title',
    page('- [ ] Do ¦{{nam}} {{name}}', NAME),
    'there is no param "nam"',
    'Did you mean "name"?',
  ],
  [
    'a param that is not there, in prose',
    page('Of {{name}}.\n\n- [ ] x\n\n  See `¦{{xyz}}`', NAME),
    'there is no param "xyz"',
    'Known: name. Add it to params.',
  ],
  [
    'a param that is not there, in a host',
    blockPage('read_only: yes\nrun: [a]\non: ¦"{{host}}"'),
    'there is no param "host"',
  ],
  [
    'a param that is not there, of an action',
    blockPage('action: diagnose.run\nparams: { only: [¦"{{x}}"] }'),
    'there is no param "x"',
  ],
  ['a param that is not there, needed', blockPage('read_only: yes\nrun: [a]\nneeds: [¦x]'), 'there is no param "x"'],
  ['a param that is not there, expected', blockPage('verify: { run: [a], expect: ¦"{{x}}" }'), 'there is no param "x"'],
  [
    'a param that is not there, in a question',
    blockPage(`confirm: ¦"{{x}}?"\nirreversible: yes\nrun: [a]`),
    'there is no param "x"',
  ],
  ['a param that is not there, in a condition', blockPage('when: ¦"{{x}}"'), 'there is no param "x"'],
  [
    'a param that is not there, in the title of the page',
    page('- [ ] x').replace('title: Demo', 'title: ¦Demo of {{x}}'),
    'there is no param "x"',
  ],
  [
    'a variable that is not there',
    blockPage('read_only: yes\nrun: ¦echo "$OPSKIT_NAM" "$OPSKIT_NAME"', NAME),
    'there is no param "nam"',
    'Did you mean "name"?',
  ],
  [
    'a param in a script',
    blockPage('read_only: yes\nrun: ¦echo {{name}} "$OPSKIT_NAME"', NAME),
    'nothing is put into a script: {{name}} stays as it is',
    'Write "$OPSKIT_NAME", in double quotes.',
  ],
  [
    'a param in the script of a shell',
    blockPage('read_only: yes\nrun: [sh, -c, ¦"rm {{name}}"]', NAME),
    '{{name}} within a script of sh would be read as code',
  ],
  [
    'a param in the script of a shell in a container',
    blockPage('read_only: yes\nrun: [docker, exec, "{{name}}", /bin/bash, -ec, ¦"rm {{name}}"]', NAME),
    'would be read as code',
  ],
  [
    'a choice that can never be',
    blockPage('when: ¦"{{a}} == d"', 'params: { a: { type: choice, choices: [b, c] } }'),
    'a is never "d": it is one of b, c',
  ],
  [
    'a boolean in other words',
    blockPage('when: ¦"{{a}} == true"', 'params: { a: { type: boolean, default: no } }'),
    'a is never "true": it is one of yes, no',
  ],
  ['a change without a way back', blockPage('¦run: [a]'), 'it changes something and has no way back'],
  ['an action without a way back', blockPage('¦action: notify.flush'), 'it changes something and has no way back'],
  [
    'a change that only informs',
    blockPage('run: [a]\nirreversible: yes\n¦informs: yes'),
    'informs is for what only looks',
  ],
  [
    'two items of one id',
    page('- [ ] x\n\n  ```yaml\n  id: a\n  ```\n- [ ] y\n\n  ```yaml\n  id: ¦a\n  ```'),
    'the item 1.1 has the id "a" too',
  ],
  [
    'an unknown role',
    blockPage('approve: ¦laed', 'roles: { lead: decides }'),
    'there is no role "laed"',
    'Did you mean "lead"?',
  ],
  [
    'a role where there are none',
    blockPage('approve: ¦lead'),
    'there is no role "lead"',
    'Known: none. Add it to roles.',
  ],
  [
    'a host that is text',
    blockPage('read_only: yes\nrun: [a]\non: ¦"{{name}}"', NAME),
    'the param name is no host but text',
  ],
  [
    'an unknown action',
    blockPage('action: ¦diagnose.rnu'),
    'there is no action "diagnose.rnu"',
    'Did you mean "diagnose.run"?',
  ],
  [
    'an unknown action that takes back',
    blockPage('run: [a]\nrollback: { action: ¦backup.databse }'),
    'Did you mean "backup.database"?',
  ],
  [
    'a verify that changes',
    blockPage('verify: { action: ¦notify.flush }'),
    'notify.flush changes something: a verify only looks',
  ],
  [
    'a param that an action does not know',
    blockPage('action: diagnose.run\nparams: { ¦host: [a] }'),
    'diagnose.run: host: unknown key; did you mean "hosts"?',
  ],
  [
    'a param of another type',
    blockPage('action: diagnose.run\nparams: { hosts: ¦local }'),
    'diagnose.run: hosts: expected a list, got text',
  ],
  [
    'a param that an action needs',
    blockPage('irreversible: yes\n¦action: backup.database\nparams: {}'),
    'backup.database: missing key "name"',
  ],
  [
    'a param that an action needs, and none at all',
    blockPage('irreversible: yes\n¦action: backup.database'),
    'backup.database: missing key "name"',
  ],
  [
    'a link to nowhere',
    page('See [it](¦nowhere.md).\n\n- [ ] x'),
    'the link nowhere.md leads nowhere: there is no such file',
  ],
  [
    'a link from an item',
    page('- [ ] x\n\n  [it](./¦a/b.md#c)').replace('./¦', '¦./'),
    'the link ./a/b.md#c leads nowhere',
  ],
  ['a link by reference', page('See [it].\n\n[it]: ¦nowhere.md\n\n- [ ] x'), 'the link nowhere.md leads nowhere'],
  ['a picture', page('![it](¦a.png)\n\n- [ ] x'), 'the link a.png leads nowhere'],
  ['a link to the root', page('See [it](¦/docs/a.md).\n\n- [ ] x'), 'the link /docs/a.md leads to the root'],
]

const WARNINGS: readonly Row[] = [
  ['a param that is never used', page('- [ ] x', 'params:\n  ¦name: {}'), 'the param "name" is never used'],
  [
    'a host that opskit.yaml does not have',
    blockPage('read_only: yes\nrun: [a]\non: ¦web-3'),
    'opskit.yaml has no host "web-3"',
    'Did you mean "web-1"?',
  ],
  [
    'one that was never tested',
    page('- [ ] x').replace('\nlast_tested: 2026-11-01', '').replace('id: demo', '¦id: demo'),
    'it was never tested: last_tested is missing',
  ],
  [
    'one that was tested long ago',
    page('- [ ] x').replace('2026-11-01', '¦2026-05-01'),
    'it was last tested 204 days ago, at most 180 are allowed',
  ],
  [
    'one that was tested in the future',
    page('- [ ] x').replace('2026-11-01', '¦2027-01-01'),
    'last_tested is in the future: 2027-01-01',
  ],
]

describe.each([
  ['error', ERRORS],
  ['warning', WARNINGS],
])('lint tells as %s', (severity, rows) => {
  it.each(rows)('%s', async (_what, template = '', message = '', hint) => {
    const { text, place } = marked(template)
    const complaints = await lint(text)
    const own = complaints.filter((one) => `${one.place.line}:${one.place.column}` === place)
    expect(
      own.map((one) => `${one.severity} ${one.message} ${one.hint}`),
      complaints.map(say).join('\n'),
    ).toContainEqual(
      expect.stringMatching(new RegExp(`^${severity} .*${message.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')}`)),
    )
    if (hint) expect(own.map((one) => one.hint)).toContain(hint)
    expect(complaints.length, complaints.map(say).join('\n')).toBe(1)
  })
})

describe('lint is content with', () => {
  it.each([
    ['a page without blocks', page('- [ ] x')],
    ['a change that can be taken back', blockPage('run: [a]\nrollback: { run: [b] }')],
    ['a change without a way back, said so', blockPage('run: [a]\nirreversible: yes')],
    ['an action that only looks', blockPage('action: diagnose.run')],
    [
      'Go templates',
      blockPage(
        'read_only: yes\nrun: [docker, inspect, --format, "{{range .Mounts}}{{.Source}}{{else}}{{end}}{{json .}}"]',
      ),
    ],
    [
      'params behind the script of a shell',
      blockPage('read_only: yes\nrun: [sh, -c, \'df "$1"\', df, "{{name}}"]', NAME),
    ],
    ['a param that is used in a script', blockPage('read_only: yes\nrun: echo "${OPSKIT_NAME}"', NAME)],
    ['a param that is used in prose', page('- [ ] Look at {{name}}', NAME)],
    ['a param that is used as subject', page('- [ ] x', `${NAME}\nsubject: [name]`)],
    [
      'this machine, a host, and a param of type host',
      page(
        ['local', 'web-1', '"{{host}}"']
          .map((on, index) => `- [ ] ${index}\n\n  \`\`\`yaml\n  read_only: yes\n  run: [a]\n  on: ${on}\n  \`\`\``)
          .join('\n'),
        HOST,
      ),
    ],
    [
      'values that are known only when it is run',
      blockPage('irreversible: yes\naction: backup.database\nparams: { name: "{{name}}" }', NAME),
    ],
    [
      'links that lead somewhere',
      page(
        'See [a](#look), [b](https://example.com/x), [c](mailto:a@example.com), `[d](none.md)`.\n\n```text\n[e](none.md)\n```\n\n- [ ] x',
      ),
    ],
  ])('%s', async (_, text) => {
    expect((await lint(text)).map(say)).toEqual([])
  })

  it('any host when there is no opskit.yaml to name them', async () => {
    const dir = await tempDir()
    await writeFile(join(dir, 'demo.md'), blockPage('read_only: yes\nrun: [a]\non: anywhere'))
    const reads = await readAllRunbooks({ dirs: [dir], actions: CATALOG })
    expect(await lintRunbooks(reads, { actions: CATALOG, hosts: undefined, now: NOW, testedWithinMs: 1e12 })).toEqual(
      [],
    )
  })
})

describe('links to headings', () => {
  it('are judged by the anchors that a Git web page makes', () => {
    const text =
      '# Disk full\n\n## Look: *why*, `df -h`?\n## Look: why, df -h?\n### [Link](x.md) _here_ 现在 C++\n```\n## no\n```\n<a id="Own"></a>\n'
    expect(anchorsIn(text)).toEqual(['disk-full', 'look-why-df--h', 'look-why-df--h-1', 'link-_here_-现在-c', 'own'])
  })

  it('are followed into other files, from where the page is', async () => {
    const dir = await tempDir()
    await mkdir(join(dir, 'more'))
    await writeFile(join(dir, 'more/other page.md'), '# Other\n\n## Part one\n')
    const links = [
      'more/other%20page.md',
      'more/other%20page.md#part-one',
      '<more/other page.md#other>',
      'more',
      'more/other%20page.md#part-two',
    ]
    await writeFile(join(dir, 'demo.md'), page(`${links.map((link) => `[a](${link})`).join('\n')}\n\n- [ ] x`))
    const reads = await readAllRunbooks({ dirs: [dir], actions: CATALOG })
    const complaints = await lintRunbooks(reads, { actions: CATALOG, hosts: [], now: NOW, testedWithinMs: 1e12 })
    expect(complaints.map((one) => `${say(one)} ${one.hint}`)).toEqual([
      '17:5 the link more/other%20page.md#part-two leads nowhere: there is no such heading Did you mean "#part-one"?',
    ])
  })
})

describe('two runbooks of one id', () => {
  it('are refused in directories of your own', async () => {
    const [one, other] = [await tempDir(), await tempDir()]
    for (const dir of [one, other]) await writeFile(join(dir, 'demo.md'), page('- [ ] x'))
    const reads = await readAllRunbooks({ dirs: [one, other], actions: CATALOG })
    const complaints = await lintRunbooks(reads, { actions: CATALOG, hosts: [], now: NOW, testedWithinMs: 1e12 })
    expect(complaints).toMatchObject([
      {
        place: { file: join(other, 'demo.md'), line: 2, column: 5 },
        message: `another runbook has the id "demo": ${join(one, 'demo.md')}`,
      },
    ])
  })
})

describe('a run gets only a sound runbook', () => {
  it.each([
    ['broken in its form', blockPage('aprove: lead'), 'demo.md:16:3: aprove: unknown key'],
    ['broken in its meaning', blockPage('run: [a]'), 'demo.md:16:3: it changes something and has no way back'],
    ['with an unknown action', blockPage('action: diagnose.rnu'), 'demo.md:16:11: there is no action'],
  ])('%s it is refused with its place', async (_, text, message) => {
    const dir = await tempDir()
    await writeFile(join(dir, 'demo.md'), text)
    await expect(openRunbook('demo', { dirs: [dir], actions: CATALOG })).rejects.toMatchObject({
      code: 'CONFIG_INVALID',
      message: expect.stringContaining(message) as string,
    })
  })

  it('with warnings alone it starts', async () => {
    const dir = await tempDir()
    await writeFile(join(dir, 'demo.md'), page('- [x] x', NAME))
    expect(await openRunbook('demo', { dirs: [dir], actions: CATALOG })).toMatchObject({ id: 'demo' })
  })
})

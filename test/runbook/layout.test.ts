import { describe, expect, it } from 'vitest'
import { commandLines, layOut, markdownLines, whole } from '../../scripts/lib/cli/runbook-layout.ts'
import { displayWidth } from '../../scripts/lib/report/width.ts'

describe('lines of a walk', () => {
  it.each<[string, string, readonly string[]]>([
    ['an indent', '      one two three four five six', ['      one two three four five', '      six']],
    ['the mark of a step', '[?] 1.2 one two three four five', ['[?] 1.2 one two three four', '        five']],
    ['the mark of a list', '  - one two three four five six seven', ['  - one two three four five', '    six seven']],
    ['wide characters', '[x] 1.2 磁盘已满而且写不进去了再看', ['[x] 1.2 磁盘已满而且写不进去了', '        再看']],
  ])('hang from %s', (_name, text, expected) => {
    const laid = layOut([text], 30)
    expect(laid).toEqual(expected)
    expect(Math.max(...laid.map(displayWidth))).toBeLessThanOrEqual(30)
  })

  it('are painted after they were measured', () => {
    expect(
      layOut([{ text: 'one two three four five six', tone: 'bold' }], 20, (tone, text) => `<${tone}>${text}`),
    ).toEqual(['<bold>one two three four', '<bold>five six'])
  })

  it('stay as they are when they are to be copied, or when nobody looks', () => {
    const command = '  npx zx scripts/runbook.ts done culprit --evidence "what you saw"'
    expect(layOut([whole(command)], 20)).toEqual([command])
    const output = { head: '  | ', whole: 'words' } as const
    expect(layOut([{ ...output, text: 'one two three four five' }], 24)).toEqual(['  | one two three four', '    five'])
    const path = 'one two three /four/five/six/seven'
    expect(layOut([{ ...output, text: path }], 20)).toEqual([`  | ${path}`])
    expect(layOut(['one two three four five six'], undefined)).toEqual(['one two three four five six'])
  })

  it('do not break a command within a sentence', () => {
    const sentence = 'Old backups: `npx backup prune` knows which may go.'
    expect(layOut([sentence], 32)).toEqual(['Old backups: `npx backup prune`', 'knows which may go.'])
    expect(layOut([sentence], 26)).toEqual(['Old backups:', '`npx backup prune` knows', 'which may go.'])
    const long = 'Say `npx zx scripts/backup.ts prune` once.'
    expect(layOut([long], 22)).toEqual(['Say', '`npx zx scripts/backup.ts prune`', 'once.'])
  })

  it('put what a command does above it where it does not fit behind', () => {
    const commands = [['npx zx scripts/runbook.ts next', 'then go on']] as const
    expect(layOut(commandLines(commands, 80), 80)).toEqual(['  npx zx scripts/runbook.ts next  # then go on'])
    expect(layOut(commandLines(commands, 40), 40)).toEqual(['  # then go on', '  npx zx scripts/runbook.ts next'])
  })

  it('make one line of a paragraph or an item of a list, and leave code and tables', () => {
    expect(layOut(markdownLines('磁盘\n已满 a\nb', ''), undefined)).toEqual(['磁盘已满 a b'])
    const text = '**One**\n*two* `*.a *.b`.\n\n- a [b](c.md)\n  d\n- e\n\n```\nx  y\n```\n\n| a |\n'
    expect(layOut(markdownLines(text.trim(), '  '), undefined)).toEqual([
      ...['  One two `*.a *.b`.', '', '  - a b (c.md) d', '  - e', '', '    x  y', '', '  | a |'],
    ])
  })
})

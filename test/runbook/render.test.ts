import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { runLocal } from './run-local.ts'
import { createRenderer, referencesIn } from '../../scripts/lib/runbook/render.ts'
import type { Param, ParamType } from '../../scripts/lib/runbook/types.ts'

function renderer(values: Record<string, string | number | boolean>, types: Record<string, ParamType> = {}) {
  const params = Object.keys(values).map((name): Param => ({ name, type: types[name] ?? 'text', description: '' }))
  return createRenderer({ params }, values)
}

const anything = fc.string({ unit: 'binary', maxLength: 40 }).map((text) => text.replaceAll('\0', ''))
const hostile = fc
  .array(
    fc.oneof(
      anything,
      fc.constantFrom('{{a}}', '{{b}}', '$(id)', '`id`', "'", '"', '\\', '\n', '$&', "$'", '; rm -rf /', ' -x', '*'),
    ),
    { maxLength: 6 },
  )
  .map((parts) => parts.join(''))

describe('putting params in', () => {
  it.each([
    ['{{a}}', 'x'],
    ['{{ a }}', 'x'],
    ['http://{{a}}:{{n}}/', 'http://x:8090/'],
    ['{{.State.Status}} {{json .}} {{range .Mounts}}{{.Source}}{{else}}-{{end}}', undefined],
    ['{{A}} {{a.b}} {{a b}} {a} {{}} {{unknown}}', undefined],
    ['{{{a}}}', '{x}'],
    ['{{yes}} {{no}} {{wait}} {{short}}', 'yes no 300 0.5'],
  ])('%s', (template, expected = template) => {
    const types = { n: 'integer', yes: 'boolean', no: 'boolean', wait: 'duration', short: 'duration' } as const
    const values = { a: 'x', n: 8090, yes: true, no: false, wait: 300_000, short: 500 }
    expect(renderer(values, types).text(template)).toBe(expected)
  })

  it('keeps the type of a value that is alone in a param of an action', () => {
    const { value } = renderer({ n: 8090, yes: true, wait: 5_000, a: 'x' }, { n: 'integer', wait: 'duration' })
    expect(
      value({ port: '{{n}}', list: ['{{yes}}', 'a {{n}}'], deep: { wait: '{{ wait }}' }, other: 1, none: null }),
    ).toEqual({
      ...{ port: 8090, list: [true, 'a 8090'], deep: { wait: 5_000 }, other: 1, none: null },
    })
  })

  it('calls this machine as actions call it', () => {
    const { text, value } = renderer({ host: 'local', word: 'local', other: 'web-1' }, { host: 'host', other: 'host' })
    expect(value({ hosts: ['{{host}}', '{{other}}'], name: '{{word}}' })).toEqual({
      hosts: ['localhost', 'web-1'],
      name: 'local',
    })
    expect(text('on {{host}}')).toBe('on local')
  })

  it('renders work, host and expectation of a task; a script stays as it is', () => {
    const { task, variables } = renderer({ host: 'web-1', a: 'x y' })
    expect(
      task({
        work: { kind: 'argv', argv: ['echo', '{{a}}'] },
        on: '{{host}}',
        timeoutMs: 1,
        expect: '{{a}}',
        withinMs: 0,
      }),
    ).toEqual({ work: { kind: 'argv', argv: ['echo', 'x y'] }, on: 'web-1', timeoutMs: 1, expect: 'x y', withinMs: 0 })
    const script = { work: { kind: 'shell', script: 'echo {{a}} "$OPSKIT_A"' }, timeoutMs: 1 } as const
    expect(task(script)).toEqual(script)
    expect(variables).toEqual({ OPSKIT_HOST: 'web-1', OPSKIT_A: 'x y' })
  })

  it('one argument stays one, and holds exactly the value, whatever the value holds', () => {
    fc.assert(
      fc.property(hostile, hostile, (a, b) => {
        const argv = ['cp', '--', '{{a}}', 'to={{b}}/{{a}}', '{{.Go}}']
        expect(renderer({ a, b }).argv(argv)).toEqual(['cp', '--', a, `to=${b}/${a}`, '{{.Go}}'])
      }),
      { numRuns: 500 },
    )
  })

  it('and a program gets them so, as arguments and as variables of a script', async () => {
    const values = fc.sample(
      hostile.map((text) => text.toWellFormed()),
      8,
    )
    for (const a of [...values, "x'; echo broken", '$(echo broken)', '-n']) {
      const { argv, variables } = renderer({ a })
      expect(await runLocal(argv(['printf', '%s', '{{a}}']))).toBe(a)
      expect(await runLocal(['sh', '-c', 'printf %s "$OPSKIT_A"'], variables)).toBe(a)
    }
  })

  it('finds references where they stand', () => {
    expect(referencesIn('a {{b}} {{ c_1 }} {{end}} {{.d}}')).toEqual([
      { name: 'b', index: 2 },
      { name: 'c_1', index: 8 },
    ])
  })
})

describe('conditions', () => {
  const { holds } = renderer(
    { a: 'x', empty: '', n: 0, yes: true, no: false },
    { n: 'integer', yes: 'boolean', no: 'boolean' },
  )

  it.each([
    ['a', 'set', undefined, true],
    ['empty', 'set', undefined, false],
    ['n', 'set', undefined, true],
    ['yes', 'set', undefined, true],
    ['no', 'set', undefined, false],
    ['unknown', 'set', undefined, false],
    ['a', 'is', 'x', true],
    ['a', 'is', 'y', false],
    ['a', 'is-not', 'y', true],
    ['n', 'is', '0', true],
    ['yes', 'is', 'yes', true],
    ['empty', 'is', '', true],
    ['a', 'is', '{{a}}', true],
  ] as const)('%s %s %s', (param, test, value, expected) => {
    expect(holds({ param, test, ...(value !== undefined && { value }) })).toBe(expected)
  })
})

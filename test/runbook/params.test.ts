import { describe, expect, it } from 'vitest'
import { OpsError } from '../../scripts/lib/core/errors.ts'
import { parseRunbookParams } from '../../scripts/lib/runbook/params.ts'
import type { Param } from '../../scripts/lib/runbook/types.ts'

const PARAMS: readonly Param[] = [
  { name: 'host', type: 'host', default: 'local', description: '' },
  { name: 'service', type: 'text', description: 'Its name' },
  { name: 'port', type: 'integer', default: 8090, description: '' },
  { name: 'ratio', type: 'number', default: 0.5, description: '' },
  { name: 'loud', type: 'boolean', default: false, description: '' },
  { name: 'kind', type: 'choice', choices: ['mariadb', 'postgresql'], default: 'mariadb', description: '' },
  { name: 'mount', type: 'path', default: '/', description: '' },
  { name: 'compose', type: 'path', default: '', description: '' },
  { name: 'wait', type: 'duration', default: 60_000, description: '' },
]

const DEFAULTS = {
  ...{ host: 'local', service: 'gateway', port: 8090, ratio: 0.5, loud: false },
  ...{ kind: 'mariadb', mount: '/', compose: '', wait: 60_000 },
}

function parse(given: Record<string, string>) {
  return parseRunbookParams(
    { id: 'demo', params: PARAMS },
    { service: 'gateway', ...given },
    { hosts: ['web-1', 'web-2'] },
  )
}

function refusal(given: Record<string, string>): { message: string; hint: string | undefined } {
  try {
    parse(given)
  } catch (error) {
    if (error instanceof OpsError && error.code === 'USAGE') return { message: error.message, hint: error.details.hint }
    throw error
  }
  throw new Error('it was accepted')
}

describe('params of a runbook', () => {
  it('have their defaults', () => {
    expect(parse({})).toEqual(DEFAULTS)
    expect(Object.keys(parse({}))).toEqual(PARAMS.map(({ name }) => name))
  })

  it.each([
    ['host', 'web-2', 'web-2'],
    ['host', 'local', 'local'],
    ['host', 'localhost', 'local'],
    ['service', '', ''],
    ['service', 'a "b" $(c)\n{{port}}', 'a "b" $(c)\n{{port}}'],
    ['port', '-3', -3],
    ['port', '007', 7],
    ['ratio', '1.5e3', 1500],
    ['ratio', '-.5', -0.5],
    ['loud', 'yes', true],
    ['loud', 'TRUE', true],
    ['loud', 'no', false],
    ['kind', 'postgresql', 'postgresql'],
    ['mount', '/var/www', '/var/www'],
    ['compose', '', ''],
    ['wait', '1h30m', 5_400_000],
  ])('%s takes %j', (name, text, value) => {
    expect(parse({ [name]: text })).toEqual({ ...DEFAULTS, [name]: value })
  })

  it.each([
    ['host', 'web1', 'host: there is no host "web1"', 'Did you mean "web-1"?'],
    ['host', 'elsewhere', 'host: there is no host "elsewhere"', 'Known: local, web-1, web-2.'],
    ['host', '', 'host: "" is not a host', undefined],
    ['port', '1.5', 'port: "1.5" is not a whole number', undefined],
    ['port', '', 'port: "" is not a whole number', undefined],
    ['port', '0x10', 'port: "0x10" is not a whole number', undefined],
    ['port', '99999999999999999999', 'is not a whole number', undefined],
    ['ratio', 'NaN', 'ratio: "NaN" is not a number', undefined],
    ['ratio', '1e999', 'is not a number', undefined],
    ['loud', 'maybe', 'loud: "maybe" is not yes or no', undefined],
    ['kind', 'postgres', 'kind: "postgres" is not one of mariadb, postgresql', 'Did you mean "postgresql"?'],
    ['mount', 'var', 'mount: "var" is not a path from the root', 'Write it from the root: /var/www.'],
    ['wait', '5', 'wait: "5" is not a duration', 'Write a number and a unit: 30s, 5m, 2h.'],
    ['service', 'a\0b', 'it holds a NUL byte', undefined],
    ['service', 'x'.repeat(20_000), 'is not shorter than 16384 characters', undefined],
    ['servce', 'x', 'demo has no param "servce"', 'Did you mean "service"?'],
    ['__proto__', 'x', 'demo has no param "__proto__"', undefined],
    ['constructor', 'x', 'demo has no param "constructor"', undefined],
  ])('%s refuses %.20j', (name, text, message, hint) => {
    const refused = refusal(Object.fromEntries([[name, text]]))
    expect(refused.message).toContain(message)
    if (hint !== undefined) expect(refused.hint).toBe(hint)
  })

  it('tells everything that is wrong at once, and what is missing', () => {
    const all = () => parseRunbookParams({ id: 'demo', params: PARAMS }, { prt: '1', loud: 'x' }, { hosts: [] })
    expect(all).toThrow(
      'demo has no param "prt"; the param service is missing (text: Its name); loud: "x" is not yes or no',
    )
  })

  it('checks the host of a default too: it may have gone', () => {
    const params: Param[] = [{ name: 'host', type: 'host', default: 'web-9', description: '' }]
    expect(() => parseRunbookParams({ id: 'demo', params }, {}, { hosts: ['web-1'] })).toThrow(
      'there is no host "web-9"',
    )
  })
})

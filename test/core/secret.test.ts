import { Console } from 'node:console'
import { Writable } from 'node:stream'
import { format, inspect } from 'node:util'
import { serialize } from 'node:v8'
import { describe, expect, it } from 'vitest'
import { REDACTED, Secret } from '../../scripts/lib/core/secret.ts'

const VALUE = 'hunter2-planted'
const secret = new Secret(VALUE, 'env:DB_PASSWORD')

/** Everything that turns a value into text or copies it. */
const WAYS: readonly (readonly [name: string, way: (secret: Secret) => unknown])[] = [
  ['String()', (s) => String(s)],
  ['template', (s) => `${s as unknown as string}`],
  ['concatenation', (s) => 'x' + (s as unknown as string)],
  ['join', (s) => [s].join()],
  ['toString', (s) => s.toString()],
  ['JSON', (s) => JSON.stringify({ s, list: [s] })],
  ['inspect', (s) => inspect(s)],
  ['inspect, everything', (s) => inspect({ s }, { showHidden: true, depth: null, getters: true, showProxy: true })],
  ['inspect without custom', (s) => inspect(s, { customInspect: false, showHidden: true, depth: null })],
  ['format %s', (s) => format('%s', s)],
  ['format %o', (s) => format('%o', s)],
  ['format %O', (s) => format('%O', s)],
  ['format %j', (s) => format('%j', s)],
  ['console.log', (s) => logged(s)],
  ['keys', (s) => Object.keys(s)],
  ['values', (s) => Object.values(s) as unknown[]],
  ['own names', (s) => Object.getOwnPropertyNames(s)],
  ['own symbols', (s) => Object.getOwnPropertySymbols(s).map(String)],
  ['descriptors', (s) => inspect(Object.getOwnPropertyDescriptors(s))],
  ['spread', (s) => inspect({ ...s })],
  ['assign', (s) => inspect(Object.assign({}, s))],
  ['structuredClone', (s) => inspect(structuredClone(s))],
  ['v8 serialize', (s) => serialize(s).toString('latin1')],
  [
    'for in',
    (s) => {
      const seen: string[] = []
      for (const key in s) seen.push(key, String(Reflect.get(s, key)))
      return seen
    },
  ],
  ['error message', (s) => inspect(new Error(`failed with ${s as unknown as string}`, { cause: s }))],
  ['number', (s) => String(Number(s))],
  ['date', (s) => String(new Date(s as unknown as string))],
]

function logged(value: unknown): string {
  let text = ''
  const stdout = new Writable({
    write: (chunk: Buffer, _encoding, done) => {
      text += chunk.toString()
      done()
    },
  })
  const out = new Console({ stdout, stderr: stdout })
  out.log(value, { value })
  out.dir(value, { showHidden: true })
  out.table([value])
  out.error('%s', value)
  return text
}

describe('a secret', () => {
  it.each(WAYS)('does not leak through %s', (_name, way) => {
    expect(inspect(way(secret))).not.toContain(VALUE)
  })

  it('gives its value only to who asks for it', () => {
    expect(secret.reveal()).toBe(VALUE)
  })

  it('prints as redacted, and says where it came from to a developer', () => {
    expect(`${secret as unknown as string}`).toBe(REDACTED)
    expect(JSON.stringify(secret)).toBe(`"${REDACTED}"`)
    expect(inspect(secret)).toBe('Secret(env:DB_PASSWORD)')
  })
})

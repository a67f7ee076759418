import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { parse } from 'yaml'
import { configJsonSchema } from '../../scripts/lib/config/json-schema.ts'
import { configSchema } from '../../scripts/lib/config/schema/index.ts'
import { validateConfig } from '../../scripts/lib/config/validate.ts'

const EXAMPLE = readFileSync(new URL('../../templates/opskit.example.yaml', import.meta.url), 'utf8')

interface JsonSchema {
  readonly type?: string
  readonly description?: string
  readonly properties?: Readonly<Record<string, JsonSchema>>
  readonly items?: JsonSchema
  readonly anyOf?: readonly JsonSchema[]
  readonly additionalProperties?: JsonSchema | false
  readonly required?: readonly string[]
}

const schema = configJsonSchema() as JsonSchema

/** Every key with its path; `*` for a name that operators choose, `[]` for an element. */
function keysOf(node: JsonSchema, path = ''): [path: string, node: JsonSchema][] {
  const own = Object.entries(node.properties ?? {}).map(
    ([key, child]) => [`${path}.${key}`, child] as [string, JsonSchema],
  )
  return [
    ...own.flatMap(([at, child]) => [[at, child] as [string, JsonSchema], ...keysOf(child, at)]),
    ...(node.items ? keysOf(node.items, `${path}[]`) : []),
    ...(node.additionalProperties ? keysOf(node.additionalProperties, `${path}.*`) : []),
    ...(node.anyOf ?? []).flatMap((option) => keysOf(option, path)),
  ]
}

/** What is shown once need not be shown again: either form of a reference to a secret, the settings all sources share. */
function oneReference(path: string): string {
  return path
    .replace(
      /(password|passphrase|secret|identity|token|url|fallback_urls\[\]|headers\.\*|env\.\*)\.(?:env|file)$/,
      '$1.reference',
    )
    .replace(/pings\.(?:start|success|failure)\.(?:env|file)$/, 'pings.reference')
    .replace(/^\.backup\.(?:databases|config|static)\.\*\.(?=(?:retention|hooks|on|rpo|timeout)\b)/, '.source.')
    .replace(/^(?:\.source|\.backup)\.retention\./, '.retention.')
}

/** An option of a choice may be a choice itself. */
function optionsOf(node: JsonSchema): JsonSchema[] {
  return [node, ...(node.anyOf ?? []).flatMap(optionsOf)]
}

/** The paths of all keys that are written in some data, named as `keysOf` names them. */
function writtenIn(data: unknown, node: JsonSchema, path = ''): string[] {
  const options = optionsOf(node)
  if (Array.isArray(data))
    return data.flatMap((item) => options.flatMap(({ items }) => (items ? writtenIn(item, items, `${path}[]`) : [])))
  if (typeof data !== 'object' || data === null) return []
  return Object.entries(data).flatMap(([key, value]) =>
    options.flatMap(({ properties, additionalProperties }) => {
      const child = properties?.[key]
      if (child) return [`${path}.${key}`, ...writtenIn(value, child, `${path}.${key}`)]
      return additionalProperties ? writtenIn(value, additionalProperties, `${path}.*`) : []
    }),
  )
}

describe('templates/opskit.example.yaml', () => {
  it('is a valid config', () => {
    const config = validateConfig(EXAMPLE, 'templates/opskit.example.yaml', { directory: '/etc/opskit', home: '/root' })
    expect(Object.keys(config.hosts)).toEqual(['web-1', 'web-2', 'standby', 'shop'])
    expect(config.diagnose.databases.map(({ type }) => type)).toEqual(['mariadb', 'postgresql'])
  })

  it('shows every key there is', () => {
    const written = new Set(writtenIn(parse(EXAMPLE), schema).map(oneReference))
    expect(
      keysOf(schema)
        .map(([path]) => oneReference(path))
        .filter((path) => !written.has(path)),
    ).toEqual([])
  })

  it('shows the defaults where it says so', () => {
    const config = validateConfig(EXAMPLE, 'x')
    expect(config.diagnose.thresholds).toEqual(configSchema.parse({}).diagnose.thresholds)
  })

  it('tells editors where the schema is, and names example hosts only', () => {
    expect(EXAMPLE).toMatch(/^# yaml-language-server: \$schema=\S+$/m)
    const hosts = EXAMPLE.match(/\b\d{1,3}(?:\.\d{1,3}){3}\b|\b[\w-]+\.(?:com|net|org|cn)\b/g) ?? []
    expect(
      hosts.filter((host) => !/^(?:127\.0\.0\.1|192\.0\.2\.\d+|198\.51\.100\.\d+|example\.com)$/.test(host)),
    ).toEqual([])
  })
})

describe('the JSON Schema', () => {
  const all = new Map(keysOf(schema))

  it('is what may be written, not what the program sees', () => {
    expect(all.get('.diagnose.deadline')?.type).toBe('string')
    expect(all.get('.hosts.*.ssh.connect_timeout')?.type).toBe('string')
    expect(all.get('.hosts.*.ssh.port')?.type).toBe('integer')
    expect(schema.required ?? []).toEqual([])
    expect(schema.additionalProperties).toBe(false)
  })

  it('requires what the loader requires', () => {
    expect(all.get('.hosts.*.ssh')?.required).toEqual(['host'])
    expect(all.get('.diagnose.http')?.items?.required?.toSorted()).toEqual(['name', 'url'])
  })

  it('says something about every key but the plainest', () => {
    const plain = /\.(?:warning|critical|method|type|protocol)$/
    expect(
      [...all].filter(([path, node]) => node.description === undefined && !plain.test(path)).map(([path]) => path),
    ).toEqual([])
  })
})

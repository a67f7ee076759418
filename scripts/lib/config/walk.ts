/**
 * The schema of opskit.yaml beside a value: which schema stands at a path, and where the marked values (paths, secrets)
 * are. Knows the shapes that our sections are made of; a new section needs nothing here.
 */
import type { z } from 'zod'
import { kinds } from './schema/values.ts'

export type Schema = z.core.$ZodType
export type Path = readonly PropertyKey[]

/** A schema without what only says when it may be absent. */
export function unwrap(schema: Schema): Schema {
  let inner = schema
  for (;;) {
    const { def } = (inner as z.core.$ZodTypes)._zod
    if (def.type === 'optional' || def.type === 'default' || def.type === 'prefault' || def.type === 'nullable') {
      inner = def.innerType
    } else if (def.type === 'pipe') inner = def.in
    else return inner
  }
}

/** The keys of a mapping; of a union, those of the option which `value` is most like. Empty where any key may stand. */
export function keysOf(schema: Schema, value?: unknown): readonly string[] {
  const { def } = (unwrap(schema) as z.core.$ZodTypes)._zod
  if (def.type === 'object') return Object.keys(def.shape)
  const option = def.type === 'union' && value !== undefined ? likeliest(def.options, value) : undefined
  return option ? keysOf(option, value) : []
}

export function optionsOf(schema: Schema): readonly Schema[] {
  const { def } = (unwrap(schema) as z.core.$ZodTypes)._zod
  return def.type === 'union' ? def.options : []
}

/** True for lists and mappings: a section that is left empty means the same as none. */
export function isSection(schema: Schema): boolean {
  return ['object', 'record', 'array'].includes((unwrap(schema) as z.core.$ZodTypes)._zod.def.type)
}

export function isList(schema: Schema): boolean {
  return (unwrap(schema) as z.core.$ZodTypes)._zod.def.type === 'array'
}

export function kindOf(schema: Schema): 'path' | 'secret' | 'duration' | 'size' | undefined {
  return kinds.get(unwrap(schema))?.kind
}

/** The schema of one key or element; of a union, that of the option which `value` is most like. */
export function childOf(schema: Schema, value: unknown, key: PropertyKey): Schema | undefined {
  const { def } = (unwrap(schema) as z.core.$ZodTypes)._zod
  if (def.type === 'object') return Object.hasOwn(def.shape, key) ? def.shape[String(key)] : undefined
  if (def.type === 'record') return def.valueType
  if (def.type === 'array') return def.element
  if (def.type === 'union') {
    const option = likeliest(def.options, value)
    return option && childOf(option, value, key)
  }
  return undefined
}

/** The schema at a path, or undefined where the value has left the schema. */
export function schemaAt(root: Schema, data: unknown, path: Path): Schema | undefined {
  let schema: Schema | undefined = root
  let value = data
  for (const key of path) {
    schema = schema && childOf(schema, value, key)
    value = valueAt(value, [key])
  }
  return schema
}

export function valueAt(data: unknown, path: Path): unknown {
  let value = data
  for (const key of path) {
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, key)) return undefined
    value = (value as Record<PropertyKey, unknown>)[key]
  }
  return value
}

/**
 * A copy of a value in which `replace` may put another for each part, parts before wholes.
 * @param replace returns the value to keep, or undefined to leave the key out
 */
export function mapValues(
  schema: Schema,
  value: unknown,
  replace: (schema: Schema, value: unknown) => unknown,
): unknown {
  if (typeof value !== 'object' || value === null) return replace(schema, value)
  const walk = (key: string | number, item: unknown): unknown => {
    const child = childOf(schema, value, key)
    return child ? mapValues(child, item, replace) : item
  }
  if (Array.isArray(value))
    return replace(
      schema,
      value.map((item, index) => walk(index, item)),
    )
  const entries = Object.entries(value).map(([key, item]) => [key, walk(key, item)] as const)
  return replace(schema, Object.fromEntries(entries.filter(([, item]) => item !== undefined)))
}

/** The option that knows the most keys of `value`; without keys, the first. */
function likeliest(options: readonly Schema[], value: unknown): Schema | undefined {
  const keys = typeof value === 'object' && value !== null ? Object.keys(value) : []
  const known = (option: Schema) => {
    const all = [option, ...optionsOf(option)].flatMap((part) => keysOf(part))
    return keys.filter((key) => all.includes(key)).length
  }
  return [...options].sort((a, b) => known(b) - known(a))[0]
}

/** Parameters of an action, from wherever they come (flags, a schedule, a runbook), checked once and in one way. */
import type { z, ZodType } from 'zod'
import { OpsError } from '../core/errors.ts'
import { nearestName } from '../core/nearest.ts'
import type { Action } from './types.ts'

type Issue = z.core.$ZodIssue
type JsonSchema = z.core.JSONSchema.BaseSchema

/**
 * @returns the parameters with defaults filled in
 * @throws OpsError USAGE naming every wrong parameter by its path, with the nearest known name for a mistyped one
 */
export async function parseParams<P>(action: Pick<Action<P>, 'name' | 'params'>, raw: unknown): Promise<P> {
  const parsed = await action.params.safeParseAsync(raw)
  if (parsed.success) return parsed.data
  const problems = await Promise.all(parsed.error.issues.map((issue) => describeIssue(action.params, issue)))
  const hint = problems.map((problem) => problem.hint).find((text) => text !== undefined)
  throw new OpsError('USAGE', `${action.name}: ${problems.map(({ message }) => message).join('; ')}`, {
    hint: hint ?? `Look at the parameters of ${action.name}.`,
  })
}

async function describeIssue(schema: ZodType, issue: Issue): Promise<{ message: string; hint?: string }> {
  const path = issue.path.map(String).join('.')
  if (issue.code !== 'unrecognized_keys') return { message: path === '' ? issue.message : `${path}: ${issue.message}` }
  const known = await readKnownNames(schema, issue.path)
  const names = issue.keys.map((key) => [...issue.path.map(String), key].join('.'))
  const nearest = issue.keys.map((key) => nearestName(key, known)).find((name) => name !== undefined)
  return {
    message: `there is no parameter ${names.map((name) => `"${name}"`).join(', ')}`,
    hint: nearest === undefined ? `Known: ${known.join(', ') || 'none'}.` : `Did you mean "${nearest}"?`,
  }
}

/** The names that are known at a path of a schema; only on the way to an error, so it may cost. */
async function readKnownNames(schema: ZodType, path: readonly PropertyKey[]): Promise<string[]> {
  const { toJSONSchema } = await import('zod')
  const root = toJSONSchema(schema, { io: 'input', unrepresentable: 'any', reused: 'inline' })
  const at = path.reduce<JsonSchema[]>((nodes, key) => nodes.flatMap((node) => descend(node, key)), [root])
  return [...new Set(at.flatMap(alternatives).flatMap((node) => Object.keys(node.properties ?? {})))]
}

function descend(node: JsonSchema, key: PropertyKey): JsonSchema[] {
  return alternatives(node).flatMap((one) => {
    const next = typeof key === 'number' ? one.items : (one.properties?.[String(key)] ?? one.additionalProperties)
    return typeof next === 'object' && !Array.isArray(next) ? [next] : []
  })
}

function alternatives(node: JsonSchema): JsonSchema[] {
  return [node, ...(node.anyOf ?? []), ...(node.oneOf ?? []), ...(node.allOf ?? [])]
}

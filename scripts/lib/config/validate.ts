/**
 * The text of opskit.yaml to a Config, or to every problem in it at once.
 * Pure: reads no file and no environment. What is wrong in YAML itself is told first, alone.
 */
import { resolve } from 'node:path'
import { OpsError } from '../core/errors.ts'
import { parseYaml, type Problem } from './document.ts'
import { explainIssues, sentenceOf } from './explain.ts'
import { configSchema, type Config } from './schema/index.ts'
import type { SecretRef } from './schema/values.ts'
import { isSection, kindOf, mapValues } from './walk.ts'

export interface ValidateOptions {
  /** What relative paths are relative to; default: they stay as they are. */
  readonly directory?: string
  /** What `~/` stands for. */
  readonly home?: string
}

/** Problems told in one error; the rest are counted. */
const MAX_PROBLEMS = 50
/** Problems that are looked up in the file: in one with thousands of wrong keys the search would take minutes. */
const MAX_PLACED = 500

/**
 * @param path how messages name the file
 * @throws OpsError CONFIG_INVALID with one line `path:line:column: key: what` per problem; `details.place` is the first's
 */
export function validateConfig(text: string, path: string, options: ValidateOptions = {}): Config {
  const file = parseYaml(text)
  if (file.problems.length > 0) throw invalid(path, file.problems)
  const data = mapValues(configSchema, file.data ?? {}, (schema, value) =>
    value === null && isSection(schema) ? undefined : value,
  )
  const result = configSchema.safeParse(data ?? {})
  if (result.success) return absolutePaths(result.data, options)
  const explained = explainIssues(configSchema, data, result.error.issues)
  throw invalid(
    path,
    explained
      .slice(0, MAX_PLACED)
      .map((problem) => ({ ...file.placeOf(problem.path, problem.part), message: sentenceOf(problem) })),
  )
}

/** Every reference to a secret in a config. */
export function secretRefsOf(config: Config): SecretRef[] {
  const refs: SecretRef[] = []
  mapValues(configSchema, config, (schema, value) => {
    if (kindOf(schema) === 'secret' && isRef(value)) refs.push(value)
    return value
  })
  return refs
}

function isRef(value: unknown): value is SecretRef {
  return typeof value === 'object' && value !== null && ('env' in value || 'file' in value)
}

function absolutePaths(config: Config, { directory, home }: ValidateOptions): Config {
  return mapValues(configSchema, config, (schema, value) => {
    if (kindOf(schema) !== 'path' || typeof value !== 'string') return value
    if (home !== undefined && (value === '~' || value.startsWith('~/'))) return resolve(home, value.slice(2))
    return directory === undefined ? value : resolve(directory, value)
  }) as Config
}

function invalid(path: string, problems: readonly Problem[]): OpsError {
  const sorted = [...problems]
    .sort((a, b) => a.line - b.line || a.column - b.column)
    .map(({ line, column, message }) => ({ place: `${path}:${line}:${column}`, message }))
  const told = sorted.slice(0, MAX_PROBLEMS)
  const lines = told.map(({ place, message }) => `${place}: ${message}`)
  if (sorted.length > told.length) lines.push(`… and ${sorted.length - told.length} more`)
  return new OpsError('CONFIG_INVALID', lines.join('\n'), {
    place: sorted[0]?.place ?? `${path}:1:1`,
    problems: told,
    hint: 'templates/opskit.example.yaml shows every key.',
  })
}

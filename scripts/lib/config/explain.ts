/**
 * What zod found wrong, in words for the person who wrote the file: at the key that is wrong, with the nearest known
 * name, and never with the value of a secret.
 */
import { z } from 'zod'
import { nearestName } from '../core/nearest.ts'
import { printableLine } from '../core/printable.ts'
import { redactText } from '../core/redact.ts'
import { isList, keysOf, kindOf, optionsOf, schemaAt, unwrap, valueAt, type Path, type Schema } from './walk.ts'

export interface Explained {
  readonly path: Path
  readonly part: 'key' | 'value'
  readonly message: string
}

type Issue = z.core.$ZodIssue
type UnionIssue = z.core.$ZodIssueInvalidUnion

const SECRET_WANTED = 'a reference to a secret: { env: NAME } or { file: path }'
/** A longer list of known keys helps nobody. */
const MAX_LISTED = 24
const TYPE_NAMES: Readonly<Record<string, string>> = {
  string: 'text',
  number: 'a number',
  int: 'a whole number',
  boolean: 'true or false',
  array: 'a list',
  object: 'keys and values',
  record: 'keys and values',
}

/** @param data the whole document @returns one entry or more for each issue, in the order of the issues */
export function explainIssues(root: Schema, data: unknown, issues: readonly Issue[]): Explained[] {
  return issues.flatMap((issue) => explainIssue({ root, data }, issue))
}

interface Whole {
  readonly root: Schema
  readonly data: unknown
}

/** @param option the schema when it is one option of the union at this place */
function explainIssue(whole: Whole, issue: Issue, option?: Schema): Explained[] {
  const { path } = issue
  const value = valueAt(whole.data, path)
  const schema = option ?? schemaAt(whole.root, whole.data, path)
  switch (issue.code) {
    case 'unrecognized_keys':
      return issue.keys.map((key) => unknownKey(path, key, schema ? keysOf(schema, value) : []))
    case 'invalid_key':
      return [{ path, part: 'key', message: issue.issues[0]?.message ?? issue.message }]
    case 'invalid_union':
      return explainUnion(whole, issue, schema)
    case 'invalid_type':
      return [
        value === undefined && path.length > 0
          ? missingKey(path, schema)
          : atValue(path, wrongType(issue, value, schema)),
      ]
    case 'invalid_value':
      return [atValue(path, wrongChoice(issue.values.map(String), value))]
    case 'too_small':
      return [atValue(path, issue.origin === 'string' ? 'must not be empty' : `must be at least ${issue.minimum}`)]
    case 'too_big':
      return [atValue(path, `must be at most ${issue.maximum}`)]
    case 'invalid_format':
      return [
        atValue(
          path,
          issue.format === 'url' ? 'must be an address that begins with http:// or https://' : issue.message,
        ),
      ]
    default:
      return [atValue(path, issue.message)]
  }
}

/** Follows the one option that the value was meant to be; says what the choice is when that cannot be told. */
function explainUnion(whole: Whole, issue: UnionIssue, schema: Schema | undefined): Explained[] {
  const { path } = issue
  const value = valueAt(whole.data, path)
  const options = schema ? optionsOf(schema) : []
  const follow = (index: number) =>
    (issue.errors[index] ?? []).flatMap((inner) =>
      explainIssue(
        whole,
        { ...inner, path: [...path, ...inner.path] },
        inner.path.length === 0 ? options[index] : undefined,
      ),
    )
  const list = Array.isArray(value) ? options.findIndex(isList) : -1
  if (list !== -1) return follow(list)
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    const isSecret = schema !== undefined && kindOf(schema) === 'secret'
    const wanted = isSecret ? `${SECRET_WANTED}, not the secret itself` : options.map(nameOf).join(' or ')
    return [atValue(path, value === undefined ? `missing: ${wanted}` : `expected ${wanted}`)]
  }
  const keys = options.map((option) => [option, ...optionsOf(option)].flatMap((part) => keysOf(part)))
  const own = keys.map((mine) => mine.filter((key) => keys.every((other) => other === mine || !other.includes(key))))
  const typed = Object.keys(value)
  const meant = own.flatMap((mine, index) => (mine.some((key) => typed.includes(key)) ? [index] : []))
  const [first] = meant
  if (first !== undefined && meant.length === 1) return follow(first)
  const choices = own.flatMap((mine) => mine.slice(0, 1)).map((key) => `"${key}"`)
  if (meant.length > 1) return [{ path, part: 'key', message: `only one of ${choices.join(', ')} is allowed here` }]
  const strangers = typed.filter((key) => !keys.flat().includes(key))
  if (strangers.length > 0) return strangers.map((key) => unknownKey(path, key, keys.flat()))
  return [{ path, part: 'key', message: `needs one of ${choices.join(', ')}` }]
}

function unknownKey(path: Path, key: string, known: readonly string[]): Explained {
  const near = nearestName(key, known)
  const rest = known.length <= MAX_LISTED && known.length > 0 ? `; known here: ${[...new Set(known)].join(', ')}` : ''
  return {
    path: [...path, key],
    part: 'key',
    message: `unknown key${near === undefined ? rest : `; did you mean "${near}"?`}`,
  }
}

function missingKey(path: Path, schema: Schema | undefined): Explained {
  const what = schema ? describe(schema) : undefined
  return {
    path: path.slice(0, -1),
    part: 'key',
    message: `missing key "${String(path.at(-1))}"${what === undefined ? '' : ` (${what})`}`,
  }
}

function wrongType(issue: z.core.$ZodIssueInvalidType, value: unknown, schema: Schema | undefined): string {
  if (schema && kindOf(schema) === 'secret') return `expected ${SECRET_WANTED}, not the secret itself`
  const expected = TYPE_NAMES[issue.expected] ?? issue.expected
  const what = schema ? describe(schema) : undefined
  const got = value === null ? 'nothing' : Array.isArray(value) ? 'a list' : (TYPE_NAMES[typeof value] ?? typeof value)
  return `expected ${expected}, got ${got}${what === undefined ? '' : ` (${what})`}`
}

function wrongChoice(choices: readonly string[], value: unknown): string {
  const near = typeof value === 'string' ? nearestName(value, choices) : undefined
  const typed =
    typeof value === 'string' && value.length <= 40 ? `"${redactText(value)}" is not one of ` : 'expected one of '
  return `${choices.length === 1 ? 'expected ' : typed}${choices.join(', ')}${near === undefined ? '' : `; did you mean "${near}"?`}`
}

/** What kind of value it is, when its description says so: `a duration: 500ms, 30s`. */
function describe(schema: Schema): string | undefined {
  const text = z.globalRegistry.get(unwrap(schema))?.description
  return text?.startsWith('A ') ? `a ${text.slice(2)}` : undefined
}

function nameOf(option: Schema): string {
  if (kindOf(option) === 'secret') return SECRET_WANTED
  const keys = keysOf(option)
  if (keys[0] !== undefined) return `{ ${keys[0]}: … }`
  return TYPE_NAMES[(unwrap(option) as z.core.$ZodTypes)._zod.def.type] ?? 'another value'
}

function atValue(path: Path, message: string): Explained {
  return { path, part: 'value', message }
}

/** `hosts.web-1.ssh: …`, inert and on one line. */
export function sentenceOf({ path, message }: Explained): string {
  const dotted = path.map(String).join('.')
  return printableLine(dotted === '' ? message : `${dotted}: ${message}`, 400)
}

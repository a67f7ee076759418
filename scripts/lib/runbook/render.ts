/**
 * Puts params into what a runbook runs and says. `{{name}}` is replaced within an argument, which stays one argument
 * whatever the value holds; a shell script is never text that we build: it gets its params as `OPSKIT_<NAME>`.
 *
 * A duration is put in as seconds, which is what `sleep`, `timeout` and their like take; alone in a param of an action
 * it is milliseconds, as is every number there by its own type.
 */
import type { ParamValues } from './params.ts'
import { TEMPLATE_WORDS } from './read/words.ts'
import type { Condition, ParamType, ParamValue, Runbook, Task, Verify, Work } from './types.ts'

export interface Reference {
  readonly name: string
  /** In characters from 0. */
  readonly index: number
}

export interface Renderer {
  text(template: string): string
  /** As text, with `…` for what has no value. */
  title(template: string): string
  argv(argv: readonly string[]): string[]
  /** Deep: of an action. A text that is nothing but `{{name}}` becomes the typed value. */
  value(template: unknown): unknown
  /** Its work, its host and what it expects; a script stays as it is. */
  task<T extends Task | Verify>(task: T): T
  holds(condition: Condition): boolean
  /** `OPSKIT_<NAME>` to text: the environment of a shell script. */
  readonly variables: Readonly<Record<string, string>>
}

const REFERENCE = /\{\{ *([a-z][a-z0-9_]*) *\}\}/g

/** Each `{{name}}` of a text. Words of Go templates that look the same are none. */
export function referencesIn(text: string): Reference[] {
  return [...text.matchAll(REFERENCE)]
    .map(({ 1: name = '', index }) => ({ name, index }))
    .filter(({ name }) => !TEMPLATE_WORDS.includes(name))
}

export function variableOf(name: string): string {
  return `OPSKIT_${name.toUpperCase()}`
}

/** Params that a script reads from its environment. */
export function variablesIn(script: string): string[] {
  return [...script.matchAll(/\bOPSKIT_([A-Z][A-Z0-9_]*)/g)].map(({ 1: name = '' }) => name.toLowerCase())
}

/** @param values of every param of the runbook: what parseRunbookParams returns */
export function createRenderer({ params }: Pick<Runbook, 'params'>, values: ParamValues): Renderer {
  const types = new Map(params.map(({ name, type }) => [name, type]))
  const shown = (name: string): string | undefined => {
    const value = Object.hasOwn(values, name) ? values[name] : undefined
    return value === undefined ? undefined : showValue(types.get(name), value)
  }
  const text = (template: string) =>
    template.replace(REFERENCE, (whole, name: string) =>
      TEMPLATE_WORDS.includes(name) ? whole : (shown(name) ?? whole),
    )
  const title = (template: string) =>
    text(template.replace(REFERENCE, (whole, name: string) => (values[name] === '' ? '…' : whole)))
  const argv = (templates: readonly string[]) => templates.map(text)
  const value = (template: unknown): unknown => {
    if (typeof template === 'string') {
      const name = /^\{\{ *([a-z][a-z0-9_]*) *\}\}$/.exec(template)?.[1]
      return name !== undefined && Object.hasOwn(values, name) ? typed(types.get(name), values[name]) : text(template)
    }
    if (Array.isArray(template)) return template.map(value)
    if (typeof template !== 'object' || template === null) return template
    return Object.fromEntries(Object.entries(template).map(([key, item]) => [key, value(item)]))
  }
  const work = (one: Work): Work => {
    if (one.kind === 'argv') return { ...one, argv: argv(one.argv) }
    return one.kind === 'action' ? { ...one, params: value(one.params) as Record<string, unknown> } : one
  }
  return {
    ...{ text, title, argv, value },
    task: (task) => ({
      ...task,
      work: work(task.work),
      ...(task.on !== undefined && { on: text(task.on) }),
      ...('expect' in task && task.expect !== undefined && { expect: text(task.expect) }),
    }),
    holds: ({ param, test, value: wanted = '' }) => {
      const is = shown(param) ?? ''
      if (test === 'set') return is !== '' && values[param] !== false
      return (is === text(wanted)) === (test === 'is')
    },
    variables: Object.fromEntries(params.map(({ name }) => [variableOf(name), shown(name) ?? ''])),
  }
}

/** For an action: this machine, `local` in a runbook, is `localhost` to every action. */
function typed(type: ParamType | undefined, value: ParamValue | undefined): ParamValue | undefined {
  return type === 'host' && value === 'local' ? 'localhost' : value
}

/** A value as commands and people get it: `yes`, not `true`; seconds, not milliseconds. */
function showValue(type: ParamType | undefined, value: ParamValue): string {
  if (typeof value === 'boolean') return value ? 'yes' : 'no'
  return type === 'duration' && typeof value === 'number' ? String(value / 1_000) : String(value)
}

/** Params of a runbook from text (the command line, a default) to typed values. How they reach commands is in render.ts. */
import { formatDuration, parseDuration } from '../core/duration.ts'
import { messageOf, OpsError } from '../core/errors.ts'
import { nearestName } from '../core/nearest.ts'
import { printableLine } from '../core/printable.ts'
import type { Param, ParamType, ParamValue, Runbook } from './types.ts'

/** By name, in the order of the runbook. An empty text is one that was left out, whatever its type. */
export type ParamValues = Readonly<Record<string, ParamValue>>

/** This machine, as a param of type host and `on` name it. */
export const LOCAL = 'local'

/** One argument of a program may be 128 KiB (MAX_ARG_STRLEN of Linux); nobody types as much. */
const MAX_LENGTH = 16 * 1024

export interface ParamsKnown {
  /** The names of opskit.yaml; `localhost` means `local`. */
  readonly hosts: readonly string[]
  /** Values of what is not given; absent: the defaults. */
  readonly before?: ParamValues
}

/**
 * @param given as typed: `{ host: 'web-1' }`
 * @throws OpsError USAGE naming everything that is wrong: unknown names with the nearest, wrong types, what is missing
 */
export function parseRunbookParams(
  { id, params }: Pick<Runbook, 'id' | 'params'>,
  given: Readonly<Record<string, string>>,
  { hosts, before }: ParamsKnown,
): ParamValues {
  const names = params.map(({ name }) => name)
  const unknown = Object.keys(given).filter((name) => !names.includes(name))
  const wrong: { message: string; hint?: string | undefined }[] = unknown.map((name) => {
    const near = nearestName(name, names)
    return {
      message: `${id} has no param "${printableLine(name, 60)}"`,
      hint: near === undefined ? `Known: ${names.join(', ') || 'none'}.` : `Did you mean "${near}"?`,
    }
  })
  const values = params.flatMap((param): [string, ParamValue][] => {
    const text = Object.hasOwn(given, param.name) ? given[param.name] : undefined
    const known = text === undefined ? before?.[param.name] : undefined
    if (known !== undefined) return [[param.name, known]]
    try {
      const left = text === undefined || (text === '' && param.default === '')
      const value = left ? param.default : parseParamValue(param, text)
      if (value === undefined) throw missing(param)
      if (param.type === 'host' && value !== '') refuseUnknownHost(param, String(value), hosts)
      return [[param.name, value]]
    } catch (error) {
      wrong.push({ message: messageOf(error), hint: error instanceof OpsError ? error.details.hint : undefined })
      return []
    }
  })
  if (wrong.length > 0) {
    const hint = wrong.find((one) => one.hint !== undefined)?.hint
    throw new OpsError('USAGE', wrong.map(({ message }) => message).join('; '), hint === undefined ? {} : { hint })
  }
  return Object.fromEntries(values)
}

/**
 * `name=value` of each, as typed.
 * @param flag what stands before each in a message: `--param `
 * @throws OpsError USAGE
 */
export function parsePairs(pairs: readonly string[], flag = ''): Record<string, string> {
  const given: Record<string, string> = {}
  for (const pair of pairs) {
    const at = pair.indexOf('=')
    if (at < 1) throw new OpsError('USAGE', `${flag}${pair}: there is no "="`, { hint: `${flag}host=web-1` })
    const name = pair.slice(0, at)
    if (Object.hasOwn(given, name)) throw new OpsError('USAGE', `${flag}${name} is given twice`)
    given[name] = pair.slice(at + 1)
  }
  return given
}

/** A value as people read it; of none: `nothing`. */
export function formatParamValue(type: ParamType | undefined, value: ParamValue): string {
  if (value === '') return 'nothing'
  if (typeof value === 'boolean') return value ? 'yes' : 'no'
  return type === 'duration' && typeof value === 'number' ? formatDuration(value) : printableLine(String(value), 200)
}

/** @throws OpsError USAGE that names the param */
export function parseParamValue(param: Param, text: string): ParamValue {
  const refuse = (expected: string, hint?: string): never => {
    throw new OpsError('USAGE', `${param.name}: "${printableLine(text, 60)}" is not ${expected}`, hint ? { hint } : {})
  }
  if (text.includes('\0')) return refuse('text: it holds a NUL byte')
  if (text.length > MAX_LENGTH) return refuse(`shorter than ${MAX_LENGTH} characters`)
  switch (param.type) {
    case 'text':
      return text
    case 'integer':
      return /^[+-]?\d+$/.test(text) && Number.isSafeInteger(Number(text)) ? Number(text) : refuse('a whole number')
    case 'number':
      return /^[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?$/.test(text) && Number.isFinite(Number(text))
        ? Number(text)
        : refuse('a number')
    case 'boolean':
      if (/^(?:yes|true)$/i.test(text)) return true
      return /^(?:no|false)$/i.test(text) ? false : refuse('yes or no')
    case 'choice':
      return parseChoice(param, text, refuse)
    case 'host':
      if (text === 'localhost') return LOCAL
      return text === '' ? refuse('a host') : text
    case 'path':
      return text.startsWith('/') ? text : refuse('a path from the root', 'Write it from the root: /var/www.')
    case 'duration':
      try {
        return parseDuration(text)
      } catch {
        return refuse('a duration', 'Write a number and a unit: 30s, 5m, 2h.')
      }
  }
}

function parseChoice(
  { choices = [] }: Param,
  text: string,
  refuse: (expected: string, hint?: string) => never,
): string {
  if (choices.includes(text)) return text
  const near = nearestName(text, choices)
  return refuse(`one of ${choices.join(', ')}`, near && `Did you mean "${near}"?`)
}

function refuseUnknownHost({ name }: Param, value: string, hosts: readonly string[]): void {
  if (value === LOCAL || hosts.includes(value)) return
  const near = nearestName(value, [LOCAL, ...hosts])
  throw new OpsError('USAGE', `${name}: there is no host "${printableLine(value, 60)}"`, {
    hint: near ? `Did you mean "${near}"?` : `Known: ${[LOCAL, ...hosts].join(', ')}.`,
  })
}

function missing({ name, type, description }: Param): OpsError {
  const what = description === '' ? type : `${type}: ${description}`
  return new OpsError('USAGE', `the param ${name} is missing (${what})`, { hint: `Add --param ${name}=…` })
}

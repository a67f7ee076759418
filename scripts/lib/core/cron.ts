/**
 * A cron expression as people write it, to sets of numbers. When it is due next is the business of the room `schedule`.
 *
 * Source: crontab(5) of Vixie cron: five fields (or six, seconds first), lists, ranges, steps, names of months and days,
 * `@daily` and its like. A field that begins with `*` is a wildcard: see `either` and `isWildcard`.
 */
import { OpsError } from './errors.ts'
import { nearestName } from './nearest.ts'
import { printableLine } from './printable.ts'

export interface CronSpec {
  /** Ascending, without repeats; `[0]` when there are five fields. */
  readonly seconds: readonly number[]
  readonly minutes: readonly number[]
  readonly hours: readonly number[]
  readonly daysOfMonth: ReadonlySet<number>
  /** 1 to 12, ascending. */
  readonly months: readonly number[]
  /** 0 (Sunday) to 6. */
  readonly daysOfWeek: ReadonlySet<number>
  /** Both day fields are restricted: a day that one of them names is enough. Otherwise it needs both. */
  readonly either: boolean
  /** Seconds, minutes or hours begin with `*`: it runs at real intervals, whatever clocks are set to. */
  readonly isWildcard: boolean
}

interface Field {
  readonly name: string
  readonly min: number
  readonly max: number
  readonly names?: readonly string[]
}

const DAYS = ['sun', 'mon', 'tue', 'wed', 'thu', 'fri', 'sat']
const MONTHS = ['jan', 'feb', 'mar', 'apr', 'may', 'jun', 'jul', 'aug', 'sep', 'oct', 'nov', 'dec']
const LONGEST_MONTHS = [31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]
/** Longer ones are no schedule; a list of every minute has 169 letters. */
const MAX_LENGTH = 1_000

const FIELDS: readonly Field[] = [
  { name: 'second', min: 0, max: 59 },
  { name: 'minute', min: 0, max: 59 },
  { name: 'hour', min: 0, max: 23 },
  { name: 'day of month', min: 1, max: 31 },
  { name: 'month', min: 1, max: 12, names: ['', ...MONTHS] },
  { name: 'day of week', min: 0, max: 7, names: DAYS },
]

const NICKNAMES: Readonly<Record<string, string>> = {
  '@yearly': '0 0 1 1 *',
  '@annually': '0 0 1 1 *',
  '@monthly': '0 0 1 * *',
  '@weekly': '0 0 * * 0',
  '@daily': '0 0 * * *',
  '@midnight': '0 0 * * *',
  '@hourly': '0 * * * *',
}

interface Word {
  readonly text: string
  /** From 1. */
  readonly column: number
}

/** @throws OpsError USAGE naming the field, the column and what was expected; also for a date that never comes */
export function parseCron(text: string): CronSpec {
  if (text.trim().startsWith('@')) return parseNickname(text.trim())
  const words = text.length > MAX_LENGTH ? [] : wordsOf(text)
  if (words.length !== 5 && words.length !== 6) {
    const got = text.length > MAX_LENGTH ? 'a longer text' : `${words.length}`
    throw wrong(text, `expected five fields (minute hour day month weekday), or six with seconds first, got ${got}`)
  }
  const [seconds, minutes, hours, daysOfMonth, months, daysOfWeek] = readFields(text, words)
  const starred = words.map((word) => word.text.startsWith('*'))
  const [minuteAt, dayAt, weekdayAt] = words.length === 6 ? [1, 3, 5] : [0, 2, 4]
  const spec: CronSpec = {
    seconds: seconds ?? [],
    minutes: minutes ?? [],
    hours: hours ?? [],
    daysOfMonth: new Set(daysOfMonth),
    months: months ?? [],
    daysOfWeek: new Set((daysOfWeek ?? []).map((day) => day % 7)),
    either: !starred[dayAt] && !starred[weekdayAt],
    isWildcard: starred.slice(0, minuteAt + 2).includes(true),
  }
  if (!comes(spec)) throw neverComes(text, spec, words[dayAt]?.column ?? 1)
  return spec
}

/** The name of a time zone as the machine knows it. @throws OpsError USAGE for one it does not know */
export function parseTimezone(text: string): string {
  try {
    return new Intl.DateTimeFormat('en', { timeZone: text }).resolvedOptions().timeZone
  } catch (cause) {
    const near = nearestName(text, Intl.supportedValuesOf('timeZone'))
    const hint = near === undefined ? 'expected one of the tz database, e.g. Europe/Vienna' : `did you mean "${near}"?`
    throw new OpsError('USAGE', `there is no time zone "${printableLine(text, 40)}"; ${hint}`, { cause })
  }
}

function parseNickname(text: string): CronSpec {
  const meaning = NICKNAMES[text.toLowerCase()]
  if (meaning !== undefined) return parseCron(meaning)
  const near = nearestName(text, Object.keys(NICKNAMES))
  const expected = `expected one of ${Object.keys(NICKNAMES).join(', ')}`
  const why = text.toLowerCase() === '@reboot' ? 'there is no @reboot here; ' : ''
  throw wrong(text, `column 1: ${why}${near === undefined ? expected : `did you mean "${near}"?`}`)
}

function wordsOf(text: string): Word[] {
  return [...text.matchAll(/\S+/g)].map((match) => ({ text: match[0], column: match.index + 1 }))
}

function readFields(text: string, words: readonly Word[]): number[][] {
  const read = words.map((word, index) => parseField(text, word, fieldAt(index + 6 - words.length)))
  return words.length === 6 ? read : [[0], ...read]
}

function fieldAt(index: number): Field {
  const field = FIELDS[index]
  if (field === undefined) throw new RangeError(`a cron expression has no field ${index}`)
  return field
}

function parseField(text: string, word: Word, field: Field): number[] {
  const found = new Set<number>()
  let { column } = word
  for (const part of word.text.split(',')) {
    for (const value of parsePart(text, { text: part, column }, field)) found.add(value)
    column += part.length + 1
  }
  return [...found].sort((a, b) => a - b)
}

function parsePart(text: string, part: Word, field: Field): number[] {
  const [range = '', step, ...more] = part.text.split('/')
  if (more.length > 0) throw wrongField(text, part, field)
  const [from, to] = parseRange(text, { text: range, column: part.column }, { field, hasStep: step !== undefined })
  const by = step === undefined ? 1 : parseStep(text, { text: step, column: part.column + range.length + 1 }, field)
  return Array.from({ length: Math.floor((to - from) / by) + 1 }, (_, index) => from + index * by)
}

function parseRange(
  text: string,
  range: Word,
  { field, hasStep }: { field: Field; hasStep: boolean },
): [number, number] {
  if (range.text === '*') return [field.min, field.name === 'day of week' ? 6 : field.max]
  const [first = '', last, ...more] = range.text.split('-')
  if (more.length > 0) throw wrongField(text, range, field)
  const from = parseValue(text, { text: first, column: range.column }, field)
  // `5/10` has no meaning in Vixie cron; other programs disagree about what it is.
  if (last === undefined && hasStep) {
    throw wrong(text, `${where(field, range)}: a step needs a range, e.g. */5 or ${from}-${field.max}/5`)
  }
  if (last === undefined) return [from, from]
  const to = parseValue(text, { text: last, column: range.column + first.length + 1 }, field)
  if (to < from) throw wrong(text, `${where(field, range)}: the range ${range.text} runs backwards`)
  return [from, to]
}

function parseValue(text: string, value: Word, field: Field): number {
  const named = field.names?.indexOf(value.text.toLowerCase()) ?? -1
  if (value.text !== '' && named >= 0) return named
  if (!/^\d{1,4}$/.test(value.text)) throw wrongField(text, value, field)
  const number = Number(value.text)
  if (number < field.min || number > field.max) throw wrongField(text, value, field)
  return number
}

function parseStep(text: string, step: Word, field: Field): number {
  const number = /^\d{1,4}$/.test(step.text) ? Number(step.text) : 0
  if (number >= 1 && number <= field.max) return number
  throw wrong(text, `${where(field, step)}: expected a step from 1 to ${field.max}, got "${shown(step.text)}"`)
}

/** Some day of some year is named: with both day fields in use a weekday always is. */
function comes({ months, daysOfMonth, either }: CronSpec): boolean {
  const first = Math.min(...daysOfMonth)
  return either || months.some((month) => first <= (LONGEST_MONTHS[month - 1] ?? 0))
}

function neverComes(text: string, { months, daysOfMonth }: CronSpec, column: number): OpsError {
  const days = [...daysOfMonth].join(', ')
  const names = months.map((month) => MONTHS[month - 1]).join(', ')
  return wrong(text, `day of month, column ${column}: it never comes, because ${names} has no day ${days}`)
}

function wrongField(text: string, word: Word, field: Field): OpsError {
  const names = field.names?.filter((name) => name !== '')
  const orName = names === undefined ? '' : ` or ${names[0]}-${names.at(-1)}`
  const expected = `expected ${field.min}-${field.max}${orName}, *, a list or a range`
  const near = names && nearestName(word.text, names)
  const got = word.text === '' ? 'nothing' : `"${shown(word.text)}"`
  return wrong(
    text,
    `${where(field, word)}: ${expected}, got ${got}${near === undefined ? '' : `; did you mean "${near}"?`}`,
  )
}

function where(field: Field, { column }: Word): string {
  return `${field.name}, column ${column}`
}

function wrong(text: string, message: string): OpsError {
  return new OpsError('USAGE', `"${printableLine(text, 60)}": ${message}`, {
    hint: 'Five fields: minute hour day-of-month month day-of-week, e.g. 0 2 * * * for 02:00 every day.',
  })
}

function shown(text: string): string {
  return printableLine(text, 20)
}

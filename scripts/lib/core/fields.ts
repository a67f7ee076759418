/**
 * Plain data from outside (parsed JSON), read field by field: what is not as expected is refused by name. For rooms that
 * must stand without a schema library; configuration is read by `config`.
 */
import { OpsError } from './errors.ts'

export type Fields = Readonly<Record<string, unknown>>

export interface FieldReader {
  object(value: unknown, name: string): Fields
  list(record: Fields, name: string): readonly unknown[]
  text(record: Fields, name: string): string
  /** Finite, and at least `least` (default 0). */
  number(record: Fields, name: string, least?: number): number
  oneOf<T extends string>(record: Fields, name: string, known: readonly T[]): T
}

/**
 * @param subject what is being read, as errors name it: `saved health`
 * @returns functions that throw OpsError DATA_MISMATCH naming the field
 */
export function createFieldReader(subject: string): FieldReader {
  const refuse = (name: string, expected: string): never => {
    throw new OpsError('DATA_MISMATCH', `${subject}: ${name} is not ${expected}`, {
      hint: 'It was not written by this version, or was changed: start without it.',
    })
  }
  return {
    object: (value, name) =>
      typeof value === 'object' && value !== null && !Array.isArray(value)
        ? (value as Fields)
        : refuse(name, 'an object'),
    list: (record, name) => {
      const value = record[name]
      return Array.isArray(value) ? (value as readonly unknown[]) : refuse(name, 'a list')
    },
    text: (record, name) => {
      const value = record[name]
      return typeof value === 'string' ? value : refuse(name, 'text')
    },
    number: (record, name, least = 0) => {
      const value = record[name]
      if (typeof value !== 'number' || !Number.isFinite(value) || value < least)
        return refuse(name, `a number from ${least}`)
      return value
    },
    oneOf: (record, name, known) =>
      known.find((word) => word === record[name]) ?? refuse(name, `one of ${known.join(', ')}`),
  }
}

/** A Config back to the text of an opskit.yaml that means the same: for `config.ts show`. */
import { stringify } from 'yaml'
import { redactValue } from '../core/redact.ts'
import { configSchema, type Config } from './schema/index.ts'
import { kindOf, mapValues } from './walk.ts'

const MS: readonly (readonly [unit: string, ms: number])[] = [
  ['d', 86_400_000],
  ['h', 3_600_000],
  ['m', 60_000],
  ['s', 1_000],
]
const BYTES: readonly (readonly [unit: string, bytes: number])[] = [
  ['GiB', 1024 ** 3],
  ['MiB', 1024 ** 2],
  ['KiB', 1024],
]

/** @returns YAML with every default written out; secrets as references, and what looks like one elsewhere masked */
export function renderConfig(config: Config): string {
  return stringify(redactValue(writtenForm(config)), { lineWidth: 0 })
}

/** Durations and sizes as texts with a unit, as the file has them. */
export function writtenForm(config: Config): unknown {
  return mapValues(configSchema, config, (schema, value) => {
    if (typeof value !== 'number') return value
    const kind = kindOf(schema)
    if (kind === 'duration') return withUnit(value, MS, 'ms')
    return kind === 'size' ? withUnit(value, BYTES, 'B') : value
  })
}

/** The largest unit that leaves no fraction. */
function withUnit(value: number, units: readonly (readonly [string, number])[], smallest: string): string {
  const [unit, factor] = units.find(([, size]) => value > 0 && value % size === 0) ?? [smallest, 1]
  return `${value / factor}${unit}`
}

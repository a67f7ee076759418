/**
 * Durations and sizes as people write them: `30s`, `5m`, `1h30m`, `2GiB`, `10MB`.
 * IEC units are powers of 1024, SI units powers of 1000 (IEC 80000-13).
 */
import { OpsError } from './errors.ts'
import { printableLine } from './printable.ts'

const MS_PER_UNIT: Readonly<Record<string, number>> = {
  ms: 1,
  s: 1_000,
  m: 60_000,
  min: 60_000,
  h: 3_600_000,
  d: 86_400_000,
  w: 604_800_000,
}

const BYTES_PER_UNIT: Readonly<Record<string, number>> = {
  b: 1,
  kb: 1e3,
  mb: 1e6,
  gb: 1e9,
  tb: 1e12,
  kib: 1024,
  mib: 1024 ** 2,
  gib: 1024 ** 3,
  tib: 1024 ** 4,
  pb: 1e15,
  pib: 1024 ** 5,
}

/**
 * Reads a duration; what `formatDuration` prints can be read back.
 * @returns milliseconds, never negative
 * @throws OpsError USAGE naming the text and an example
 */
export function parseDuration(text: string): number {
  const compact = text.trim().toLowerCase()
  let totalMs = 0
  for (const [, amount, unit] of compact.matchAll(/(\d+(?:\.\d+)?) ?(ms|s|min|m|h|d|w)/g)) {
    totalMs += Number(amount) * (MS_PER_UNIT[unit ?? ''] ?? Number.NaN)
  }
  if (!/^(?:\d+(?:\.\d+)? ?(?:ms|s|min|m|h|d|w) ?)+$/.test(compact) || totalMs > Number.MAX_SAFE_INTEGER) {
    throw new OpsError('USAGE', `"${shown(text)}" is not a duration`, {
      hint: 'Write a number and a unit: 500ms, 30s, 5m, 2h, 1d.',
    })
  }
  return totalMs
}

/** Milliseconds as a short text for people: `0 ms`, `340 ms`, `4.2 s`, `3 min 5 s`, `2 h 10 min`, `12 d 4 h`. */
export function formatDuration(ms: number): string {
  if (!Number.isFinite(ms)) return 'unknown'
  if (ms < 0) return `-${formatDuration(-ms)}`
  if (ms < 999.5) return `${Math.round(ms)} ms`
  if (ms < 59_950) return `${trimmed(ms / 1_000, 1)} s`
  const seconds = Math.round(ms / 1_000)
  if (seconds < 3_600) return pair([Math.floor(seconds / 60), 'min'], [seconds % 60, 's'])
  const minutes = Math.floor(seconds / 60)
  if (minutes < 1_440) return pair([Math.floor(minutes / 60), 'h'], [minutes % 60, 'min'])
  const hours = Math.floor(minutes / 60)
  return pair([Math.floor(hours / 24), 'd'], [hours % 24, 'h'])
}

/**
 * Reads a size.
 * @returns bytes, a whole number
 * @throws OpsError USAGE naming the text and an example
 */
export function parseSize(text: string): number {
  const match = /^(\d+(?:\.\d+)?) ?([kmgtp]?i?b)?$/i.exec(text.trim())
  const bytes = Math.round(Number(match?.[1]) * (BYTES_PER_UNIT[(match?.[2] ?? 'b').toLowerCase()] ?? Number.NaN))
  if (!Number.isSafeInteger(bytes)) {
    throw new OpsError('USAGE', `"${shown(text)}" is not a size`, {
      hint: 'Write a number and a unit: 512MiB, 2GiB, 10GB.',
    })
  }
  return bytes
}

/** Bytes as a short text in IEC units: `0 B`, `1.5 KiB`, `2 GiB`. */
export function formatSize(bytes: number): string {
  if (!Number.isFinite(bytes)) return 'unknown'
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB']
  let value = bytes
  let unit = 0
  while (Math.abs(value) >= 1023.95 && unit < units.length - 1) {
    value /= 1024
    unit += 1
  }
  return `${trimmed(value, unit === 0 ? 0 : 1)} ${units[unit]}`
}

/** What was typed, short enough for an error message. */
function shown(text: string): string {
  return printableLine(text, 40)
}

function trimmed(value: number, digits: number): string {
  return value.toFixed(digits).replace(/\.0+$/, '')
}

function pair(big: [number, string], small: [number, string]): string {
  return small[0] === 0 ? `${big[0]} ${big[1]}` : `${big[0]} ${big[1]} ${small[0]} ${small[1]}`
}

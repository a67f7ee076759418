/**
 * A target's health across a restart. What is saved is the record itself with its moments counted from the moment of saving
 * (past ones negative), because a monotonic clock starts anew with each process. Read back as untrusted text.
 */
import { createFieldReader, type Fields } from '../core/fields.ts'
import type { Cause, Health, ResultWindow, TargetHealth } from './types.ts'

/** The record as JSON data, its moments relative to `nowMs`. */
export function saveHealth(target: TargetHealth, nowMs: number): TargetHealth {
  return shift(target, -nowMs)
}

/**
 * The record again, on the clock of this process.
 * @param elapsedMs time since it was saved; by the wall clock if need be, never negative
 * @throws OpsError DATA_MISMATCH naming the field that is not what `saveHealth` writes
 */
export function restoreHealth(saved: unknown, nowMs: number, elapsedMs: number): TargetHealth {
  return shift(readTarget(saved), nowMs - Math.max(0, elapsedMs))
}

function shift(target: TargetHealth, byMs: number): TargetHealth {
  const { health, window, latencyMs, flaps, flapAtMs } = target
  return {
    health: shiftState(health, byMs),
    window: { ...window, startedMs: window.startedMs + byMs },
    latencyMs,
    flaps,
    flapAtMs: flapAtMs + byMs,
  }
}

function shiftState(health: Health, byMs: number): Health {
  const sinceMs = health.sinceMs + byMs
  if (health.state === 'suspect') return { ...health, sinceMs, lastFailureMs: health.lastFailureMs + byMs }
  if ('heldUntilMs' in health) return { ...health, sinceMs, heldUntilMs: health.heldUntilMs + byMs }
  return { ...health, sinceMs }
}

const read = createFieldReader('saved health')
/** Moments relative to the saving are negative when they are past. */
const ANY = Number.MIN_SAFE_INTEGER

function readTarget(value: unknown): TargetHealth {
  const record = read.object(value, 'health record')
  return {
    health: readState(read.object(record['health'], 'health')),
    window: readWindow(read.object(record['window'], 'window')),
    latencyMs: record['latencyMs'] === undefined ? undefined : read.number(record, 'latencyMs'),
    flaps: read.number(record, 'flaps'),
    flapAtMs: read.number(record, 'flapAtMs', ANY),
  }
}

function readState(record: Fields): Health {
  const sinceMs = read.number(record, 'sinceMs', ANY)
  const out = () => ({
    sinceMs,
    cause: read.oneOf<Cause>(record, 'cause', ['failures', 'loss', 'decisive']),
    passes: read.number(record, 'passes'),
    heldUntilMs: read.number(record, 'heldUntilMs', ANY),
  })
  switch (read.oneOf(record, 'state', ['healthy', 'suspect', 'unhealthy', 'isolated'])) {
    case 'healthy':
      return { state: 'healthy', sinceMs }
    case 'suspect':
      return {
        state: 'suspect',
        sinceMs,
        failures: read.number(record, 'failures'),
        lastFailureMs: read.number(record, 'lastFailureMs', ANY),
      }
    case 'unhealthy':
      return { state: 'unhealthy', ...out() }
    case 'isolated':
      return read.oneOf(record, 'by', ['hand', 'flapping']) === 'hand'
        ? { state: 'isolated', by: 'hand', sinceMs }
        : { state: 'isolated', by: 'flapping', ...out() }
  }
}

function readWindow(record: Fields): ResultWindow {
  return {
    startedMs: read.number(record, 'startedMs', ANY),
    total: read.number(record, 'total'),
    failed: read.number(record, 'failed'),
    totalBefore: read.number(record, 'totalBefore'),
    failedBefore: read.number(record, 'failedBefore'),
  }
}

/** A breaker across a restart: moments relative to the moment of saving, read back as untrusted data. */
import { createFieldReader } from '../core/fields.ts'
import type { BreakerState } from './breaker-state.ts'
import type { CallWindow, SavedSlot } from './window.ts'

/** `null` stands for "by hand": JSON has no Infinity. A half-open breaker is saved as one that is due to be probed. */
export type SavedBreaker =
  | {
      readonly state: 'closed'
      readonly ageMs: number
      readonly failuresInARow: number
      readonly slots: readonly SavedSlot[]
    }
  | {
      readonly state: 'open'
      readonly ageMs: number
      readonly leftMs: number | null
      readonly opens: number
      readonly because: string
    }

interface SaveFacts {
  readonly state: BreakerState
  readonly failuresInARow: number
  readonly window: CallWindow | undefined
  readonly nowMs: number
}

export function saveBreaker({ state, failuresInARow, window, nowMs }: SaveFacts): SavedBreaker {
  const ageMs = nowMs - state.sinceMs
  switch (state.state) {
    case 'closed':
      return { state: 'closed', ageMs, failuresInARow, slots: window?.save(nowMs) ?? [] }
    case 'open': {
      const leftMs = state.untilMs === Infinity ? null : Math.max(0, state.untilMs - nowMs)
      return { state: 'open', ageMs, leftMs, opens: state.opens, because: state.because }
    }
    case 'half-open':
      return { state: 'open', ageMs, leftMs: 0, opens: state.opens, because: 'its probes had not ended' }
  }
}

const read = createFieldReader('saved breaker')

/** @throws OpsError DATA_MISMATCH naming the field */
export function restoreBreaker(
  saved: unknown,
  { nowMs, elapsedMs, hasWindow }: { nowMs: number; elapsedMs: number; hasWindow: boolean },
): { readonly state: BreakerState; readonly failuresInARow: number; readonly slots: readonly SavedSlot[] } {
  const record = read.object(saved, 'breaker')
  const savedAtMs = nowMs - Math.max(0, elapsedMs)
  const sinceMs = savedAtMs - read.number(record, 'ageMs')
  if (read.oneOf(record, 'state', ['closed', 'open']) === 'closed') {
    const slots = hasWindow ? read.list(record, 'slots').map((slot) => readSlot(slot, Math.max(0, elapsedMs))) : []
    return { state: { state: 'closed', sinceMs }, failuresInARow: read.number(record, 'failuresInARow'), slots }
  }
  const untilMs = record['leftMs'] === null ? Infinity : savedAtMs + read.number(record, 'leftMs')
  const because = read.text(record, 'because')
  return {
    state: { state: 'open', sinceMs, untilMs, opens: read.number(record, 'opens', 1), because },
    failuresInARow: 0,
    slots: [],
  }
}

function readSlot(value: unknown, elapsedMs: number): SavedSlot {
  const slot = read.object(value, 'slot')
  return {
    ageMs: read.number(slot, 'ageMs') + elapsedMs,
    total: read.number(slot, 'total'),
    failures: read.number(slot, 'failures'),
    slow: read.number(slot, 'slow'),
  }
}

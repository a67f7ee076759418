/**
 * How much was lost lately, in five numbers: the counts of the current window and of the one before, which fades out as
 * the current one fills (the "sliding window counter" of rate limiters). Exact at a window's end, an estimate in between.
 */
import type { ResultWindow } from './types.ts'

export function startWindow(nowMs: number): ResultWindow {
  return { startedMs: nowMs, total: 0, failed: 0, totalBefore: 0, failedBefore: 0 }
}

export function countResult(window: ResultWindow, failed: boolean, nowMs: number, windowMs: number): ResultWindow {
  const current = turnWindow(window, nowMs, windowMs)
  return {
    startedMs: current.startedMs,
    total: current.total + 1,
    failed: current.failed + (failed ? 1 : 0),
    totalBefore: current.totalBefore,
    failedBefore: current.failedBefore,
  }
}

/** @returns how many results the last `windowMs` hold (a fraction, between windows) and the share that failed; 0 of none */
export function readLoss(
  window: ResultWindow,
  nowMs: number,
  windowMs: number,
): { readonly total: number; readonly lossRatio: number } {
  const current = turnWindow(window, nowMs, windowMs)
  const fading = 1 - (nowMs - current.startedMs) / windowMs
  const total = current.total + current.totalBefore * fading
  const failed = current.failed + current.failedBefore * fading
  return { total, lossRatio: total === 0 ? 0 : failed / total }
}

function turnWindow(window: ResultWindow, nowMs: number, windowMs: number): ResultWindow {
  const turns = Math.floor((nowMs - window.startedMs) / windowMs)
  if (turns <= 0) return window
  return {
    startedMs: window.startedMs + turns * windowMs,
    total: 0,
    failed: 0,
    totalBefore: turns === 1 ? window.total : 0,
    failedBefore: turns === 1 ? window.failed : 0,
  }
}

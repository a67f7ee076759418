/**
 * A limit to retries over all calls together: when everything fails, retrying everything makes it worse. A token bucket as
 * in Finagle and gRPC: each call pays in a share of a token, each retry takes out one, and a few per second are free.
 */
import { OpsError } from '../core/errors.ts'

export interface RetryBudgetOptions {
  /** Retries allowed per call; default 0.2. */
  readonly ratio?: number
  /** Retries per second allowed whatever the traffic; default 10. */
  readonly perSecond?: number
  /** Tokens that can be saved up, and are there at the start; default 100. */
  readonly burst?: number
}

export interface RetryBudget {
  /** A call begins. */
  deposit(): void
  hasLeft(nowMs: number): boolean
  /** Takes one retry. @returns false, and takes nothing, when none is left */
  withdraw(nowMs: number): boolean
}

/** @throws OpsError USAGE for a negative amount */
export function createRetryBudget({ ratio = 0.2, perSecond = 10, burst = 100 }: RetryBudgetOptions = {}): RetryBudget {
  if (!(ratio >= 0 && perSecond >= 0 && burst >= 1)) {
    throw new OpsError('USAGE', 'retry budget: an amount makes no sense', {
      hint: 'ratio and perSecond must be at least 0, burst at least 1.',
    })
  }
  let tokens = burst
  let filledMs: number | undefined

  const fill = (nowMs: number) => {
    const passedMs = Math.max(0, nowMs - (filledMs ?? nowMs))
    tokens = Math.min(burst, tokens + (passedMs / 1000) * perSecond)
    filledMs = nowMs
  }
  const hasLeft = (nowMs: number) => {
    fill(nowMs)
    return tokens >= 1
  }
  return {
    deposit() {
      tokens = Math.min(burst, tokens + ratio)
    },
    hasLeft,
    withdraw(nowMs) {
      if (!hasLeft(nowMs)) return false
      tokens -= 1
      return true
    },
  }
}

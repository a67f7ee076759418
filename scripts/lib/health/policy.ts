/** What it takes to change the belief about a target: the defaults, and the values that make no sense. */
import { OpsError } from '../core/errors.ts'
import type { FlapRule, HealthPolicy, LossRule } from './types.ts'

/** As in HAProxy and keepalived: three failures put a target out, two passes bring it back. */
export const DEFAULT_HEALTH_POLICY: HealthPolicy = Object.freeze({
  fall: 3,
  rise: 2,
  windowMs: 60_000,
  flap: Object.freeze({ limit: 5, halfLifeMs: 300_000, holdMs: 5_000, maxHoldMs: 300_000 }),
})

export interface HealthPolicyOptions {
  readonly fall?: number
  readonly rise?: number
  readonly windowMs?: number
  readonly loss?: LossRule | undefined
  /** `false` turns damping off. */
  readonly flap?: Partial<FlapRule> | false
}

/**
 * A whole policy from the parts that differ from the default.
 * @throws OpsError USAGE naming the option and what it may be
 */
export function createHealthPolicy(options: HealthPolicyOptions = {}): HealthPolicy {
  const flap = options.flap === false ? undefined : { ...DEFAULT_HEALTH_POLICY.flap, ...options.flap }
  const policy = {
    fall: options.fall ?? DEFAULT_HEALTH_POLICY.fall,
    rise: options.rise ?? DEFAULT_HEALTH_POLICY.rise,
    windowMs: options.windowMs ?? DEFAULT_HEALTH_POLICY.windowMs,
    ...(options.loss && { loss: Object.freeze({ ...options.loss }) }),
    ...(flap && { flap: Object.freeze(flap) as FlapRule }),
  }
  requireWhole('fall', policy.fall)
  requireWhole('rise', policy.rise)
  requireOver('windowMs', policy.windowMs, 0)
  if (policy.loss) checkLoss(policy.loss)
  if (policy.flap) checkFlap(policy.flap)
  return Object.freeze(policy)
}

function checkLoss({ unhealthyRatio, healthyRatio, minimumResults }: LossRule): void {
  requireWhole('loss.minimumResults', minimumResults)
  if (!(unhealthyRatio > 0 && unhealthyRatio <= 1))
    refuse('loss.unhealthyRatio', unhealthyRatio, 'over 0 and at most 1')
  if (!(healthyRatio >= 0 && healthyRatio < unhealthyRatio)) {
    refuse('loss.healthyRatio', healthyRatio, `from 0 to under loss.unhealthyRatio (${unhealthyRatio})`)
  }
}

function checkFlap(flap: FlapRule): void {
  if (!(flap.limit >= 2)) refuse('flap.limit', flap.limit, 'at least 2')
  requireOver('flap.halfLifeMs', flap.halfLifeMs, 0)
  requireOver('flap.holdMs', flap.holdMs, -1)
  if (!(flap.maxHoldMs >= flap.holdMs))
    refuse('flap.maxHoldMs', flap.maxHoldMs, `at least flap.holdMs (${flap.holdMs})`)
}

function requireWhole(name: string, value: number): void {
  if (!Number.isInteger(value) || value < 1) refuse(name, value, 'a whole number from 1')
}

function requireOver(name: string, value: number, limit: number): void {
  if (!(Number.isFinite(value) && value > limit)) refuse(name, value, `a number over ${limit}`)
}

function refuse(name: string, value: unknown, allowed: string): never {
  throw new OpsError('USAGE', `health policy: ${name} is ${String(value)}`, { hint: `It must be ${allowed}.` })
}

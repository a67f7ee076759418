/**
 * Is a target up? Probe results in, belief and its reason out. The only failure detector of the toolkit: routes, endpoints,
 * upstreams, promotion, agents and calls all use it. Pure: no clock, no I/O; whoever probes keeps the record.
 *
 *   healthy    answers. A failure makes it suspect, `fall` failures in a row (none further apart than `windowMs`), too much
 *              loss in the window, or one decisive failure make it unhealthy.
 *   suspect    failed lately, still used. One pass makes it healthy again.
 *   unhealthy  not used. Healthy again after `rise` passes in a row, not before its hold is over, and, if loss put it out,
 *              once loss is low. A failure starts the count of passes again.
 *   isolated   by flapping: as unhealthy, but went out so often that its hold is long. By hand: until `release`.
 */
import { formatDuration } from '../core/duration.ts'
import { countResult, readLoss, startWindow } from './window.ts'
import type { Cause, FlapRule, Health, HealthPolicy, Observation, ProbeResult, TargetHealth } from './types.ts'

// Weight of the newest latency in the smoothed one; TCP gives its newest round trip 1/8 (RFC 6298), probes are rarer.
const NEWEST_LATENCY = 0.25

/** A target of which nothing is known yet. `healthy` is tried at once; `unhealthy` must pass `rise` probes first. */
export function startHealth(nowMs: number, assume: 'healthy' | 'unhealthy' = 'healthy'): TargetHealth {
  const health: Health =
    assume === 'healthy'
      ? { state: 'healthy', sinceMs: nowMs }
      : { state: 'unhealthy', sinceMs: nowMs, cause: 'failures', passes: 0, heldUntilMs: nowMs }
  return { health, window: startWindow(nowMs), latencyMs: undefined, flaps: 0, flapAtMs: nowMs }
}

/** True when a target may be given work: healthy or suspect. */
export function isUsable(target: TargetHealth): boolean {
  return target.health.state === 'healthy' || target.health.state === 'suspect'
}

/** What is believed after one more result. */
export function observe(target: TargetHealth, result: ProbeResult, nowMs: number, policy: HealthPolicy): Observation {
  if (result.outcome === 'unknown') return { target, because: `no evidence: ${result.because}` }
  const failed = result.outcome === 'fail'
  const counted = count(
    target,
    failed ? undefined : result.latencyMs,
    countResult(target.window, failed, nowMs, policy.windowMs),
  )
  return result.outcome === 'pass' ? passed(counted, nowMs, policy) : failedBy(counted, result, nowMs, policy)
}

/** Takes a target out by hand, until `release`. Results go on being counted. */
export function isolate(target: TargetHealth, nowMs: number, because: string): Observation {
  return turn(target, { state: 'isolated', by: 'hand', sinceMs: nowMs }, `isolated by hand: ${because}`)
}

/** Forgets outages and holds: the target is used again, on probation (the next failure puts it out). */
export function release(target: TargetHealth, nowMs: number, policy: HealthPolicy): Observation {
  if (isUsable(target)) return { target, because: 'was not out' }
  const forgiven = { ...target, window: startWindow(nowMs), flaps: 0, flapAtMs: nowMs }
  const health: Health = { state: 'suspect', sinceMs: nowMs, failures: policy.fall - 1, lastFailureMs: nowMs }
  return turn(forgiven, health, 'released by hand: the next failure puts it out')
}

function passed(target: TargetHealth, nowMs: number, policy: HealthPolicy): Observation {
  const { health } = target
  switch (health.state) {
    case 'healthy':
      return { target, because: 'passes' }
    case 'suspect':
      return turn(target, { state: 'healthy', sinceMs: nowMs }, `passes again after ${failuresInARow(health.failures)}`)
    case 'isolated':
      if (health.by === 'hand') return { target, because: 'passes, but is isolated by hand' }
      return risen(target, health, nowMs, policy)
    case 'unhealthy':
      return risen(target, health, nowMs, policy)
  }
}

type Out = Extract<Health, { cause: Cause }>

function risen(target: TargetHealth, health: Out, nowMs: number, policy: HealthPolicy): Observation {
  const passes = health.passes + 1
  const waiting = (because: string): Observation => ({ target: { ...target, health: { ...health, passes } }, because })
  if (passes < policy.rise) return waiting(`${passes} of ${policy.rise} passes in a row`)
  if (nowMs < health.heldUntilMs) {
    return waiting(`passes, held for ${formatDuration(health.heldUntilMs - nowMs)} more: ${outagesOf(target)}`)
  }
  if (health.cause === 'loss' && policy.loss) {
    const { total, lossRatio } = readLoss(target.window, nowMs, policy.windowMs)
    if (total < policy.loss.minimumResults || lossRatio > policy.loss.healthyRatio) {
      return waiting(`passes, loss is ${percent(lossRatio)}, back at ${percent(policy.loss.healthyRatio)}`)
    }
  }
  const fresh = health.cause === 'loss' ? target : { ...target, window: startWindow(nowMs) }
  const outMs = nowMs - health.sinceMs
  return turn(
    fresh,
    { state: 'healthy', sinceMs: nowMs },
    `${passInARow(passes)}, was out for ${formatDuration(outMs)}`,
  )
}

function failedBy(
  target: TargetHealth,
  { because, decisive = false }: Extract<ProbeResult, { outcome: 'fail' }>,
  nowMs: number,
  policy: HealthPolicy,
): Observation {
  const { health } = target
  if (health.state === 'isolated' && health.by === 'hand') return { target, because: `fails: ${because}` }
  if (health.state === 'unhealthy' || health.state === 'isolated') {
    const stillOut = health.passes === 0 ? target : { ...target, health: { ...health, passes: 0 } }
    return { target: stillOut, because: `still fails: ${because}` }
  }
  const inARow = health.state === 'suspect' && nowMs - health.lastFailureMs <= policy.windowMs
  const failures = inARow ? health.failures + 1 : 1
  if (decisive) return goOut(target, 'decisive', because, { nowMs, policy })
  if (failures >= policy.fall)
    return goOut(target, 'failures', `${failuresInARow(failures)}: ${because}`, { nowMs, policy })
  const suspect: Health = {
    state: 'suspect',
    sinceMs: health.state === 'suspect' ? health.sinceMs : nowMs,
    failures,
    lastFailureMs: nowMs,
  }
  return (
    lossy(target, nowMs, policy) ?? turn(target, suspect, `${failures} of ${policy.fall} failures in a row: ${because}`)
  )
}

function lossy(target: TargetHealth, nowMs: number, policy: HealthPolicy): Observation | undefined {
  if (!policy.loss) return undefined
  const { total, lossRatio } = readLoss(target.window, nowMs, policy.windowMs)
  if (total < policy.loss.minimumResults || lossRatio < policy.loss.unhealthyRatio) return undefined
  const because = `${percent(lossRatio)} of ${Math.round(total)} results failed, limit ${percent(policy.loss.unhealthyRatio)}`
  return goOut(target, 'loss', because, { nowMs, policy })
}

/** Out it goes; the window starts again, so that what counts for coming back is what was seen since. */
function goOut(
  target: TargetHealth,
  cause: Cause,
  because: string,
  { nowMs, policy }: { nowMs: number; policy: HealthPolicy },
): Observation {
  const flaps = policy.flap ? flapsAt(target, nowMs, policy.flap) + 1 : 0
  const record = { ...target, window: startWindow(nowMs), flaps, flapAtMs: nowMs }
  const out = { sinceMs: nowMs, cause, passes: 0, heldUntilMs: nowMs + holdOf(flaps, policy.flap) }
  // Rounded, because some of the last outage has always been forgotten by the time of the next.
  if (policy.flap && Math.round(flaps) >= policy.flap.limit) {
    return turn(record, { state: 'isolated', by: 'flapping', ...out }, `${because}; ${outagesOf(record)}`)
  }
  return turn(record, { state: 'unhealthy', ...out }, because)
}

function flapsAt(target: TargetHealth, nowMs: number, { halfLifeMs }: FlapRule): number {
  return target.flaps * 0.5 ** (Math.max(0, nowMs - target.flapAtMs) / halfLifeMs)
}

function holdOf(flaps: number, rule: FlapRule | undefined): number {
  const outages = Math.round(flaps)
  if (!rule || outages < 2) return 0
  return Math.min(rule.maxHoldMs, rule.holdMs * 2 ** (outages - 2))
}

function count(target: TargetHealth, latencyMs: number | undefined, window: TargetHealth['window']): TargetHealth {
  const { health, latencyMs: smoothed, flaps, flapAtMs } = target
  if (latencyMs === undefined) return { health, window, latencyMs: smoothed, flaps, flapAtMs }
  const next = smoothed === undefined ? latencyMs : smoothed + (latencyMs - smoothed) * NEWEST_LATENCY
  return { health, window, latencyMs: next, flaps, flapAtMs }
}

function turn(target: TargetHealth, health: Health, because: string): Observation {
  const next = { ...target, health }
  const from = target.health.state
  return from === health.state
    ? { target: next, because }
    : { target: next, because, changed: { from, to: health.state } }
}

function failuresInARow(failures: number): string {
  return failures === 1 ? '1 failure' : `${failures} failures in a row`
}

function passInARow(passes: number): string {
  return passes === 1 ? '1 pass' : `${passes} passes in a row`
}

function outagesOf({ flaps }: TargetHealth): string {
  return `it went out ${Math.max(1, Math.round(flaps))} times lately`
}

function percent(ratio: number): string {
  return `${Math.round(ratio * 1000) / 10} %`
}

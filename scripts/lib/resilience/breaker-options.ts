/** When a breaker opens and closes: the options, their defaults, and the values that make no sense. */
import { OpsError } from '../core/errors.ts'

export interface BreakerOptions {
  /** Named in errors and events. */
  readonly name?: string
  /** Failures in a row that open it; default 5. Infinity: none do. */
  readonly failureThreshold?: number
  /** Share of failed calls in the window (over 0, at most 1) from which it opens; default: not looked at. */
  readonly failureRate?: number
  /** Share of calls that failed or took `slowCallMs` or longer from which it opens; default: not looked at. */
  readonly slowRate?: number
  /** Required by `slowRate`. */
  readonly slowCallMs?: number
  /** The shares decide nothing before the window holds so many calls; default 20. */
  readonly minimumCalls?: number
  /** The window in time; default 30 s. */
  readonly windowMs?: number
  /** The window in calls, in place of time. */
  readonly windowCalls?: number
  /** How long it stays open: a time, or one for the n-th opening in a row (1 is the first). Default 30 s. */
  readonly openMs?: number | ((opens: number) => number)
  /** Calls let through while half-open; default 3. */
  readonly probes?: number
  /** How many of them must succeed to close it; default all. */
  readonly probeSuccesses?: number
  /** A probe that has not ended by then counts as failed; default 60 s. */
  readonly probeTimeoutMs?: number
  /** Limit of each call made by `run`; default none. */
  readonly timeoutMs?: number
}

/** All options with their defaults; what is off is Infinity. */
export interface BreakerRules {
  readonly name: string
  readonly failureThreshold: number
  readonly failureRate: number
  readonly slowRate: number
  readonly slowCallMs: number
  readonly minimumCalls: number
  readonly windowMs: number
  readonly windowCalls: number | undefined
  readonly openMs: (opens: number) => number
  readonly probes: number
  readonly probeSuccesses: number
  readonly probeTimeoutMs: number
  readonly timeoutMs: number
}

/** @throws OpsError USAGE naming the option and what it may be */
export function readBreakerOptions(options: BreakerOptions): BreakerRules {
  const { openMs = 30_000, probes = 3 } = options
  const windowCalls = options.windowCalls
  const rules: BreakerRules = {
    name: options.name ?? 'breaker',
    failureThreshold: options.failureThreshold ?? 5,
    failureRate: options.failureRate ?? Infinity,
    slowRate: options.slowRate ?? Infinity,
    slowCallMs: options.slowCallMs ?? Infinity,
    minimumCalls: options.minimumCalls ?? Math.min(20, windowCalls ?? 20),
    windowMs: options.windowMs ?? 30_000,
    windowCalls,
    openMs: typeof openMs === 'number' ? () => openMs : openMs,
    probes,
    probeSuccesses: options.probeSuccesses ?? probes,
    probeTimeoutMs: options.probeTimeoutMs ?? 60_000,
    timeoutMs: options.timeoutMs ?? Infinity,
  }
  checkCounts(rules)
  checkRates(rules)
  if (typeof openMs === 'number') requireOver('openMs', openMs)
  for (const name of ['windowMs', 'slowCallMs', 'probeTimeoutMs', 'timeoutMs'] as const) requireOver(name, rules[name])
  return rules
}

function checkCounts(rules: BreakerRules): void {
  const { failureThreshold, minimumCalls, windowCalls, probes, probeSuccesses } = rules
  if (failureThreshold !== Infinity) requireWhole('failureThreshold', failureThreshold)
  requireWhole('minimumCalls', minimumCalls)
  requireWhole('probes', probes)
  requireWhole('probeSuccesses', probeSuccesses)
  if (probeSuccesses > probes) refuse('probeSuccesses', probeSuccesses, `at most probes (${probes})`)
  if (windowCalls === undefined) return
  requireWhole('windowCalls', windowCalls)
  if (minimumCalls > windowCalls) refuse('minimumCalls', minimumCalls, `at most windowCalls (${windowCalls})`)
}

function checkRates({ failureRate, slowRate, slowCallMs }: BreakerRules): void {
  for (const [name, rate] of Object.entries({ failureRate, slowRate })) {
    if (rate !== Infinity && !(rate > 0 && rate <= 1)) refuse(name, rate, 'over 0 and at most 1')
  }
  if (slowRate !== Infinity && slowCallMs === Infinity) refuse('slowCallMs', undefined, 'set, because slowRate is')
}

function requireWhole(name: string, value: number): void {
  if (!Number.isSafeInteger(value) || value < 1) refuse(name, value, 'a whole number from 1')
}

function requireOver(name: string, value: number): void {
  if (!(value > 0)) refuse(name, value, 'over 0')
}

function refuse(name: string, value: unknown, allowed: string): never {
  throw new OpsError('USAGE', `breaker: ${name} is ${String(value)}`, { hint: `It must be ${allowed}.` })
}

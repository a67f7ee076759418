/**
 * How good is a target, from 0 to 100, and is another one so much better that it is worth a switch?
 * The weights are those of line quality: loss hurts more than latency, and a target that loses everything is worth nothing.
 */
import { readLoss } from './window.ts'
import type { HealthPolicy, TargetHealth } from './types.ts'

export interface ScoreWeights {
  /** Points for losing nothing. */
  readonly loss: number
  /** Points for answering at once. */
  readonly latency: number
  /** Latency that earns none of the latency points. */
  readonly worstLatencyMs: number
}

export const LINE_WEIGHTS: ScoreWeights = Object.freeze({ loss: 60, latency: 40, worstLatencyMs: 200 })

/** @returns 0 (loses everything) to the sum of the weights; a latency that was never measured earns no points */
export function scoreOf(
  { lossRatio, latencyMs }: { readonly lossRatio: number; readonly latencyMs: number | undefined },
  weights: ScoreWeights = LINE_WEIGHTS,
): number {
  if (!(lossRatio < 1)) return 0
  const swiftness = latencyMs === undefined ? 0 : Math.max(0, 1 - latencyMs / weights.worstLatencyMs)
  return weights.loss * (1 - Math.max(0, lossRatio)) + weights.latency * swiftness
}

/** The score of a target by its own record; undefined while nothing was seen in the window. */
export function scoreTarget(
  target: TargetHealth,
  nowMs: number,
  policy: HealthPolicy,
  weights?: ScoreWeights,
): number | undefined {
  const { total, lossRatio } = readLoss(target.window, nowMs, policy.windowMs)
  return total === 0 ? undefined : scoreOf({ lossRatio, latencyMs: target.latencyMs }, weights)
}

export interface Candidate {
  readonly id: string
  /** Lower comes first, whatever the scores. */
  readonly priority: number
  readonly score: number
  readonly usable: boolean
}

export interface Preference {
  /** Undefined when no candidate is usable. */
  readonly id: string | undefined
  readonly because: string
}

/**
 * Which candidate to use: the usable one of the lowest priority number, then of the highest score. Between equal priorities
 * the current one stays until another is better by more than `margin` points, so that two alike never take turns.
 */
export function decidePreferred(
  candidates: readonly Candidate[],
  currentId: string | undefined,
  margin: number,
): Preference {
  const usable = candidates.filter((candidate) => candidate.usable)
  const [best] = [...usable].sort((a, b) => a.priority - b.priority || b.score - a.score)
  if (!best) return { id: undefined, because: candidates.length === 0 ? 'there are no candidates' : 'none is usable' }
  const current = candidates.find((candidate) => candidate.id === currentId)
  if (!current) return { id: best.id, because: `${best.id} is the best of ${usable.length}` }
  if (!current.usable) return { id: best.id, because: `${current.id} is out, ${best.id} is the best left` }
  if (best.id === current.id) return { id: current.id, because: `${current.id} is still the best` }
  if (best.priority < current.priority) {
    return { id: best.id, because: `${best.id} comes before ${current.id} (priority ${best.priority}) and is usable` }
  }
  const lead = best.score - current.score
  const figures = `by ${Math.round(lead * 10) / 10} points, margin ${margin}`
  return lead > margin
    ? { id: best.id, because: `${best.id} is better than ${current.id} ${figures}` }
    : { id: current.id, because: `${current.id} stays: ${best.id} is better only ${figures}` }
}

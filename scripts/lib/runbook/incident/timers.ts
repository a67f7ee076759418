/** What has to have happened by when, and who is told when it has not. Pure: whoever looks hands in the time. */
import type { Milestone, Timer } from '../types.ts'
import type { Incident, Rung } from './types.ts'

export interface TimerView {
  readonly timer: Timer
  /** Wall clock, milliseconds. */
  readonly dueAt: number
  readonly state: 'running' | 'overdue' | 'stopped'
  /** When it was stopped. */
  readonly stoppedAt?: number
}

export type Due =
  | { readonly kind: 'timer'; readonly timer: Timer; readonly dueAt: number }
  | { readonly kind: 'rung'; readonly index: number; readonly rung: Rung; readonly dueAt: number }

/** In order of their ends. */
export function viewTimers(incident: Incident, now: number): TimerView[] {
  return incident.timers
    .map((timer): TimerView => {
      const dueAt = incident.startedAt + timer.afterMs
      const stoppedAt = stoppedSince(incident, timer.stoppedBy)
      if (stoppedAt !== undefined) return { timer, dueAt, state: 'stopped', stoppedAt }
      return { timer, dueAt, state: isTicking(incident) ? (now >= dueAt ? 'overdue' : 'running') : 'stopped' }
    })
    .sort((a, b) => a.dueAt - b.dueAt)
}

/** What has to be told now, earliest first; each is told once, whoever is first to look. */
export function decideDue(incident: Incident, now: number): Due[] {
  if (!isTicking(incident)) return []
  const timers = viewTimers(incident, now)
    .filter(({ state, timer }) => state === 'overdue' && !incident.fired.includes(timer.name))
    .map(({ timer, dueAt }): Due => ({ kind: 'timer', timer, dueAt }))
  const rungs = incident.ladder.flatMap((rung, index): Due[] => {
    const dueAt = incident.startedAt + rung.afterMs
    const isOver = incident.rungs.includes(index) || stoppedSince(incident, rung.stoppedBy) !== undefined
    return now >= dueAt && !isOver ? [{ kind: 'rung', index, rung, dueAt }] : []
  })
  return [...timers, ...rungs].sort((a, b) => a.dueAt - b.dueAt)
}

/**
 * The clock of an incident goes on when the runbook is done: the cause is still to be found and written down. It stops
 * when nothing is left to be done about it.
 */
export function isTicking({ closed, reached, drill }: Incident): boolean {
  if (reached.resolved) return false
  return closed === undefined || (closed.outcome !== 'aborted' && !drill)
}

/** What is resolved was mitigated; a cause has to be named by itself. */
function stoppedSince({ acknowledged, reached }: Incident, by: Timer['stoppedBy']): number | undefined {
  if (by === 'ack') return acknowledged?.at
  const later: readonly Milestone[] = by === 'mitigated' ? ['mitigated', 'resolved'] : [by]
  const times = later.flatMap((milestone) => reached[milestone]?.at ?? [])
  return times.length === 0 ? undefined : Math.min(...times)
}

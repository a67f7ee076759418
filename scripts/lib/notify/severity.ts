/** The order of severities, and their numbers in the outbox. */
import { NOTIFY_SEVERITIES } from '../config/notify-words.ts'
import type { NotifySeverity } from '../config/types.ts'

export function rankOf(severity: NotifySeverity): number {
  return NOTIFY_SEVERITIES.indexOf(severity)
}

/** The severity of a stored rank; a rank of a later version counts as the worst. */
export function severityOf(rank: number): NotifySeverity {
  return NOTIFY_SEVERITIES[rank] ?? 'critical'
}

export function atLeast(severity: NotifySeverity, least: NotifySeverity): boolean {
  return rankOf(severity) >= rankOf(least)
}

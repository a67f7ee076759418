/** A moment as every report shows it: in UTC, because hosts and readers sit in different time zones. */

/** `2026-11-20 23:25:03 UTC`. */
export function formatMoment(epochMs: number): string {
  return `${new Date(epochMs).toISOString().slice(0, 19).replace('T', ' ')} UTC`
}

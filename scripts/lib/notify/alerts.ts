/** Alerts that are open: the same trouble, counted, from the first time to its end. Messages about them are in outbox.ts. */
import type { Journal, SqlRow } from '../journal/types.ts'
import { rankOf, severityOf } from './severity.ts'
import { prepareTables } from './tables.ts'
import type { Content, Severity } from './types.ts'

export interface OpenAlert {
  readonly id: number
  readonly key: string
  readonly severity: Severity
  readonly title: string
  readonly content: Content
  /** Wall clock, milliseconds. */
  readonly openedAt: number
  readonly lastAt: number
  readonly count: number
  /** Who has said that it is being looked at, and when. */
  readonly acknowledged?: { readonly by: string; readonly at: number }
}

/** An alert that nobody has seen for so long is not open any more; whoever raises it again opens it anew. */
const FORGET_MS = 30 * 86_400_000
/** Closed ones are kept as long as the messages about them. */
const KEEP_MS = 30 * 86_400_000

/** What is wrong now, oldest first. At most 1,000. */
export function readOpenAlerts(journal: Journal): OpenAlert[] {
  prepareTables(journal)
  return journal.sql.all('SELECT * FROM notify_alerts WHERE closed_at IS NULL ORDER BY id LIMIT 1000').map(toAlert)
}

export function findOpenAlert(journal: Journal, key: string): OpenAlert | undefined {
  const row = journal.sql.get('SELECT * FROM notify_alerts WHERE key = ? AND closed_at IS NULL', key)
  return row && toAlert(row)
}

/**
 * Somebody is looking at it: a ladder of escalation stops here.
 * @returns false when no such alert is open, or somebody was first
 */
export function acknowledgeAlert(journal: Journal, key: string, { by, now }: { by: string; now: number }): boolean {
  prepareTables(journal)
  const alert = findOpenAlert(journal, key)
  if (!alert || alert.acknowledged) return false
  return journal.transaction(() => {
    const { changes } = journal.sql.run(
      'UPDATE notify_alerts SET acknowledged_at = ?, acknowledged_by = ? WHERE id = ? AND acknowledged_at IS NULL',
      ...[Math.round(now), by, alert.id],
    )
    if (changes === 0) return false
    const message = `${alert.title}: ${by} is looking at it`
    journal.record({ kind: 'alert.acknowledged', message, details: { alert: key, by } })
    return true
  })
}

/** @returns the alert as it is now */
export function raiseAlert(
  journal: Journal,
  { content, severity, now, once }: { content: Content; severity: Severity; now: number; once: boolean },
): OpenAlert {
  const { sql } = journal
  const at = Math.round(now)
  const known = once ? undefined : findOpenAlert(journal, content.key)
  if (known) {
    const worst = Math.max(rankOf(known.severity), rankOf(severity))
    sql.run(
      'UPDATE notify_alerts SET count = count + 1, last_at = ?, severity = ?, title = ?, content = ? WHERE id = ?',
      ...[at, worst, content.title, JSON.stringify({ ...content, openedAt: known.openedAt }), known.id],
    )
    return { ...known, severity: severityOf(worst), title: content.title, content, lastAt: at, count: known.count + 1 }
  }
  const { lastId } = sql.run(
    `INSERT INTO notify_alerts (key, severity, title, content, opened_at, last_at, count, closed_at)
     VALUES (?, ?, ?, ?, ?, ?, 1, ?)`,
    ...[content.key, rankOf(severity), content.title, JSON.stringify(content), at, at, once ? at : null],
  )
  const { key, title } = content
  return { id: lastId, key, severity, title, content, openedAt: at, lastAt: at, count: 1 }
}

export function closeAlert(journal: Journal, id: number, now: number): void {
  journal.sql.run('UPDATE notify_alerts SET closed_at = ? WHERE id = ?', Math.round(now), id)
}

/** Bounded work: a few with each new alert. */
export function pruneAlerts({ sql }: Journal, now: number): void {
  sql.run(
    `DELETE FROM notify_alerts WHERE id IN (
       SELECT id FROM notify_alerts WHERE closed_at < ? OR (closed_at IS NULL AND last_at < ?) LIMIT 20
     ) AND id NOT IN (SELECT alert_id FROM notify_outbox WHERE alert_id = notify_alerts.id)`,
    Math.round(now - KEEP_MS),
    Math.round(now - FORGET_MS),
  )
}

function toAlert(row: SqlRow): OpenAlert {
  const at = row['acknowledged_at']
  return {
    id: Number(row['id']),
    key: String(row['key']),
    severity: severityOf(Number(row['severity'])),
    title: String(row['title']),
    content: JSON.parse(String(row['content'])) as Content,
    openedAt: Number(row['opened_at']),
    lastAt: Number(row['last_at']),
    count: Number(row['count']),
    ...(at === null ? {} : { acknowledged: { by: String(row['acknowledged_by']), at: Number(at) } }),
  }
}

/** A message as data: what a webhook and the log get. Times are ISO 8601, UTC. */
import type { Message } from '../types.ts'
import { fieldsOf } from './fields.ts'

export function documentOf(message: Message): Readonly<Record<string, unknown>> {
  const { id, attempt, kind, severity, key, title, text, host, action, next, tags, details, count, source } = message
  const { status, summary } = fieldsOf(message)
  const time = (at: number) => new Date(at).toISOString()
  return {
    id,
    attempt,
    status,
    severity,
    key,
    summary,
    title,
    ...(text !== undefined && { text }),
    ...(host !== undefined && { host }),
    ...(action !== undefined && { action }),
    ...(next !== undefined && kind !== 'recovery' && { next }),
    tags,
    details: Object.fromEntries(details),
    count,
    opened_at: time(message.openedAt),
    first_at: time(message.firstAt),
    last_at: time(message.lastAt),
    source,
  }
}

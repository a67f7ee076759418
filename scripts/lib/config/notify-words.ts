/** Words of `notify:` that programs need, too: without the schema, whose library takes 8 MB. */

/** Least first. */
export const NOTIFY_SEVERITIES = ['info', 'warning', 'critical'] as const

/** What a `body` of a webhook may ask for: `{{title}}`. */
export const MESSAGE_FIELDS = [
  ...['id', 'attempt', 'status', 'severity', 'title', 'text', 'summary', 'host', 'action', 'key', 'next', 'tags'],
  ...['details', 'count', 'opened_at', 'first_at', 'last_at', 'duration', 'source'],
] as const

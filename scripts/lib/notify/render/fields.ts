/** A message in words: the fields of templates, its subject, and its lines for channels that show plain text. Pure. */
import { formatDuration } from '../../core/duration.ts'
import type { Message, MessageKind } from '../types.ts'
import type { Fields } from './template.ts'

/** What a reader has to know first. */
const STATUS_OF: Readonly<Record<MessageKind, string>> = {
  problem: 'problem',
  repeat: 'repeated',
  escalation: 'escalated',
  recovery: 'recovered',
  news: 'news',
  test: 'test',
}

export function fieldsOf(message: Message): Fields {
  const { id, attempt, kind, severity, title, count } = message
  return {
    id,
    attempt: String(attempt),
    status: STATUS_OF[kind],
    severity,
    title,
    text: message.text ?? '',
    summary: formatSummary(message),
    host: message.host ?? '',
    action: message.action ?? '',
    key: message.key,
    next: message.next ?? '',
    tags: message.tags.join(', '),
    details: message.details.map(([name, value]) => `${name}: ${value}`).join('\n'),
    count: String(count),
    opened_at: formatTime(message.openedAt),
    first_at: formatTime(message.firstAt),
    last_at: formatTime(message.lastAt),
    duration: formatDuration(Math.max(0, endOf(message) - message.openedAt)),
    source: message.source,
  }
}

/** `CRITICAL web-1: Backup of orders failed (17 times in 4 min 58 s)` */
export function formatSummary(message: Message): string {
  const { kind, severity, title, host, count, firstAt, lastAt } = message
  const word = kind === 'problem' || kind === 'repeat' ? severity : kind === 'news' ? 'info' : STATUS_OF[kind]
  const where = host === undefined || title.includes(host) ? '' : `${host}: `
  const times = count > 1 ? ` (${count} times in ${formatDuration(Math.max(0, lastAt - firstAt))})` : ''
  const after = kind === 'recovery' ? ` after ${formatDuration(Math.max(0, endOf(message) - message.openedAt))}` : ''
  return `${word.toUpperCase()} ${where}${title}${kind === 'recovery' ? after : times}`
}

/** Name and value of everything worth a line, in display order. */
export function factsOf(message: Message): (readonly [name: string, value: string])[] {
  const { host, action, next, count, firstAt, lastAt, source, kind, openedAt } = message
  const seen = `${count} times, from ${formatTime(firstAt)} to ${formatTime(lastAt)}`
  return [
    ...fact('Host', host),
    ...fact('Action', action),
    ...message.details,
    ...fact('Since', kind === 'problem' || kind === 'news' || kind === 'test' ? undefined : formatTime(openedAt)),
    ...fact(count > 1 ? 'Seen' : 'At', count > 1 ? seen : formatTime(lastAt)),
    ...fact('Next', kind === 'recovery' ? undefined : next),
    ...fact('Told by', source),
  ]
}

/** Summary, text and facts, a line each. */
export function formatPlain(message: Message): string {
  const facts = factsOf(message).map(([name, value]) => `${name}: ${value}`)
  return [formatSummary(message), ...(message.text ? ['', message.text] : []), '', ...facts].join('\n')
}

/** `2026-01-01 00:00:00 UTC` */
export function formatTime(at: number): string {
  return new Date(at)
    .toISOString()
    .replace('T', ' ')
    .replace(/\.\d+Z$/, ' UTC')
}

/** A recovery is written when it is over. */
function endOf({ kind, lastAt }: Message): number {
  return kind === 'recovery' ? lastAt : Math.max(lastAt, 0)
}

function fact(name: string, value: string | undefined): (readonly [string, string])[] {
  return value ? [[name, value]] : []
}

/** The action `notify.outbox`: a look at what waits, what was given up, and what is wrong now. */
import { z } from 'zod'
import type { LookAction } from '../action/types.ts'
import type { Finding, Report, Table } from '../report/types.ts'
import { readOpenAlerts, type OpenAlert } from './alerts.ts'
import { countOutbox, readOutbox, type StoredMessage } from './outbox.ts'
import { formatSummary, formatTime } from './render/fields.ts'

const params = z.strictObject({
  /** Also what was sent and what needed no sending. */
  all: z.boolean().default(false),
  channels: z.array(z.string()).default([]),
  limit: z.number().int().min(1).max(2_000).default(200),
})

export type OutboxParams = z.output<typeof params>

export const outboxAction: LookAction<OutboxParams> = {
  name: 'notify.outbox',
  summary: 'What waits in the outbox, what was given up, and which alerts are open',
  params,
  changes: false,
  async look({ journal, clock, localName }, { all, channels, limit }): Promise<Report> {
    const startedAt = clock.now()
    const began = clock.monotonic()
    const messages = readOutbox(journal, {
      limit,
      ...(!all && { states: ['waiting', 'dead'] as const }),
      ...(channels.length > 0 && { channels }),
    })
    const counts = countOutbox(journal).filter(({ channel }) => channels.length === 0 || channels.includes(channel))
    const alerts = readOpenAlerts(journal)
    return {
      title: 'Outbox of notifications',
      findings: findingsOf(counts, localName),
      tables: [
        ...(messages.length > 0 ? [messageTable(messages)] : []),
        ...(alerts.length > 0 ? [alertTable(alerts)] : []),
      ],
      startedAt,
      durationMs: clock.monotonic() - began,
    }
  },
}

type Counts = ReturnType<typeof countOutbox>

function findingsOf(counts: Counts, host: string): Finding[] {
  const found = counts.flatMap(({ channel: subject, state, count }): Finding[] => {
    const base = { check: 'notify.outbox', subject, host }
    if (state === 'dead') {
      const next = 'npx zx scripts/notify.ts flush --retry-dead'
      return [{ ...base, severity: 'critical', title: `${count} given up`, next }]
    }
    if (state === 'waiting')
      return [{ ...base, severity: 'warning', title: `${count} waiting`, next: 'npx zx scripts/notify.ts flush' }]
    return []
  })
  return found.length > 0 ? found : [{ check: 'notify.outbox', host, severity: 'ok', title: 'nothing waits' }]
}

function messageTable(messages: readonly StoredMessage[]): Table {
  return {
    title: 'Messages, newest first',
    columns: ['channel', 'state', 'since', 'next', 'tries', 'message', 'last answer', 'id'],
    rows: messages.map((message) => [
      message.channel,
      message.state,
      formatTime(message.createdAt),
      message.state === 'waiting' ? formatTime(message.dueAt) : '',
      String(message.attempt),
      formatSummary(message),
      message.answer ?? '',
      message.id,
    ]),
  }
}

function alertTable(alerts: readonly OpenAlert[]): Table {
  return {
    title: 'Open alerts, oldest first',
    columns: ['alert', 'severity', 'since', 'last', 'times', 'title', 'looked at by'],
    rows: alerts.map(({ key, severity, openedAt, lastAt, count, title, acknowledged }) => [
      ...[key, severity, formatTime(openedAt), formatTime(lastAt), String(count), title, acknowledged?.by ?? ''],
    ]),
  }
}

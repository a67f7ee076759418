/**
 * From an alert to messages in the outbox, in one transaction: with the event that raised it when the caller has one open,
 * else with the event that is recorded here. Nothing is sent; see flush.ts.
 */
import { hostname } from 'node:os'
import type { Config, NotifyConfig } from '../config/types.ts'
import type { Journal } from '../journal/types.ts'
import { closeAlert, findOpenAlert, pruneAlerts, raiseAlert, type OpenAlert } from './alerts.ts'
import { boundContent, type Redact } from './bounds.ts'
import {
  addMessage,
  closeWaiting,
  countInMessage,
  createNotice,
  pruneOutbox,
  readChannelsOf,
  readLastMessage,
} from './outbox.ts'
import { decideRepeat } from './repeat.ts'
import { decideRoutes } from './route.ts'
import { prepareTables } from './tables.ts'
import type { Alert, Content, MessageKind, Recovery, Severity } from './types.ts'

/** The part of the config that notifications need. */
export type NotifyingConfig = Pick<Config, 'notify' | 'name'>

export interface EnqueueOptions {
  /** Wall clock, milliseconds. Default: now. */
  readonly now?: number
  /** Removes secrets; default: by name and shape. Pass the context's own, which knows the secrets in use. */
  readonly redact?: Redact
}

export interface Enqueued {
  /** Messages that were written. */
  readonly messages: readonly { readonly id: string; readonly channel: string; readonly dueAt: number }[]
  /** Channels with a message that still waits and now has a higher count. */
  readonly counted: readonly string[]
  readonly because: string
}

/**
 * Writes what the channels of an alert are to be told.
 * @throws OpsError CANNOT_WRITE and the like of the journal; then nothing is kept
 */
export function enqueue(
  journal: Journal,
  config: NotifyingConfig,
  alert: Alert,
  options: EnqueueOptions = {},
): Enqueued {
  prepareTables(journal)
  const { severity, once = false } = alert
  const now = options.now ?? Date.now()
  return journal.transaction(() => {
    const content = contentOf(alert, { config, now, options })
    const open = raiseAlert(journal, { content, severity, now, once })
    const current = { ...content, openedAt: open.openedAt }
    const { routed, because } = decideRoutes(config.notify, { severity, tags: content.tags })
    const notice = createNotice(now)
    const told = routed.map(({ channel }) =>
      tell(journal, { notice, channel, open, content: current, severity, now, once, config: config.notify }),
    )
    recordAlert(journal, open, { severity, once, told, because })
    pruneAlerts(journal, now)
    return {
      messages: told.flatMap(({ message }) => message ?? []),
      counted: told.flatMap(({ counted }) => counted ?? []),
      because,
    }
  })
}

/**
 * Says that an alert is over: everybody who was told of it is told so; who was not yet told gets one message that says both.
 * Without an open alert of that key nothing happens, so it may be called after every success.
 */
export function enqueueRecovery(
  journal: Journal,
  config: NotifyingConfig,
  recovery: Recovery,
  options: EnqueueOptions = {},
): Enqueued {
  prepareTables(journal)
  const now = options.now ?? Date.now()
  // Most successes follow a success: no write lock for them.
  if (!findOpenAlert(journal, recovery.key)) return nothing('no such alert is open')
  return journal.transaction(() => {
    const open = findOpenAlert(journal, recovery.key)
    if (!open) return nothing('no such alert is open')
    const { title = open.title, text } = recovery
    const { tags, details, host, action } = open.content
    const content = contentOf(
      { key: open.key, title, tags, details, ...(text && { text }), ...(host && { host }), ...(action && { action }) },
      { config, now: open.openedAt, options },
    )
    closeAlert(journal, open.id, now)
    closeWaiting(journal, open.id, now)
    const messages = addToAll(journal, {
      channels: channelsInUse(config.notify, readChannelsOf(journal, open.id)),
      message: { open, kind: 'recovery', severity: 'info', content, count: open.count, firstAt: open.openedAt, now },
    })
    journal.record({
      kind: 'alert.closed',
      result: 'ok',
      message: `Over: ${title}`,
      details: { alert: open.key, messages: messages.map(({ id }) => id) },
    })
    return { messages, counted: [], because: 'it is over' }
  })
}

/**
 * Tells more people of an alert that is open: what a ladder of escalation calls, with the channels of its next rung.
 * Routes, severities and the window are not asked again.
 * @returns no messages when the alert is over, or somebody is looking at it
 */
export function escalate(
  journal: Journal,
  config: NotifyingConfig,
  { key, channels }: { key: string; channels: readonly string[] },
  { now = Date.now() }: EnqueueOptions = {},
): Enqueued {
  prepareTables(journal)
  return journal.transaction(() => {
    const open = findOpenAlert(journal, key)
    if (!open) return nothing('the alert is over')
    if (open.acknowledged) return nothing(`${open.acknowledged.by} is looking at it`)
    const messages = addToAll(journal, {
      channels: channelsInUse(config.notify, channels),
      message: {
        open,
        kind: 'escalation',
        severity: open.severity,
        content: open.content,
        count: open.count,
        firstAt: open.openedAt,
        now,
      },
    })
    const message = `Escalated to ${channels.join(', ')}: ${open.title}`
    journal.record({
      kind: 'alert.escalated',
      message,
      details: { alert: key, channels, messages: messages.map(({ id }) => id) },
    })
    return { messages, counted: [], because: 'nobody has said that it is being looked at' }
  })
}

interface Telling {
  readonly notice: string
  readonly channel: string
  readonly open: OpenAlert
  readonly content: Content
  readonly severity: Severity
  readonly now: number
  readonly once: boolean
  readonly config: NotifyConfig
}

type Told = { readonly message?: Enqueued['messages'][number]; readonly counted?: string }

function tell(journal: Journal, { notice, channel, open, content, severity, now, once, config }: Telling): Told {
  const last = once ? undefined : readLastMessage(journal, open.id, channel)
  const verdict = decideRepeat(last && { ...last, at: last.finishedAt ?? last.createdAt }, {
    severity,
    now,
    windowMs: config.window,
  })
  const { dueAt } = verdict
  if (verdict.do === 'count' && last) {
    countInMessage(journal, { row: last.row, content, severity, now, dueAt })
    return { counted: channel }
  }
  const kind: MessageKind = once ? 'news' : verdict.do === 'tell' ? verdict.kind : 'problem'
  const base = { notice, alertId: open.id, channel, kind, severity, content, count: 1, firstAt: now, now, dueAt }
  const id = addMessage(journal, base)
  recordPushedOut(journal, channel, pruneOutbox(journal, channel, now))
  return { message: { id, channel, dueAt } }
}

interface ToAll {
  readonly channels: readonly string[]
  readonly message: {
    readonly open: OpenAlert
    readonly kind: MessageKind
    readonly severity: Severity
    readonly content: Content
    readonly count: number
    readonly firstAt: number
    readonly now: number
  }
}

function addToAll(journal: Journal, { channels, message: { open, ...message } }: ToAll): Enqueued['messages'] {
  const { now } = message
  const notice = createNotice(now)
  return channels.map((channel) => {
    const id = addMessage(journal, { ...message, notice, alertId: open.id, channel, dueAt: now })
    recordPushedOut(journal, channel, pruneOutbox(journal, channel, now))
    return { id, channel, dueAt: now }
  })
}

function contentOf(
  alert: Omit<Alert, 'severity' | 'once'>,
  { config, now, options }: { config: NotifyingConfig; now: number; options: EnqueueOptions },
): Content {
  return boundContent(alert, { source: config.name ?? hostname(), openedAt: Math.round(now), redact: options.redact })
}

function channelsInUse({ enabled, channels }: NotifyConfig, names: readonly string[]): string[] {
  return enabled ? names.filter((name) => channels[name]?.enabled) : []
}

interface AlertFacts {
  readonly severity: Severity
  readonly once: boolean
  readonly told: readonly Told[]
  readonly because: string
}

function recordAlert(journal: Journal, open: OpenAlert, { severity, once, told, because }: AlertFacts): void {
  const { key, title, count, content } = open
  const messages = told.flatMap(({ message }) => message?.id ?? [])
  journal.record({
    kind: once ? 'alert.news' : count === 1 ? 'alert.opened' : 'alert.repeated',
    ...(content.host !== undefined && { host: content.host }),
    ...(content.action !== undefined && { action: content.action }),
    message: title,
    details: { alert: key, severity, count, messages, ...(told.length === 0 && { nobodyIsTold: because }) },
  })
}

function recordPushedOut(journal: Journal, channel: string, count: number): void {
  if (count === 0) return
  const message = `${count} waiting message(s) to ${channel} were given up, because too many wait`
  journal.record({ kind: 'notify.dropped', result: 'failed', message, details: { channel, count } })
}

function nothing(because: string): Enqueued {
  return { messages: [], counted: [], because }
}

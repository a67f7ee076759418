/**
 * Tells people of an incident: that it began, that a time has run out, who is to be called next, that it is over. What is
 * told stands in the timeline too, and each thing is told once, whichever process is first and whatever dies meanwhile.
 */
import { formatDuration } from '../../core/duration.ts'
import { acknowledgeAlert } from '../../notify/alerts.ts'
import { enqueue, enqueueRecovery } from '../../notify/enqueue.ts'
import type { Alert } from '../../notify/types.ts'
import { decideDue, type Due } from '../incident/timers.ts'
import type { EventBody, Incident } from '../incident/types.ts'
import type { Session } from './session.ts'

type Telling = Pick<Session, 'context' | 'store' | 'journal'>

/** Fires what is due. @returns what was, earliest first */
export function fireDue(session: Telling): Due[] {
  const { journal, context, store } = session
  const incident = journal.incident()
  const due = decideDue(incident, context.clock.now())
  for (const one of due) {
    // Told first: a process that dies in between leaves a line missing in the timeline, and the next look adds it.
    context.journal.transaction(() => {
      if (store.isFirst(incident.id, nameOf(one))) tell(session, incident, alertFor(incident, one, context.clock.now()))
    })
    journal.change((now) => {
      const stillDue = decideDue(now, context.clock.now()).some((other) => nameOf(other) === nameOf(one))
      return stillDue ? [eventFor(one)] : []
    })
  }
  return due
}

export function tellOpened(session: Telling): void {
  const incident = session.journal.incident()
  const { startedBy, subject } = incident
  tell(session, incident, {
    key: keyOf(incident),
    title: `${labelOf(incident)} began`,
    text: `${incident.runbook.title}${subject ? `, ${subject}` : ''}. Started by ${startedBy}.`,
    next: `npx zx scripts/runbook.ts status ${incident.id}`,
    details: detailsOf(incident),
  })
}

export function tellAcknowledged({ context, journal }: Telling, by: string): void {
  acknowledgeAlert(context.journal, keyOf(journal.incident()), { by, now: context.clock.now() })
}

/** Over: resolved, or nothing is left to do. A run that is stuck stays an open alert. */
export function tellOver({ context, journal }: Telling, because: string): void {
  const incident = journal.incident()
  const { redact, clock } = context
  const recovery = { key: keyOf(incident), title: `${labelOf(incident)} is over`, text: because }
  enqueueRecovery(context.journal, context.config, recovery, { now: clock.now(), redact })
}

export function tellStuck(session: Telling, remains: readonly string[]): void {
  const incident = session.journal.incident()
  tell(session, incident, {
    key: keyOf(incident),
    title: `${labelOf(incident)}: a human must look`,
    text: remains.join('\n'),
    next: `npx zx scripts/runbook.ts status ${incident.id}`,
  })
}

function tell({ context }: Telling, incident: Incident, alert: Omit<Alert, 'severity'>): void {
  const { severity } = incident.runbook
  const level = incident.drill ? 'info' : severity === 'critical' || severity === 'high' ? 'critical' : 'warning'
  const tags = ['runbook', incident.runbook.id, ...(incident.drill ? ['drill'] : []), ...(alert.tags ?? [])]
  const { redact, clock, config } = context
  enqueue(context.journal, config, { ...alert, severity: level, tags }, { now: clock.now(), redact })
}

function alertFor(incident: Incident, due: Due, now: number): Omit<Alert, 'severity'> {
  const since = formatDuration(now - incident.startedAt)
  const next = `npx zx scripts/runbook.ts status ${incident.id}`
  if (due.kind === 'timer') {
    return {
      key: `${keyOf(incident)}:timer:${due.timer.name}`,
      title: `${labelOf(incident)}: not within ${formatDuration(due.timer.afterMs)}: ${due.timer.title}`,
      text: `It began ${since} ago. In command: ${incident.lead}.`,
      ...{ next, once: true, details: detailsOf(incident) },
    }
  }
  return {
    key: `${keyOf(incident)}:rung:${due.index + 1}`,
    title: `${labelOf(incident)}: call ${due.rung.contact}`,
    text: `Nobody has ${due.rung.stoppedBy === 'ack' ? 'acknowledged it' : `reached "${due.rung.stoppedBy}"`} in ${since}. In command: ${incident.lead}.`,
    ...{ next, once: true, tags: due.rung.tags, details: detailsOf(incident) },
  }
}

function eventFor(due: Due): EventBody {
  return due.kind === 'timer'
    ? { kind: 'timer.fired', timer: due.timer.name, title: due.timer.title, dueAt: due.dueAt }
    : { kind: 'escalated', rung: due.index, contact: due.rung.contact, dueAt: due.dueAt }
}

function nameOf(due: Due): string {
  return due.kind === 'timer' ? `timer ${due.timer.name}` : `rung ${due.index}`
}

function keyOf({ id }: Incident): string {
  return `incident:${id}`
}

function labelOf({ id, drill }: Incident): string {
  return drill ? `DRILL ${id}` : `incident ${id}`
}

function detailsOf({ runbook, subject, startedBy, startedAt }: Incident): (readonly [string, string])[] {
  return [
    ['runbook', runbook.id],
    ...(subject ? [['subject', subject] as const] : []),
    ['started', `${new Date(startedAt).toISOString()} by ${startedBy}`],
  ]
}

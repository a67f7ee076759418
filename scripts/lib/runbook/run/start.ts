/** Opens an incident: nobody else is at it, every machine that it changes answers, and its runbook is kept as it is now. */
import { readFileSync } from 'node:fs'
import { basename } from 'node:path'
import type { RunbookConfig } from '../../config/types.ts'
import { OpsError } from '../../core/errors.ts'
import { sha256 } from '../incident/chain.ts'
import { openIncidentJournal } from '../incident/journal.ts'
import type { EventBody, Incident, Rung } from '../incident/types.ts'
import type { ParamValues } from '../params.ts'
import { createRenderer } from '../render.ts'
import type { Runbook, Timer } from '../types.ts'
import { hostsOf, reachHosts } from './reach.ts'
import { journalOptions, sessionOf, type RunTools, type Session } from './session.ts'
import { tellOpened } from './tell.ts'

export interface StartOptions extends RunTools {
  readonly runbook: Runbook
  readonly params: ParamValues
  readonly drill: boolean
  /** Although somebody is at it. */
  readonly again: boolean
  /** Wall clock, milliseconds. */
  readonly detectedAt?: number
}

/** @throws OpsError LOCKED (somebody is at it), UNREACHABLE and the like, USAGE (a secret as a param), CANNOT_WRITE */
export async function startIncident(options: StartOptions): Promise<Session> {
  const { context, store, runbook, params, actions, who } = options
  refuseSecrets(params, context)
  const subject = subjectOf(runbook, params)
  if (!options.again) refuseTwin(options, subject)
  for (const warning of await reachHosts(context, hostsOf(runbook, createRenderer(runbook, params))))
    context.log.warn(warning)
  const text = readSame(runbook)
  const copy = basename(runbook.file)
  const journal = context.journal.transaction(() => {
    if (!options.again) refuseTwin(options, subject)
    const id = store.reserve({ runbook: runbook.id, at: context.clock.now(), copy, text })
    const opening = openingOf(options, { id, copy, subject })
    return openIncidentJournal({ path: store.create(id), ...journalOptions(context, who), opening })
  })
  const { id } = journal.incident()
  const session = sessionOf({ context, store, who, actions, id, journal, runbook })
  context.journal.record({
    kind: 'incident.opened',
    result: 'started',
    message: `${id}: ${runbook.title}`,
    details: { incident: id, runbook: runbook.id, subject, drill: options.drill, by: who },
  })
  store.saveHead(journal.incident(), journal.head())
  tellOpened(session)
  return session
}

/** Incidents that are open, newest first. */
export function readOpen({ store, context, who }: RunTools): Incident[] {
  return readIncidents({ store, context, who }, (id) => store.isOver(id)).filter(({ closed }) => closed === undefined)
}

/** Incidents, newest first, without those that are skipped unread. One that cannot be read is warned about. */
export function readIncidents(
  { store, context, who }: Pick<RunTools, 'store' | 'context' | 'who'>,
  skip: (id: string) => boolean,
): Incident[] {
  return store.ids().flatMap((id) => {
    if (skip(id)) return []
    try {
      const journal = openIncidentJournal({ path: store.pathOf(id), ...journalOptions(context, who) })
      try {
        return [journal.incident()]
      } finally {
        journal.close()
      }
    } catch (error) {
      context.log.warn(`incident ${id} cannot be read: ${error instanceof Error ? error.message : String(error)}`)
      return []
    }
  })
}

export function subjectOf({ subject }: Runbook, params: ParamValues): string {
  return subject.map((name) => `${name} ${String(params[name])}`).join(', ')
}

interface Naming {
  readonly id: string
  readonly copy: string
  readonly subject: string
}

function openingOf(
  { runbook, params, drill, detectedAt, context }: StartOptions,
  { id, copy, subject }: Naming,
): EventBody {
  const { title, severity, language, file } = runbook
  const { runbook: settings } = context.config
  return {
    kind: 'opened',
    incident: id,
    runbook: { id: runbook.id, title, severity, language, file, sha256: runbook.sha256, copy },
    ...{ params, subject, drill },
    ...(detectedAt !== undefined && { detectedAt }),
    timers: runbook.timers ?? timersOf(settings),
    ladder: ladderOf(settings),
  }
}

function timersOf({ timers }: RunbookConfig): Timer[] {
  return timers.map(({ name, title, after, stopped_by: stoppedBy }) => ({ name, title, afterMs: after, stoppedBy }))
}

export function ladderOf({ escalation, contacts }: RunbookConfig): Rung[] {
  return escalation.map(({ after, contact, role, tags, stopped_by: stoppedBy }) => {
    const named = Object.entries(contacts).filter(([key, known]) => key === contact || known.role === role)
    const people = named.map(([, known]) => formatContact(known))
    return { afterMs: after, contact: people.join('; ') || (contact ?? role ?? ''), tags, stoppedBy }
  })
}

export function formatContact({ name, role, phone, mail }: RunbookConfig['contacts'][string]): string {
  return `${role}: ${[name, phone, mail].filter((part) => part !== undefined).join(', ')}`
}

function refuseTwin(options: StartOptions, subject: string): void {
  const twin = readOpen(options).find((open) => open.runbook.id === options.runbook.id && open.subject === subject)
  if (!twin) return
  const since = new Date(twin.startedAt).toISOString().slice(0, 16).replace('T', ' ')
  const about = subject ? ` on ${subject}` : ''
  const message = `${twin.startedBy} started ${twin.runbook.id}${about} at ${since} UTC, and it is open: ${twin.id}`
  throw new OpsError('LOCKED', message, {
    hint: `Join it: npx zx scripts/runbook.ts resume ${twin.id}. To run it twice all the same: --again`,
  })
}

/** Params are kept in the journal as they are, because a run that goes on needs them: so no secret can be one. */
export function refuseSecrets(params: ParamValues, context: Pick<StartOptions['context'], 'redact'>): void {
  for (const [name, value] of Object.entries(params)) {
    const line = `${name}=${String(value)}`
    if (typeof value !== 'string' || value === '' || context.redact(line) === line) continue
    throw new OpsError('USAGE', `the param ${name} looks like a secret, and params are written into the journal`, {
      hint: 'Let the step read the secret from a file on the host.',
    })
  }
}

/** @throws OpsError FAILED when the file was changed since it was read */
function readSame({ file, sha256: expected }: Runbook): string {
  const bytes = readFileSync(file)
  if (sha256(bytes) === expected) return bytes.toString('utf8')
  throw new OpsError('FAILED', `${file} was changed while it was read`, { transient: true, hint: 'Start again.' })
}

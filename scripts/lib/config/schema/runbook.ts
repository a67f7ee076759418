/** `runbook:` — where runbooks are, what has to have happened by when in an incident, and who is called when it has not. */
import { z } from 'zod'
import { duration, name, path } from './values.ts'

const STOPPERS = ['ack', 'mitigated', 'root-cause', 'resolved'] as const

const timer = z
  .strictObject({
    name: name.meta({ description: 'What it is called' }),
    title: z.string().min(1).meta({ description: 'What has to have happened' }),
    after: duration.meta({ description: 'Counted from the start of the incident' }),
    stopped_by: z
      .enum(STOPPERS)
      .meta({ description: 'What stops it: ack, or what was reached (mitigated, root-cause, resolved)' }),
  })
  .meta({ description: 'Fires once, when it was not stopped in time' })

/** The clock of an incident when a runbook has none of its own. */
const DEFAULT_TIMERS = [
  { name: 'acknowledge', title: 'Acknowledged, and the others told', after: '5m', stopped_by: 'ack' },
  { name: 'mitigate', title: 'First mitigation, and data collected', after: '15m', stopped_by: 'mitigated' },
  { name: 'root-cause', title: 'Root cause known, and a plan made', after: '1h', stopped_by: 'root-cause' },
  { name: 'resolve', title: 'Fixed and written down', after: '24h', stopped_by: 'resolved' },
] as const

const contact = z
  .strictObject({
    name: z.string().optional().meta({ description: 'Who it is' }),
    role: z.string().min(1).meta({ description: 'What for: technical lead, network administrator' }),
    phone: z.string().optional().meta({ description: 'As it is dialled' }),
    mail: z.string().optional().meta({ description: 'The address' }),
  })
  .meta({ description: 'Somebody to call' })

const rung = z
  .strictObject({
    after: duration.meta({ description: 'Counted from the start of the incident' }),
    contact: z.string().optional().meta({ description: 'Who is to be called: a key of contacts' }),
    role: z.string().optional().meta({ description: 'Or everybody with this role' }),
    tags: z.array(z.string()).default([]).meta({ description: 'For the routes of notify, which choose the channels' }),
    stopped_by: z.enum(STOPPERS).default('ack').meta({ description: 'What makes it unnecessary (default ack)' }),
  })
  .meta({ description: 'A step of the ladder; fires once' })

export const runbookSection = z
  .strictObject({
    dirs: z.array(path).max(32).default([]).meta({
      description:
        'Directories of runbooks of your own, searched before those that ship; one of the same id takes their place',
    }),
    tested_within: duration
      .prefault('180d')
      .meta({ description: 'runbook.ts lint warns of one that was last tested longer ago (default 180d)' }),
    timers: z
      .array(timer)
      .prefault([...DEFAULT_TIMERS])
      .superRefine(refuseTwins)
      .meta({
        description: 'By when what has to have happened (default: 5m ack, 15m mitigated, 1h cause, 24h resolved)',
      }),
    contacts: z.record(name, contact).default({}).meta({ description: 'Who can be called, by a name of your choice' }),
    escalation: z
      .array(rung)
      .default([])
      .meta({ description: 'Who is called when nobody reacts: a ladder, lowest rung first' }),
  })
  .superRefine(refuseUnknownContacts)
  .prefault({})
  .meta({ description: 'Checklists that an operator can read and opskit can run, and the clock of an incident' })

export type RunbookConfig = z.output<typeof runbookSection>

function refuseTwins(timers: readonly { readonly name: string }[], ctx: z.RefinementCtx): void {
  timers.forEach((one, index) => {
    if (timers.findIndex((other) => other.name === one.name) < index) {
      ctx.addIssue({ code: 'custom', path: [index, 'name'], message: `another timer is named "${one.name}"` })
    }
  })
}

interface Called {
  readonly contacts: Readonly<Record<string, { readonly role: string }>>
  readonly escalation: readonly { readonly contact?: string | undefined; readonly role?: string | undefined }[]
}

function refuseUnknownContacts({ contacts, escalation }: Called, ctx: z.RefinementCtx): void {
  const roles = Object.values(contacts).map(({ role }) => role)
  escalation.forEach(({ contact: key, role }, index) => {
    const complain = (at: string, message: string) =>
      ctx.addIssue({ code: 'custom', path: ['escalation', index, at], message })
    if ((key === undefined) === (role === undefined)) complain('contact', 'name either a contact or a role')
    if (key !== undefined && !Object.hasOwn(contacts, key)) complain('contact', `there is no contact "${key}"`)
    if (role !== undefined && !roles.includes(role)) complain('role', `no contact has the role "${role}"`)
  })
}

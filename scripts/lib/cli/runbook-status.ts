/** `runbook status`: how an incident stands, for people and for programs. */
import { formatDuration } from '../core/duration.ts'
import { printableLine } from '../core/printable.ts'
import { formatContact, readIncidents } from '../runbook/run/start.ts'
import { isTicking, viewTimers } from '../runbook/incident/timers.ts'
import { describeCondition, type View } from '../runbook/incident/view.ts'
import { formatParamValue } from '../runbook/params.ts'
import type { RunTools } from '../runbook/run/session.ts'
import type { Config } from '../config/types.ts'
import { print, terminalWidth } from './output.ts'
import { chooseLast, withSession, withTools, type IncidentFlags } from './runbook-open.ts'
import { commandLines, layOut, type Line } from './runbook-layout.ts'
import { clockTime, commandsFor, headLine, stepLine, stepLines, timerLine, timersLine } from './runbook-lines.ts'

/** @param id undefined: the one that is open; all of them in short when several are */
export async function printStatus(id: string | undefined, flags: IncidentFlags, signal: AbortSignal): Promise<void> {
  const named = id ?? flags.incident
  const shown = await withTools(flags, signal, async (tools) =>
    named === undefined ? printSeveral(tools, flags) : false,
  )
  if (shown) return
  const about = { ...flags, ...(named !== undefined && { incident: named }) }
  await withSession(
    about,
    signal,
    async ({ session, suffix }) => {
      const view = session.view()
      const { config, clock } = session.context
      const now = clock.now()
      await print(
        flags.json
          ? JSON.stringify(statusOf(view, { suffix, now }), null, 2)
          : layOut(statusLines(view, { suffix, now, config, width: terminalWidth() }), terminalWidth()).join('\n'),
      )
    },
    chooseLast,
  )
}

/** @returns whether several or none are open, and that was told */
async function printSeveral(tools: RunTools, flags: IncidentFlags): Promise<boolean> {
  const now = tools.context.clock.now()
  const all = readIncidents(tools, (id) => tools.store.isOver(id))
  const open = all.filter(({ closed }) => closed === undefined)
  if (open.length === 1 || (open.length === 0 && tools.store.ids().length > 0)) return false
  if (flags.json) {
    await print(
      JSON.stringify(
        {
          open: open.map(({ id, subject, startedBy, startedAt }) => ({
            id,
            subject,
            startedBy,
            startedAt: iso(startedAt),
          })),
        },
        null,
        2,
      ),
    )
    return true
  }
  if (open.length === 0) {
    await print('no incident is open')
    return true
  }
  const lines = open.map((one) => {
    const timers = isTicking(one) ? timerLine(one, now) : ''
    return printableLine(
      `${one.id}  ${one.subject}  by ${one.startedBy}, ${formatDuration(now - one.startedAt)} ago  ${timers}`,
    )
  })
  await print(
    [`${open.length} incidents are open:`, ...lines.map((line) => `  ${line}`), '', 'status ID shows one.'].join('\n'),
  )
  return true
}

export interface StatusFacts {
  readonly suffix: string
  readonly now: number
}

/** The document of `--json`, of every command that ends with how things stand. */
export function statusOf(view: View, { suffix, now }: StatusFacts) {
  const { incident, runbook, next, steps } = view
  const { id, drill, subject, startedAt, startedBy, lead, acknowledged, reached, closed, params, detectedAt } = incident
  return {
    incident: id,
    runbook: { id: runbook.id, title: runbook.title, severity: runbook.severity, language: runbook.language },
    ...{ params, subject, drill, startedBy, lead },
    changes: incident.changes.map(({ at, ...change }) => ({ ...change, at: iso(at) })),
    startedAt: iso(startedAt),
    ...(detectedAt !== undefined && { detectedAt: iso(detectedAt) }),
    state: closed ? closed.outcome : next.do === 'wait' || next.do === 'decide' ? 'waiting' : 'running',
    ...(acknowledged && { acknowledged: { by: acknowledged.by, at: iso(acknowledged.at) } }),
    reached: Object.fromEntries(Object.entries(reached).map(([name, act]) => [name, { by: act.by, at: iso(act.at) }])),
    ...(next.do === 'wait' && { waiting: { step: next.step.step.id, number: next.step.step.number, for: next.for } }),
    ...(next.do === 'decide' && {
      waiting: {
        step: next.step.step.id,
        number: next.step.step.number,
        for: 'decision',
        state: next.step.state,
        because: next.step.record?.because ?? '',
      },
    }),
    commands: commandsFor(view, suffix).map(([command, what]) => ({ command, what })),
    timers: viewTimers(incident, now).map(({ timer, dueAt, state }) => ({
      ...{ name: timer.name, title: timer.title, dueAt: iso(dueAt), state },
      fired: incident.fired.includes(timer.name),
    })),
    steps: steps.map(({ step, state, waitingFor, record, phase, words, missing }) => ({
      ...{ number: step.number, id: step.id, title: words.title(step.title), phase: phase.title, state },
      ...(waitingFor !== undefined && { waitingFor }),
      ...(missing.length > 0 && { needs: missing }),
      ...(state === 'does-not-apply' && { because: describeCondition(step, words) }),
      ...(record && { by: record.by, at: iso(record.at), because: record.because, attempts: record.attempts }),
      ...(record?.assignee !== undefined && { assignee: record.assignee }),
    })),
    ...(closed && {
      closed: {
        by: closed.by,
        at: iso(closed.at),
        outcome: closed.outcome,
        reason: closed.reason,
        remains: closed.remains,
      },
    }),
  }
}

export interface StatusShown extends StatusFacts {
  readonly config: Config
  readonly width?: number | undefined
}

/** `mount=/var`, and of one that was set meanwhile by whom and what it was before; what has no value is left out. */
export function paramLines({ incident, runbook }: View): string[] {
  return runbook.params.flatMap(({ name, type }) => {
    const changes = incident.changes.filter(({ param }) => param === name)
    const value = incident.params[name] ?? ''
    if (value === '' && changes.length === 0) return []
    const said = changes.map(
      ({ by, at, from }) => `set by ${by} at ${clockTime(at)}, before: ${formatParamValue(type, from)}`,
    )
    return printableLine(
      `${name}=${value === '' ? '' : formatParamValue(type, value)}${said.length === 0 ? '' : ` (${said.join('; ')})`}`,
    )
  })
}

export function statusLines(view: View, { suffix, now, config, width }: StatusShown): Line[] {
  const { incident, steps, next, runbook } = view
  const { closed, startedBy, startedAt, lead } = incident
  const ago = formatDuration(now - startedAt)
  const timers = timerLine(incident, now)
  const params = paramLines(view)
  const lines: Line[] = [
    headLine(view),
    `started by ${startedBy} at ${clockTime(startedAt)}, ${ago} ago; in command: ${lead}`,
    ...(timers === '' ? [] : [timersLine(timers)]),
    ...(incident.editedTo === undefined
      ? []
      : ['the runbook was edited since; this run goes on with the copy it began with']),
  ]
  if (params.length > 0) lines.push({ head: 'params: ', text: params.join(', ') })
  for (const phase of runbook.phases) {
    lines.push('', `${phase.number}. ${phase.title}`)
    for (const step of steps.filter((one) => one.phase.number === phase.number)) {
      lines.push(`  ${stepLine(step)}`)
      const isHere = (next.do === 'wait' || next.do === 'decide') && next.step.step.id === step.step.id
      if (isHere) lines.push(...stepLines(step, view.words))
    }
  }
  if (closed) lines.push('', `${closed.outcome} at ${clockTime(closed.at)} by ${closed.by}: ${closed.reason}`)
  for (const rest of closed?.remains ?? []) lines.push(`  LOOK: ${printableLine(rest)}`)
  const contacts = Object.values(config.runbook.contacts)
  if (!closed && contacts.length > 0) lines.push('', 'Contacts', ...contacts.map((one) => `  ${formatContact(one)}`))
  const commands = commandsFor(view, suffix)
  if (commands.length > 0) lines.push('', 'Go on:', ...commandLines(commands, width))
  return lines
}

function iso(at: number): string {
  return new Date(at).toISOString()
}

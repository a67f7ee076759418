/** What an operator says from any shell: `done`, `skip`, `override`, `redo`, `confirm`, `approve`, `note`, `assign`, … */
import { OpsError } from '../core/errors.ts'
import { EXIT_CODE_OF } from '../core/exit.ts'
import { printableLine } from '../core/printable.ts'
import { attachFile } from '../runbook/incident/attach.ts'
import { findStep } from '../runbook/incident/answers.ts'
import { parsePerson } from '../runbook/incident/identity.ts'
import type { Answer, EventBody, Evidence } from '../runbook/incident/types.ts'
import { parsePairs } from '../runbook/params.ts'
import { recordClosed } from '../runbook/run/advance.ts'
import { answerStep } from '../runbook/run/answer.ts'
import { planRollback } from '../runbook/run/rollback.ts'
import type { Session } from '../runbook/run/session.ts'
import { setParams } from '../runbook/run/set.ts'
import { tellAcknowledged, tellOver } from '../runbook/run/tell.ts'
import { MILESTONES, type Milestone } from '../runbook/types.ts'
import { print, terminalWidth } from './output.ts'
import { printLines, rollbackLines, takeBack, type Say } from './runbook-drive.ts'
import { chooseLast, chooseOpen, withSession, type Chosen, type IncidentFlags } from './runbook-open.ts'
import { statusOf } from './runbook-status.ts'
import { commandLines, whole } from './runbook-layout.ts'
import { COMMAND, commandsFor, plain } from './runbook-lines.ts'

export interface AnswerFlags extends IncidentFlags {
  readonly reason?: string
  readonly evidence?: string
  readonly attach?: string
}

export function answer(kind: Answer, step: string, flags: AnswerFlags, signal: AbortSignal): Promise<number> {
  return withSession(flags, signal, async (chosen) => {
    const { session } = chosen
    // Before a file is copied: nobody wants it attached to a step that is not there.
    findStep(session.view(), step)
    const evidence = await evidenceOf(session, flags)
    const { reason } = flags
    const request = { step, answer: kind, evidence, ...(reason !== undefined && { reason }) }
    const { because } = await answerStep(session, request, signal)
    return told(chosen, because, flags)
  })
}

/** @param words `name=value` of each; before them the incident, when it is not clear which one */
export function set(words: readonly string[], flags: IncidentFlags, signal: AbortSignal): Promise<number> {
  const [first = '', ...rest] = words
  const named = first.includes('=') ? undefined : first
  const given = parsePairs(named === undefined ? words : rest)
  if (Object.keys(given).length === 0) throw new OpsError('USAGE', 'set what?', { hint: 'set name=value' })
  const about = named === undefined ? flags : { ...flags, incident: named }
  return withSession(about, signal, async (chosen) => {
    const { because } = await setParams(chosen.session, given)
    return told(chosen, because, flags)
  })
}

export function note(text: string, flags: AnswerFlags, signal: AbortSignal): Promise<number> {
  const write = async (chosen: Chosen) => {
    const evidence = await evidenceOf(chosen.session, flags)
    const noted: EventBody = { kind: 'noted', text, ...(evidence.length > 0 && { evidence }) }
    chosen.session.journal.change(() => [noted])
    return told(chosen, 'noted', flags)
  }
  return withSession(flags, signal, write, chooseLast)
}

export function assign(step: string, who: string, flags: IncidentFlags, signal: AbortSignal): Promise<number> {
  return withSession(flags, signal, async (chosen) => {
    const { session } = chosen
    const to = parsePerson(who)
    const { step: target } = findStep(session.view(), step)
    const assigned: EventBody = { kind: 'step.assigned', step: target.id, to }
    session.journal.change(({ steps }) => (steps[target.id]?.assignee === to ? [] : [assigned]))
    return told(chosen, `${target.number} ${plain(target.title)}: ${to}`, flags)
  })
}

export function handOver(who: string, flags: IncidentFlags, signal: AbortSignal): Promise<number> {
  return withSession(flags, signal, async (chosen) => {
    const to = parsePerson(who)
    let from = ''
    chosen.session.journal.change(({ lead }): EventBody[] => {
      from = lead
      return lead === to ? [] : [{ kind: 'handed-over', to }]
    })
    const because = from === to ? `${to} is in command already` : `${to} is in command now; before: ${from}`
    return told(chosen, because, flags)
  })
}

export function acknowledge(flags: IncidentFlags, signal: AbortSignal): Promise<number> {
  return withSession(flags, signal, async (chosen) => {
    const { session } = chosen
    let because = `${session.id}: acknowledged by ${session.who}`
    session.journal.change(({ acknowledged }): EventBody[] => {
      if (acknowledged) because = `${acknowledged.by} acknowledged it before`
      return acknowledged ? [] : [{ kind: 'acknowledged' }]
    })
    tellAcknowledged(session, session.who)
    return told(chosen, because, flags)
  })
}

export function mark(word: string, flags: IncidentFlags, signal: AbortSignal): Promise<number> {
  const milestone = MILESTONES.find((known) => known === word)
  if (!milestone) throw new OpsError('USAGE', `"${word}" is not one of ${MILESTONES.join(', ')}`)
  return withSession(flags, signal, async (chosen) => markReached(chosen, milestone, flags), chooseLast)
}

async function markReached(chosen: Chosen, milestone: Milestone, flags: IncidentFlags): Promise<number> {
  const { session } = chosen
  let because = `${session.id}: ${milestone}`
  session.journal.change(({ reached }): EventBody[] => {
    const before = reached[milestone]
    if (before) because = `${session.id}: ${milestone} already, by ${before.by}`
    return before ? [] : [{ kind: 'reached', milestone }]
  })
  if (milestone === 'resolved') tellOver(session, `resolved, says ${session.who}`)
  return told(chosen, because, flags)
}

export interface AbortFlags extends IncidentFlags {
  readonly reason?: string
  readonly yes?: boolean
  /** `--no-rollback` */
  readonly rollback?: boolean
}

/** Ends a run, and takes back what it changed. */
export function abort(flags: AbortFlags, signal: AbortSignal): Promise<number> {
  return withSession(flags, signal, (chosen) => abortRun(chosen, flags, signal), chooseOpen)
}

async function abortRun(chosen: Chosen, flags: AbortFlags, signal: AbortSignal): Promise<number> {
  const { session, suffix } = chosen
  const { reason = '', yes = false, rollback = true, json = false } = flags
  if (reason.trim() === '') throw new OpsError('USAGE', 'to abort needs a reason', { hint: 'abort --reason "why"' })
  refuseWhileRunning(session)
  const plan = planRollback(session.view())
  const nothing = plan.steps.length === 0 && plan.stays.length === 0
  if (nothing || !rollback) {
    const remains = [...plan.steps, ...plan.stays].map(({ step }) => `${step.number} ${step.title}: it stays in effect`)
    session.journal.change(({ closed }): EventBody[] =>
      closed ? [] : [{ kind: 'closed', outcome: 'aborted', reason, remains }],
    )
    recordClosed(session, session.id, 'aborted')
    tellOver(session, `aborted: ${reason}`)
    return told(chosen, `${session.id}: aborted, ${nothing ? 'nothing was changed' : 'what was changed stays'}`, flags)
  }
  const say: Say = (line) => (json ? Promise.resolve() : printLines([line]))
  if (!yes && !(await agrees(plan))) {
    if (!process.stdin.isTTY) {
      await say('Run it with --yes to do that:')
      await say(whole(printableLine(`  ${COMMAND} abort --reason ${JSON.stringify(reason)} --yes${suffix}`)))
      await say(`To leave everything as it is: --no-rollback`)
    }
    return EXIT_CODE_OF.NEEDS_HUMAN
  }
  const code = await takeBack(session, reason, { signal, say })
  await told(chosen, `${session.id}: ${session.journal.incident().closed?.outcome ?? 'aborted'}`, flags)
  return code
}

async function agrees(plan: ReturnType<typeof planRollback>): Promise<boolean> {
  await printLines(rollbackLines(plan))
  if (!process.stdin.isTTY || !process.stdout.isTTY) return false
  const { confirm } = await import('@clack/prompts')
  return (await confirm({ message: 'Take it back?', initialValue: false })) === true
}

function refuseWhileRunning(session: Session): void {
  const running = session.view().steps.find(({ state }) => state === 'running')
  if (!running) return
  throw new OpsError('LOCKED', `${running.step.number} is being run by ${running.record?.by ?? 'another process'}`, {
    transient: true,
    hint: 'Wait for its end, or interrupt it in its own shell (Ctrl-C), then abort.',
  })
}

async function evidenceOf({ store, id, context }: Session, { evidence, attach }: AnswerFlags): Promise<Evidence[]> {
  const written: Evidence[] = evidence === undefined ? [] : [{ of: 'operator', text: evidence }]
  return attach === undefined ? written : [...written, await attachFile(attach, store.dirOf(id), context.redact)]
}

/** What came of it, and how to go on. */
async function told({ session, suffix }: Chosen, because: string, { json = false }: IncidentFlags): Promise<number> {
  const view = session.view()
  if (json) {
    const status = statusOf(view, { suffix, now: session.context.clock.now() })
    await print(JSON.stringify({ said: because, ...status }, null, 2))
    return 0
  }
  const commands = commandsFor(view, suffix).slice(0, 2)
  await printLines([printableLine(because), ...commandLines(commands, terminalWidth())])
  return 0
}

/** Goes on with an incident without asking anybody: what machines can do is done, then it says who is needed and for what. */
import { formatDuration } from '../core/duration.ts'
import { EXIT_CODE_OF } from '../core/exit.ts'
import { printable, printableLine } from '../core/printable.ts'
import type { Outcome } from '../runbook/incident/types.ts'
import { advance, type AdvanceOptions, type Stop } from '../runbook/run/advance.ts'
import type { PreparedAnswers } from '../runbook/run/answers-file.ts'
import { planRollback, rollBack, type RollbackPlan } from '../runbook/run/rollback.ts'
import type { Session } from '../runbook/run/session.ts'
import type { StepEnd } from '../runbook/run/step.ts'
import { tellOver, tellStuck } from '../runbook/run/tell.ts'
import type { Step } from '../runbook/types.ts'
import { print } from './output.ts'
import type { Chosen } from './runbook-open.ts'
import { statusOf } from './runbook-status.ts'
import { commandLines, commandsFor, headLine, plain, seenLines, stepLines, timerLine } from './runbook-lines.ts'

export interface DriveOptions {
  readonly signal: AbortSignal
  readonly yes: boolean
  readonly json: boolean
  readonly prepared?: PreparedAnswers | undefined
  readonly mayEnter?: AdvanceOptions['mayEnter']
  readonly onStart?: AdvanceOptions['onStart']
}

/** @returns the exit code: 0 done, 10 a human is needed, 11 and 12 after a rollback, 75 when another process runs it */
export async function drive({ session, suffix }: Chosen, options: DriveOptions): Promise<number> {
  const say = (line: string) => (options.json ? Promise.resolve() : print(printable(line)))
  await say(headLine(session.view()))
  const stop = await goOn(session, options, say)
  const code = await settle(session, stop, { options, say })
  const view = session.view()
  if (options.json) await print(JSON.stringify(statusOf(view, { suffix, now: session.context.clock.now() }), null, 2))
  else await print(endLines(session, stop, suffix).join('\n'))
  return code
}

export type Say = (line: string) => Promise<void>

/** Until a human is needed, or everything is over. */
export async function goOn(
  session: Session,
  { signal, yes, prepared, mayEnter, onStart }: DriveOptions,
  say: Say,
): Promise<Stop> {
  const writing: Promise<void>[] = []
  const tell = (line: string) => void writing.push(say(line))
  const options: AdvanceOptions = {
    ...{ signal, yes },
    ...{ ...(prepared && { prepared }), ...(mayEnter && { mayEnter }), ...(onStart && { onStart }) },
    onEnd: (step, end) => {
      tell(endLine(session, step, end))
      for (const line of seenLines(step, end, session.view())) tell(line)
    },
    onPass: (step, because) => tell(`  [-] ${step.number} ${titleOf(session, step)}: ${because}`),
    onAnswer: (_step, because) => tell(`  [x] ${because}`),
  }
  try {
    return await advance(session, options)
  } finally {
    await Promise.all(writing)
  }
}

export function endLine(session: Session, step: Step, { result, because }: StepEnd): string {
  const mark = result === 'ok' ? 'x' : '!'
  return `  [${mark}] ${step.number} ${titleOf(session, step)}: ${because}`
}

function titleOf(session: Session, { title }: Step): string {
  return plain(session.view().words.text(title))
}

interface Settling {
  readonly options: DriveOptions
  readonly say: Say
}

export async function settle(session: Session, stop: Stop, { options, say }: Settling): Promise<number> {
  switch (stop.kind) {
    case 'closed':
      return settleClosed(session)
    case 'busy':
      return EXIT_CODE_OF.LOCKED
    case 'waiting':
    case 'phase':
      return EXIT_CODE_OF.NEEDS_HUMAN
    case 'decide': {
      const { step, state, record } = stop.step
      // What nobody knows is for somebody to look at, whatever was agreed to beforehand.
      if (!options.yes || state === 'unknown') return EXIT_CODE_OF.NEEDS_HUMAN
      return takeBack(session, `${step.number} failed: ${record?.because ?? ''}`, { signal: options.signal, say })
    }
    case 'rollback':
      return takeBack(session, '', { signal: options.signal, say })
  }
}

function settleClosed(session: Session): number {
  const { closed } = session.journal.incident()
  if (closed?.outcome === 'done') {
    tellOver(session, 'every step is settled')
    return 0
  }
  return exitOf(closed?.outcome ?? 'aborted')
}

/** Takes back what was changed, and says so as it goes. @returns 11, or 12 when something must be looked at */
export async function takeBack(
  session: Session,
  reason: string,
  { signal, say }: { readonly signal: AbortSignal; readonly say: Say },
): Promise<number> {
  for (const line of rollbackLines(planRollback(session.view()))) await say(line)
  const writing: Promise<void>[] = []
  const outcome = await rollBack(session, {
    ...{ reason, signal },
    onEnd: (step, { result, because }) => {
      const told = result === 'ok' ? `taken back, ${because}` : `ROLLBACK FAILED: ${because}`
      writing.push(say(`  [${result === 'ok' ? '<' : '!'}] ${step.number} ${titleOf(session, step)}: ${told}`))
    },
  })
  await Promise.all(writing)
  const { closed } = session.journal.incident()
  if (outcome === 'stuck') tellStuck(session, closed?.remains ?? [])
  else tellOver(session, 'what was changed was taken back')
  return exitOf(outcome)
}

export function exitOf(outcome: Outcome): number {
  if (outcome === 'stuck') return EXIT_CODE_OF.STUCK
  return outcome === 'rolled-back' ? EXIT_CODE_OF.ROLLED_BACK : 0
}

/** Shown before anything of it is done. */
export function rollbackLines({ steps, stays }: RollbackPlan): string[] {
  if (steps.length === 0 && stays.length === 0) return ['nothing was changed that would have to be taken back']
  return [
    ...(steps.length === 0 ? ['nothing can be taken back by itself'] : ['taking back, in this order:']),
    ...steps.map(({ step, command, host }) => `  ${step.number} ${plain(step.title)}: ${command} on ${host}`),
    ...stays.map(({ step }) => `  ${step.number} ${plain(step.title)}: CANNOT be taken back`),
  ]
}

export function endLines(session: Session, stop: Stop, suffix: string): string[] {
  const view = session.view()
  const { incident } = view
  const { closed } = incident
  const commands = commandLines(commandsFor(view, suffix))
  const timers = timerLine(incident, session.context.clock.now())
  const foot = [...(timers === '' ? [] : [`timers: ${timers}`]), ...commands]
  if (closed) {
    const took = formatDuration(closed.at - incident.startedAt)
    const loud = closed.remains.map((rest) => `A HUMAN MUST LOOK: ${printableLine(rest)}`)
    return [
      `${closed.outcome} after ${took}${closed.reason ? `: ${printableLine(closed.reason)}` : ''}`,
      ...loud,
      ...foot,
    ]
  }
  if (stop.kind === 'busy') return [stop.because, ...foot]
  const { next } = view
  if (next.do !== 'wait' && next.do !== 'decide') return foot
  const { step, state, record } = next.step
  const title = plain(view.words.text(step.title))
  const why = next.do === 'wait' ? 'waiting at' : state === 'unknown' ? 'nobody knows how it ended:' : 'failed:'
  const because = record?.because ? ` (${printableLine(record.because)})` : ''
  return ['', `${why} ${step.number} ${title}${because}`, ...stepLines(next.step, view), '', ...foot]
}

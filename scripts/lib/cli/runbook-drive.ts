/** Goes on with an incident without asking anybody: what machines can do is done, then it says who is needed and for what. */
import { formatDuration } from '../core/duration.ts'
import { EXIT_CODE_OF } from '../core/exit.ts'
import { printable, printableLine } from '../core/printable.ts'
import type { Outcome } from '../runbook/incident/types.ts'
import { advance, type AdvanceOptions, type Stop } from '../runbook/run/advance.ts'
import type { PreparedAnswers } from '../runbook/run/answers-file.ts'
import { planRollback, rollBack, type RollbackPlan, type RollbackStep } from '../runbook/run/rollback.ts'
import type { Session } from '../runbook/run/session.ts'
import type { Renderer } from '../runbook/render.ts'
import type { StepEnd } from '../runbook/run/step.ts'
import { tellOver, tellStuck } from '../runbook/run/tell.ts'
import type { Step } from '../runbook/types.ts'
import { print, terminalWidth } from './output.ts'
import type { Chosen } from './runbook-open.ts'
import { statusOf } from './runbook-status.ts'
import { commandLines, layOut, whole, type Line } from './runbook-layout.ts'
import { commandsFor, headLine, plain, seenLines, stepLines, timerLine, timersLine } from './runbook-lines.ts'

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
  const say: Say = (line) => (options.json ? Promise.resolve() : printLines([line]))
  await say(headLine(session.view()))
  const stop = await goOn(session, options, say)
  const code = await settle(session, stop, { options, say })
  const view = session.view()
  if (options.json) await print(JSON.stringify(statusOf(view, { suffix, now: session.context.clock.now() }), null, 2))
  else await printLines(endLines(session, stop, suffix))
  return code
}

export type Say = (line: Line) => Promise<void>

/** On a terminal wrapped to its width, else as they are. */
export function printLines(lines: readonly Line[]): Promise<void> {
  return print(layOut(lines, terminalWidth()).join('\n'))
}

/** Until a human is needed, or everything is over. */
export async function goOn(
  session: Session,
  { signal, yes, prepared, mayEnter, onStart }: DriveOptions,
  say: Say,
): Promise<Stop> {
  const writing: Promise<void>[] = []
  const tell = (line: Line) => void writing.push(say(line))
  const options: AdvanceOptions = {
    ...{ signal, yes },
    ...{ ...(prepared && { prepared }), ...(mayEnter && { mayEnter }), ...(onStart && { onStart }) },
    onEnd: (step, end) => {
      tell(endLine(session, step, end))
      for (const line of seenLines(step, end, wordsOf(session, step))) tell(line)
    },
    onPass: (step, because) =>
      tell(printableLine(`  [/] ${step.number} ${titleOf(session, step)}: does not apply, ${because}`)),
    onAnswer: (_step, because) => tell(printableLine(`  [x] ${because}`)),
    onRefused: (_step, because) => tell(printableLine(`  [!] ${because}`)),
  }
  try {
    return await advance(session, options)
  } finally {
    await Promise.all(writing)
  }
}

export function endLine(session: Session, step: Step, { result, because }: StepEnd): string {
  const mark = result === 'ok' ? 'x' : '!'
  return printableLine(`  [${mark}] ${step.number} ${titleOf(session, step)}: ${because}`)
}

function titleOf(session: Session, step: Step): string {
  return plain(wordsOf(session, step).title(step.title))
}

function wordsOf(session: Session, { id }: Step): Renderer {
  const view = session.view()
  return view.steps.find(({ step }) => step.id === id)?.words ?? view.words
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
      const mark = result === 'ok' ? '<' : '!'
      writing.push(say(printableLine(`  [${mark}] ${step.number} ${titleOf(session, step)}: ${told}`)))
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
export function rollbackLines({ steps, stays }: RollbackPlan): Line[] {
  if (steps.length === 0 && stays.length === 0) return ['nothing was changed that would have to be taken back']
  return [
    ...(steps.length === 0 ? ['nothing can be taken back by itself'] : ['taking back, in this order:']),
    ...steps.map((one) => whole(printable(`  ${nameOf(one)}: ${one.command} on ${one.host}`))),
    ...stays.map((one) => printableLine(`  ${nameOf(one)}: CANNOT be taken back`)),
  ]
}

function nameOf({ step, words }: RollbackStep): string {
  return `${step.number} ${plain(words.title(step.title))}`
}

export function endLines(session: Session, stop: Stop, suffix: string): Line[] {
  const view = session.view()
  const { incident } = view
  const { closed } = incident
  const commands = commandLines(commandsFor(view, suffix), terminalWidth())
  const timers = timerLine(incident, session.context.clock.now())
  const foot = [...(timers === '' ? [] : [timersLine(timers)]), ...commands]
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
  const title = plain(next.step.words.title(step.title))
  const why = next.do === 'wait' ? 'waiting at' : state === 'unknown' ? 'nobody knows how it ended:' : 'failed:'
  const because = record?.because ? ` (${printableLine(record.because)})` : ''
  return [
    '',
    printableLine(`${why} ${step.number} ${title}${because}`),
    ...stepLines(next.step, view.words),
    '',
    ...foot,
  ]
}

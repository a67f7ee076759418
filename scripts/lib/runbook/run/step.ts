/** Runs one step that a machine can do: begun in the journal before anything happens, ended in it with what was seen. */
import type { Lease } from '../../journal/types.ts'
import type { EventBody, Evidence } from '../incident/types.ts'
import type { Renderer } from '../render.ts'
import type { Step } from '../types.ts'
import { isLook, type Session } from './session.ts'
import { describeWork, runTask, type TaskResult, type TaskTools } from './task.ts'
import { runVerify } from './verify.ts'

/** The first pause before a repetition; doubled each time. */
const BACKOFF_MS = 1_000
const LONGEST_BACKOFF_MS = 30_000
/** Evidence of attempts that failed before the last one. */
const KEPT_ATTEMPTS = 2

export interface StepEnd {
  readonly result: TaskResult['result']
  readonly because: string
  readonly evidence: readonly Evidence[]
  /** Of no attempt is anything in effect. */
  readonly unchanged?: true
}

/**
 * @param view as it was decided on; when the step is not next any more, nothing is done
 * @returns undefined when somebody was faster
 */
export async function runStep(
  session: Session,
  { step, lease, signal }: { readonly step: Step; readonly lease: Lease; readonly signal: AbortSignal },
): Promise<StepEnd | undefined> {
  const { journal, context, actions, id } = session
  const words = begin(session, step, lease.fencingToken)
  if (!words) return undefined
  const stop = AbortSignal.any([signal, lease.lost])
  const tools: TaskTools = {
    context: { ...context, signal: stop },
    actions,
    words,
    signal: stop,
    reason: `${id} ${step.number}`,
  }
  const end = await attempt(step, tools)
  journal.change((incident) => {
    const ended: EventBody = { kind: 'step.ended', step: step.id, ...end }
    const { marks } = step
    if (end.result !== 'ok' || !marks || step.evidenceRequired || incident.reached[marks]) return [ended]
    return [ended, { kind: 'reached', milestone: marks, step: step.id }]
  })
  return end
}

/** @returns what it is run with, as it was when its beginning was written down; undefined when it is not next any more */
function begin(session: Session, { id, task }: Step, fencing: number): Renderer | undefined {
  let begun: Renderer | undefined
  session.journal.change((): EventBody[] => {
    const { next } = session.view()
    if (!task || next.do !== 'run' || next.step.step.id !== id) return []
    begun = next.step.words
    return [{ kind: 'step.started', step: id, fencing, command: describeWork(task.work, begun) }]
  })
  return begun
}

async function attempt(step: Step, tools: TaskTools): Promise<StepEnd> {
  const earlier: Evidence[] = []
  let touched = false
  for (let tried = 0; ; tried += 1) {
    const { unchanged, ...end } = await attemptOnce(step, tools)
    touched ||= !unchanged
    if (end.result !== 'failed' || tried >= step.retries) {
      const times = tried === 0 ? '' : ` (attempt ${tried + 1})`
      return {
        ...end,
        because: `${end.because}${times}`,
        evidence: [...earlier.slice(-KEPT_ATTEMPTS), ...end.evidence],
        ...(!touched && { unchanged: true }),
      }
    }
    earlier.push(...end.evidence)
    const pauseMs = Math.min(LONGEST_BACKOFF_MS, BACKOFF_MS * 2 ** tried)
    await tools.context.clock.sleep(pauseMs, tools.signal).catch(() => undefined)
    if (tools.signal.aborted) return { ...end, evidence: earlier.slice(-KEPT_ATTEMPTS) }
  }
}

async function attemptOnce(step: Step, tools: TaskTools): Promise<StepEnd> {
  if (!step.task) throw new TypeError('a human item is not run')
  const ran = told(step, await runTask(step.task, 'run', tools))
  const { result, because: said, evidence } = ran
  const unchanged = ran.unchanged ? ({ unchanged: true } as const) : {}
  if (result !== 'ok' || !step.verify) return { result, because: said, evidence: [evidence], ...unchanged }
  const verified = await runVerify(step.verify, tools)
  const because = verified.result === 'ok' ? `${said}, verified` : verified.because
  return { result: verified.result, because, evidence: [evidence, verified.evidence] }
}

/** Of a step that only tells, whatever was answered is well; no answer at all is not. */
function told({ informs }: Step, ran: TaskResult): TaskResult {
  return informs && ran.result === 'failed' && ran.evidence.exitCode !== undefined ? { ...ran, result: 'ok' } : ran
}

/** Something may have been changed by it. */
export function mayHaveChanged(step: Step): boolean {
  return step.rollback !== undefined || step.irreversible || !isLook(step)
}

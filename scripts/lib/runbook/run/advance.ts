/**
 * Goes on with an incident as far as machines can: runs what can be run, passes what does not apply, answers what was
 * answered beforehand, and stops where a human is needed. Any process may call it; one at a time runs steps.
 */
import { isOpsError } from '../../core/errors.ts'
import type { Lease } from '../../journal/types.ts'
import type { EventBody } from '../incident/types.ts'
import { isSettled, type StepView, type View, type WaitingFor } from '../incident/view.ts'
import type { Phase, Step } from '../types.ts'
import { tryAnswer } from './answer.ts'
import type { PreparedAnswer } from './answers-file.ts'
import { leaseNameOf, type Session } from './session.ts'
import { runStep, type StepEnd } from './step.ts'
import { fireDue } from './tell.ts'

/** Why it stopped. */
export type Stop =
  | { readonly kind: 'waiting'; readonly step: StepView; readonly for: WaitingFor }
  | { readonly kind: 'decide'; readonly step: StepView }
  /** Another process runs a step. */
  | { readonly kind: 'busy'; readonly because: string }
  | { readonly kind: 'rollback' }
  /** A pause point: the phase of the next step was not entered yet. */
  | { readonly kind: 'phase'; readonly phase: Phase }
  | { readonly kind: 'closed' }

export interface AdvanceOptions {
  readonly signal: AbortSignal
  /** Confirms what asks to be confirmed. */
  readonly yes: boolean
  /** For a step, answered beforehand. */
  readonly prepared?: (step: Step, waitsFor: WaitingFor | 'decision') => PreparedAnswer | undefined
  /** False: stop before it, this is where somebody looks up. Default: every phase is entered. */
  readonly mayEnter?: (phase: Phase) => boolean
  readonly onStart?: (step: Step) => void
  readonly onEnd?: (step: Step, end: StepEnd) => void
  readonly onPass?: (step: Step, because: string) => void
  readonly onAnswer?: (step: Step, because: string) => void
  /** An answer given beforehand with which its verify did not agree. */
  readonly onRefused?: (step: Step, because: string) => void
}

/** How often timers are looked at while a step runs. */
const TICK_MS = 1_000

/** @throws OpsError INTERRUPTED, TERMINATED when it was stopped; CANNOT_WRITE and DATA_MISMATCH of the journal */
export async function advance(session: Session, options: AdvanceOptions): Promise<Stop> {
  const hold = holdLease(session)
  const ticking = setInterval(() => fireQuietly(session), TICK_MS)
  try {
    for (;;) {
      options.signal.throwIfAborted()
      fireDue(session)
      const view = session.view()
      const stop = await move(session, view, { options, hold })
      if (stop) return stop
    }
  } finally {
    clearInterval(ticking)
    hold.release()
  }
}

/** The incident is over: every step is settled. */
export function finish(session: Session): void {
  let closed = false
  const incident = session.journal.change(() => {
    const { next } = session.view()
    closed = next.do === 'finish'
    const reason = 'every step is settled'
    return closed ? [{ kind: 'closed', outcome: 'done', reason, remains: [] } satisfies EventBody] : []
  })
  if (closed) recordClosed(session, incident.id, 'done')
}

export function recordClosed(session: Session, id: string, outcome: string): void {
  const { seq, hash } = session.journal.head()
  session.context.journal.record({
    kind: 'incident.closed',
    result: outcome === 'done' ? 'ok' : outcome === 'stuck' ? 'failed' : 'undone',
    message: `${id}: ${outcome}`,
    details: { incident: id, outcome, lines: seq, sha256: hash },
  })
}

interface Moving {
  readonly options: AdvanceOptions
  readonly hold: Hold
}

async function move(session: Session, { next }: View, { options, hold }: Moving): Promise<Stop | undefined> {
  if ('step' in next && next.step && options.mayEnter?.(next.step.phase) === false) {
    return { kind: 'phase', phase: next.step.phase }
  }
  switch (next.do) {
    case 'nothing':
      return { kind: 'closed' }
    case 'finish':
      finish(session)
      return undefined
    case 'rollback':
      return { kind: 'rollback' }
    case 'watch':
      return { kind: 'busy', because: describeBusy(session, next.step) }
    case 'pass':
      pass(session, next.step.step, next.because)
      options.onPass?.(next.step.step, next.because)
      return undefined
    case 'decide': {
      const answered = await answerPrepared(session, next.step, 'decision', options)
      return answered ? undefined : { kind: 'decide', step: next.step }
    }
    case 'wait': {
      const answered = await answerPrepared(session, next.step, next.for, options)
      return answered ? undefined : { kind: 'waiting', step: next.step, for: next.for }
    }
    case 'run': {
      const { step } = next.step
      const held = hold.take(`${session.id} ${step.number}`)
      if ('busy' in held) return { kind: 'busy', because: held.busy }
      options.onStart?.(step)
      const end = await runStep(session, { step, lease: held.lease, signal: options.signal })
      if (end) options.onEnd?.(step, end)
      return undefined
    }
  }
}

function pass(session: Session, { id }: Step, because: string): void {
  session.journal.change((): EventBody[] => {
    const { next } = session.view()
    if (next.do !== 'pass' || next.step.step.id !== id) return []
    return [{ kind: 'step.answered', step: id, answer: 'skip', reason: because, automatic: 'when' }]
  })
}

/** @returns whether something was answered */
async function answerPrepared(
  session: Session,
  { step }: StepView,
  waitsFor: WaitingFor | 'decision',
  options: AdvanceOptions,
): Promise<boolean> {
  const given = options.prepared?.(step, waitsFor)
  const byYes = waitsFor === 'confirm' && options.yes ? ({ answer: 'confirm', automatic: '--yes' } as const) : undefined
  const answer = given ?? byYes
  if (!answer) return false
  const { as, ...request } = { as: undefined, ...answer }
  const answering = as === undefined ? session : { ...session, who: as }
  const answered = await tryAnswer(answering, { ...request, step: step.id }, options.signal)
  if (answered.kind === 'refused') {
    // Written down beforehand, and not so: a human has to look.
    options.onRefused?.(step, answered.because)
    return false
  }
  options.onAnswer?.(step, answered.because)
  return true
}

interface Hold {
  take(reason: string): { readonly lease: Lease } | { readonly busy: string }
  release(): void
}

function holdLease({ context, id }: Session): Hold {
  let lease: Lease | undefined
  return {
    take(reason) {
      try {
        lease ??= context.journal.acquire({ name: leaseNameOf(id), reason })
        return { lease }
      } catch (error) {
        if (isOpsError(error, 'LOCKED')) return { busy: error.message }
        throw error
      }
    },
    release: () => lease?.release(),
  }
}

function describeBusy({ id }: Session, step: StepView | undefined): string {
  const { record } = step ?? {}
  return step ? `${step.step.number} of ${id} is being run by ${record?.by}` : `${id} is being run by another process`
}

/** In the background a problem with a timer must not end a step. What is due is due at the next look, too. */
function fireQuietly(session: Session): void {
  try {
    fireDue(session)
  } catch (error) {
    session.context.log.debug(`timers: ${String(error)}`)
  }
}

/** Steps that are settled, of all. */
export function countSettled({ steps }: View): { readonly settled: number; readonly all: number } {
  return { settled: steps.filter(isSettled).length, all: steps.length }
}

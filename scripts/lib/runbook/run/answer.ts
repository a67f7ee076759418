/** Records what an operator answers to a step; where a machine has to agree, it is asked first. */
import { OpsError } from '../../core/errors.ts'
import { decideAnswer, findStep, type AnswerRequest, type AnswerVerdict } from '../incident/answers.ts'
import type { EventBody } from '../incident/types.ts'
import type { Session } from './session.ts'
import { runVerify, type VerifyResult } from './verify.ts'

/** What an answer came to; refused: the machine did not agree, and that was written down. */
export type Answered =
  | ({ readonly kind: 'taken' } & AnswerVerdict)
  | { readonly kind: 'refused'; readonly because: string; readonly hint: string }

/**
 * @returns what it came to; `events` is empty when it was answered so before
 * @throws OpsError FAILED when `verify` does not agree (written down) or somebody answered otherwise; what decideAnswer throws
 */
export async function answerStep(
  session: Session,
  request: Omit<AnswerRequest, 'by'>,
  signal: AbortSignal,
): Promise<AnswerVerdict> {
  const answered = await tryAnswer(session, request, signal)
  if (answered.kind === 'taken') return answered
  throw new OpsError('FAILED', answered.because, { hint: answered.hint })
}

/** As answerStep, but a `verify` that does not agree is no error. */
export async function tryAnswer(
  session: Session,
  request: Omit<AnswerRequest, 'by'>,
  signal: AbortSignal,
): Promise<Answered> {
  const full = { ...request, by: session.who }
  const { params } = session.journal.incident()
  const verdict = decideAnswer(session.view(), full)
  if (verdict.events.length === 0) return { kind: 'taken', ...verdict }
  const verified = request.answer === 'done' ? await verifyAnswer(session, request.step, signal) : undefined
  if (verified && verified.result !== 'ok') {
    signal.throwIfAborted()
    return refuse(session, request.step, verified)
  }
  const evidence = [...(request.evidence ?? []), ...(verified ? [verified.evidence] : [])]
  let final: AnswerVerdict = verdict
  session.journal.change(() => {
    final = decideAnswer(session.view(), { ...full, evidence, ...(verified && { shownWith: params }) })
    return final.events
  })
  return { kind: 'taken', ...final }
}

/** What nobody saw fail is not verified twice: a step that ran was verified by its run. */
async function verifyAnswer(session: Session, name: string, signal: AbortSignal): Promise<VerifyResult | undefined> {
  const { step, state, words } = findStep(session.view(), name)
  if (!step.verify || (step.task && state !== 'unknown')) return undefined
  const { context, actions, id } = session
  const reason = `${id} ${step.number}`
  return runVerify(step.verify, { context: { ...context, signal }, actions, words, signal, reason })
}

function refuse({ journal, view }: Session, name: string, { because, evidence }: VerifyResult): Answered {
  const { step } = findStep(view(), name)
  journal.change((): EventBody[] => [{ kind: 'step.refused', step: step.id, because, evidence: [evidence] }])
  const said = evidence.output?.trim().split('\n').at(-1)
  return {
    kind: 'refused',
    because: `${step.number} is not done: ${because}${said ? ` (${said.slice(0, 200)})` : ''}`,
    hint: `Mend it and say done again; or: override ${step.id} --reason "why", or skip ${step.id} --reason "why"`,
  }
}

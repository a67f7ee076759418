/** Records what an operator answers to a step; where a machine has to agree, it is asked first. */
import { OpsError } from '../../core/errors.ts'
import { decideAnswer, findStep, type AnswerRequest, type AnswerVerdict } from '../incident/answers.ts'
import type { EventBody } from '../incident/types.ts'
import type { Session } from './session.ts'
import { runVerify, type VerifyResult } from './verify.ts'

/**
 * @returns what it came to; `events` is empty when it was answered so before
 * @throws OpsError FAILED when `verify` does not agree (written down) or somebody answered otherwise; what decideAnswer throws
 */
export async function answerStep(
  session: Session,
  request: Omit<AnswerRequest, 'by'>,
  signal: AbortSignal,
): Promise<AnswerVerdict> {
  const full = { ...request, by: session.who }
  const verdict = decideAnswer(session.view(), full)
  if (verdict.events.length === 0) return verdict
  const verified = request.answer === 'done' ? await verifyAnswer(session, request.step, signal) : undefined
  const evidence = [...(request.evidence ?? []), ...(verified ? [verified.evidence] : [])]
  let final: AnswerVerdict = verdict
  session.journal.change(() => {
    final = decideAnswer(session.view(), { ...full, evidence })
    return final.events
  })
  return final
}

/** What nobody saw fail is not verified twice: a step that ran was verified by its run. */
async function verifyAnswer(session: Session, name: string, signal: AbortSignal): Promise<VerifyResult | undefined> {
  const { step, state } = findStep(session.view(), name)
  if (!step.verify || (step.task && state !== 'unknown')) return undefined
  const { context, actions, id, journal } = session
  const reason = `${id} ${step.number}`
  const { words } = session.view()
  const verified = await runVerify(step.verify, { context: { ...context, signal }, actions, words, signal, reason })
  if (verified.result === 'ok') return verified
  signal.throwIfAborted()
  const { because } = verified
  const refused: EventBody = { kind: 'step.refused', step: step.id, because, evidence: [verified.evidence] }
  journal.change(() => [refused])
  const said = verified.evidence.output?.trim().split('\n').at(-1)
  throw new OpsError('FAILED', `${step.number} is not done: ${because}${said ? ` (${said.slice(0, 200)})` : ''}`, {
    hint: `Mend it and say done again; or: override ${step.id} --reason "why", or skip ${step.id} --reason "why"`,
  })
}

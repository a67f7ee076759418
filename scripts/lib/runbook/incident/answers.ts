/**
 * What an operator's answer does, given how things stand. Pure, and asked under the lock: of two answers at once the first
 * wins, the same one again does nothing, a different one is refused with who was first and when.
 */
import { OpsError } from '../../core/errors.ts'
import { nearestName } from '../../core/nearest.ts'
import type { ParamValues } from '../params.ts'
import { paramsOf } from '../uses.ts'
import type { Answer, EventBody, Evidence } from './types.ts'
import { isSettled, type StepView, type View } from './view.ts'

export interface AnswerRequest {
  /** Of the step: id or number. */
  readonly step: string
  readonly answer: Answer
  readonly by: string
  readonly reason?: string
  readonly evidence?: readonly Evidence[]
  /** Not by a person: `--yes`, an answers file. */
  readonly automatic?: string
  /** Params as they were when the step was shown, or verified: with others, it is not this that was agreed to. */
  readonly shownWith?: ParamValues
}

export interface AnswerVerdict {
  /** Empty: it was answered so before. */
  readonly events: readonly EventBody[]
  readonly because: string
}

/** @throws OpsError USAGE with the nearest step */
export function findStep({ steps }: Pick<View, 'steps'>, name: string): StepView {
  const found = steps.find(({ step }) => step.id === name) ?? steps.find(({ step }) => step.number === name)
  if (found) return found
  const near = nearestName(
    name,
    steps.flatMap(({ step }) => [step.id, step.number]),
  )
  throw new OpsError('USAGE', `there is no step "${name}"`, {
    hint: near === undefined ? 'npx zx scripts/runbook.ts status lists them.' : `Did you mean ${near}?`,
  })
}

/** @throws OpsError USAGE, FAILED (answered otherwise), LOCKED (it runs), NOT_PERMITTED (the two-person rule) */
export function decideAnswer(view: View, request: AnswerRequest): AnswerVerdict {
  const target = findStep(view, request.step)
  const before = answeredBefore(target, request)
  if (before) return before
  refuseWhenClosed(view, target)
  if (target.state === 'running') {
    const { by = 'another process' } = target.record ?? {}
    throw new OpsError('LOCKED', `${nameOf(target)} is being run by ${by} since ${time(target.record?.at)}`, {
      transient: true,
      hint: 'Wait for its end: npx zx scripts/runbook.ts status',
    })
  }
  refuseWhenSet(view, target, request)
  RULES[request.answer](view, target, request)
  const { answer, reason, evidence, automatic } = request
  const answered: EventBody = {
    ...{ kind: 'step.answered', step: target.step.id, answer },
    ...(reason !== undefined && { reason }),
    ...(evidence !== undefined && evidence.length > 0 && { evidence }),
    ...(automatic !== undefined && { automatic }),
  }
  const { marks, id } = target.step
  const settles = answer === 'done' || answer === 'override'
  const reached: readonly EventBody[] =
    settles && marks && !view.incident.reached[marks] ? [{ kind: 'reached', milestone: marks, step: id }] : []
  return { events: [answered, ...reached], because: `${nameOf(target)}: ${PAST[answer]}` }
}

const PAST: Readonly<Record<Answer, string>> = {
  ...{ done: 'done', skip: 'skipped', override: 'overridden', redo: 'to be done again', confirm: 'confirmed' },
  approve: 'approved',
}

type Rule = (view: View, target: StepView, request: AnswerRequest) => void

const RULES: Readonly<Record<Answer, Rule>> = {
  done(view, target, { evidence = [] }) {
    refuseAhead(view, target)
    refuseWithout(target)
    const { step, state, waitingFor } = target
    const name = nameOf(target)
    const operators = evidence.some(({ of }) => of === 'operator')
    if (state === 'failed')
      throw refused(`${name} failed: done is what works`, 'redo, override --reason or skip --reason.')
    if (state === 'unknown') {
      if (step.verify || operators) return
      throw refused(
        `nobody knows how far ${name} got`,
        `Look, then: done ${step.id} --evidence "what you saw", or redo, or skip.`,
      )
    }
    if (waitingFor === 'approval')
      throw refused(`${name} needs the agreement of ${step.approve} first`, `approve ${step.id}`)
    if (step.task && waitingFor !== 'evidence')
      throw refused(`${name} is run by the program`, 'npx zx scripts/runbook.ts next')
    if (!step.evidenceRequired || operators || target.record?.witnessed) return
    throw new OpsError('USAGE', `${name} needs evidence: what was seen`, {
      hint: `done ${step.id} --evidence "what you saw", or --attach FILE`,
    })
  },
  skip(_view, target, { reason }) {
    needReason('skip', target, reason)
  },
  override(view, target, { reason }) {
    needReason('override', target, reason)
    refuseAhead(view, target)
    if (target.state === 'failed' || target.state === 'unknown') return
    if (target.step.verify && target.step.task === undefined) return
    throw refused(`${nameOf(target)} has not failed: there is nothing to override`, `done ${target.step.id}, or skip.`)
  },
  redo(_view, target) {
    if (target.state === 'failed' || target.state === 'unknown') return
    throw refused(`${nameOf(target)} has not been tried`, 'npx zx scripts/runbook.ts next')
  },
  confirm(view, target) {
    if (target.step.confirm === undefined) throw refused(`${nameOf(target)} asks for no confirmation`, 'next')
    refuseAhead(view, target)
    refuseWithout(target)
    if (target.waitingFor === 'approval') {
      throw refused(
        `${nameOf(target)} needs the agreement of ${target.step.approve} first`,
        `approve ${target.step.id}`,
      )
    }
  },
  approve({ incident }, target, { by }) {
    if (target.step.approve === undefined) throw refused(`${nameOf(target)} needs nobody's agreement`, 'next')
    refuseWithout(target)
    if (by !== incident.startedBy) return
    throw new OpsError('NOT_PERMITTED', `${by} started this run, so somebody else has to agree to ${nameOf(target)}`, {
      hint: `Another operator: npx zx scripts/runbook.ts approve ${target.step.id} (on a shared account with OPSKIT_USER=NAME)`,
    })
  },
}

/** The same answer again, or another one after it. */
function answeredBefore(target: StepView, { answer, reason, evidence = [] }: AnswerRequest): AnswerVerdict | undefined {
  const { record, state } = target
  const name = nameOf(target)
  if (answer === 'confirm' || answer === 'approve') {
    const act = answer === 'confirm' ? record?.confirmed : record?.approved
    return act && { events: [], because: `${name}: ${act.by} did that at ${time(act.at)}` }
  }
  // A second shell that asks for the same: it waits to be run, or runs already.
  if (answer === 'redo' && record?.attempts && (state === 'pending' || state === 'running')) {
    return { events: [], because: `${name}: ${record.by} asked for that at ${time(record.at)}` }
  }
  if (!isSettled(target) || !record) return undefined
  const was = `${record.by} ${record.automatic ? `(${record.automatic}) ` : ''}at ${time(record.at)}`
  const same = { done: 'done', skip: 'skipped', override: 'overridden' } as const
  const settled = state === 'does-not-apply' ? 'skipped' : state
  const told = evidence.filter(({ of }) => of === 'operator').length > 0
  const isSame =
    answer !== 'redo' && settled === same[answer] && (reason === undefined || reason === record.because) && !told
  if (isSame) return { events: [], because: `${name} was ${settled} already, by ${was}` }
  const why = record.because ? `: ${record.because}` : ''
  throw new OpsError('FAILED', `${name} was answered already: ${settled}, by ${was}${why}`, {
    hint: 'The first answer counts. What else you know: npx zx scripts/runbook.ts note TEXT',
  })
}

function refuseWhenClosed({ incident }: View, target: StepView): void {
  const { closed, rollback } = incident
  if (closed)
    throw refused(`${incident.id} was closed by ${closed.by} at ${time(closed.at)}: ${closed.reason}`, 'status')
  if (rollback) {
    throw refused(`${nameOf(target)}: ${incident.id} is being rolled back since ${time(rollback.at)}`, 'status')
  }
}

/** Within a phase what humans do may come in any order; the next phase begins when the one before is over. */
function refuseAhead({ steps }: View, target: StepView): void {
  const current = steps.find((step) => !isSettled(step))
  if (!current || current.phase.number >= target.phase.number) return
  if (target.state === 'does-not-apply') throw refused(`${nameOf(target)} does not apply here`, 'status')
  throw refused(
    `${nameOf(target)} comes later: phase ${current.phase.number} still waits for ${nameOf(current)}`,
    'status',
  )
}

/** Somebody has set a param of it while somebody else was reading. */
function refuseWhenSet({ incident }: View, target: StepView, { answer, shownWith }: AnswerRequest): void {
  if (shownWith === undefined || !['done', 'confirm', 'approve'].includes(answer)) return
  const changed = paramsOf(target.step).find((name) => shownWith[name] !== incident.params[name])
  if (changed !== undefined) throw refused(`${changed} was set meanwhile: look at ${nameOf(target)} again`, 'status')
}

/** Nobody can agree to what is not known yet. */
function refuseWithout(target: StepView): void {
  const [name] = target.missing
  if (name !== undefined) throw refused(`${nameOf(target)} needs a value for ${name} first`, `set ${name}=…`)
}

function needReason(answer: 'skip' | 'override', target: StepView, reason: string | undefined): void {
  if (reason !== undefined && reason.trim() !== '') return
  throw new OpsError('USAGE', `to ${answer} ${nameOf(target)} needs a reason`, {
    hint: `${answer} ${target.step.id} --reason "why"`,
  })
}

function refused(message: string, hint: string): OpsError {
  return new OpsError('FAILED', message, { hint })
}

function nameOf({ step }: StepView): string {
  return step.id === step.number ? step.number : `${step.number} (${step.id})`
}

/** `03:14:07 UTC` */
function time(at = 0): string {
  return `${new Date(at).toISOString().slice(11, 19)} UTC`
}

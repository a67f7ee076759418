/**
 * Answers that were written down before a rehearsed run: YAML, one line a step (id or number), `*` for every other thing
 * a human does. What is not answered there waits, as ever.
 *
 *     state: done
 *     tell: { evidence: "told in #ops" }
 *     drain: { skip: no second server in this drill }
 *     check: { override: known to fail here }
 *     promote: { confirm: yes }
 *     approve-it: { approve: bob }        # in a drill only
 *     "*": done
 */
import { OpsError } from '../../core/errors.ts'
import { nearestName } from '../../core/nearest.ts'
import type { Evidence } from '../incident/types.ts'
import type { WaitingFor } from '../incident/view.ts'
import type { Runbook, Step } from '../types.ts'
import type { AnswerRequest } from '../incident/answers.ts'
import { parsePerson } from '../incident/identity.ts'

/** `as`: who agrees, in a drill. */
export type PreparedAnswer = Pick<AnswerRequest, 'answer' | 'reason' | 'evidence' | 'automatic'> & {
  readonly as?: string
}

interface Written {
  readonly done?: boolean
  readonly evidence?: string
  readonly skip?: string
  readonly override?: string
  readonly confirm?: boolean
  readonly approve?: string
}

export type PreparedAnswers = (step: Step, waitsFor: WaitingFor | 'decision') => PreparedAnswer | undefined

const KEYS = ['done', 'evidence', 'skip', 'override', 'confirm', 'approve'] as const
const BY = 'answers file'

/** @throws OpsError USAGE naming the file and what is wrong in it */
export async function parseAnswers(
  text: string,
  file: string,
  { runbook, drill }: { readonly runbook: Runbook; readonly drill: boolean },
): Promise<PreparedAnswers> {
  const { parse } = await import('yaml')
  const answers = new Map<string, Written>()
  const raw = readMap(() => parse(text) as unknown, file)
  const known = runbook.phases.flatMap(({ steps }) => steps.flatMap(({ id, number }) => [id, number]))
  for (const [name, value] of Object.entries(raw)) {
    if (name !== '*' && !known.includes(name)) throw unknown(`${file}: the runbook has no step "${name}"`, name, known)
    const written = readAnswer(value, `${file}: ${name}`)
    if (written.approve !== undefined && !drill) {
      throw new OpsError('USAGE', `${file}: ${name}: agreement cannot be written down beforehand but for a drill`, {
        hint: 'Start it with --drill, or let the other one say it: npx zx scripts/runbook.ts approve STEP',
      })
    }
    answers.set(name, written)
  }
  const used = new Set<string>()
  return (step, waitsFor) => {
    const named = answers.get(step.id) ?? answers.get(step.number)
    const isHuman = step.task === undefined
    const written = named ?? (isHuman && waitsFor !== 'decision' ? answers.get('*') : undefined)
    const key = `${step.id} ${waitsFor}`
    if (!written || used.has(key)) return undefined
    // Once: what an answer did not settle waits for a human.
    used.add(key)
    return answerFor(written, waitsFor)
  }
}

function answerFor(written: Written, waitsFor: WaitingFor | 'decision'): PreparedAnswer | undefined {
  const { skip, override, approve, evidence } = written
  if (skip !== undefined) return { answer: 'skip', reason: skip, automatic: BY }
  if (waitsFor === 'approval') {
    return approve === undefined ? undefined : { answer: 'approve', automatic: BY, as: parsePerson(approve) }
  }
  if (waitsFor === 'confirm') return written.confirm ? { answer: 'confirm', automatic: BY } : undefined
  if (waitsFor === 'decision') {
    return override === undefined ? undefined : { answer: 'override', reason: override, automatic: BY }
  }
  if (waitsFor === 'param' || (!written.done && evidence === undefined)) return undefined
  const seen: Evidence[] = evidence === undefined ? [] : [{ of: 'operator', text: evidence }]
  return { answer: 'done', evidence: seen, automatic: BY }
}

function readMap(parse: () => unknown, file: string): Record<string, unknown> {
  let value: unknown
  try {
    value = parse()
  } catch (error) {
    throw new OpsError('USAGE', `${file}: ${error instanceof Error ? error.message : 'not YAML'}`, { cause: error })
  }
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Record<string, unknown>
  throw new OpsError('USAGE', `${file} does not hold answers`, { hint: 'One line a step: `state: done`.' })
}

function readAnswer(value: unknown, where: string): Written {
  if (value === 'done' || value === true) return { done: true }
  if (value === 'confirm') return { confirm: true }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new OpsError('USAGE', `${where}: an answer is done, or one of ${KEYS.join(', ')} with its text`)
  }
  const fields = value as Record<string, unknown>
  for (const [key, field] of Object.entries(fields)) {
    if (!(KEYS as readonly string[]).includes(key)) throw unknown(`${where}: there is no answer "${key}"`, key, KEYS)
    const isFlag = key === 'done' || key === 'confirm'
    const isRight = isFlag ? typeof field === 'boolean' || field === 'yes' || field === 'no' : typeof field === 'string'
    if (!isRight) throw new OpsError('USAGE', `${where}: ${key} must be ${isFlag ? 'yes or no' : 'text'}`)
  }
  const yes = (key: string) => fields[key] === true || fields[key] === 'yes'
  return { ...(fields as Written), done: yes('done'), confirm: yes('confirm') }
}

function unknown(message: string, name: string, known: readonly string[]): OpsError {
  const near = nearestName(name, known)
  return new OpsError('USAGE', message, {
    hint: near === undefined ? `Known: ${known.join(', ')}` : `Did you mean ${near}?`,
  })
}

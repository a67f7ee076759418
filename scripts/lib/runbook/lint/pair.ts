/** A translation says the same in another language: other words, the same params, phases and steps. */
import { isDeepStrictEqual } from 'node:util'
import type { Path } from '../../config/walk.ts'
import type { ReadRunbook } from '../read/parse.ts'
import type { Complaint, Place, Runbook, Step } from '../types.ts'
import { stepsOf } from './params.ts'

/** @returns a complaint at each place of the translation that differs; none when one of the two is broken */
export function lintPair(original: ReadRunbook, translation: ReadRunbook): Complaint[] {
  const [one, other] = [original.runbook, translation.runbook]
  if (!one || !other) return []
  return [...compareHeads(one, other, translation), ...comparePhases(one, other, translation)]
}

type Compared = readonly [key: string, original: unknown, translated: unknown, path?: Path]

function compareHeads(one: Runbook, other: Runbook, { frontPlaceOf }: ReadRunbook): Complaint[] {
  const names = ({ params }: Runbook) => params.map(({ name }) => name)
  const facts: Compared[] = [
    ['severity', one.severity, other.severity],
    ['last_tested', one.lastTested, other.lastTested],
    ['mode', one.mode, other.mode],
    ['subject', one.subject, other.subject],
    ['params', names(one), names(other)],
    ['roles', Object.keys(one.roles), Object.keys(other.roles)],
    ['timers', timersOf(one), timersOf(other)],
    ...one.params.flatMap((param): Compared[] => {
      const mine = other.params.find(({ name }) => name === param.name)
      if (!mine) return []
      const path = (key: string) => ['params', param.name, key]
      return [
        [`params.${param.name}.type`, param.type, mine.type, path('type')],
        [`params.${param.name}.default`, param.default, mine.default, path('default')],
        [`params.${param.name}.choices`, param.choices, mine.choices, path('choices')],
      ]
    }),
  ]
  return facts.flatMap((fact) => compare(fact, (path) => frontPlaceOf(path), 'the original'))
}

function comparePhases(one: Runbook, other: Runbook, translation: ReadRunbook): Complaint[] {
  const counts = ({ phases }: Runbook) => phases.map(({ steps }) => steps.length)
  const [wanted, found] = [counts(one), counts(other)]
  if (!isDeepStrictEqual(wanted, found)) {
    const first = found.findIndex((count, index) => count !== wanted[index])
    const at = first === -1 ? found.length : first
    const line = translation.outline.phases[at]?.line ?? translation.outline.phases.at(-1)?.line ?? 1
    const say = (count: number | undefined) => (count === undefined ? 'no phase' : `${count} items`)
    return [
      {
        place: { file: translation.file, line, column: 1 },
        severity: 'error',
        message: `phase ${at + 1} has ${say(found[at])}, in the original ${say(wanted[at])}`,
      },
    ]
  }
  const steps = stepsOf(other)
  return stepsOf(one).flatMap((step, index) => {
    const mine = steps[index]
    return mine ? compareSteps(step, mine, translation) : []
  })
}

function compareSteps(one: Step, other: Step, { stepPlaceOf }: ReadRunbook): Complaint[] {
  const placeOf = stepPlaceOf(other.number)
  const facts: Compared[] = [
    ['id', one.id, other.id],
    ...partsOf('', one.task, other.task),
    ...(['verify', 'rollback'] as const).flatMap((key) =>
      one[key] && other[key]
        ? partsOf(key, one[key], other[key])
        : [[key, one[key] !== undefined, other[key] !== undefined] as const],
    ),
    ['when', one.when, other.when],
    ['needs', one.needs, other.needs],
    ['confirm', one.confirm !== undefined, other.confirm !== undefined],
    ['retries', one.retries, other.retries],
    ['approve', one.approve, other.approve],
    ['evidence', one.evidenceRequired, other.evidenceRequired],
    ['irreversible', one.irreversible, other.irreversible],
    ['read_only', one.readOnly, other.readOnly],
    ['informs', one.informs, other.informs],
    ['marks', one.marks, other.marks],
  ]
  return facts.flatMap((fact) => compare(fact, placeOf, `item ${one.number} of the original`))
}

/** What a task, a verify or a rollback is made of, each under the key it has in the file. */
function partsOf(prefix: string, one: Step['verify'] | Step['task'], other: typeof one): Compared[] {
  const path = (key: string) => (prefix === '' ? [key] : [prefix, key])
  const key = (name: string) => path(name).join('.')
  const name = (other ?? one)?.work.kind === 'action' ? 'action' : 'run'
  const expect = (part: typeof one) => part && 'expect' in part && part.expect
  const within = (part: typeof one) => part && 'withinMs' in part && part.withinMs
  return [
    [key(name), one?.work, other?.work, path(name)],
    [key('on'), one?.on, other?.on, path('on')],
    [key('timeout'), one?.timeoutMs, other?.timeoutMs, path('timeout')],
    [key('expect'), expect(one), expect(other), path('expect')],
    [key('within'), within(one), within(other), path('within')],
  ]
}

function compare(
  [key, wanted, found, path = [key]]: Compared,
  placeOf: (path: Path) => Place,
  where: string,
): Complaint[] {
  if (isDeepStrictEqual(wanted, found)) return []
  return [{ place: placeOf(path), severity: 'error', message: `${key} is not that of ${where}` }]
}

function timersOf({ timers }: Runbook): unknown {
  return timers?.map(({ name, afterMs, stoppedBy }) => [name, afterMs, stoppedBy])
}

/** Does the catalog know the actions of a runbook, and would they take their params. */
import type { Action, ActionEntry } from '../../action/types.ts'
import { explainIssues, sentenceOf } from '../../config/explain.ts'
import { valueAt, type Path } from '../../config/walk.ts'
import { nearestName } from '../../core/nearest.ts'
import { referencesIn } from '../render.ts'
import type { ReadRunbook } from '../read/parse.ts'
import type { Complaint, Param, ParamType, Runbook, Step, Work } from '../types.ts'
import { stepsOf } from './params.ts'
import { tasksOf } from '../sites.ts'

/** The catalog, handed in: a conductor does not import what it runs. */
export type ActionCatalog = readonly ActionEntry[]

/** Stands in for a param that has no default yet. */
const EXAMPLES: Readonly<Record<ParamType, unknown>> = {
  text: 'example',
  integer: 1,
  number: 1,
  boolean: true,
  choice: 'example',
  host: 'local',
  path: '/example',
  duration: 1_000,
}

export async function lintActions(read: ReadRunbook, runbook: Runbook, catalog: ActionCatalog): Promise<Complaint[]> {
  const uses = stepsOf(runbook).flatMap((step) =>
    tasksOf(step).flatMap(({ path, task: { work } }) => (work.kind === 'action' ? [{ step, path, work }] : [])),
  )
  const told = await Promise.all(uses.map((use) => lintAction(read, { ...use, runbook, catalog })))
  return told.flat()
}

interface Use {
  readonly step: Step
  readonly path: Path
  readonly work: Extract<Work, { kind: 'action' }>
  readonly runbook: Runbook
  readonly catalog: ActionCatalog
}

async function lintAction(read: ReadRunbook, { step, path, work, runbook, catalog }: Use): Promise<Complaint[]> {
  const placeOf = read.stepPlaceOf(step.number)
  const entry = catalog.find(({ name }) => name === work.name)
  if (!entry) {
    const near = nearestName(
      work.name,
      catalog.map(({ name }) => name),
    )
    const hint = near ? `Did you mean "${near}"?` : 'docs/reference/actions.md lists them all.'
    return [
      { place: placeOf([...path, 'action']), severity: 'error', message: `there is no action "${work.name}"`, hint },
    ]
  }
  const wrongKind: Complaint[] =
    path[0] === 'verify' && entry.changes
      ? [
          {
            place: placeOf([...path, 'action']),
            severity: 'error',
            message: `${work.name} changes something: a verify only looks`,
          },
        ]
      : []
  const problems = problemsOf(await entry.load(), work.params, runbook.params)
  return [
    ...wrongKind,
    ...problems.map((problem): Complaint => {
      const hasParams = Object.keys(work.params).length > 0
      const place = hasParams
        ? placeOf([...path, 'params', ...problem.path], problem.part)
        : placeOf([...path, 'action'], 'key')
      return { place, severity: 'error', message: `${work.name}: ${sentenceOf(problem)}` }
    }),
  ]
}

/** What the action would refuse, but for values that are only known when it is run. */
function problemsOf(action: Action, params: Readonly<Record<string, unknown>>, known: readonly Param[]) {
  const data = standIn(params, known)
  const result = action.params.safeParse(data)
  if (result.success) return []
  return explainIssues(action.params, data, result.error.issues).filter(
    ({ path }) => !hasReference(valueAt(params, path)),
  )
}

/** A whole that holds nothing is judged by its keys; a text with a param in it, when it is run. */
function hasReference(value: unknown): boolean {
  return typeof value === 'string' && referencesIn(value).length > 0
}

function standIn(value: unknown, known: readonly Param[]): unknown {
  if (typeof value === 'string') {
    const [reference] = referencesIn(value)
    const param = known.find(({ name }) => name === reference?.name)
    if (!param || !/^\{\{[^{}]*\}\}$/.test(value)) return value
    return param.default ?? param.choices?.[0] ?? EXAMPLES[param.type]
  }
  if (Array.isArray(value)) return value.map((item) => standIn(item, known))
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, standIn(item, known)]))
}

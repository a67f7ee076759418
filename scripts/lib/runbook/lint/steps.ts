/** Rules of single steps: a way back, ids, roles, hosts. */
import { nearestName } from '../../core/nearest.ts'
import { LOCAL } from '../params.ts'
import { referencesIn } from '../render.ts'
import type { KnownActions } from '../read/block.ts'
import type { ReadRunbook } from '../read/parse.ts'
import type { Complaint, Runbook, Step } from '../types.ts'
import { stepsOf } from './params.ts'
import { sitesOf } from '../sites.ts'

export interface Known {
  readonly actions: KnownActions
  /** The names of opskit.yaml; undefined: there is none, and no name is judged. */
  readonly hosts: readonly string[] | undefined
}

export function lintSteps(read: ReadRunbook, runbook: Runbook, { actions, hosts }: Known): Complaint[] {
  return [
    ...lintIds(read, runbook),
    ...stepsOf(runbook).flatMap((step) => [
      ...lintWayBack(read, step, actions),
      ...lintInforms(read, step),
      ...lintRole(read, step, runbook),
      ...lintHosts(read, step, { runbook, hosts }),
    ]),
  ]
}

function lintIds({ stepPlaceOf }: ReadRunbook, runbook: Runbook): Complaint[] {
  const first = new Map<string, string>()
  return stepsOf(runbook).flatMap(({ id, number }): Complaint[] => {
    const other = first.get(id)
    if (other === undefined) {
      first.set(id, number)
      return []
    }
    return [
      { place: stepPlaceOf(number)(['id']), severity: 'error', message: `the item ${other} has the id "${id}" too` },
    ]
  })
}

function lintWayBack(
  { stepPlaceOf }: ReadRunbook,
  { task, readOnly, rollback, irreversible, number }: Step,
  actions: KnownActions,
): Complaint[] {
  if (!task || readOnly || rollback || irreversible) return []
  const { work } = task
  // One that does not exist is told of by itself.
  if (work.kind === 'action' && !actions.some(({ name }) => name === work.name)) return []
  return [
    {
      place: stepPlaceOf(number)([work.kind === 'action' ? 'action' : 'run'], 'key'),
      severity: 'error',
      message: 'it changes something and has no way back',
      hint: 'Give it a rollback, or say irreversible: yes, or read_only: yes when it changes nothing.',
    },
  ]
}

/** What failed half-way must not pass for done. */
function lintInforms({ stepPlaceOf }: ReadRunbook, { informs, readOnly, number }: Step): Complaint[] {
  if (!informs || readOnly) return []
  return [
    {
      place: stepPlaceOf(number)(['informs'], 'key'),
      severity: 'error',
      message: 'it changes something, so its failure counts: informs is for what only looks',
      hint: 'Say read_only: yes when it changes nothing.',
    },
  ]
}

function lintRole({ stepPlaceOf }: ReadRunbook, { approve, number }: Step, { roles }: Runbook): Complaint[] {
  if (approve === undefined || Object.hasOwn(roles, approve)) return []
  const known = Object.keys(roles)
  const near = nearestName(approve, known)
  return [
    {
      place: stepPlaceOf(number)(['approve']),
      severity: 'error',
      message: `there is no role "${approve}"`,
      hint: near ? `Did you mean "${near}"?` : `Known: ${known.join(', ') || 'none'}. Add it to roles.`,
    },
  ]
}

function lintHosts(
  { stepPlaceOf }: ReadRunbook,
  step: Step,
  { runbook, hosts }: { runbook: Runbook; hosts: readonly string[] | undefined },
): Complaint[] {
  return sitesOf(step)
    .filter(({ kind }) => kind === 'host')
    .flatMap(({ text, path }): Complaint[] => {
      const place = stepPlaceOf(step.number)(path)
      const [reference] = referencesIn(text)
      const param = runbook.params.find(({ name }) => name === reference?.name)
      if (reference) {
        if (!param || param.type === 'host' || !/^\{\{[^{}]*\}\}$/.test(text)) return []
        const hint = `Give ${param.name} the type host: then it is checked at the start.`
        return [{ place, severity: 'error', message: `the param ${param.name} is no host but ${param.type}`, hint }]
      }
      if (!hosts || text === LOCAL || hosts.includes(text)) return []
      const near = nearestName(text, [LOCAL, ...hosts])
      const hint = near ? `Did you mean "${near}"?` : `Known: ${[LOCAL, ...hosts].join(', ')}.`
      return [{ place, severity: 'warning', message: `opskit.yaml has no host "${text}"`, hint }]
    })
}

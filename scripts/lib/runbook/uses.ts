/** Which params a step speaks of, and which of them it cannot be run without. */
import type { ParamValues } from './params.ts'
import { referencesIn, variablesIn } from './render.ts'
import { sitesOf, sitesOfTask, type Site } from './sites.ts'
import type { Step, Task } from './types.ts'

/** Everything that its work, its words, its host or its condition are made of. */
export function paramsOf(step: Step): string[] {
  const { title, text, when, needs = [] } = step
  const words = [title, text].flatMap((part) => referencesIn(part).map(({ name }) => name))
  return [...new Set([...sitesOf(step).flatMap(namesIn), ...words, ...(when ? [when.param] : []), ...needs])]
}

/** Of one task of a step, its host included. */
export function paramsOfTask(task: Task): string[] {
  return [...new Set(sitesOfTask([], task).flatMap(namesIn))]
}

/**
 * Params without a value that must have one before it is run: those it names in `needs`, and those that a program or an
 * action is handed. A script may look whether one is there, so of a script only the former.
 */
export function missingParams(step: Step, values: ParamValues): string[] {
  const handed = step.task && !isScript(step.task) ? paramsOfTask(step.task) : []
  return [...new Set([...(step.needs ?? []), ...handed])].filter((name) => values[name] === '')
}

function isScript({ work }: Task): boolean {
  if (work.kind !== 'argv') return work.kind === 'shell'
  return /(?:^|\/)(?:ba|da|a|k|z)?sh$/.test(work.argv[0] ?? '')
}

function namesIn({ kind, text }: Site): string[] {
  return kind === 'script' ? variablesIn(text) : referencesIn(text).map(({ name }) => name)
}

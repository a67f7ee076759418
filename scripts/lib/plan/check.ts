/**
 * Whether a plan may be applied at all, and how far back it can be taken.
 *
 * A step without `undo` is a point of no return. It comes last, or says `pointOfNoReturn`: a planner that forgot an
 * undo would otherwise turn every earlier undo into a promise that nobody can keep.
 */
import type { Plan, Step } from './types.ts'

/** @returns what is wrong, a sentence each; empty for a plan that can be applied */
export function checkPlan(plan: Plan): string[] {
  const problems = plan.steps.flatMap((step, index) => checkStep(step, index + 1))
  if (plan.because.trim() === '') problems.push('the plan does not say why')
  const lastUndo = plan.steps.findLastIndex((step) => step.undo !== undefined)
  plan.steps.forEach((step, index) => {
    if (step.undo || step.pointOfNoReturn || index > lastUndo) return
    problems.push(`step ${index + 1} cannot be undone, but step ${lastUndo + 1} after it can`)
  })
  return problems
}

/** True when nothing before this step is undone once it has begun. */
export function isPointOfNoReturn(step: Step): boolean {
  return step.undo === undefined
}

function checkStep(step: Step, number: number): string[] {
  const problems: string[] = []
  if (step.title.trim() === '') problems.push(`step ${number} has no title`)
  if (step.on.trim() === '') problems.push(`step ${number} does not say on which host`)
  if (step.undo && step.pointOfNoReturn) problems.push(`step ${number} is a point of no return, but has an undo`)
  if (step.verifyWithinMs !== undefined && !step.verify) problems.push(`step ${number} has nothing to verify`)
  return problems
}

/** The plan's door. */
export { applyPlan } from './apply.ts'
export { checkPlan } from './check.ts'
export { describePlan, formatPlan, type PlanDescription, type StepDescription } from './describe.ts'
export { PlanFailure } from './failure.ts'
export type { ApplyOptions, StepProgress } from './run.ts'
export type * from './types.ts'

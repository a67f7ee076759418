/** Runs an action by its name, for rooms that are told which one by the config: a switch, an alert, a schedule. */
import { runAction, type ActionResult } from './run.ts'
import type { Action, ActionContext } from './types.ts'

export interface RunByNameOptions {
  /** Says what it would do; one that only looks is not run at all. */
  readonly dryRun: boolean
  /** Why, for whoever finds its lease taken. */
  readonly reason: string
}

export type RunByName = (
  name: string,
  params: Readonly<Record<string, unknown>>,
  context: ActionContext,
  options: RunByNameOptions,
) => Promise<{ readonly summary: string }>

/** @param find the catalog's; throws for a name that no action has */
export function createRunByName(find: (name: string) => Promise<Action>): RunByName {
  return async (name, params, context, { dryRun, reason }) => {
    const action = await find(name)
    if (dryRun && !action.changes) return { summary: 'it only looks' }
    return { summary: summaryOf(await runAction(action, params, context, { dryRun, reason })) }
  }
}

function summaryOf(result: ActionResult): string {
  if (result.kind === 'plan') return `${result.plan.title}: ${result.description.steps.length} steps`
  if (result.kind === 'applied') return `${result.result.title}: ${result.result.because}`
  const { title, findings } = result.report
  const critical = findings.filter(({ severity }) => severity === 'critical')
  return `${title}: ${findings.length} findings, ${critical.length} critical`
}

/** A command that runs one changing action of the catalog: shows its plan with `--dry-run`, else what came of it. */
import type { ActionResult } from '../action/run.ts'
import { OpsError } from '../core/errors.ts'
import { printableLine } from '../core/printable.ts'
import { openContext, type CommonFlags } from './context.ts'
import { print } from './output.ts'

export interface ChangeFlags extends CommonFlags {
  readonly dryRun?: boolean
}

/** @throws OpsError what the action throws; PlanFailure when it did not succeed */
export async function runChange(
  name: string,
  params: Readonly<Record<string, unknown>>,
  flags: ChangeFlags,
  signal: AbortSignal,
): Promise<void> {
  const dryRun = flags.dryRun ?? false
  await using context = await openContext(flags, { looksOnly: dryRun, signal })
  const [{ findAction }, { runAction }] = await Promise.all([import('../catalog.ts'), import('../action/run.ts')])
  const result = await runAction(await findAction(name), params, context, { dryRun })
  if (result.unrecorded !== undefined) context.log.warn(`the journal does not know of the end: ${result.unrecorded}`)
  await print(flags.json ? jsonOf(result) : context.redact((await linesOf(result)).join('\n')))
}

function jsonOf(result: ActionResult): string {
  if (result.kind === 'plan') return JSON.stringify(result.description, null, 2)
  if (result.kind === 'applied') return JSON.stringify(result.result, null, 2)
  throw new OpsError('FAILED', 'a report where a change was expected')
}

async function linesOf(result: ActionResult): Promise<string[]> {
  if (result.kind === 'plan') return (await import('../plan/index.ts')).formatPlan(result.description)
  if (result.kind !== 'applied') throw new OpsError('FAILED', 'a report where a change was expected')
  const { title, because, changed } = result.result
  return [
    changed ? `${printableLine(title)}: done` : `${printableLine(title)}: nothing to do, ${printableLine(because)}`,
  ]
}

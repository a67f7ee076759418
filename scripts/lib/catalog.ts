/** The only file that knows every action. A new capability is a room and a line here. */
import type { Action, ActionEntry } from './action/types.ts'
import { OpsError } from './core/errors.ts'
import { nearestName } from './core/nearest.ts'

export const CATALOG: readonly ActionEntry[] = [
  {
    name: 'diagnose.run',
    summary: 'One look at machines: what is wrong, how badly, and what to do next',
    changes: false,
    load: async () => (await import('./diagnose/action.ts')).createDiagnoseAction(),
  },
]

/** @throws OpsError USAGE with the nearest name */
export async function findAction(name: string): Promise<Action> {
  const entry = CATALOG.find((candidate) => candidate.name === name)
  if (entry) return entry.load()
  const near = nearestName(
    name,
    CATALOG.map((candidate) => candidate.name),
  )
  throw new OpsError('USAGE', `there is no action "${name}"`, near ? { hint: `Did you mean ${near}?` } : {})
}

/** The operator's own questions to a restored copy, and whether the answer is the expected one. Pure but for the asking. */
import type { SqlCheck } from '../../config/types.ts'
import { isOpsError, messageOf } from '../../core/errors.ts'
import { printableLine } from '../../core/printable.ts'
import type { RestoreEngine } from '../restore/engine.ts'

/** @returns a sentence when the answer is not the expected one */
export function decideCheck({ name, expect }: SqlCheck, answer: string | undefined): string | undefined {
  const shown = answer === undefined ? 'no row' : JSON.stringify(printableLine(answer, 80))
  const bound = /^(>=|<=|>|<)\s*(-?\d+(?:\.\d+)?)$/.exec(String(expect).trim())
  if (!bound)
    return answer === String(expect) ? undefined : `check "${name}": ${shown}, expected ${JSON.stringify(expect)}`
  const [, sign = '', limit] = bound
  const value = answer === undefined || answer.trim() === '' ? Number.NaN : Number(answer)
  const holds = {
    '>': value > Number(limit),
    '>=': value >= Number(limit),
    '<': value < Number(limit),
    '<=': value <= Number(limit),
  }
  return holds[sign as keyof typeof holds] ? undefined : `check "${name}": ${shown}, expected ${sign} ${limit}`
}

/** @returns the checks that failed, a sentence each; one that cannot be asked has failed */
export async function runChecks(
  engine: RestoreEngine,
  checks: readonly SqlCheck[],
  databaseFor: (check: SqlCheck) => string,
): Promise<string[]> {
  const failures: string[] = []
  for (const check of checks) {
    try {
      const failure = decideCheck(check, await engine.ask(databaseFor(check), check.sql))
      if (failure !== undefined) failures.push(failure)
    } catch (error) {
      // What the server refuses to answer is an answer; a cut connection or an interruption is not.
      if (!isOpsError(error, 'FAILED')) throw error
      failures.push(`check "${check.name}" could not be asked: ${printableLine(messageOf(error), 200)}`)
    }
  }
  return failures
}

/**
 * With which code a command ends whose change failed and was undone whole: the cause's own, where the table of exit codes
 * has a row that tells whoever reads `$?` what to do next; else 11. What it says stays: that everything was undone.
 */
import { isOpsError, type ErrorCode } from '../core/errors.ts'
import { PlanFailure } from '../plan/index.ts'

/** 73, 74, 75, 77 and 69 of the table. A cause that is no more than FAILED says less than ROLLED_BACK does. */
const OWN: ReadonlySet<ErrorCode> = new Set([
  'CANNOT_WRITE',
  'DATA_MISMATCH',
  'LOCKED',
  'NOT_PERMITTED',
  'HOST_KEY',
  'UNREACHABLE',
  'TIMEOUT',
  'MISSING_TOOL',
])

/** @returns the same failure under the code of its cause; anything else as it was */
export function withOwnCode(error: unknown): unknown {
  if (!(error instanceof PlanFailure) || error.code !== 'ROLLED_BACK') return error
  const { cause, result } = error
  return isOpsError(cause) && OWN.has(cause.code) ? new PlanFailure(cause.code, { result, cause }) : error
}

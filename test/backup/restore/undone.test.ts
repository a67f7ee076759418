/** With which code a restore ends that was undone whole. */
import { describe, expect, it } from 'vitest'
import { withOwnCode } from '../../../scripts/lib/cli/undone.ts'
import { OpsError, type ErrorCode } from '../../../scripts/lib/core/errors.ts'
import { exitCodeOf } from '../../../scripts/lib/core/exit.ts'
import { PlanFailure } from '../../../scripts/lib/plan/index.ts'

const because = 'step 1 of 2 failed on web-1 (Load: no); everything was undone'
const result = { title: 'Restore', changed: false, because, steps: [] }
const fail = (code: ErrorCode, cause: unknown) => new PlanFailure(code, { result, cause })

describe('a restore that was undone whole ends', () => {
  it.each<[ErrorCode, number]>([
    ['CANNOT_WRITE', 73],
    ['DATA_MISMATCH', 74],
    ['LOCKED', 75],
    ['NOT_PERMITTED', 77],
    ['UNREACHABLE', 69],
    ['TIMEOUT', 69],
    ['MISSING_TOOL', 69],
    ['FAILED', 11],
    ['USAGE', 11],
  ])('because of %s with %i, and says that everything was undone', (code, exit) => {
    const error = withOwnCode(fail('ROLLED_BACK', new OpsError(code, 'no')))
    expect(exitCodeOf(error)).toBe(exit)
    expect((error as Error).message).toBe(`Restore: ${because}`)
  })

  it('because of a defect of ours with 11', () => {
    expect(exitCodeOf(withOwnCode(fail('ROLLED_BACK', new TypeError('no'))))).toBe(11)
  })

  it.each<[ErrorCode, number]>([
    ['STUCK', 12],
    ['INTERRUPTED', 130],
  ])('but with the code of %s where that is what it is', (code, exit) => {
    expect(exitCodeOf(withOwnCode(fail(code, new OpsError('CANNOT_WRITE', 'no'))))).toBe(exit)
  })
})

/**
 * The action `diagnose.run`: the look of look.ts, with parameters that are checked. The look is loaded when it is done:
 * whoever only wants to know the parameters (a runbook that is read) does not wait for it.
 */
import { z } from 'zod'
import type { LookAction } from '../action/types.ts'
import type { DiagnoseOptions, DiagnoseParams } from './look.ts'

const params = z.strictObject({
  hosts: z.array(z.string()).default([]),
  all: z.boolean().default(false),
  only: z.array(z.string()).default([]),
  skip: z.array(z.string()).default([]),
  deadlineMs: z.number().positive().optional(),
  windowMs: z.number().positive().optional(),
})

export function createDiagnoseAction(options: DiagnoseOptions = {}): LookAction<DiagnoseParams> {
  return {
    name: 'diagnose.run',
    summary: 'One look at machines: what is wrong, how badly, and what to do next',
    params,
    changes: false,
    async look(context, asked) {
      const { createDiagnoseLook } = await import('./look.ts')
      return createDiagnoseLook(options).look(context, asked)
    },
  }
}

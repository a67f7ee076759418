/** The action `diagnose.run`: the look of look.ts, with parameters that are checked. */
import { z } from 'zod'
import type { LookAction } from '../action/types.ts'
import { createDiagnoseLook, type DiagnoseOptions, type DiagnoseParams } from './look.ts'

const params = z.strictObject({
  hosts: z.array(z.string()).default([]),
  all: z.boolean().default(false),
  only: z.array(z.string()).default([]),
  skip: z.array(z.string()).default([]),
  deadlineMs: z.number().positive().optional(),
  windowMs: z.number().positive().optional(),
})

export function createDiagnoseAction(options: DiagnoseOptions = {}): LookAction<DiagnoseParams> {
  return { ...createDiagnoseLook(options), params }
}

/**
 * The shape of `opskit.report/1` for checking what is read back and for programs that read our JSON.
 * Apart from json.ts because zod takes its time to load and writing JSON does not need it.
 */
import { z } from 'zod'
import type { JsonReport } from './json.ts'

const severity = z.enum(['critical', 'warning', 'unknown', 'ok', 'skipped'])
const verdictSeverity = z.enum(['critical', 'warning', 'unknown', 'ok'])
const count = z.int().min(0)
const counts = z.object({ critical: count, warning: count, unknown: count, ok: count, skipped: count })
const range = z.string().meta({ description: 'A monitoring-plugin range: it alerts when the value is outside of it' })

const measure = z.object({
  label: z.string(),
  value: z.number(),
  unit: z.enum(['s', 'ms', '%', 'B', 'c']).optional(),
  warn: range.optional(),
  crit: range.optional(),
  min: z.number().optional(),
  max: z.number().optional(),
})

const finding = z.object({
  check: z.string().meta({ description: 'Dotted name of the check: host.disk' }),
  subject: z.string().optional().meta({ description: 'What of several: a mount, a container, a target' }),
  host: z.string(),
  severity,
  title: z.string(),
  evidence: z.string().optional(),
  cause: z.string().optional(),
  next: z.string().optional().meta({ description: 'The next command' }),
  runbook: z
    .object({ id: z.string(), params: z.record(z.string(), z.string()) })
    .optional()
    .meta({ description: 'The runbook it leads to, with what it must be told' }),
  lines: z.array(z.string()).optional(),
  measures: z.array(measure).optional(),
  durationMs: z.number().optional(),
})

const state = z.enum(['critical', 'warning', 'unknown', 'ok', 'skipped', 'absent'])
const change = z.object({
  host: z.string(),
  check: z.string(),
  subject: z.string().optional(),
  was: state,
  is: state,
  title: z.string(),
})

/** Made on demand; unknown keys are allowed, because later versions of the same schema may add some. */
export function jsonReportSchema(): z.ZodType<JsonReport> {
  return z.object({
    schema: z.literal('opskit.report/1'),
    title: z.string(),
    startedAt: z.iso.datetime().meta({ description: 'UTC' }),
    durationMs: z.number().min(0),
    verdict: z.object({ severity: verdictSeverity, exitCode: z.int().min(0).max(3), sentence: z.string(), counts }),
    hosts: z
      .array(
        z.object({
          name: z.string(),
          severity: verdictSeverity,
          counts,
          facts: z.array(z.object({ name: z.string(), value: z.string() })),
        }),
      )
      .meta({ description: 'Worst first' }),
    findings: z.array(finding).meta({ description: 'Worst first; passing and skipped ones included' }),
    tables: z.array(z.object({ title: z.string(), columns: z.array(z.string()), rows: z.array(z.array(z.string())) })),
    changes: z
      .object({ since: z.string(), list: z.array(change) })
      .nullable()
      .meta({ description: 'Null without a baseline' }),
    omitted: count.meta({ description: 'How many of the least bad findings were left out' }),
  })
}

/** The same as a JSON Schema (draft 2020-12), for editors and other languages. */
export function formatReportSchema(): string {
  return `${JSON.stringify(z.toJSONSchema(jsonReportSchema(), { io: 'input' }), undefined, 2)}\n`
}

/** `schedule:` — which actions run by themselves, when, and what happens when one is missed, late, stuck or fails. */
import { z } from 'zod'
import { parseCron, parseTimezone } from '../../core/cron.ts'
import { messageOf } from '../../core/errors.ts'
import { duration, name, secretRef } from './values.ts'

const cron = z
  .string()
  .superRefine((text, ctx) => explain(() => parseCron(text), ctx))
  .meta({
    description:
      'A schedule as in crontab(5): minute hour day month weekday, or six fields with seconds first, or @daily',
    examples: ['0 2 * * *'],
  })

const timezone = z
  .string()
  .superRefine((text, ctx) => explain(() => parseTimezone(text), ctx))
  .meta({ description: 'A time zone: Europe/Vienna, UTC', examples: ['Europe/Vienna'] })

const pingUrl = z.union([
  z.string().regex(/^https?:\/\/\S+$/, 'must be an address that begins with http:// or https://'),
  secretRef,
])

const pings = z
  .strictObject({
    start: pingUrl.optional().meta({ description: 'Asked when a run begins: an address, or a reference to one' }),
    success: pingUrl.optional().meta({ description: 'Asked when it ended well' }),
    failure: pingUrl.optional().meta({ description: 'Asked when it failed for good' }),
    timeout: duration.prefault('10s').meta({ description: 'For each (default 10s); what they answer changes nothing' }),
  })
  .prefault({})
  .meta({ description: "Addresses of a dead-man's switch, which raises an alarm when it hears nothing" })

const retries = z
  .strictObject({
    count: z
      .int()
      .min(0)
      .max(32)
      .default(0)
      .meta({ description: 'How often a run that failed is repeated (default 0)' }),
    backoff: duration.prefault('30s').meta({ description: 'Before the first repetition; doubles (default 30s)' }),
    max_backoff: duration.prefault('30m').meta({ description: 'The longest wait between two (default 30m)' }),
  })
  .prefault({})
  .meta({ description: 'What is done about a failure' })

const job = z
  .strictObject({
    name: name.meta({ description: 'What it is called: schedule.ts trigger NAME' }),
    cron,
    timezone: timezone.optional(),
    action: z.string().min(1).meta({ description: 'Any action: docs/reference/actions.md lists them' }),
    params: z.record(z.string(), z.unknown()).default({}).meta({ description: 'What the action takes' }),
    enabled: z.boolean().default(true).meta({ description: 'false: it keeps its place and does not run' }),
    catchup: z
      .enum(['none', 'last', 'all'])
      .default('last')
      .meta({ description: 'Runs that were missed: none is caught up, the last one, or all in order (default last)' }),
    catchup_window: duration
      .prefault('7d')
      .meta({ description: 'What was missed longer ago is not caught up (default 7d)' }),
    overlap: z.enum(['skip', 'queue', 'kill']).default('skip').meta({
      description: 'While the last run still goes on: skip the new one, queue it, or kill the old (default skip)',
    }),
    timeout: duration.prefault('6h').meta({ description: 'For one run with all it started (default 6h)' }),
    jitter: duration.prefault('0s').meta({ description: 'A run begins up to so much later, at random (default 0s)' }),
    retries,
    notify: z
      .array(z.enum(['failure', 'recovery', 'always']))
      .default(['failure', 'recovery'])
      .meta({ description: 'When the channels of notify are told (default failure and recovery)' }),
    pings,
  })
  .meta({ description: 'One action at its times' })

export const scheduleSection = z
  .strictObject({
    timezone: timezone.optional().meta({ description: 'For jobs that name none (default: that of this machine)' }),
    concurrency: z.int().min(1).max(64).default(4).meta({ description: 'Jobs at the same time (default 4)' }),
    stop_timeout: duration
      .prefault('60s')
      .meta({ description: 'How long the daemon waits for running jobs when it is stopped (default 60s)' }),
    kill_grace: duration
      .prefault('10s')
      .meta({ description: 'What a job that is ended has to clean up, between TERM and KILL (default 10s)' }),
    history: duration.prefault('90d').meta({ description: 'How long runs are remembered (default 90d)' }),
    jobs: z.array(job).max(20_000).default([]).superRefine(refuseTwins).meta({ description: 'What runs when' }),
  })
  .prefault({})
  .meta({ description: 'Which actions run by themselves, and when' })

export type ScheduleConfig = z.output<typeof scheduleSection>
export type ScheduledJobConfig = z.output<typeof job>

function explain(parse: () => unknown, ctx: z.RefinementCtx<string>): void {
  try {
    parse()
  } catch (error) {
    ctx.addIssue({ code: 'custom', message: messageOf(error) })
  }
}

function refuseTwins(jobs: readonly { readonly name: string }[], ctx: z.RefinementCtx): void {
  const seen = new Set<string>()
  jobs.forEach((one, index) => {
    if (seen.has(one.name)) {
      ctx.addIssue({ code: 'custom', path: [index, 'name'], message: `another job is named "${one.name}"` })
    }
    seen.add(one.name)
  })
}

/**
 * The jobs of opskit.yaml, checked as far as they can be before anything runs: schedules and zones by the schema, actions
 * and their parameters here. What is wrong is told with its place in the file.
 */
import { homedir } from 'node:os'
import { readFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import { parseParams } from '../action/params.ts'
import { findAction } from '../catalog.ts'
import { parseYaml } from '../config/document.ts'
import { loadConfig, resolveSecret } from '../config/index.ts'
import type { Config, ScheduledJobConfig } from '../config/types.ts'
import { validateConfig } from '../config/validate.ts'
import { messageOf, OpsError } from '../core/errors.ts'
import { defaultStateDir } from '../journal/index.ts'
import type { NotifyingConfig } from '../notify/enqueue.ts'
import type { Job } from '../schedule/types.ts'

/** A configuration that passed every check, as data: the daemon gets it from a process that only checks. */
export interface Accepted {
  readonly source: string
  readonly text: string
  readonly stateDir: string
  /** Who is told about jobs, and as what machine. */
  readonly telling: NotifyingConfig
  readonly concurrency: number
  readonly stopTimeoutMs: number
  readonly killGraceMs: number
  readonly historyMs: number
  /** Without those that are not enabled. */
  readonly jobs: readonly Job[]
}

/** @throws OpsError CONFIG_INVALID with every problem and its place */
export async function readAccepted(flags: { readonly config?: string }): Promise<Accepted> {
  const { source } = await loadConfig({ ...(flags.config && { path: flags.config }), env: process.env })
  if (source === undefined) {
    throw new OpsError('CONFIG_INVALID', 'there is no opskit.yaml, so there are no jobs', {
      hint: 'Name one with --config FILE, or let init.ts write one.',
    })
  }
  const text = await readFile(source, 'utf8')
  const config = parseAccepted(source, text)
  const { schedule, state, name, notify } = config
  await checkActions(schedule.jobs, source, text)
  const enabled = schedule.jobs.filter((job) => job.enabled)
  return {
    source,
    text,
    telling: { notify, ...(name !== undefined && { name }) },
    stateDir: state.dir ?? defaultStateDir(process.env, process.getuid?.()),
    concurrency: schedule.concurrency,
    stopTimeoutMs: schedule.stop_timeout,
    killGraceMs: schedule.kill_grace,
    historyMs: schedule.history,
    jobs: await Promise.all(enabled.map((job) => toJob(job, schedule.timezone))),
  }
}

/** The config in a text, with paths relative to the file it came from. */
export function parseAccepted(source: string, text: string): Config {
  return validateConfig(text, source, { directory: dirname(source), home: process.env['HOME'] ?? homedir() })
}

async function checkActions(jobs: readonly ScheduledJobConfig[], source: string, text: string): Promise<void> {
  const found = await Promise.all(
    jobs.map(async (job, index) => {
      const problem = await problemOf(job)
      return problem === undefined ? [] : [{ index, ...problem }]
    }),
  )
  const problems = found.flat()
  if (problems.length === 0) return
  const file = parseYaml(text)
  const told = problems.map(({ index, key, message }) => {
    const { line, column } = file.placeOf(['schedule', 'jobs', index, key], 'value')
    return { place: `${source}:${line}:${column}`, message: `schedule.jobs.${index}.${key}: ${message}` }
  })
  throw new OpsError('CONFIG_INVALID', told.map(({ place, message }) => `${place}: ${message}`).join('\n'), {
    problems: told,
    place: told[0]?.place ?? source,
    hint: 'docs/reference/actions.md lists the actions.',
  })
}

async function problemOf(job: ScheduledJobConfig): Promise<{ key: 'action' | 'params'; message: string } | undefined> {
  const explain = (error: unknown) => {
    const hint = error instanceof OpsError ? error.details.hint : undefined
    return `${messageOf(error)}${hint === undefined ? '' : `. ${hint}`}`
  }
  try {
    const action = await findAction(job.action)
    return await parseParams(action, job.params).then(
      () => undefined,
      (error: unknown) => ({ key: 'params', message: explain(error) }),
    )
  } catch (error) {
    return { key: 'action', message: explain(error) }
  }
}

async function toJob(job: ScheduledJobConfig, timezone: string | undefined): Promise<Job> {
  const { start, success, failure, timeout } = job.pings
  const url = async (key: string, value: typeof start) => {
    if (value === undefined) return {}
    return { [key]: typeof value === 'string' ? value : (await resolveSecret(value, { env: process.env })).reveal() }
  }
  const pings = await Promise.all([url('start', start), url('success', success), url('failure', failure)])
  return {
    name: job.name,
    cron: job.cron,
    timezone: job.timezone ?? timezone ?? new Intl.DateTimeFormat().resolvedOptions().timeZone,
    action: job.action,
    params: job.params,
    catchup: job.catchup,
    catchupWindowMs: job.catchup_window,
    overlap: job.overlap,
    timeoutMs: job.timeout,
    jitterMs: job.jitter,
    retries: { count: job.retries.count, backoffMs: job.retries.backoff, maxBackoffMs: job.retries.max_backoff },
    notify: job.notify,
    pings: { ...Object.assign({}, ...pings), timeoutMs: timeout },
  }
}

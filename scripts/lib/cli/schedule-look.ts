/** `schedule next`, `status`, `history`, `export` and `import`: they look, and print. */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { systemClock } from '../core/clock.ts'
import { formatDuration } from '../core/duration.ts'
import { OpsError, systemCode } from '../core/errors.ts'
import { createLog } from '../core/log.ts'
import type { Argv } from '../core/quote.ts'
import { openJournalOrMemory } from '../journal/index.ts'
import { parseCrontab } from '../schedule/crontab.ts'
import { runsBetween } from '../schedule/next-run.ts'
import { readStatus } from '../schedule/status.ts'
import { openStore, type Store } from '../schedule/store.ts'
import { readSchedules } from '../schedule/timed.ts'
import { formatCrontab, formatSystemdUnits } from '../schedule/units.ts'
import type { CommonFlags } from './context.ts'
import { print, writeOutput } from './output.ts'
import { readAccepted, type Accepted } from './schedule-jobs.ts'
import { noSuchJob } from './schedule-run.ts'

const SCRIPT = fileURLToPath(new URL('../../schedule.ts', import.meta.url))
const NODE = fileURLToPath(new URL('../../../node_modules/.bin/node', import.meta.url))

export interface NextFlags extends CommonFlags {
  readonly count: number
}

/** The coming runs of all jobs together, or of some. */
export async function printNext(names: readonly string[], flags: NextFlags): Promise<void> {
  const accepted = await readAccepted(flags)
  const now = Date.now()
  const span = { after: now, until: Number.POSITIVE_INFINITY, limit: flags.count }
  const rows = timedJobs(accepted, names)
    .flatMap((timed) => runsBetween(timed.spec, timed.zone, span).map((at) => ({ at, timed })))
    .sort((a, b) => a.at - b.at)
    .slice(0, flags.count)
    .map(({ at, timed: { job, zone } }) => {
      const local = formatLocal(at + zone.offsetAt(at))
      return { at: iso(at), local, timezone: zone.name, job: job.name, action: job.action, inMs: at - now }
    })
  if (flags.json) return print(JSON.stringify(rows, null, 2))
  if (rows.length === 0) return print('no jobs are enabled')
  const width = Math.max(...rows.map(({ job }) => job.length))
  await print(
    rows
      .map(
        (row) =>
          `${row.local} ${row.timezone}  ${row.job.padEnd(width)}  ${row.action}  (in ${formatDuration(row.inMs)})`,
      )
      .join('\n'),
  )
}

/** @returns 2 when a job is overdue, 1 when the last run of one failed, else 0 */
export async function printStatus(flags: CommonFlags): Promise<number> {
  const accepted = await readAccepted(flags)
  return withStore(accepted, async (store) => {
    const now = Date.now()
    const all = timedJobs(accepted, []).map((timed) => readStatus(timed, store, now))
    const code = all.some(({ overdue }) => overdue) ? 2 : all.some(({ last }) => isBad(last?.result)) ? 1 : 0
    if (flags.json) {
      await print(
        JSON.stringify(
          all.map((job) => ({ ...job, next: iso(job.nextAt) })),
          null,
          2,
        ),
      )
      return code
    }
    const width = Math.max(0, ...all.map(({ name }) => name.length))
    const lines = all.map((job) => {
      const word = job.overdue ? 'OVERDUE' : job.running ? 'running' : isBad(job.last?.result) ? 'FAILED' : 'ok'
      return `${word.padEnd(8)}${job.name.padEnd(width)}  ${job.because}; next ${iso(job.nextAt)}`
    })
    await print(lines.join('\n') || 'no jobs are enabled')
    return code
  })
}

export interface HistoryFlags extends CommonFlags {
  readonly count: number
}

export async function printHistory(job: string | undefined, flags: HistoryFlags): Promise<void> {
  const accepted = await readAccepted(flags)
  await withStore(accepted, async (store) => {
    const slots = store.history({ job, limit: flags.count })
    if (flags.json) return print(JSON.stringify(slots, null, 2))
    const lines = slots.map((slot) => {
      const took =
        slot.startedAt === undefined || slot.finishedAt === undefined
          ? ''
          : ` ${formatDuration(slot.finishedAt - slot.startedAt)}`
      const attempts = slot.attempt > 1 ? ` attempt ${slot.attempt}` : ''
      return `${(slot.result ?? slot.state).padEnd(8)}${slot.id}  ${slot.kind}${attempts}${took}${slot.message && `  ${slot.message}`}`
    })
    await print(lines.join('\n') || 'nothing has run yet')
  })
}

export interface ExportFlags extends CommonFlags {
  readonly systemd?: boolean
  readonly crontab?: boolean
  readonly dir?: string
  readonly user?: string
}

export async function exportJobs(flags: ExportFlags): Promise<void> {
  if (Boolean(flags.systemd) === Boolean(flags.crontab)) {
    throw new OpsError('USAGE', 'say what to export', { hint: 'Add --systemd or --crontab.' })
  }
  const { jobs, source } = await readAccepted(flags)
  const command = (job: string): Argv => [NODE, SCRIPT, 'trigger', '--config', source, '--slot', 'due', job]
  if (flags.crontab) return print(formatCrontab(jobs, { command }))
  const units = formatSystemdUnits(jobs, { command, user: flags.user })
  if (flags.dir === undefined) {
    return print(
      Object.entries(units)
        .map(([name, text]) => `# ${name}\n${text}`)
        .join('\n'),
    )
  }
  for (const [name, text] of Object.entries(units)) await writeOutput(join(flags.dir, name), text)
  const timers = Object.keys(units).filter((name) => name.endsWith('.timer'))
  await print(
    `${Object.keys(units).length} units written to ${flags.dir}\nnext: systemctl daemon-reload && systemctl enable --now ${timers.join(' ')}`,
  )
}

export interface ImportFlags {
  readonly crontab: string
  readonly system?: boolean
}

/** Prints jobs for opskit.yaml. */
export async function importJobs({ crontab, system }: ImportFlags): Promise<void> {
  const text = await readFile(crontab, 'utf8').catch((error: unknown) => {
    throw new OpsError('USAGE', `cannot read ${crontab}: ${systemCode(error) ?? 'failed'}`, { cause: error })
  })
  const { jobs, notes } = parseCrontab(text, crontab, system ?? false)
  const log = createLog()
  for (const note of notes) log.warn(note)
  // JSON values are YAML too.
  const lines = jobs.flatMap((job) =>
    Object.entries(job).map(([key, value], index) => `    ${index === 0 ? '-' : ' '} ${key}: ${JSON.stringify(value)}`),
  )
  await print(['schedule:', '  jobs:', ...lines].join('\n'))
}

function timedJobs(accepted: Accepted, names: readonly string[]) {
  for (const name of names) if (!accepted.jobs.some((job) => job.name === name)) throw noSuchJob(name, accepted)
  return readSchedules(accepted.jobs.filter(({ name }) => names.length === 0 || names.includes(name)))
}

async function withStore<T>({ stateDir }: Accepted, work: (store: Store) => Promise<T>): Promise<T> {
  const { journal, problem } = openJournalOrMemory({ dir: stateDir, clock: systemClock })
  if (problem) throw problem
  try {
    return await work(openStore(journal))
  } finally {
    journal.close()
  }
}

function isBad(result: string | undefined): boolean {
  return result !== undefined && result !== 'ok'
}

function iso(at: number): string {
  return new Date(at).toISOString().replace(/\.\d+/, '')
}

/** `Sun 2026-03-08 03:00:00` from a local time that is carried in UTC fields. */
function formatLocal(wall: number): string {
  const date = new Date(wall)
  const day = ['Sun', 'Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat'][date.getUTCDay()]
  return `${day} ${date.toISOString().slice(0, 19).replace('T', ' ')}`
}

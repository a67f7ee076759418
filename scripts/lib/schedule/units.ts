/**
 * Jobs as systemd timers or as a crontab, so that they run where no daemon of ours does. Each entry calls
 * `schedule.ts trigger NAME --slot due`, which claims the same slot as the daemon would: both together run it once.
 * Source: systemd.time(7), systemd.timer(5), systemd.exec(5), crontab(5).
 */
import { parseCron } from '../core/cron.ts'
import { quoteArgv, type Argv } from '../core/quote.ts'
import type { Job } from './types.ts'

export interface ExportOptions {
  /** What runs a job by name: node, the script, its flags; the name comes last. */
  readonly command: (job: string) => Argv
  /** Who runs it; default: the user of the manager. */
  readonly user?: string | undefined
}

const WEEKDAYS = ['Sun', 'Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat']

/** @returns the units by file name */
export function formatSystemdUnits(jobs: readonly Job[], options: ExportOptions): Record<string, string> {
  return Object.fromEntries(
    jobs.flatMap((job) => [
      [`opskit-${job.name}.service`, formatService(job, options)],
      [`opskit-${job.name}.timer`, formatTimer(job)],
    ]),
  )
}

/** A crontab for cron implementations that know CRON_TZ (cronie); on others the times are those of the machine. */
export function formatCrontab(jobs: readonly Job[], { command }: ExportOptions): string {
  const lines = jobs.flatMap((job) => {
    // In a crontab, % ends the command (crontab(5)).
    const line = quoteArgv(command(job.name)).replaceAll('%', '\\%')
    const hasSeconds = job.cron.trim().split(/\s+/).length === 6
    if (hasSeconds) return ['', `# ${job.name} has seconds (${job.cron}), which cron does not know; use systemd.`]
    return ['', `# ${job.name}: ${job.action}`, `CRON_TZ=${job.timezone}`, `${job.cron} ${line}`]
  })
  return ['# Written by opskit: schedule.ts export --crontab', ...lines, ''].join('\n')
}

/** `OnCalendar=` expressions: systemd has no OR of day and weekday, so such a schedule becomes two. */
export function formatCalendar({ cron, timezone }: Pick<Job, 'cron' | 'timezone'>): string[] {
  const spec = parseCron(cron)
  const time = [list(spec.hours, 24), list(spec.minutes, 60), list(spec.seconds, 60)].join(':')
  const months = list(spec.months, 12)
  const days = list(
    [...spec.daysOfMonth].sort((a, b) => a - b),
    31,
  )
  const weekdays = [...spec.daysOfWeek].sort((a, b) => a - b)
  const onDays = weekdays.length === 7 ? '' : `${weekdays.map((day) => WEEKDAYS[day]).join(',')} `
  const dates = spec.either ? [`*-${months}-${days}`, `${onDays}*-${months}-*`] : [`${onDays}*-${months}-${days}`]
  return dates.map((date) => `${date} ${time} ${timezone}`)
}

function list(values: readonly number[], all: number): string {
  return values.length === all ? '*' : values.join(',')
}

function formatTimer(job: Job): string {
  return [
    '# Written by opskit: schedule.ts export --systemd',
    '[Unit]',
    `Description=opskit job ${job.name}`,
    '',
    '[Timer]',
    ...formatCalendar(job).map((expression) => `OnCalendar=${expression}`),
    `Persistent=${job.catchup === 'none' ? 'no' : 'yes'}`,
    `RandomizedDelaySec=${Math.round(job.jitterMs / 1_000)}s`,
    'AccuracySec=1s',
    '',
    '[Install]',
    'WantedBy=timers.target',
    '',
  ].join('\n')
}

function formatService(job: Job, { command, user }: ExportOptions): string {
  return [
    '# Written by opskit: schedule.ts export --systemd',
    '[Unit]',
    `Description=opskit job ${job.name} (${job.action})`,
    'After=network-online.target',
    'Wants=network-online.target',
    '',
    '[Service]',
    'Type=oneshot',
    ...(user === undefined ? [] : [`User=${user}`]),
    `ExecStart=${command(job.name).map(quoteUnit).join(' ')}`,
    // The job has its own deadline; this one is for a supervisor that hangs.
    `TimeoutStartSec=${Math.ceil(job.timeoutMs / 1_000) + 300}s`,
    'KillMode=control-group',
    'NoNewPrivileges=yes',
    'PrivateTmp=yes',
    '',
  ].join('\n')
}

/** systemd.service(5), "command lines": double quotes with C escapes; `%` and `$` are doubled. */
function quoteUnit(word: string): string {
  const escaped = word.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('%', '%%').replaceAll('$', '$$$$')
  return /^[\w@/.:=,+-]+$/.test(escaped) ? escaped : `"${escaped}"`
}

/**
 * Lines of a crontab as jobs that run the same commands: what moves a machine from cron to opskit.
 * Source: crontab(5); of the variables, CRON_TZ is obeyed, and PATH, SHELL and the like are told as left out.
 */
import { parseCron, parseTimezone } from '../core/cron.ts'
import { messageOf, OpsError } from '../core/errors.ts'

export interface ImportedJob {
  readonly name: string
  readonly cron: string
  readonly timezone?: string
  readonly action: 'command.run'
  readonly params: { readonly run: readonly [string, ...string[]] }
}

export interface Imported {
  readonly jobs: readonly ImportedJob[]
  /** Sentences about what could not be taken over. */
  readonly notes: readonly string[]
}

/**
 * @param path how messages name the file
 * @param hasUser a system crontab (/etc/crontab, /etc/cron.d): the sixth field is a user
 * @throws OpsError USAGE naming the line of a schedule that cannot be read
 */
export function parseCrontab(text: string, path: string, hasUser: boolean): Imported {
  const jobs: ImportedJob[] = []
  const notes: string[] = []
  let timezone: string | undefined
  text.split(/\r?\n/).forEach((raw, index) => {
    const line = raw.trim()
    const place = `${path}:${index + 1}`
    if (line === '' || line.startsWith('#')) return
    const variable = /^([A-Za-z_]\w*)\s*=\s*(.*)$/.exec(line)
    if (variable) {
      if (variable[1] === 'CRON_TZ') timezone = at(place, () => parseTimezone(unquoted(variable[2] ?? '')))
      else
        notes.push(`${place}: the variable ${variable[1]} is left out; a job runs with the environment of the daemon`)
      return
    }
    const parts = (line.startsWith('@') ? /^(\S+)\s+(.+)$/ : /^((?:\S+\s+){4}\S+)\s+(.+)$/).exec(line)
    if (!parts) throw new OpsError('USAGE', `${place}: expected five fields and a command`, { place })
    const cron = (parts[1] ?? '').replace(/\s+/g, ' ')
    at(place, () => parseCron(cron))
    const user = hasUser ? /^\S+\s+/.exec(parts[2] ?? '')?.[0] : undefined
    if (user !== undefined) notes.push(`${place}: the user ${user.trim()} is left out; run the daemon as that user`)
    const command = (parts[2] ?? '').slice(user?.length ?? 0).replaceAll('\\%', '%')
    jobs.push({
      name: freeName(command, jobs),
      cron,
      ...(timezone !== undefined && { timezone }),
      action: 'command.run',
      params: { run: ['/bin/sh', '-c', command] },
    })
  })
  return { jobs, notes }
}

/** `/opt/x/backup-database.sh >> log` is `backup-database`, unless another job has that name. */
function freeName(command: string, jobs: readonly ImportedJob[]): string {
  const program = command.split(/\s/)[0] ?? ''
  const base = (program.split('/').at(-1) ?? '').replace(/\.\w+$/, '').replace(/[^\w.-]+|^[^A-Za-z0-9]+/g, '') || 'job'
  const taken = new Set(jobs.map(({ name }) => name))
  for (let number = 1; ; number++) {
    const name = number === 1 ? base : `${base}-${number}`
    if (!taken.has(name)) return name
  }
}

function unquoted(text: string): string {
  return text.replace(/^(["'])(.*)\1$/, '$2')
}

function at<T>(place: string, read: () => T): T {
  try {
    return read()
  } catch (error) {
    throw new OpsError('USAGE', `${place}: ${messageOf(error)}`, { place, cause: error })
  }
}

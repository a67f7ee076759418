/** Where a restore goes, and what has to be told of it there. */
import { mkdir } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import type { ActionContext } from '../../action/types.ts'
import type { Config, ConfigSource, DatabaseSource } from '../../config/types.ts'
import { OpsError } from '../../core/errors.ts'
import { nearestName } from '../../core/nearest.ts'
import type { BackupEntry } from '../types.ts'
import type { OpenEngine } from './database.ts'
import { composeFollower } from './files/compose.ts'
import { nginxFollower } from './files/nginx.ts'
import type { Follower } from './files/restore.ts'
import { openEngine } from './open-engine.ts'

/** Where a restore goes: whose server, on which host, under which name. */
export interface Destination {
  readonly source: string
  readonly settings: DatabaseSource
  readonly on: string
  readonly name?: string
}

/** Steps and `--resume` open the same server again and again, each with its own signal. */
export async function engineOpener(context: ActionContext, { on, settings }: Destination): Promise<OpenEngine> {
  const stateDirectory = join(dirname(context.journal.place), 'restore')
  if (context.journal.durable) await mkdir(stateDirectory, { recursive: true, mode: 0o700 })
  return async (signal) =>
    openEngine({
      source: settings,
      host: await context.hosts.open(on, { signal }),
      resolveSecret: context.resolveSecret,
      redact: context.redact,
      stateDirectory,
      signal,
    })
}

/** For what the journal remembers. @throws OpsError USAGE when the source is no longer configured */
export async function openerOf(
  context: ActionContext,
  { source = '', on }: { readonly source?: string; readonly on: string },
): Promise<OpenEngine> {
  const settings = context.config.backup.databases[source]
  if (!settings) {
    throw new OpsError('USAGE', `the database source "${source}" is no longer configured`, {
      hint: 'Add it to backup.databases again: it says where the server is.',
    })
  }
  return engineOpener(context, { source, settings, on })
}

/** @throws OpsError USAGE when the source is no longer configured, or `to` names nothing */
export function decideDestination(config: Config, entry: BackupEntry, to?: string): Destination {
  // An absolute path is a SQLite file.
  const slash = to?.startsWith('/') ? -1 : (to?.indexOf('/') ?? -1)
  const [where, name] =
    to === undefined || slash === -1 ? splitBare(config, to) : [to.slice(0, slash), to.slice(slash + 1)]
  const source = where !== undefined && where in config.backup.databases ? where : entry.name
  const settings = config.backup.databases[source]
  if (!settings) {
    const known = Object.keys(config.backup.databases)
    throw new OpsError('USAGE', `no database source "${source}" is configured to restore ${entry.id} into`, {
      hint: `Name one with --to SOURCE/: ${known.join(', ') || 'add it to backup.databases'}.`,
    })
  }
  const own = settings.on ?? 'localhost'
  const on = where === undefined || where === source ? own : hostNamed(config, where)
  return { source, settings, on, ...(name === undefined || name === '' ? {} : { name }) }
}

/** A bare word is a configured source or host when there is one of that name, else the name of a database. */
function splitBare(config: Config, to?: string): [where: string | undefined, name: string | undefined] {
  if (to === undefined) return [undefined, undefined]
  return to in config.backup.databases || to in config.hosts || to === 'localhost' ? [to, undefined] : [undefined, to]
}

function hostNamed(config: Config, name: string): string {
  if (name in config.hosts || name === 'localhost') return name
  const near = nearestName(name, [...Object.keys(config.hosts), ...Object.keys(config.backup.databases), 'localhost'])
  throw new OpsError('USAGE', `"${name}" is neither a configured database source nor a host`, {
    hint: near === undefined ? 'Look at opskit.yaml.' : `Did you mean ${near}?`,
  })
}

export function followersOf(
  config: Config,
  { name }: Pick<BackupEntry, 'name'>,
  say: (message: string) => void,
): Follower[] {
  const source: ConfigSource | undefined = config.backup.config[name]
  return [
    ...(source?.nginx ? [nginxFollower(source.nginx, say)] : []),
    ...(source?.compose_file === undefined ? [] : [composeFollower(source.compose_file, say)]),
  ]
}

/** @throws OpsError USAGE for a relative directory or an unknown host */
export function decideFilesDestination(
  config: Config,
  own: string,
  to?: string,
): { readonly on: string; readonly into?: string } {
  if (to === undefined) return { on: own }
  if (to.startsWith('/')) return { on: own, into: cleanDirectory(to) }
  const colon = to.indexOf(':')
  const [host, directory] = colon === -1 ? [to, undefined] : [to.slice(0, colon), to.slice(colon + 1)]
  if (!(host in config.hosts) && host !== 'localhost' && host !== config.name) {
    const near = nearestName(host, ['localhost', ...Object.keys(config.hosts)])
    throw new OpsError('USAGE', `"${to}" is neither an absolute directory nor a configured host`, {
      hint: near === undefined ? 'Write --to /directory, --to HOST or --to HOST:/directory.' : `Did you mean ${near}?`,
    })
  }
  if (directory === undefined || directory === '') return { on: host }
  if (!directory.startsWith('/')) {
    throw new OpsError('USAGE', `"${directory}" is not an absolute directory`, {
      hint: `Write --to ${host}:/directory.`,
    })
  }
  return { on: host, into: cleanDirectory(directory) }
}

/** Without a slash at the end; `/` itself is where things belong anyway. */
function cleanDirectory(path: string): string {
  return path.replace(/\/+$/, '')
}

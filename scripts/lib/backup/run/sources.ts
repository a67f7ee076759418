/** What the config says is to be backed up, by the names that operators type. */
import type {
  BackupHook,
  Config,
  ConfigSource,
  DatabaseSource,
  RetentionPolicy,
  StaticSource,
} from '../../config/types.ts'
import { OpsError } from '../../core/errors.ts'
import { nearestName } from '../../core/nearest.ts'
import { BACKUP_KINDS, type BackupKind } from '../types.ts'

/** This machine, as plans and the host room name it. */
export const LOCAL_HOST = 'localhost'

interface Common {
  readonly name: string
  /** `database/app`. */
  readonly series: string
  /** The host it is on. */
  readonly on: string
  readonly retention: RetentionPolicy
  readonly rpoMs: number
  readonly timeoutMs: number
  readonly hooks: { readonly before: readonly BackupHook[]; readonly after: readonly BackupHook[] }
}

export type BackupSource = Common &
  (
    | { readonly kind: 'database'; readonly source: DatabaseSource }
    | { readonly kind: 'config'; readonly source: ConfigSource }
    | { readonly kind: 'static'; readonly source: StaticSource }
  )

/** Every configured source: databases, then configuration, then static files, each in the order of the file. */
export function listSources({ backup }: Pick<Config, 'backup'>): BackupSource[] {
  const common = (kind: BackupKind, name: string, source: DatabaseSource | ConfigSource | StaticSource): Common => ({
    name,
    series: `${kind}/${name}`,
    on: source.on ?? LOCAL_HOST,
    retention: source.retention ?? backup.retention,
    rpoMs: source.rpo ?? backup.rpo,
    timeoutMs: source.timeout,
    hooks: source.hooks,
  })
  return [
    ...Object.entries(backup.databases).map(([name, source]) => ({
      ...common('database', name, source),
      kind: 'database' as const,
      source,
    })),
    ...Object.entries(backup.config).map(([name, source]) => ({
      ...common('config', name, source),
      kind: 'config' as const,
      source,
    })),
    ...Object.entries(backup.static).map(([name, source]) => ({
      ...common('static', name, source),
      kind: 'static' as const,
      source,
    })),
  ]
}

/**
 * @param reference `database/app`, or `app` when only one kind has that name
 * @throws OpsError USAGE with the nearest name
 */
export function findSource(config: Pick<Config, 'backup'>, reference: string, kind?: BackupKind): BackupSource {
  const all = listSources(config).filter((source) => kind === undefined || source.kind === kind)
  const found = all.filter(({ name, series }) => series === reference || name === reference)
  const [first] = found
  if (first && found.length === 1) return first
  if (first) {
    const names = found.map(({ series }) => series).join(' and ')
    throw new OpsError('USAGE', `"${reference}" is the name of ${names}`, { hint: 'Say which one.' })
  }
  const what = kind === undefined ? 'backup' : `${kind} backup`
  if (all.length === 0) {
    const section =
      kind === 'database' ? 'backup.databases' : `backup.${kind ?? 'databases, backup.config or backup.static'}`
    throw new OpsError('USAGE', `there is no ${what} "${reference}": none is configured`, {
      hint: `Add it under ${section} in opskit.yaml.`,
    })
  }
  const near = nearestName(
    reference,
    all.flatMap(({ name, series }) => [series, name]),
  )
  throw new OpsError('USAGE', `there is no ${what} "${reference}"`, {
    hint: near ? `Did you mean ${near}?` : `There are ${all.map(({ series }) => series).join(', ')}.`,
  })
}

/** @throws OpsError USAGE for an unknown group; CONFIG_INVALID for a member that is not configured */
export function findGroup(config: Pick<Config, 'backup'>, name: string): BackupSource[] {
  const { groups } = config.backup
  const members = groups[name]
  if (!members) {
    const near = nearestName(name, Object.keys(groups))
    throw new OpsError('USAGE', `there is no group "${name}"`, {
      hint: near
        ? `Did you mean ${near}?`
        : `There are ${Object.keys(groups).join(', ') || 'none: add one under backup.groups'}.`,
    })
  }
  return members.map((member) => {
    try {
      return findSource(config, member)
    } catch (error) {
      throw new OpsError('CONFIG_INVALID', `backup.groups.${name}: ${(error as Error).message}`, { cause: error })
    }
  })
}

/** The lease that protects a series while it is written or pruned. */
export function seriesLease(kind: BackupKind, name: string): string {
  return `backup:${kind}/${name}`
}

export function isKind(text: string): text is BackupKind {
  return BACKUP_KINDS.some((kind) => kind === text)
}

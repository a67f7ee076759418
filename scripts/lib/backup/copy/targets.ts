/** Where backups are copied to, by the names of the config. */
import type { Config, CopyTarget, ResticTarget } from '../../config/types.ts'
import { OpsError } from '../../core/errors.ts'
import { nearestName } from '../../core/nearest.ts'
import type { BackupEntry } from '../types.ts'

export type Target =
  | { readonly engine: 'sftp'; readonly name: string; readonly automatic: boolean; readonly sftp: CopyTarget }
  | { readonly engine: 'restic'; readonly name: string; readonly automatic: boolean; readonly restic: ResticTarget }

export function listTargets({ backup }: Pick<Config, 'backup'>): Target[] {
  return [
    ...backup.copies.map((sftp) => ({ engine: 'sftp' as const, name: sftp.name, automatic: sftp.automatic, sftp })),
    ...backup.restic.map((restic) => ({
      engine: 'restic' as const,
      name: restic.name,
      automatic: restic.automatic,
      restic,
    })),
  ]
}

export function automaticTargets(config: Pick<Config, 'backup'>): Target[] {
  return listTargets(config).filter(({ automatic }) => automatic)
}

/**
 * @param names empty: all of them
 * @throws OpsError USAGE with the nearest name; when none is configured
 */
export function chooseTargets(config: Pick<Config, 'backup'>, names: readonly string[]): Target[] {
  const all = listTargets(config)
  if (all.length === 0) {
    throw new OpsError('USAGE', 'there is nowhere to copy backups to', {
      hint: 'Add a host under backup.copies, or a repository under backup.restic, in opskit.yaml.',
    })
  }
  if (names.length === 0) return all
  return names.map((name) => {
    const found = all.find((target) => target.name === name)
    if (found) return found
    const known = all.map((target) => target.name)
    const near = nearestName(name, known)
    throw new OpsError('USAGE', `there is no copy target "${name}"`, {
      hint: near ? `Did you mean ${near}?` : `There are ${known.join(', ')}.`,
    })
  })
}

/** True when the last try succeeded. */
export function isCopied({ records }: BackupEntry, target: string): boolean {
  const last = records.findLast((record) => record.type === 'copied' && record.target === target)
  return last?.type === 'copied' && last.ok
}

/**
 * The diagnosis's check of the backups. It has the shape of diagnose's `Check` without knowing that room: the entry floor
 * hands it over.
 */
import type { Config } from '../config/types.ts'
import type { Clock } from '../core/clock.ts'
import { decideBackupHealth, readBackupHealth, type HealthFinding } from './health.ts'
import { openRepository } from './repository/open.ts'

interface CheckNeeds {
  readonly config: Config
  readonly clock: Clock
}

export const backupCheck = {
  name: 'backup',
  covers: ['backup.age', 'backup.drill', 'backup.copy', 'backup.repository'],
  group: 'backup',
  scope: 'vantage',
  async run({ config, clock }: CheckNeeds): Promise<{ readonly findings: readonly HealthFinding[] }> {
    const repository = openRepository(config.backup.repository, { clock })
    return { findings: decideBackupHealth(await readBackupHealth(repository, config, clock.now())) }
  },
} as const

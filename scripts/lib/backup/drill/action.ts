/** The action backup.drill: restores backups where they harm nobody, compares them, records what it found and how long it took. */
import { z } from 'zod'
import type { ActionContext, LookAction } from '../../action/types.ts'
import { formatDuration } from '../../core/duration.ts'
import { silentProgress } from '../../core/progress.ts'
import { openLocalHost } from '../../host/local.ts'
import type { Finding, Report } from '../../report/types.ts'
import { acquireUse } from '../run/in-use.ts'
import { openConfiguredRepository } from '../run/stage.ts'
import type { BackupEntry, Repository } from '../types.ts'
import { chooseNewest } from '../verify/choose.ts'
import type { DrillResult } from './database.ts'
import { sweepInstances } from './instance.ts'

const params = z.strictObject({
  /** Ids, or names for their newest. */
  backups: z.array(z.string().min(1)).default([]),
  /** The newest of every name. */
  all: z.boolean().default(false),
  /** A configured database source on whose server a scratch database is used, in place of a private server. */
  into: z.string().min(1).optional(),
})

export type DrillParams = z.output<typeof params>

export const drillAction: LookAction<DrillParams> = {
  name: 'backup.drill',
  summary: 'Restores backups into a throw-away place, compares them with their manifests, and measures the time',
  changes: false,
  params,
  look,
}

const TIMEOUT_MS = 6 * 3_600_000

async function look(context: ActionContext, { backups, all, into }: DrillParams): Promise<Report> {
  const { clock } = context
  const [startedAt, begun] = [clock.now(), clock.monotonic()]
  for (const directory of await sweepInstances()) context.log.info(`removed what a killed drill had left: ${directory}`)
  const repository = openConfiguredRepository(context)
  const entries = await chooseNewest(repository, { names: backups, all })
  const findings: Finding[] = []
  for (const entry of entries) findings.push(await drillOne(context, repository, entry, into))
  const durationMs = clock.monotonic() - begun
  return { title: `Drill of ${entries.map(({ id }) => id).join(', ')}`, findings, startedAt, durationMs }
}

async function drillOne(
  context: ActionContext,
  repository: Repository,
  entry: BackupEntry,
  into: string | undefined,
): Promise<Finding> {
  const { clock, localName } = context
  const use = acquireUse(context.journal, entry.id, 'backup.drill')
  const begun = clock.monotonic()
  try {
    const { ok, because, rtoMs, differences } = await hold(context, repository, entry, into)
    const at = new Date(clock.now()).toISOString()
    await repository.record(entry, { type: 'drilled', at, ok, because, rtoMs, differences })
    return {
      check: 'backup.drill',
      subject: entry.id,
      host: localName,
      severity: ok ? 'ok' : 'critical',
      title: ok
        ? `${entry.id} restores in ${formatDuration(rtoMs)}`
        : `${entry.id} does not restore to what was backed up`,
      evidence: because,
      ...(ok ? {} : { lines: differences, next: `npx zx scripts/backup.ts show ${entry.id}` }),
      measures: [{ label: 'rto', value: rtoMs / 1000, unit: 's' }],
      durationMs: clock.monotonic() - begun,
    }
  } finally {
    use.release()
  }
}

async function hold(
  context: ActionContext,
  repository: Repository,
  entry: BackupEntry,
  into: string | undefined,
): Promise<DrillResult> {
  const { config, redact, clock, signal, progress = silentProgress } = context
  const common = { entry, redact, clock, signal, progress, timeoutMs: TIMEOUT_MS, host: openLocalHost() }
  const identity = config.backup.encryption?.identity?.file
  if (entry.kind !== 'database') {
    return (await import('./files.ts')).drillFiles({ ...common, repository, identity })
  }
  const checks = config.backup.databases[entry.name]?.checks ?? []
  if (into !== undefined)
    return (await import('./scratch.ts')).drillInto(context, { ...common, identity, checks }, into)
  return (await import('./database.ts')).drillDatabase({ ...common, identity, checks })
}

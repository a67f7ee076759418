/** The action backup.drill: restores backups where they harm nobody, compares them, records what it found and how long it took. */
import { z } from 'zod'
import type { ActionContext, LookAction } from '../../action/types.ts'
import { imageName } from '../../config/schema/values.ts'
import { formatDuration } from '../../core/duration.ts'
import { isOpsError, OpsError } from '../../core/errors.ts'
import { silentProgress } from '../../core/progress.ts'
import { openLocalHost } from '../../host/local.ts'
import type { Finding, Report } from '../../report/types.ts'
import { acquireUse } from '../run/in-use.ts'
import { readIdentity, refuseOtherIdentity } from '../restore/identity.ts'
import { openConfiguredRepository } from '../run/stage.ts'
import { ALERT, tellRecovered } from '../told.ts'
import type { BackupEntry, Repository } from '../types.ts'
import { chooseNewest } from '../verify/choose.ts'
import { problemFinding } from '../verify/action.ts'
import type { DrillResult } from './database.ts'
import { sweepInstances } from './instance.ts'

const params = z.strictObject({
  /** Ids, or names for their newest. */
  backups: z.array(z.string().min(1)).default([]),
  /** The newest of every name. */
  all: z.boolean().default(false),
  /** A configured database source, or a host, on whose server a scratch database is used in place of a private server. */
  into: z.string().min(1).optional(),
  /** A container image of the same family, in place of a private server. */
  image: imageName.optional(),
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

async function look(context: ActionContext, { backups, all, into, image }: DrillParams): Promise<Report> {
  refuseUnclear({ backups, all, into, image })
  const { clock } = context
  const [startedAt, begun] = [clock.now(), clock.monotonic()]
  const { sweepContainers } = await import('./container.ts')
  const left = [...(await sweepInstances()), ...(await sweepContainers(context.signal))]
  for (const one of left) context.log.info(`removed what a killed drill had left: ${one}`)
  const repository = openConfiguredRepository(context)
  const { entries, broken } = await chooseNewest(repository, { names: backups, all })
  const findings: Finding[] = broken.map((problem) => problemFinding(problem, context.localName))
  const hold = (entry: BackupEntry) => drillOne(context, repository, entry, { into, image })
  for (const entry of entries)
    findings.push(await (entries.length === 1 ? hold(entry) : holdOrSay(context, entry, hold)))
  const durationMs = clock.monotonic() - begun
  const [only] = entries
  const what = only && entries.length === 1 ? only.id : `${entries.length} backups`
  return { title: `Drill of ${what}`, findings, startedAt, durationMs }
}

function refuseUnclear({ all, into, image }: DrillParams): void {
  if (image === undefined) return
  const because = into !== undefined ? 'one drill has one server' : all ? 'an image is of one family' : undefined
  if (because === undefined) return
  throw new OpsError('USAGE', `--image does not go with ${all ? '--all' : '--into'}: ${because}`, {
    hint: all ? 'Name the backups, or set drill_image for each source.' : 'Leave one of them out.',
  })
}

/** One of several that cannot be held keeps the others from nothing. */
async function holdOrSay(
  { signal, localName: host }: ActionContext,
  entry: BackupEntry,
  hold: (entry: BackupEntry) => Promise<Finding>,
): Promise<Finding> {
  try {
    return await hold(entry)
  } catch (error) {
    signal.throwIfAborted()
    if (!isOpsError(error)) throw error
    const title = `the drill of ${entry.id} could not be held`
    const { hint: next } = error.details
    const about = { check: 'backup.drill', subject: entry.id, host, severity: 'unknown', title } as const
    return { ...about, evidence: error.message, ...(next !== undefined && { next }) }
  }
}

async function drillOne(
  context: ActionContext,
  repository: Repository,
  entry: BackupEntry,
  server: Pick<DrillParams, 'into' | 'image'>,
): Promise<Finding> {
  const { clock, localName } = context
  const use = acquireUse(context.journal, entry.id, 'backup.drill')
  const begun = clock.monotonic()
  try {
    const { ok, because, rtoMs, differences } = await hold(context, repository, entry, server)
    const at = new Date(clock.now()).toISOString()
    await repository.record(entry, { type: 'drilled', at, ok, because, rtoMs, differences })
    if (ok) await tellRecovered(context, ALERT.drill(`${entry.kind}/${entry.name}`))
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
  asked: Pick<DrillParams, 'into' | 'image'>,
): Promise<DrillResult> {
  const { config, redact, clock, signal, progress = silentProgress } = context
  const common = { entry, redact, clock, signal, progress, timeoutMs: TIMEOUT_MS, host: openLocalHost() }
  const identity = await readIdentity(context)
  await refuseOtherIdentity(entry, identity)
  const family = entry.manifest.server?.family
  if (asked.image !== undefined && (family === undefined || family === 'sqlite')) {
    throw new OpsError('USAGE', `${entry.id} needs no server to drill on, and so no --image`)
  }
  if (entry.kind !== 'database') {
    return (await import('./files.ts')).drillFiles({ ...common, repository, identity })
  }
  const source = config.backup.databases[entry.name]
  const checks = source?.checks ?? []
  const { into, image } =
    asked.into === undefined && asked.image === undefined
      ? { into: source?.drill_into, image: source?.drill_image }
      : asked
  if (into !== undefined)
    return (await import('./scratch.ts')).drillInto(context, { ...common, identity, checks }, into)
  const database = { ...common, identity, checks, ...(image === undefined ? {} : { image }) }
  return (await import('./database.ts')).drillDatabase(database)
}

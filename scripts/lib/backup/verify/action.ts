/** The action backup.verify: reads backups to their end, records what it finds, reports it. */
import { z } from 'zod'
import type { ActionContext, LookAction } from '../../action/types.ts'
import { openLocalHost } from '../../host/local.ts'
import { silentProgress } from '../../core/progress.ts'
import { quoteWord } from '../../core/quote.ts'
import type { Finding, Report } from '../../report/types.ts'
import { acquireUse } from '../run/in-use.ts'
import { readIdentity, readOtherIdentity } from '../restore/identity.ts'
import { openConfiguredRepository } from '../run/stage.ts'
import { ALERT, tellRecovered } from '../told.ts'
import type { BackupEntry, Repository, RepositoryProblem } from '../types.ts'
import { chooseBackups, decideSample } from './choose.ts'
import { verifyBackup } from './verify.ts'

const params = z.strictObject({
  /** Ids, or names for their newest. */
  backups: z.array(z.string().min(1)).default([]),
  all: z.boolean().default(false),
  /** So many of all of them: those that were verified longest ago. */
  sample: z.int().min(1).optional(),
})

export type VerifyParams = z.output<typeof params>

export const verifyAction: LookAction<VerifyParams> = {
  name: 'backup.verify',
  summary: 'Reads backups to their end and compares them with their checksums',
  changes: false,
  params,
  look,
}

/** One backup may take so long. */
const TIMEOUT_MS = 6 * 3_600_000

async function look(context: ActionContext, { backups, all, sample }: VerifyParams): Promise<Report> {
  const { clock } = context
  const [startedAt, begun] = [clock.now(), clock.monotonic()]
  const repository = openConfiguredRepository(context)
  const named = await chooseBackups(repository, { names: backups, all: all || sample !== undefined })
  const entries = sample === undefined ? named : decideSample(named, sample, Math.random)
  const findings: Finding[] = []
  for (const entry of entries) findings.push(await verifyOne(context, repository, entry))
  if (backups.length === 0) findings.push(...(await findProblems(context, repository)))
  return {
    title: entries.length === 0 ? 'There is no backup to verify' : `Verified ${entries.length} of ${repository.path}`,
    findings,
    startedAt,
    durationMs: clock.monotonic() - begun,
  }
}

async function verifyOne(context: ActionContext, repository: Repository, entry: BackupEntry): Promise<Finding> {
  const { redact, clock, signal, progress = silentProgress, localName } = context
  const use = acquireUse(context.journal, entry.id, 'backup.verify')
  try {
    const known = await readIdentity(context)
    // What is encrypted to somebody else is read as far as without one: that says nothing against it.
    const identity = (await readOtherIdentity(entry, known)) === undefined ? known : undefined
    const host = openLocalHost()
    const found = await verifyBackup({ entry, identity, host, redact, timeoutMs: TIMEOUT_MS, clock, signal, progress })
    const { ok, level, because, problems, durationMs } = found
    await repository.record(entry, {
      type: 'verified',
      at: new Date(clock.now()).toISOString(),
      ok,
      level,
      because,
      durationMs,
    })
    if (ok) await tellRecovered(context, ALERT.verify(entry.id))
    return {
      check: 'backup.verify',
      subject: entry.id,
      host: localName,
      severity: ok ? 'ok' : 'critical',
      title: ok ? `${entry.id} is whole` : `${entry.id} is damaged`,
      evidence: because,
      ...(ok ? {} : { lines: problems, next: 'npx zx scripts/backup.ts list' }),
      measures: [{ label: 'size', value: entry.sizeBytes, unit: 'B' }],
      durationMs,
    }
  } finally {
    use.release()
  }
}

/** What lies there and is no backup is not verified, but it is said. */
async function findProblems({ localName }: ActionContext, repository: Repository): Promise<Finding[]> {
  return (await repository.problems()).map((problem) => problemFinding(problem, localName))
}

export function problemFinding({ path, id, because }: RepositoryProblem, host: string): Finding {
  return {
    check: 'backup.repository',
    subject: id ?? path,
    host,
    // What has a backup's place and is none was one, or was to be.
    severity: id === undefined ? 'warning' : 'critical',
    title: `${id ?? path} is no whole backup`,
    evidence: because,
    next: `ls -la ${quoteWord(path)}`,
  }
}

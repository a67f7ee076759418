/** `backup run`: one backup after another, one line each, and the first failure's exit code. */
import type { Command } from 'commander'
import { ALERT } from '../backup/told.ts'
import type { BackupEntry } from '../backup/types.ts'
import { isOpsError, messageOf } from '../core/errors.ts'
import { exitCodeOf } from '../core/exit.ts'
import { addCommonFlags, openBackupSession, runChange, type BackupFlags, type BackupSession } from './backup-context.ts'
import { tellFailures, tellRefused, type Failure } from './backup-tell.ts'
import { print, writeOutput } from './output.ts'
import { formatError } from './print-error.ts'
import { frame } from './program.ts'

interface RunFlags extends BackupFlags {
  readonly all?: boolean
  readonly group?: string
  readonly output?: string
}

export function addBackupRun(program: Command, signal: AbortSignal): void {
  addCommonFlags(
    frame(program.command('run'), [
      ['npx zx scripts/backup.ts run database/app', 'one source'],
      ['npx zx scripts/backup.ts run --all', 'every configured source; one that fails does not stop the others'],
      ['npx zx scripts/backup.ts run --group shop', 'the members of a group at one moment'],
      ['npx zx scripts/backup.ts run --all --dry-run', 'what would be done'],
    ]),
  )
    .description('Make backups: written beside, verified, then published whole.')
    .argument('[names...]', 'database/app, config/web, static/www, or the name alone')
    .option('--all', 'every configured source')
    .option('--group <name>', 'a consistency group')
    .option('--dry-run', 'show what would be done and do nothing')
    .option('--output <file>', 'write the result there too, as JSON')
    .action(async (names: string[], flags: RunFlags) => {
      process.exitCode = await run(names, flags, signal)
    })
}

interface Outcome {
  readonly made: BackupEntry[]
  readonly failures: (Failure & { readonly name: string })[]
}

/** @returns the exit code: 0, or that of the first failure */
async function run(names: readonly string[], flags: RunFlags, signal: AbortSignal): Promise<number> {
  await using session = await openBackupSession(flags, { looksOnly: flags.dryRun ?? false, signal })
  const attempts = await chooseAttempts(session, names, flags)
  const outcome: Outcome = { made: [], failures: [] }
  for (const one of attempts) await attempt(session, flags, outcome, one)
  if (!flags.dryRun) await tellFailures(session.context, outcome.failures)
  const document = JSON.stringify(describeOutcome(outcome), null, 2)
  if (flags.json && !flags.dryRun) await print(document)
  if (flags.output !== undefined) await writeOutput(flags.output, document)
  if (!flags.json && !flags.dryRun && attempts.length > 1) await print(describeEnd(outcome))
  const [first] = outcome.failures
  return first ? exitCodeOf(first.error) : 0
}

interface Attempt {
  readonly name: string
  readonly series: readonly string[]
  readonly action: string
  readonly params: unknown
}

/** One for each source, or one for a group. @throws OpsError USAGE; whoever is to be told of failed backups is told of it */
async function chooseAttempts(
  { context }: BackupSession,
  names: readonly string[],
  { all = false, group, dryRun }: RunFlags,
): Promise<Attempt[]> {
  const { chooseSources } = await import('../backup/action-run.ts')
  try {
    const sources = chooseSources(context, { names: [...names], all, ...(group === undefined ? {} : { group }) })
    if (group !== undefined) {
      const series = sources.map((source) => source.series)
      return [{ name: `group ${group}`, series, action: 'backup.run', params: { group } }]
    }
    return sources.map(({ kind, name, series }) => ({
      ...{ name: series, series: [series], action: `backup.${kind}`, params: { name } },
    }))
  } catch (error) {
    const failure = { subject: ALERT.backup(names.join(', ') || group || 'nothing'), action: 'backup.run', error }
    if (!dryRun) await tellRefused(context, failure)
    throw error
  }
}

async function attempt(
  session: BackupSession,
  flags: RunFlags,
  outcome: Outcome,
  { name, series, ...change }: Attempt,
): Promise<void> {
  const before = await readNewest(session, series)
  const readMade = async () =>
    (await readNewest(session, series)).filter(({ id }) => before.every((old) => old.id !== id))
  try {
    const result = await runChange(session, flags, change)
    if (!result) return
    const made = await readMade()
    outcome.made.push(...made)
    if (!flags.json) for (const entry of made) await printEntry(entry)
  } catch (error) {
    // Whole, and not copied: the backup is there all the same.
    const made = await readMade()
    outcome.made.push(...made)
    const subject = made.length > 0 ? ALERT.copy(name) : ALERT.backup(name)
    const failure = { name, subject, action: change.action, error }
    if (session.context.signal.aborted) await tellFailures(session.context, [...outcome.failures, failure])
    session.context.signal.throwIfAborted()
    outcome.failures.push(failure)
    process.stderr.write(`${formatError(error, name).join('\n')}\n`)
  }
}

/** The verdict, when there was more than one line before it, and what to do about what failed. */
function describeEnd({ made, failures }: Outcome): string {
  const saved = `${made.length} saved`
  if (failures.length === 0) return `${saved}, each verified.`
  const names = failures.map(({ name }) => name)
  const again = names.map((name) => name.replace(/^group /, '--group ')).join(' ')
  return `${saved}, ${failures.length} FAILED: ${names.join(', ')}\n  next: npx zx scripts/backup.ts run ${again}`
}

async function readNewest({ context }: BackupSession, series: readonly string[]): Promise<BackupEntry[]> {
  const { openRepository } = await import('../backup/repository/open.ts')
  const entries = await openRepository(context.config.backup.repository).list()
  return series.flatMap((one) => entries.find(({ kind, name }) => `${kind}/${name}` === one) ?? [])
}

async function printEntry(entry: BackupEntry): Promise<void> {
  const { describeEntry } = await import('../backup/run/run.ts')
  const { warnings, notes = [] } = entry.manifest
  const lines = [
    describeEntry(entry),
    ...warnings.map((text) => `  warning: ${text}`),
    ...notes.map((text) => `  note: ${text}`),
  ]
  const { printableLine } = await import('../core/printable.ts')
  await print(
    lines.map((line) => (line.startsWith('  ') ? `  ${printableLine(line)}` : printableLine(line))).join('\n'),
  )
}

function describeOutcome({ made, failures }: Outcome) {
  return {
    backups: made.map(({ id, kind, name, sizeBytes, manifest, verifiedAt }) => ({
      ...{ id, kind, name, sizeBytes, durationMs: manifest.durationMs, status: manifest.status },
      ...{ verified: verifiedAt !== undefined, parent: manifest.parent ?? null, group: manifest.group ?? null },
      ...{ warnings: manifest.warnings, notes: manifest.notes ?? [] },
    })),
    failures: failures.map(({ name, error }) => ({
      name,
      code: isOpsError(error) ? error.code : 'FAILED',
      exitCode: exitCodeOf(error),
      message: messageOf(error),
      hint: (isOpsError(error) && error.details.hint) || null,
    })),
  }
}

/** `backup run`: one backup after another, one line each, and the first failure's exit code. */
import type { Command } from 'commander'
import type { BackupEntry } from '../backup/types.ts'
import { isOpsError, messageOf } from '../core/errors.ts'
import { exitCodeOf } from '../core/exit.ts'
import { addCommonFlags, openBackupSession, runChange, type BackupFlags, type BackupSession } from './backup-context.ts'
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
  readonly failures: { readonly name: string; readonly error: unknown }[]
}

/** @returns the exit code: 0, or that of the first failure */
async function run(names: readonly string[], flags: RunFlags, signal: AbortSignal): Promise<number> {
  await using session = await openBackupSession(flags, { looksOnly: flags.dryRun ?? false, signal })
  const { chooseSources } = await import('../backup/action-run.ts')
  const params = {
    names: [...names],
    all: flags.all ?? false,
    ...(flags.group === undefined ? {} : { group: flags.group }),
  }
  const sources = chooseSources(session.context, params)
  const outcome: Outcome = { made: [], failures: [] }
  if (flags.group !== undefined) {
    const series = sources.map((source) => source.series)
    await attempt(session, flags, {
      outcome,
      name: flags.group,
      series,
      action: 'backup.run',
      params: { group: flags.group },
    })
  } else {
    for (const { kind, name, series } of sources) {
      await attempt(session, flags, {
        outcome,
        name: series,
        series: [series],
        action: `backup.${kind}`,
        params: { name },
      })
    }
  }
  const document = JSON.stringify(describeOutcome(outcome), null, 2)
  if (flags.json && !flags.dryRun) await print(document)
  if (flags.output !== undefined) await writeOutput(flags.output, document)
  const [first] = outcome.failures
  return first ? exitCodeOf(first.error) : 0
}

interface Attempt {
  readonly outcome: Outcome
  readonly name: string
  readonly series: readonly string[]
  readonly action: string
  readonly params: unknown
}

async function attempt(session: BackupSession, flags: RunFlags, { outcome, name, series, ...change }: Attempt) {
  try {
    const before = await readNewest(session, series)
    const result = await runChange(session, flags, change)
    if (!result) return
    const made = (await readNewest(session, series)).filter(({ id }) => before.every((old) => old.id !== id))
    outcome.made.push(...made)
    if (!flags.json) for (const entry of made) await printEntry(entry)
  } catch (error) {
    session.context.signal.throwIfAborted()
    outcome.failures.push({ name, error })
    process.stderr.write(`${formatError(error).join('\n')}\n`)
  }
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

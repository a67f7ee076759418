/** What the subcommands of `backup` share: the context with a progress line, plans that are shown, failures that are said. */
import type { Command } from 'commander'
import type { Action } from '../action/types.ts'
import { isOpsError } from '../core/errors.ts'
import type { PlanResult } from '../plan/types.ts'
import { openContext, type CommonFlags, type OpenedContext } from './context.ts'
import { print } from './output.ts'
import { createProgressLine } from './progress.ts'

export interface BackupFlags extends CommonFlags {
  readonly dryRun?: boolean
}

/** For every subcommand. */
export function addCommonFlags(command: Command): Command {
  return command
    .option('--json', 'print one JSON document')
    .option('--config <file>', 'use this opskit.yaml')
    .option('-v, --verbose', 'say more')
}

export interface BackupSession extends AsyncDisposable {
  readonly context: OpenedContext
  /** Takes the progress line away before something is printed. */
  readonly clear: () => void
}

export async function openBackupSession(
  flags: BackupFlags,
  { looksOnly, signal }: { looksOnly: boolean; signal: AbortSignal },
): Promise<BackupSession> {
  const opened = await openTold(flags, { looksOnly, signal })
  const { progress, clear } = createProgressLine()
  return {
    context: { ...opened, progress, [Symbol.asyncDispose]: opened[Symbol.asyncDispose].bind(opened) },
    clear,
    async [Symbol.asyncDispose]() {
      clear()
      await opened[Symbol.asyncDispose]()
    },
  }
}

/** What cannot even begin (its journal lies on a full disk, say) is told all the same. */
async function openTold(flags: BackupFlags, options: { looksOnly: boolean; signal: AbortSignal }) {
  try {
    return await openContext(flags, options)
  } catch (error) {
    if (!options.looksOnly) await tellUnopened(flags, options.signal, error)
    throw error
  }
}

async function tellUnopened(flags: BackupFlags, signal: AbortSignal, error: unknown): Promise<void> {
  // With a config that cannot be read nobody knows whom to tell: the error itself has to do.
  await using context = await openContext(flags, { looksOnly: true, signal }).catch(() => undefined)
  if (!context) return
  const { tellFailures } = await import('./backup-tell.ts')
  await tellFailures(context, [{ subject: 'a command about backups', error }])
}

/**
 * Runs one changing action. With `--dry-run` the plan is printed, and nothing else happens.
 * @returns the result; undefined after a dry run
 * @throws the cause of a failure that left nothing behind: its exit code says more than "rolled back"
 */
export async function runChange(
  session: BackupSession,
  flags: BackupFlags,
  { action, params }: { action: string; params: unknown },
): Promise<PlanResult | undefined> {
  const [{ findAction }, { runAction }, { formatPlan }] = await Promise.all([
    import('../catalog.ts'),
    import('../action/run.ts'),
    import('../plan/index.ts'),
  ])
  const found: Action = await findAction(action)
  try {
    const result = await runAction(found, params, session.context, { dryRun: flags.dryRun ?? false })
    session.clear()
    if (result.kind === 'applied') return result.result
    if (result.kind === 'plan') {
      const text = flags.json ? JSON.stringify(result.description, null, 2) : formatPlan(result.description).join('\n')
      await print(text)
    }
    return undefined
  } catch (error) {
    session.clear()
    throw causeOf(error)
  }
}

/** A failed backup discards itself, so that it was rolled back goes without saying. */
export function causeOf(error: unknown): unknown {
  if (!isOpsError(error, 'ROLLED_BACK')) return error
  return isOpsError(error.cause) ? error.cause : error
}

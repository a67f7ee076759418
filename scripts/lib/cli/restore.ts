/** The command `restore`: databases, configuration and static files out of a backup; and what an interrupted one left. */
import type { ActionResult } from '../action/run.ts'
import { Option, type Command } from 'commander'
import { ALERT } from '../backup/told.ts'
import type { BackupKind } from '../backup/types.ts'
import { formatDuration } from '../core/duration.ts'
import { OpsError } from '../core/errors.ts'
import { printableLine } from '../core/printable.ts'
import type { StepProgress } from '../plan/index.ts'
import { addCommonFlags, openBackupSession, type BackupFlags, type BackupSession } from './backup-context.ts'
import { tellRefused, telling } from './backup-tell.ts'
import { print } from './output.ts'
import { frame, listArgument } from './program.ts'

interface RestoreFlags extends BackupFlags {
  readonly to?: string
  readonly yes?: boolean
  readonly database?: string[]
  readonly table?: string[]
  readonly path?: string[]
  readonly exact?: boolean
  /** False for --no-keep. */
  readonly keep?: boolean
}

interface FinishFlags extends BackupFlags {
  readonly resume?: string | boolean
  readonly undo?: string | boolean
  readonly discard?: string
  readonly yes?: boolean
}

/** Flags of the command itself: what an interrupted restore left, and what a finished one has kept. */
export function addFinish(program: Command, signal: AbortSignal): void {
  addCommonFlags(program)
    .option('--resume [id]', 'finish a restore that was interrupted')
    .option('--undo [id]', 'take back a restore that was interrupted, or a finished one (its id: see list)')
    .option('--discard <id>', 'remove for good what a finished restore has kept (its id: see list)')
    .option('--dry-run', 'show what would be done and do nothing')
    .option('--yes', 'do not ask')
    .action(async (flags: FinishFlags) => {
      const { resume, undo, discard } = flags
      const [given, another] = Object.entries({ resume, undo, discard }).filter(([, value]) => value !== undefined)
      if (!given) {
        throw new OpsError('USAGE', 'it is not said what to restore', {
          hint: 'npx zx scripts/restore.ts database NAME, config NAME or static NAME; --help shows more.',
        })
      }
      const [verb, id] = given
      if (another) {
        throw new OpsError('USAGE', `--${verb} and --${another[0]} exclude each other`, {
          hint: 'Leave one of them out.',
        })
      }
      await change(`restore.${verb}`, typeof id === 'string' ? { id } : {}, flags, signal)
    })
}

export function addRestoreDatabase(program: Command, signal: AbortSignal): void {
  const command = frame(program.command('database'), [
    ['npx zx scripts/restore.ts database app', 'the newest backup of app, in the place of the live database'],
    ['npx zx scripts/restore.ts database app --to app_copy', 'beside it, under another name'],
    ['npx zx scripts/restore.ts database app --to staging/', 'into the server of the source staging'],
    ['npx zx scripts/restore.ts database app --table orders,items', 'two tables'],
    ['npx zx scripts/restore.ts database database/app/20261120T020000Z --dry-run', 'what would be done'],
  ])
  addRestoreFlags(command, '[SOURCE/|HOST/]name: another database, server or host')
    .description('Restore databases: loaded beside, compared with the manifest, then swapped in; the old one is kept.')
    .option('--database <names>', 'only these databases of the backup', listArgument)
    .option('--table <names>', 'only these tables', listArgument)
    .action(async (backup: string, given: RestoreFlags, self: Command) => {
      const flags = withParent<RestoreFlags>(given, self)
      const { database, table, to, keep = true } = flags
      const params = {
        ...{ backup, keep },
        ...(database ? { databases: database } : {}),
        ...(table ? { tables: table } : {}),
        ...(to === undefined ? {} : { to }),
      }
      await change('restore.database', params, flags, signal)
    })
}

export function addRestoreFiles(kind: 'config' | 'static') {
  return (program: Command, signal: AbortSignal): void => {
    const command = frame(program.command(kind), [
      [`npx zx scripts/restore.ts ${kind} web`, 'the newest backup of web, to where it belongs'],
      [`npx zx scripts/restore.ts ${kind} web --to /tmp/look`, 'into a directory'],
      [`npx zx scripts/restore.ts ${kind} web --path '/etc/nginx/**/*.conf'`, 'a part'],
    ])
    addRestoreFlags(command, '/directory, HOST or HOST:/directory')
      .description(
        kind === 'config'
          ? 'Restore configuration: unpacked beside, compared, put in place; nginx must serve it, or it is undone.'
          : 'Restore static files: unpacked beside, compared, put in place; what was there is kept.',
      )
      .option('--path <paths>', 'only these: absolute paths or globs', listArgument)
      .option('--exact', 'move aside what is there and not in the backup')
      .action(async (backup: string, given: RestoreFlags, self: Command) => {
        const flags = withParent<RestoreFlags>(given, self)
        const { path, to, exact, keep = true } = flags
        const params = { backup, keep, paths: path ?? [], exact: exact ?? false, ...(to === undefined ? {} : { to }) }
        await change(`restore.${kind}`, params, flags, signal)
      })
  }
}

function addRestoreFlags(command: Command, to: string): Command {
  return addCommonFlags(command)
    .argument('<backup>', 'an id, a name for its newest, or latest')
    .option('--to <where>', to)
    .option('--no-keep', 'remove what was there before, when the restore is proved (default: it is kept beside)')
    .option('--dry-run', 'show what would be done and do nothing')
    .addOption(new Option('--yes', 'do not ask'))
}

/** A flag may stand before the subcommand: the command itself takes the same ones. */
function withParent<F extends object>(flags: F, self: Command): F {
  return { ...self.parent?.opts<F>(), ...flags }
}

/** Shows the plan, asks, then applies it; whoever is to be told that it failed is told. */
async function change(action: string, params: RestoreParams, flags: RestoreFlags, signal: AbortSignal): Promise<void> {
  await using session = await openBackupSession(flags, { looksOnly: flags.dryRun ?? false, signal })
  const { context } = session
  const [{ findAction }, { runAction }] = await Promise.all([import('../catalog.ts'), import('../action/run.ts')])
  const found = await findAction(action)
  const subject = 'backup' in params ? ALERT.restore(kindOf(action), params.backup) : 'finishing of a restore'
  if (flags.dryRun || !flags.yes) {
    const planned = runAction(found, params, context, { dryRun: true })
    const isWanted = await showPlan(session, flags, { planning: planned, question: questionOf(action) }).catch(
      async (error: unknown) => {
        if (!flags.dryRun) await tellRefused(context, { subject, action, error })
        throw error
      },
    )
    if (!isWanted) return
  }
  const onStep = ({ number, total, title, outcome }: StepProgress) => {
    session.clear()
    if (outcome !== 'applied' && outcome !== 'verified')
      process.stderr.write(`${number}/${total} ${outcome}: ${title}\n`)
  }
  const result = await telling(context, { subject, action }, () =>
    runAction(found, params, context, { onStep }).catch(async (error: unknown) => {
      throw (await import('./undone.ts')).withOwnCode(error)
    }),
  )
  await printResult(session, result, flags)
}

type RestoreParams = { readonly backup: string } | { readonly id?: string }

function kindOf(action: string): BackupKind {
  return action === 'restore.database' ? 'database' : action === 'restore.config' ? 'config' : 'static'
}

function questionOf(action: string): string {
  if (action === 'restore.discard') return 'Remove it for good?'
  return action === 'restore.undo' ? 'Take it back?' : 'Restore it?'
}

/** @returns whether it is to be done @throws what planning throws, and USAGE without a terminal to ask on */
async function showPlan(
  session: BackupSession,
  flags: RestoreFlags,
  { planning, question }: { readonly planning: Promise<ActionResult>; readonly question: string },
): Promise<boolean> {
  const planned = await planning
  session.clear()
  if (planned.kind !== 'plan') return false
  const { formatPlan } = await import('../plan/index.ts')
  const text = formatPlan(planned.description).join('\n')
  if (flags.dryRun) {
    await print(flags.json ? JSON.stringify(planned.description, null, 2) : text)
    return false
  }
  process.stderr.write(`${text}\n`)
  if (planned.plan.steps.length > 0) await confirm(question)
  return true
}

async function printResult(session: BackupSession, result: ActionResult, flags: RestoreFlags): Promise<void> {
  session.clear()
  if (result.kind !== 'applied') return
  const { title, changed, because, steps } = result.result
  if (flags.json) return print(JSON.stringify(result.result, null, 2))
  const tookMs = steps.reduce((sum, step) => sum + step.durationMs, 0)
  const lines = steps.map((step) => `  ${printableLine(step.message, 500)}`)
  await print([`${title}: ${changed ? `done in ${formatDuration(tookMs)}` : because}`, ...lines].join('\n'))
}

/** @throws OpsError USAGE without a terminal, INTERRUPTED when the answer is no */
async function confirm(message: string): Promise<void> {
  if (!process.stdin.isTTY || !process.stderr.isTTY) {
    throw new OpsError('USAGE', 'nothing was changed: there is no terminal to ask on', {
      hint: 'Add --yes to do it, or --dry-run to see what would be done.',
    })
  }
  const { confirm: ask } = await import('@clack/prompts')
  if ((await ask({ message, initialValue: false })) !== true) {
    throw new OpsError('INTERRUPTED', 'nothing was changed')
  }
}

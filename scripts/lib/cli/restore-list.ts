/** `restore list`: restores that are not over, and what finished ones have kept of what was there before. */
import type { Command } from 'commander'
import type { Looked } from '../backup/restore/discard.ts'
import type { Unfinished } from '../backup/restore/unfinished.ts'
import { formatDuration } from '../core/duration.ts'
import { addCommonFlags, openBackupSession, type BackupFlags } from './backup-context.ts'
import { print, terminalWidth } from './output.ts'
import { frame } from './program.ts'

export function addKept(program: Command, signal: AbortSignal): void {
  const command = frame(program.command('list'), [
    ['npx zx scripts/restore.ts list', 'what is kept, with its id, age and size'],
    ['npx zx scripts/restore.ts --undo 1a2b3c4d', 'bring it back'],
    ['npx zx scripts/restore.ts --discard 1a2b3c4d', 'remove it for good'],
  ])
  addCommonFlags(command)
    .description('What finished restores have kept of what was there before, and restores that are not over.')
    .action((flags: BackupFlags, self: Command) => list({ ...self.parent?.opts<BackupFlags>(), ...flags }, signal))
}

async function list(flags: BackupFlags, signal: AbortSignal): Promise<void> {
  await using session = await openBackupSession(flags, { looksOnly: true, signal })
  const { context } = session
  const [{ readKept }, { lookAtKept }, { readUnfinished }] = await Promise.all([
    import('../backup/restore/kept.ts'),
    import('../backup/restore/discard.ts'),
    import('../backup/restore/unfinished.ts'),
  ])
  const unfinished = readUnfinished(context.journal)
  const looked = await lookAtKept(context, readKept(context.journal))
  session.clear()
  await print(
    flags.json
      ? JSON.stringify({ unfinished, kept: looked.map(toJson) }, null, 2)
      : await format(looked, unfinished, context.clock.now()),
  )
}

function toJson({ kept, state, sizeBytes }: Looked): object {
  const { id, kind, backup, by, at, on } = kept
  const of = kept.kind === 'files' ? kept.target || '/' : kept.replacement.target
  const as = kept.kind === 'files' ? kept.paths : [kept.replacement.aside]
  return { id, kind, of, as, on, backup, by, at: new Date(at).toISOString(), state, sizeBytes }
}

const COLUMNS = ['id', 'kept', 'on', 'before', 'age', 'what is there']

async function format(looked: readonly Looked[], unfinished: readonly Unfinished[], now: number): Promise<string> {
  const [{ formatTable }, { nameKept }, { describeUnfinished }] = await Promise.all([
    import('../report/table.ts'),
    import('../backup/restore/kept.ts'),
    import('../backup/restore/unfinished.ts'),
  ])
  const open = unfinished.flatMap((one) => [
    describeUnfinished(one),
    `  next: npx zx scripts/restore.ts --resume ${one.id}   or: npx zx scripts/restore.ts --undo ${one.id}`,
  ])
  const rows = looked.map(({ kept, state }) => {
    const { id, on, by, backup, at } = kept
    return [id, nameKept(kept), on, `${by} of ${backup}`, formatDuration(Math.max(0, now - at)), state]
  })
  const width = terminalWidth()
  if (rows.length === 0) return [...open, 'Finished restores have kept nothing.'].join('\n')
  return [
    ...open,
    formatTable({ columns: COLUMNS, rows }, width ? { width } : {}),
    '',
    'Bring one back with --undo ID, remove it for good with --discard ID.',
  ].join('\n')
}

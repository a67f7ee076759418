/** The command `init`: looks at this machine and writes a first opskit.yaml. */
import { stat } from 'node:fs/promises'
import { renderInitialConfig, type SeenMachine } from '../config/initial.ts'
import { OpsError } from '../core/errors.ts'
import { print, writeOutput } from './output.ts'

export interface InitFlags {
  /** A file, or `-` for stdout. */
  readonly output: string
  readonly force?: boolean
  readonly dryRun?: boolean
  readonly yes?: boolean
  readonly json?: boolean
}

/**
 * @throws OpsError CANNOT_WRITE when the file exists and `--force` was not given, USAGE when nobody can be asked and
 *   `--yes` was not given, NOT_PERMITTED
 */
export async function init(flags: InitFlags, signal: AbortSignal): Promise<void> {
  const isPreview = flags.dryRun === true || flags.output === '-'
  if (!isPreview) {
    await refuseOverwrite(flags)
    refuseWithoutTerminal(flags)
  }
  const { openLocalHost } = await import('../host/index.ts')
  const { lookAtMachine } = await import('./init-look.ts')
  const host = openLocalHost()
  try {
    const seen = await lookAtMachine(host, signal)
    const text = renderInitialConfig(seen)
    if (isPreview) return await answer(flags, { seen, text, written: false })
    if (!flags.yes && !(await confirmed(flags.output, seen))) {
      throw new OpsError('INTERRUPTED', 'nothing was written')
    }
    await writeOutput(flags.output, text)
    await answer(flags, { seen, text, written: true })
  } finally {
    await host.close()
  }
}

interface Outcome {
  readonly seen: SeenMachine
  readonly text: string
  readonly written: boolean
}

async function answer({ output, json }: InitFlags, { seen, text, written }: Outcome): Promise<void> {
  if (json) return print(JSON.stringify({ output, written, seen, text }, null, 2))
  if (!written) return print(text)
  return print(`${output} is written: ${summary(seen)}\nnext: npx zx scripts/diagnose.ts --config ${output}`)
}

function summary({ units, ports, nginx, projects, databases }: SeenMachine): string {
  const counted = (count: number, one: string, many: string) =>
    count === 0 ? [] : [`${count} ${count === 1 ? one : many}`]
  const parts = [
    ...counted(units.length, 'unit', 'units'),
    ...counted(ports.length, 'port', 'ports'),
    ...(nginx ? ['nginx'] : []),
    ...counted(projects.length, 'compose project', 'compose projects'),
    ...counted(databases.length, 'database', 'databases'),
  ]
  return parts.join(', ') || 'nothing that could be proposed was seen'
}

async function refuseOverwrite({ output, force }: InitFlags): Promise<void> {
  const exists = await stat(output).then(
    () => true,
    () => false,
  )
  if (exists && !force) {
    throw new OpsError('CANNOT_WRITE', `${output} is there already`, {
      hint: 'Look at a new one with --dry-run, write it elsewhere with --output FILE, or replace it with --force.',
    })
  }
}

function refuseWithoutTerminal({ yes }: InitFlags): void {
  if (yes || (process.stdin.isTTY && process.stdout.isTTY)) return
  throw new OpsError('USAGE', 'nobody can be asked here, for there is no terminal', {
    hint: 'Add --yes to write the file, or --dry-run to see it.',
  })
}

async function confirmed(output: string, seen: SeenMachine): Promise<boolean> {
  const { confirm } = await import('@clack/prompts')
  return (await confirm({ message: `Seen: ${summary(seen)}. Write ${output}?` })) === true
}

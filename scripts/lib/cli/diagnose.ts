/** The command `diagnose`: flags to parameters, the look, and its printing, once or again and again. */
import { systemClock } from '../core/clock.ts'
import { OpsError } from '../core/errors.ts'
import type { FirstSample } from '../diagnose/host/local-vitals.ts'
import type { DiagnoseOptions, DiagnoseParams } from '../diagnose/look.ts'
import type { BuiltReport } from '../report/build.ts'
import type { ReportFormat } from '../report/render.ts'
import type { Report } from '../report/types.ts'
import type { CommonFlags, OpenedContext } from './context.ts'
import { print, terminalWidth, wantsColor, writeOutput } from './output.ts'

/** Cursor home, then the screen and what scrolled off it (ECMA-48 ED; 3J is xterm's). */
const CLEAR_SCREEN = '\u001b[H\u001b[2J\u001b[3J'

/** On the monotonic clock of `systemClock`, which counts from there. */
const PROCESS_START = 0

export interface DiagnoseFlags extends CommonFlags {
  readonly host?: string[]
  readonly all?: boolean
  readonly only?: string[]
  readonly skip?: string[]
  readonly deadline?: number
  readonly window?: number
  readonly format: ReportFormat
  readonly output?: string
  readonly watch?: number
  readonly baseline?: string
}

/** @returns the exit code: 0, 1, 2 or 3 by the verdict of the last look */
export async function diagnose(flags: DiagnoseFlags, signal: AbortSignal): Promise<number> {
  checkTogether(flags)
  let firstSample = await sampleEarly(flags)
  let deadlineFrom: number | undefined = PROCESS_START
  const { openContext } = await import('./context.ts')
  await using context = await openContext(flags, { looksOnly: true, signal })
  for (;;) {
    const report = await look(flags, context, { firstSample, deadlineFrom })
    const code = await show(report, flags, context)
    if (flags.watch === undefined) return code
    await context.clock.sleep(flags.watch, signal)
    firstSample = undefined
    deadlineFrom = undefined
  }
}

/** Loading the program takes as long as the sampling window; begun now, the window hides it. */
async function sampleEarly({ host, all }: DiagnoseFlags): Promise<FirstSample | undefined> {
  if (host && !all) return undefined
  const { takeFirstSample } = await import('../diagnose/host/local-vitals.ts')
  return takeFirstSample(systemClock)
}

function checkTogether({ host, all, json, format, watch, output }: DiagnoseFlags): void {
  if (host && all)
    throw new OpsError('USAGE', '--host and --all exclude each other', { hint: 'Leave one of them out.' })
  if (json && format !== 'text' && format !== 'json') {
    throw new OpsError('USAGE', `--json and --format ${format} exclude each other`, { hint: 'Leave one of them out.' })
  }
  if (watch !== undefined && format === 'html' && !output) {
    throw new OpsError('USAGE', '--watch prints again and again; an HTML page is one document', {
      hint: 'Add --output FILE.',
    })
  }
}

async function look(
  flags: DiagnoseFlags,
  context: OpenedContext,
  { firstSample, deadlineFrom }: Pick<DiagnoseOptions, 'firstSample' | 'deadlineFrom'>,
): Promise<Report> {
  const [{ createDiagnoseLook }, { MORE_CHECKS }, { runLook }, { applyBaseline }] = await Promise.all([
    import('../diagnose/look.ts'),
    import('../catalog.ts'),
    import('../action/run.ts'),
    import('./baseline.ts'),
  ])
  const { report } = await runLook(
    createDiagnoseLook({ firstSample, deadlineFrom, more: MORE_CHECKS }),
    paramsOf(flags),
    context,
  )
  context.signal.throwIfAborted()
  return applyBaseline(report, flags, context)
}

function paramsOf({ host, all, only, skip, deadline, window }: DiagnoseFlags): DiagnoseParams {
  return {
    hosts: host ?? [],
    all: all ?? false,
    only: only ?? [],
    skip: skip ?? [],
    deadlineMs: deadline,
    windowMs: window,
  }
}

async function show(report: Report, flags: DiagnoseFlags, context: OpenedContext): Promise<number> {
  const { buildReport } = await import('../report/build.ts')
  const built = buildReport(report, { redact: context.redact })
  const text = await renderFor(built, flags)
  if (flags.output !== undefined) {
    await writeOutput(flags.output, text)
    await print(`${built.verdict.sentence}\nwritten to ${flags.output}`)
  } else {
    if (flags.watch !== undefined && process.stdout.isTTY) await print(CLEAR_SCREEN)
    await print(text)
  }
  return built.verdict.exitCode
}

/** Watched JSON is one document a line, so that a reader can tell where each ends. */
async function renderFor(report: BuiltReport, flags: DiagnoseFlags): Promise<string> {
  const format = flags.json ? 'json' : flags.format
  if (format === 'json' && flags.watch !== undefined) {
    return JSON.stringify((await import('../report/json.ts')).toJsonReport(report))
  }
  const verbose = flags.verbose ?? false
  const width = terminalWidth()
  const terminal = flags.output === undefined ? { color: wantsColor(), ...(width && { width }) } : {}
  return (await import('../report/render.ts')).render(report, format, { verbose, ...terminal })
}

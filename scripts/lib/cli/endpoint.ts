/** The commands of `endpoint` that look: check, list, current; and `serve`. */
import { OpsError } from '../core/errors.ts'
import type { EndpointKind } from '../endpoint/client/types.ts'
import type { ReportFormat } from '../report/render.ts'
import type { Report } from '../report/types.ts'
import type { ServedList } from '../endpoint/serve/serve.ts'
import { openContext, type CommonFlags, type OpenedContext } from './context.ts'
import { print, terminalWidth, wantsColor } from './output.ts'

export interface CheckFlags extends CommonFlags {
  readonly file?: string
  readonly watch?: number
  readonly dryRun?: boolean
  readonly format: ReportFormat
}

/** @returns the exit code of the last report: 0, 1, 2 or 3 */
export async function check(flags: CheckFlags, signal: AbortSignal): Promise<number> {
  const { file, watch, dryRun } = flags
  if (file !== undefined && dryRun) {
    throw new OpsError('USAGE', '--dry-run and --file exclude each other', { hint: 'Checking a file changes nothing.' })
  }
  await using context = await openContext(flags, { looksOnly: true, signal })
  for (;;) {
    const report =
      file === undefined
        ? await look('endpoint.check', { dryRun: dryRun ?? false }, context)
        : await look('endpoint.lint', { file }, context)
    const code = await show(report, flags, context)
    if (watch === undefined) return code
    await context.clock.sleep(watch, signal)
  }
}

export async function list(flags: CommonFlags, signal: AbortSignal): Promise<void> {
  await using context = await openContext(flags, { looksOnly: true, signal })
  if (flags.json) return print(JSON.stringify(await readStatus(context), null, 2))
  const { tables = [], findings } = await look('endpoint.list', {}, context)
  for (const { title } of findings) context.log.warn(title)
  if (tables.length === 0)
    return print('There are no endpoints. Add one: npx zx scripts/endpoint.ts add https://api.example.com')
  const [{ buildReport }, { formatTable }] = await Promise.all([
    import('../report/build.ts'),
    import('../report/table.ts'),
  ])
  const built = buildReport(
    { title: '', findings: [], tables, startedAt: 0, durationMs: 0 },
    { redact: context.redact },
  )
  await print(built.tables.map((table) => `${table.title}\n${formatTable(table)}`).join('\n\n'))
}

/** @returns 0, or 2 when every endpoint is out (the last one that was used is printed all the same) */
export async function current(flags: CommonFlags & { kind: EndpointKind }, signal: AbortSignal): Promise<number> {
  await using context = await openContext(flags, { looksOnly: true, signal })
  const status = (await readStatus(context))[flags.kind]
  const used = status.find((endpoint) => endpoint.current)
  if (!used) {
    throw new OpsError('FAILED', `there are no ${flags.kind} endpoints`, {
      hint: 'npx zx scripts/endpoint.ts add https://api.example.com',
    })
  }
  const isOut = used.state === 'unhealthy' || used.state === 'isolated'
  await print(flags.json ? JSON.stringify(used, null, 2) : used.url)
  if (isOut) context.log.warn(`it is out, as every other is: ${used.because ?? used.state}`)
  return isOut ? 2 : 0
}

export interface ServeFlags extends CommonFlags {
  readonly file?: string
  readonly address?: string
  readonly port?: number
  readonly allowEmpty?: boolean
}

/** Serves until it is told to stop. SIGHUP reads the file again. */
export async function serve(
  { file, address, port, allowEmpty, ...flags }: ServeFlags,
  signal: AbortSignal,
): Promise<void> {
  await using context = await openContext(flags, { looksOnly: true, signal })
  const { startServe } = await import('../endpoint/serve/serve.ts')
  let served: ServedList | undefined
  // Before anybody can know that it runs: without a listener, SIGHUP would end it.
  const reload = () => void served?.reload()
  process.on('SIGHUP', reload)
  try {
    served = await startServe(context, { file, address, port, allowEmpty, env: process.env })
    await print(flags.json ? JSON.stringify({ url: served.url }) : `serving ${served.url}`)
    await new Promise<void>((resolve) => {
      if (signal.aborted) resolve()
      else signal.addEventListener('abort', () => resolve(), { once: true })
    })
  } finally {
    process.off('SIGHUP', reload)
    await served?.stop()
  }
}

async function readStatus(context: OpenedContext) {
  const { openClient } = await import('../endpoint/action-look.ts')
  const manager = await openClient(context, () => undefined, { readOnly: true })
  await manager.close()
  return { api: manager.status('api'), socketio: manager.status('socketio') }
}

async function look(name: string, params: Record<string, unknown>, context: OpenedContext): Promise<Report> {
  const [{ findAction }, { runAction }] = await Promise.all([import('../catalog.ts'), import('../action/run.ts')])
  const result = await runAction(await findAction(name), params, context)
  if (result.kind !== 'report') throw new OpsError('FAILED', `${name} returned no report`)
  return result.report
}

async function show(report: Report, flags: CheckFlags, { redact }: OpenedContext): Promise<number> {
  const [{ buildReport }, { render }] = await Promise.all([import('../report/build.ts'), import('../report/render.ts')])
  const built = buildReport(report, { redact })
  const width = terminalWidth()
  const options = { verbose: flags.verbose ?? false, color: wantsColor(), ...(width !== undefined && { width }) }
  await print(await render(built, flags.json ? 'json' : flags.format, options))
  return built.verdict.exitCode
}

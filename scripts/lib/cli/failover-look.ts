/** `failover probe` and `failover metrics`: who answers now, and what earlier calls have learnt. */
import { OpsError } from '../core/errors.ts'
import { formatDuration } from '../core/duration.ts'
import { probeHttp, probeTcp, type ProbeResult } from '../health/index.ts'
import { formatTable } from '../report/table.ts'
import { createFailover, hostPortOf, type Instance } from '../resilience/index.ts'
import { parseInstances } from './failover-call.ts'
import { defaultStateFile, openStateFile } from './failover-state.ts'
import { print, terminalWidth } from './output.ts'

export interface ProbeFlags {
  readonly instances: string[]
  readonly timeout: number
  readonly json?: boolean
}

/** @returns 0 when all answer, 1 when some do, 2 when none does */
export async function probe(flags: ProbeFlags, signal: AbortSignal): Promise<number> {
  const instances = parseInstances(flags.instances)
  for (const instance of instances) if (!isUrl(instance)) hostPortOf(instance)
  const results = await Promise.all(instances.map((instance) => look(instance, flags.timeout, signal)))
  signal.throwIfAborted()
  const passed = results.filter(({ outcome }) => outcome === 'pass').length
  await print(flags.json ? toJson(instances, results) : toTable(instances, results))
  return passed === instances.length ? 0 : passed > 0 ? 1 : 2
}

/** @throws OpsError DATA_MISMATCH when the file holds something else */
export async function metrics({ state }: { readonly state?: string }): Promise<number> {
  const file = openStateFile(state ?? defaultStateFile())
  try {
    const failover = createFailover()
    const stored = file.read()
    if (stored) failover.restore(stored.state, stored.elapsedMs)
    if (stored) await print(failover.prometheus())
    return 0
  } finally {
    file.close()
  }
}

function look(instance: Instance, timeoutMs: number, signal: AbortSignal): Promise<ProbeResult> {
  if (isUrl(instance)) return probeHttp({ url: instance.address, timeoutMs, signal })
  return probeTcp({ ...hostPortOf(instance), timeoutMs, signal })
}

function isUrl({ address }: Instance): boolean {
  if (!address.includes('://')) return false
  if (/^https?:/i.test(address)) return true
  throw new OpsError('USAGE', `"${address}" cannot be probed`, { hint: 'Write host:port, or an http or https URL.' })
}

function toTable(instances: readonly Instance[], results: readonly ProbeResult[]): string {
  const rows = results.map((result, i) => [instances[i]?.id ?? '', result.outcome, ...detailsOf(result)])
  const width = terminalWidth()
  return formatTable(
    { columns: ['instance', 'probe', 'latency', 'because'], rows },
    width === undefined ? {} : { width },
  )
}

function detailsOf(result: ProbeResult): [latency: string, because: string] {
  if (result.outcome === 'pass') return [formatDuration(result.latencyMs ?? 0), '']
  return ['', result.because]
}

function toJson(instances: readonly Instance[], results: readonly ProbeResult[]): string {
  return JSON.stringify(
    results.map((result, i) => ({ instance: instances[i]?.id, ...result })),
    undefined,
    2,
  )
}

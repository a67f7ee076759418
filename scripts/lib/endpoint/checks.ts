/**
 * What the diagnosis asks of the endpoints: does each one answer now? Shaped as a check of room `diagnose`, which the
 * catalog hands it to; nothing is written back, so that a diagnosis switches nothing.
 */
import type { ActionContext } from '../action/types.ts'
import { KINDS } from './client/types.ts'
import { describeFindings } from './describe.ts'
import { listedEndpoints, readLists } from './state.ts'

/** Room for the check to say itself that nobody answered, before the engine says that it did not finish. */
const SPARE_MS = 500

export async function endpointChecks(context: Pick<ActionContext, 'config' | 'journal' | 'clock'>) {
  const { endpoint } = context.config
  const { lists } = readLists(context.journal, endpoint)
  if (KINDS.every((kind) => listedEndpoints(lists, kind, endpoint).length === 0)) return []
  return [
    {
      name: 'endpoint.health',
      covers: KINDS.map((kind) => `endpoint.${kind}`),
      group: 'endpoint',
      scope: 'vantage',
      timeoutMs: endpoint.client.timeout + SPARE_MS,
      run: async ({ name, timeoutMs, signal }: { name: string; timeoutMs: number; signal: AbortSignal }) => {
        const { openClient } = await import('./action-look.ts')
        const timeout = Math.min(endpoint.client.timeout, Math.max(1, timeoutMs - SPARE_MS))
        const config = { ...context.config, endpoint: { ...endpoint, client: { ...endpoint.client, timeout } } }
        const manager = await openClient({ ...context, config }, () => undefined, { readOnly: true })
        await manager.check(signal)
        await manager.close()
        return {
          findings: KINDS.flatMap((kind) =>
            describeFindings(kind, manager.status(kind), { host: name, check: `endpoint.${kind}` }),
          ),
        }
      },
    },
  ] as const
}

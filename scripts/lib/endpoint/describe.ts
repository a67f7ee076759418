/** The endpoints of this machine as findings and a table. Pure. */
import { formatDuration } from '../core/duration.ts'
import type { Finding, Severity, Table } from '../report/types.ts'
import type { EndpointKind, EndpointStatus } from './client/types.ts'

export const KIND_NAMES: Readonly<Record<EndpointKind, string>> = { api: 'API', socketio: 'Socket.io' }

export function describeTable(kind: EndpointKind, endpoints: readonly EndpointStatus[], now: number): Table {
  return {
    title: `${KIND_NAMES[kind]} endpoints`,
    columns: ['used', 'address', 'priority', 'state', 'answers in', 'last check', 'from'],
    rows: endpoints.map(({ current, chosen, url, priority, state, latencyMs, checkedAt, source }) => [
      current ? (chosen ? 'by hand' : 'yes') : chosen ? 'chosen' : '',
      url,
      String(priority),
      checkedAt === undefined ? 'not checked' : state,
      latencyMs === undefined ? '' : formatDuration(latencyMs),
      checkedAt === undefined ? '' : `${formatDuration(Math.max(0, now - checkedAt))} ago`,
      SOURCES[source],
    ]),
  }
}

const SOURCES = { initial: 'opskit.yaml', list: 'a list', manual: 'by hand' } as const

/** One finding for each endpoint. One that is out is a warning while another answers; when none does, all are critical. */
export function describeFindings(
  kind: EndpointKind,
  endpoints: readonly EndpointStatus[],
  { host, check }: { readonly host: string; readonly check: string },
): Finding[] {
  const noneAnswers = endpoints.every(({ state, because: failed }) => isOut(state) || failed !== undefined)
  return endpoints.map((endpoint) => {
    const { url, state, because, latencyMs, failures } = endpoint
    const severity: Severity = noneAnswers ? 'critical' : isOut(state) || state === 'suspect' ? 'warning' : 'ok'
    const evidence = because ?? (latencyMs === undefined ? undefined : `answers in ${formatDuration(latencyMs)}`)
    return {
      check,
      subject: url,
      host,
      severity,
      title: `The ${KIND_NAMES[kind]} endpoint ${sentenceOf(endpoint)}`,
      ...(evidence !== undefined && { evidence: failures > 0 ? `${evidence} (${failures} in a row)` : evidence }),
      ...(severity !== 'ok' && { next: `curl -i ${url}` }),
      ...(latencyMs !== undefined && { measures: [{ label: url, value: Math.round(latencyMs), unit: 'ms', min: 0 }] }),
    }
  })
}

function sentenceOf({ state, current }: EndpointStatus): string {
  if (isOut(state)) return 'is out'
  const used = current ? ' and is used' : ''
  return state === 'suspect' ? `failed lately${used}` : `answers${used}`
}

function isOut(state: EndpointStatus['state']): boolean {
  return state === 'unhealthy' || state === 'isolated'
}

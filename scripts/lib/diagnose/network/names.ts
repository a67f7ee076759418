/**
 * `network.dns`: do the names that this fleet lives by resolve here, and how fast? Names of `network.resolve` and of the
 * HTTP health checks, through /etc/hosts and the machine's resolvers.
 */
import { isIP } from 'node:net'
import { formatDuration } from '../../core/duration.ts'
import { quoteArgv } from '../../core/quote.ts'
import type { DiagnoseConfig } from '../../config/types.ts'
import { budgetOf } from '../deadline.ts'
import type { Check, CheckFinding, Measure } from '../types.ts'
import { hostOfUrl } from './address.ts'
import { describeFailure, lookup, type LookupFailure, type LookupResult } from './lookup.ts'

/** glibc waits 5 s for a dead first resolver; an answer that takes longer than this is felt by every program. */
const SLOW_LOOKUP_MS = 1000

const CAUSE_OF: Readonly<Record<LookupFailure, string>> = {
  'not-found': 'the name is mistyped, was removed, or lives in another DNS view',
  'no-address': 'the record exists with another type (a zone or an MX only), or its A record was removed',
  'server-failure': "the zone's name servers do not answer the resolver, or DNSSEC validation fails",
  refused: 'the resolver does not serve this machine: its access list, or the wrong resolver in /etc/resolv.conf',
  timeout: 'the resolvers are down, or UDP port 53 is filtered',
  'no-resolver': 'no DNS service runs at the address in /etc/resolv.conf',
  other: 'the resolver gave an answer that cannot be read',
}

/** The names to resolve, each once, without literal addresses. */
export function namesOf({ network, http }: Pick<DiagnoseConfig, 'network' | 'http'>): string[] {
  const names = [...network.resolve, ...http.map(({ url }) => hostOfUrl(new URL(url)))]
  return [...new Set(names)].filter((name) => isIP(name) === 0)
}

export const networkDnsCheck: Check = {
  name: 'network.dns',
  group: 'network',
  scope: 'vantage',
  run: async (context) => {
    const timeoutMs = budgetOf(context, context.settings.network.timeout)
    const findings = await Promise.all(
      namesOf(context.settings).map(async (name) =>
        decideName(name, await lookup(name, { timeoutMs, signal: context.signal })),
      ),
    )
    return { findings }
  },
}

/** Judges one look-up. */
export function decideName(name: string, result: LookupResult): CheckFinding {
  const took = formatDuration(result.durationMs)
  const measures: Measure[] = [
    { label: 'dns', value: Math.round(result.durationMs), unit: 'ms', warn: `~:${SLOW_LOOKUP_MS}`, min: 0 },
  ]
  const next = quoteArgv(['dig', '+search', '+time=2', '+tries=1', name])
  if (!result.ok) {
    return {
      subject: name,
      severity: 'critical',
      title: `${name} ${describeFailure(result.because)}`,
      evidence: `${result.code} after ${took}`,
      cause: CAUSE_OF[result.because],
      next,
    }
  }
  const addresses = result.addresses.map(({ address }) => address)
  const shown = addresses.length > 4 ? [...addresses.slice(0, 4), `and ${addresses.length - 4} more`] : addresses
  const evidence = `${shown.join(', ')} from ${result.source === 'hosts' ? '/etc/hosts' : 'DNS'} in ${took}`
  if (result.durationMs < SLOW_LOOKUP_MS)
    return { subject: name, severity: 'ok', title: `${name} resolves`, evidence, measures }
  return {
    subject: name,
    severity: 'warning',
    title: `${name} resolves slowly`,
    evidence: `${evidence}, warning from ${formatDuration(SLOW_LOOKUP_MS)}`,
    cause: 'the first resolver of /etc/resolv.conf does not answer, so each look-up waits for the second',
    next,
    measures,
  }
}

/**
 * One diagnosis of one or many hosts, all at the same time. A host that can't be reached costs its own deadline and
 * one finding; the others complete.
 */
import type { Clock } from '../core/clock.ts'
import type { Config } from '../config/types.ts'
import { isOpsError, messageOf } from '../core/errors.ts'
import { quoteWord } from '../core/quote.ts'
import type { SecretResolver } from './types.ts'
import type { Host, Hosts } from '../host/types.ts'
import type { Fact, Finding } from '../report/types.ts'
import { withRunbook } from './runbook.ts'
import { runChecks, type HostDiagnosis } from './run.ts'
import type { FirstSample } from './host/local-vitals.ts'
import type { Check } from './types.ts'

export interface FleetRequest {
  /** Names as opskit knows them; the local machine by its own name. */
  readonly names: readonly string[]
  /** The name of the machine opskit runs on: where the outward checks run, once. */
  readonly localName: string
  readonly checks: readonly Check[]
  readonly config: Config
  readonly hosts: Hosts
  readonly resolveSecret: SecretResolver
  readonly clock: Clock
  readonly deadlineMs: number
  readonly signal: AbortSignal
  /** Of this machine, when the caller took it early. */
  readonly firstSample?: FirstSample | undefined
}

export interface FleetDiagnosis {
  readonly findings: readonly Finding[]
  /** Per host, in the order of `names`. */
  readonly facts: Readonly<Record<string, readonly Fact[]>>
}

/**
 * @returns what every host has to say, in the order of `names`
 * @throws OpsError USAGE for a name that no host has, CONFIG_INVALID for a host that can't be reached as configured
 */
export async function diagnoseFleet(request: FleetRequest): Promise<FleetDiagnosis> {
  const results = await Promise.all(request.names.map((name) => diagnoseHost(name, request)))
  return {
    findings: results.flatMap((result) => result.findings.map((finding) => withRunbook(finding, request))),
    facts: Object.fromEntries(request.names.map((name, index) => [name, results[index]?.facts ?? []])),
  }
}

async function diagnoseHost(name: string, request: FleetRequest): Promise<HostDiagnosis> {
  const { clock, deadlineMs, config } = request
  const startedAt = clock.monotonic()
  const isLocal = name === request.localName
  let host: Host
  try {
    host = await request.hosts.open(isLocal ? 'localhost' : name, {
      signal: AbortSignal.any([request.signal, AbortSignal.timeout(deadlineMs)]),
    })
  } catch (error) {
    if (isOpsError(error, 'USAGE') || isOpsError(error, 'CONFIG_INVALID')) throw error
    return { findings: [unreachable(name, error, clock.monotonic() - startedAt)], facts: [] }
  }
  const result = await runChecks({
    checks: request.checks.filter((check) => check.scope === 'machine' || isLocal),
    context: { ...request, host, name, settings: config.diagnose },
    deadlineMs: Math.max(1, deadlineMs - (clock.monotonic() - startedAt)),
    signal: request.signal,
  })
  return isLocal
    ? result
    : { ...result, findings: [reachable(name, clock.monotonic() - startedAt), ...result.findings] }
}

function reachable(host: string, durationMs: number): Finding {
  return { check: 'host.reachable', host, severity: 'ok', title: 'answers', durationMs }
}

/** A machine that does not answer, or that we must not trust, is critical; one that will not let us in is unknown. */
function unreachable(host: string, error: unknown, durationMs: number): Finding {
  const refused =
    isOpsError(error, 'NOT_PERMITTED') || isOpsError(error, 'INTERRUPTED') || isOpsError(error, 'TERMINATED')
  const known = isOpsError(error) && !refused
  const changed = isOpsError(error, 'HOST_KEY')
  return {
    check: 'host.reachable',
    host,
    severity: known ? 'critical' : 'unknown',
    title: changed ? 'host key not accepted' : refused ? 'does not let opskit in' : 'cannot be reached',
    evidence: messageOf(error),
    next: (isOpsError(error) && error.details.hint) || `ssh -v ${quoteWord(host)} true`,
    durationMs,
  }
}

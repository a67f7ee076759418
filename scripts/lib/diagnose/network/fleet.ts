/**
 * `network.host`: can the standby and every other configured host be reached from here? A TCP connection to its SSH
 * port that is greeted with `SSH-…` (RFC 4253 4.2) is the proof; nobody logs in.
 */
import type { Config } from '../../config/types.ts'
import { formatDuration } from '../../core/duration.ts'
import { messageOf } from '../../core/errors.ts'
import { quoteArgv } from '../../core/quote.ts'
import { budgetOf, type Deadline } from '../deadline.ts'
import type { Check, CheckFinding } from '../types.ts'
import { formatHostPort } from './address.ts'
import { describeFailure, lookup, type LookupResult } from './lookup.ts'
import { formatMs } from './target-decide.ts'
import { probeTcp, type TcpFacts } from './tcp.ts'

/** Where a host's SSH server is, after ~/.ssh/config. */
export interface SshAddress {
  readonly host: string
  readonly port: number
  /** The hop it is reached through; it cannot be reached directly then. */
  readonly proxyJump?: string
}

/** Finds the SSH server of a configured host. */
export type FindSsh = (name: string) => SshAddress | Promise<SshAddress>

export interface FleetFacts {
  readonly name: string
  readonly roles: readonly string[]
  readonly ssh?: SshAddress
  readonly unresolved?: LookupResult & { readonly ok: false }
  readonly tcp?: TcpFacts
  /** ~/.ssh/config could not be read. */
  readonly problem?: string
}

/**
 * Finds SSH servers as connections do: opskit's own settings, then the ssh config files.
 * @param sshConfig in place of ~/.ssh/config and the system's
 */
export function findSshOf(config: Config, sshConfig?: string): FindSsh {
  return async (name) => {
    const settings = config.hosts[name]
    if (!settings || !('ssh' in settings)) throw new TypeError(`${name} is not a host with ssh`)
    const [{ readSshConfig }, { resolveTarget }] = await Promise.all([
      import('../../host/ssh/config-file.ts'),
      import('../../host/ssh/target.ts'),
    ])
    const { host, port, user, proxy_jump: proxyJump } = settings.ssh
    const files = await readSshConfig(sshConfig)
    const target = resolveTarget(name, { host, port, user, proxyJump }, { files, env: process.env })
    const via = target.jumps.length > 0 ? { proxyJump: target.jumps.join(', ') } : {}
    return { host: target.host, port: target.port, ...via }
  }
}

/** One check per host with `ssh:`, so that a dead one costs only its own deadline. */
export function fleetChecks(config: Config, findSsh: FindSsh = findSshOf(config)): Check[] {
  return Object.entries(config.hosts)
    .filter(([, host]) => 'ssh' in host)
    .map(([name, { roles }]) => ({
      name: 'network.host',
      group: 'network',
      scope: 'vantage',
      run: async (context) => {
        const timeoutMs = budgetOf(context, context.settings.network.timeout)
        const facts = await probeFleetHost({ name, roles, findSsh, timeoutMs, signal: context.signal })
        return { findings: [decideFleetHost(facts)] }
      },
    }))
}

/** Judges one host of the fleet. */
export function decideFleetHost({ name, roles, ssh, unresolved, tcp, problem }: FleetFacts): CheckFinding {
  const who = roles.includes('standby') ? `The standby ${name}` : `The host ${name}`
  const next = quoteArgv(['ssh', '-v', '-o', 'ConnectTimeout=5', ssh?.host ?? name, 'true'])
  const base = { subject: name, next }
  if (problem !== undefined || !ssh) {
    return {
      ...base,
      severity: 'unknown',
      title: `${who} could not be looked for`,
      evidence: problem ?? 'no SSH address',
    }
  }
  if (ssh.proxyJump !== undefined) {
    return {
      subject: name,
      severity: 'skipped',
      title: `${who} is reached through ${ssh.proxyJump}, not from here`,
      next: `npx zx scripts/diagnose.ts --host ${name}`,
    }
  }
  if (unresolved) {
    const evidence = `${ssh.host} ${describeFailure(unresolved.because)}`
    return {
      ...base,
      severity: 'critical',
      title: `${who} has no address`,
      evidence,
      cause: 'a missing DNS record, /etc/hosts line or ~/.ssh/config alias',
    }
  }
  return { subject: name, ...judgeTcp(who, ssh, tcp), ...(tcp?.kind === 'open' && isSsh(tcp) ? {} : { next }) }
}

async function probeFleetHost({
  name,
  roles,
  findSsh,
  ...deadline
}: Deadline & { name: string; roles: readonly string[]; findSsh: FindSsh }): Promise<FleetFacts> {
  let ssh: SshAddress
  try {
    ssh = await findSsh(name)
  } catch (error) {
    return { name, roles, problem: messageOf(error) }
  }
  if (ssh.proxyJump !== undefined) return { name, roles, ssh }
  const startedAt = performance.now()
  const found = await lookup(ssh.host, { ...deadline, timeoutMs: deadline.timeoutMs / 2 })
  if (!found.ok) return { name, roles, ssh, unresolved: found }
  const timeoutMs = Math.max(1, deadline.timeoutMs - (performance.now() - startedAt))
  const tcp = await probeTcp({ ...deadline, addresses: found.addresses, port: ssh.port, banner: true, timeoutMs })
  return { name, roles, ssh, tcp }
}

function judgeTcp(who: string, ssh: SshAddress, tcp: TcpFacts | undefined): CheckFinding {
  const at = formatHostPort(ssh.host, ssh.port)
  switch (tcp?.kind) {
    case 'open': {
      if (isSsh(tcp)) {
        const measures = [{ label: 'rtt', value: Number(tcp.rttMs.toFixed(3)), unit: 'ms', min: 0 }] as const
        return {
          severity: 'ok',
          title: `${who} is reachable`,
          evidence: `${at} greets as ${tcp.banner?.trim()} in ${formatMs(tcp.rttMs)}`,
          measures,
        }
      }
      const said =
        tcp.banner === undefined
          ? 'says nothing'
          : tcp.banner === ''
            ? 'hangs up'
            : 'greets with something that is not SSH'
      return {
        severity: 'critical',
        title: `${who} accepts connections but ${said}`,
        evidence: `${at} gave no SSH-2.0 line`,
        cause: 'sshd is overloaded (MaxStartups), hung, or another service has the port',
      }
    }
    case 'refused':
      return {
        severity: 'critical',
        title: `${who} refuses SSH`,
        evidence: `${at} refuses, so the machine itself is up`,
        cause: 'sshd is stopped or listens on another port',
      }
    case 'silent':
      return {
        severity: 'critical',
        title: `${who} does not answer`,
        evidence: `no answer from ${at} in ${formatDuration(tcp.waitedMs)}`,
        cause: 'the machine is down, the way to it is broken, or a firewall drops the port',
      }
    default:
      return {
        severity: 'critical',
        title: `${who} cannot be reached`,
        evidence: `${at}: ${tcp?.code ?? 'not asked'}`,
        cause: 'no route to it: a router or the local network says so',
      }
  }
}

function isSsh(tcp: TcpFacts & { kind: 'open' }): boolean {
  return /^SSH-(2\.0|1\.99)-/m.test(tcp.banner ?? '')
}

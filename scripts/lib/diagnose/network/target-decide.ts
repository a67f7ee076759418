/**
 * What the answers of network targets mean. Pure: facts in, findings out.
 *
 * A configured target must give every answer its `probe` asks for. A gateway is alive when anything came back from it,
 * a resolver when it answers a question. One dead resolver of several slows everything down; all dead stop everything.
 */
import { formatDuration } from '../../core/duration.ts'
import { quoteArgv, type Argv } from '../../core/quote.ts'
import type { CheckFinding, Measure } from '../types.ts'
import { formatHostPort } from './address.ts'
import type { EchoFacts } from './echo.ts'
import { isAlive } from './gateway.ts'
import { describeFailure } from './lookup.ts'
import type { TargetFacts } from './target.ts'
import type { TcpFacts } from './tcp.ts'

/** Findings for all targets, in their order. @param configured true when `network.targets` is set, even if empty */
export function decideTargets(all: readonly TargetFacts[], { configured }: { configured: boolean }): CheckFinding[] {
  if (configured && all.length === 0) {
    return [{ severity: 'skipped', title: 'No network targets are configured', evidence: 'network.targets is empty' }]
  }
  const resolvers = all.filter(({ target }) => target.kind === 'resolver')
  const allResolversDead = resolvers.every(({ dns }) => dns?.kind !== 'answer')
  const hasLiveGateway = all.some((facts) => facts.target.kind === 'gateway' && isAlive(facts))
  const findings = all.map((facts) => {
    if (facts.target.kind === 'gateway') return decideGateway(facts, hasLiveGateway)
    if (facts.target.kind === 'resolver') return decideResolver(facts, allResolversDead)
    return decideConfigured(facts)
  })
  return configured ? findings : [...decideMissing(all), ...findings]
}

/** `2.1 ms by ping, 1 of 3 packets lost`. */
export function describeEcho(echo: EchoFacts): string {
  if (echo.kind === 'unavailable') return `no echo request could be made: ${echo.because}`
  if (echo.kind === 'silent') {
    return `no reply to ${echo.sent} echo request${echo.sent === 1 ? '' : 's'} (${echo.by})${echo.detail ? `; ${echo.detail}` : ''}`
  }
  const loss = echo.lost > 0 ? `, ${echo.lost} of ${echo.sent} packets lost` : ''
  const how = echo.by === 'udp' ? 'ICMP port unreachable' : 'echo reply'
  return `${how} in ${formatMs(echo.rttMs)} (${echo.by})${loss}`
}

/** `TCP port 443 accepts in 1.2 ms`, `… refuses`, `… does not answer in 2 s`. */
export function describeTcp(tcp: TcpFacts, port: number): string {
  switch (tcp.kind) {
    case 'open':
      return `TCP port ${port} accepts in ${formatMs(tcp.rttMs)}`
    case 'refused':
      return `TCP port ${port} refuses, so the machine is reachable`
    case 'silent':
      return `TCP port ${port} does not answer in ${formatDuration(tcp.waitedMs)}`
    case 'unreachable':
      return `TCP port ${port} cannot be reached (${tcp.code})`
  }
}

/** Milliseconds with the digits that matter: `0.17 ms`, `12 ms`. */
export function formatMs(ms: number): string {
  return ms < 10 ? `${Number(ms.toPrecision(2))} ms` : formatDuration(ms)
}

function decideMissing(all: readonly TargetFacts[]): CheckFinding[] {
  const missing: CheckFinding[] = []
  if (!all.some(({ target }) => target.kind === 'gateway')) {
    missing.push({
      severity: 'warning',
      subject: 'gateway',
      title: 'This machine has no default gateway',
      evidence: 'no default route in the main table',
      cause: 'a link is down, DHCP has not answered, or the network is isolated on purpose (then set network.targets)',
      next: 'ip route show; ip -brief link',
    })
  }
  if (!all.some(({ target }) => target.kind === 'resolver')) {
    missing.push({
      severity: 'warning',
      subject: 'resolver',
      title: 'This machine has no DNS resolver',
      evidence: 'no nameserver line in /etc/resolv.conf',
      cause:
        'the file was not written by DHCP or systemd-resolved, or names are not needed here (then set network.targets)',
      next: 'cat /etc/resolv.conf',
    })
  }
  return missing
}

function decideGateway({ target, echo, tcp, neighbour }: TargetFacts, hasLiveGateway: boolean): CheckFinding {
  const evidence = [
    echo && describeEcho(echo),
    tcp && describeTcp(tcp, 53),
    neighbour === 'known' && 'its link-layer address is known',
    neighbour === 'unanswered' && 'it does not answer ARP',
  ]
  const base = { subject: target.subject, evidence: joined(evidence) }
  if (echo?.kind === 'reply')
    return withLoss({ ...base, severity: 'ok', title: 'The default gateway answers' }, echo, target.host)
  if (tcp?.kind === 'open' || tcp?.kind === 'refused') {
    return { ...base, severity: 'ok', title: 'The default gateway answers', measures: [rtt(tcp.rttMs)] }
  }
  const next = command(['ip', 'neigh', 'show', target.host])
  if (hasLiveGateway) {
    return {
      ...base,
      severity: 'warning',
      title: 'One of the default gateways does not answer',
      cause: 'its route is left over or its router is down; what tries this route first has to wait',
      next,
    }
  }
  if (neighbour === 'known' || echo?.kind === 'unavailable') {
    return {
      ...base,
      severity: 'warning',
      title: 'The default gateway does not answer',
      cause: 'it is there but filters ping, or the link has just gone dead; name a host behind it in network.targets',
      next,
    }
  }
  return {
    ...base,
    severity: 'critical',
    title: 'The default gateway does not answer',
    cause: 'the link or the router is down, or the gateway address is wrong',
    next,
  }
}

function decideResolver({ target, dns, tcp }: TargetFacts, allDead: boolean): CheckFinding {
  const next = command(['dig', `@${target.host}`, '+time=2', '+tries=1', '.', 'NS'])
  if (dns?.kind === 'answer') {
    const base = { subject: target.subject, measures: [rtt(dns.rttMs)] }
    if (dns.failure === 'server-failure') {
      return {
        ...base,
        severity: 'warning',
        title: 'The resolver answers, but cannot resolve',
        evidence: `SERVFAIL in ${formatMs(dns.rttMs)}`,
        cause: 'it cannot reach the servers it forwards to, or DNSSEC validation fails',
        next,
      }
    }
    return { ...base, severity: 'ok', title: 'The resolver answers', evidence: `DNS answer in ${formatMs(dns.rttMs)}` }
  }
  const refused = dns?.kind === 'refused'
  return {
    subject: target.subject,
    severity: allDead ? 'critical' : 'warning',
    title: refused ? 'Nothing listens on the resolver' : 'The resolver does not answer',
    evidence: joined([
      refused ? 'UDP port 53 refuses' : `no answer to a DNS question in ${formatDuration(dns?.waitedMs ?? 0)}`,
      tcp && describeTcp(tcp, 53),
      allDead ? 'no other resolver answers' : 'another resolver answers, but each look-up may first wait for this one',
    ]),
    cause: refused
      ? 'the DNS service there is stopped'
      : 'the resolver or the way to it is down, or UDP port 53 is filtered',
    next: refused ? next : command(['ip', 'route', 'get', target.host]),
  }
}

function decideConfigured(facts: TargetFacts): CheckFinding {
  const { target, unresolved, address = target.host, echo, tcp } = facts
  const subject = target.subject
  if (unresolved) {
    return {
      subject,
      severity: 'critical',
      title: `The name ${target.host} has no address`,
      evidence: `${target.host} ${describeFailure(unresolved.because)}`,
      cause:
        unresolved.because === 'not-found' ? 'the name is mistyped or was removed' : 'the DNS resolvers do not work',
      next: command(['getent', 'hosts', target.host]),
    }
  }
  if (target.probe !== 'icmp' && target.port === undefined) {
    return {
      subject,
      severity: 'unknown',
      title: 'The target has no port to ask by TCP',
      next: `set port for ${target.host} in network.targets`,
    }
  }
  const evidence = joined([
    `${formatHostPort(address, target.port)}: ${joined([echo && describeEcho(echo), tcp && target.port !== undefined && describeTcp(tcp, target.port)])}`,
  ])
  const base = { subject, evidence }
  const route = command(['ip', 'route', 'get', address])
  if (tcp && tcp.kind !== 'open')
    return {
      ...base,
      ...deadPort(tcp, echo),
      next: tcp.kind === 'refused' ? command(['nc', '-vz', address, `${target.port}`]) : route,
    }
  if (echo?.kind === 'silent') {
    return tcp
      ? {
          ...base,
          severity: 'warning',
          title: 'The target accepts TCP but does not answer ping',
          cause: 'ICMP is filtered on the way; set probe: tcp if that is intended',
          next: route,
          measures: [rtt(tcp.kind === 'open' ? tcp.rttMs : 0)],
        }
      : {
          ...base,
          severity: 'critical',
          title: 'The target does not answer',
          cause: 'the machine or the way to it is down, or ICMP is filtered',
          next: route,
        }
  }
  if (echo?.kind === 'unavailable' && !tcp) {
    return {
      ...base,
      severity: 'skipped',
      title: 'The target could not be asked',
      cause: 'ICMP needs fping or ping, and the target has no port',
      next: 'apt-get install fping',
    }
  }
  if (echo?.kind === 'reply') return withLoss({ ...base, severity: 'ok', title: 'The target answers' }, echo, address)
  return {
    ...base,
    severity: 'ok',
    title: 'The target answers',
    measures: tcp?.kind === 'open' ? [rtt(tcp.rttMs)] : [],
  }
}

function deadPort(tcp: TcpFacts, echo: EchoFacts | undefined) {
  if (tcp.kind === 'refused') {
    return {
      severity: 'critical',
      title: 'The target refuses connections',
      cause: 'the service is not running, or listens on another address',
    } as const
  }
  const alive = echo?.kind === 'reply'
  return {
    severity: 'critical',
    title: alive ? 'The target answers ping but not on its port' : 'The target does not answer',
    cause: alive ? 'a firewall drops the port' : 'the machine or the way to it is down, or a firewall drops everything',
  } as const
}

function withLoss(finding: CheckFinding, echo: EchoFacts & { kind: 'reply' }, address: string): CheckFinding {
  const lossPercent = Math.round((echo.lost / echo.sent) * 100)
  const measures: Measure[] = [rtt(echo.rttMs), { label: 'loss', value: lossPercent, unit: '%' }]
  if (echo.lost === 0) return { ...finding, measures }
  return {
    ...finding,
    measures,
    severity: 'warning',
    title: 'Packets are lost on the way',
    cause: 'a bad cable or radio link, a full line, or an overloaded router',
    next: command(['ping', '-n', '-c', '20', '-i', '0.2', address]),
  }
}

function rtt(ms: number): Measure {
  return { label: 'rtt', value: Number(ms.toFixed(3)), unit: 'ms', min: 0 }
}

function command(argv: Argv): string {
  return quoteArgv(argv)
}

function joined(parts: readonly (string | false | undefined)[]): string {
  return parts.filter((part) => typeof part === 'string' && part !== '').join('; ')
}

/** The texts and answers the network checks read and judge. */
import { describe, expect, it } from 'vitest'
import { formatHostPort, parseHostPort } from '../../../scripts/lib/diagnose/network/address.ts'
import { parseFping, parsePing } from '../../../scripts/lib/diagnose/network/echo.ts'
import { decideFleetHost } from '../../../scripts/lib/diagnose/network/fleet.ts'
import { parseHosts, parseSearchDomains } from '../../../scripts/lib/diagnose/network/lookup.ts'
import { decideName, namesOf } from '../../../scripts/lib/diagnose/network/names.ts'
import { parseNeighbour } from '../../../scripts/lib/diagnose/network/gateway.ts'
import type { Target, TargetFacts } from '../../../scripts/lib/diagnose/network/target.ts'
import { decideTargets } from '../../../scripts/lib/diagnose/network/target-decide.ts'
import { configOf } from '../../support/check-context.ts'

describe('addresses', () => {
  it.each([
    ['example.com', { host: 'example.com', port: 443 }],
    ['example.com:8443', { host: 'example.com', port: 8443 }],
    ['[2001:db8::1]:8443', { host: '2001:db8::1', port: 8443 }],
    ['2001:db8::1', { host: '2001:db8::1', port: 443 }],
    ['example.com:0', undefined],
    ['example.com:70000', undefined],
    ['https://example.com', undefined],
    ['[example.com]:1', undefined],
  ])('reads %s', (text, expected) => {
    expect(parseHostPort(text, 443)).toEqual(expected)
  })

  it('brackets IPv6 only where a port follows', () => {
    expect(formatHostPort('2001:db8::1', 22)).toBe('[2001:db8::1]:22')
    expect(formatHostPort('2001:db8::1')).toBe('2001:db8::1')
  })
})

describe('files', () => {
  it('reads hosts lines with comments, aliases and any case', () => {
    const text = '127.0.0.1 localhost\n# 192.0.2.9 db\n192.0.2.1\tDb db.example.com # main\nnonsense db\n'
    expect(parseHosts(text, 'DB')).toEqual([{ address: '192.0.2.1', family: 4 }])
    expect(parseHosts('', 'other')).toEqual([])
  })

  it('takes the last search line', () => {
    expect(parseSearchDomains('domain a.example\nsearch b.example c.example .\n')).toEqual(['b.example', 'c.example'])
  })

  it('reads the neighbour table: complete, incomplete, absent', () => {
    const text =
      'IP address HW type Flags HW address Mask Device\n192.0.2.1 0x1 0x2 02:00:00:00:00:01 * eth0\n192.0.2.3 0x1 0x0 00:00:00:00:00:00 * eth0\n'
    expect(['192.0.2.1', '192.0.2.3', '192.0.2.4'].map((ip) => parseNeighbour(text, ip))).toEqual([
      'known',
      'unanswered',
      undefined,
    ])
  })
})

describe('echo output', () => {
  it('reads fping, with loss and silence and IPv6', () => {
    const facts = parseFping(
      'ICMP Host Unreachable from 192.0.2.2\n192.0.2.1 : 0.10 - 0.30\n192.0.2.9   : - - -\n2001:db8::1 : 1.00 2.00 3.00\n',
    )
    expect(facts.get('192.0.2.1')).toEqual({ kind: 'reply', by: 'fping', rttMs: 0.2, sent: 3, lost: 1 })
    expect(facts.get('192.0.2.9')).toEqual({ kind: 'silent', by: 'fping', sent: 3 })
    expect(facts.get('2001:db8::1')).toMatchObject({ rttMs: 2 })
  })

  it.each([
    [
      'iputils',
      '2 packets transmitted, 2 received, 0% packet loss, time 201ms\nrtt min/avg/max/mdev = 0.025/0.037/0.050/0.012 ms\n',
      { kind: 'reply', by: 'ping', rttMs: 0.037, sent: 2, lost: 0 },
    ],
    [
      'busybox',
      '2 packets transmitted, 1 packets received, 50% packet loss\nround-trip min/avg/max = 0.1/0.2/0.3 ms\n',
      { kind: 'reply', by: 'ping', rttMs: 0.2, sent: 2, lost: 1 },
    ],
    [
      'a router that says no',
      'From 192.0.2.2 icmp_seq=1 Destination Host Unreachable\n2 packets transmitted, 0 received, +2 errors, 100% packet loss, time 1\n',
      { kind: 'silent', by: 'ping', sent: 2, detail: '192.0.2.2 says: Destination Host Unreachable' },
    ],
    ['no summary', 'ping: socket: Operation not permitted\n', undefined],
  ])('reads ping of %s', (_name, output, expected) => {
    expect(parsePing(output)).toEqual(expected)
  })
})

const target = (over: Partial<Target> = {}): Target => ({
  kind: 'configured',
  subject: 't',
  host: '192.0.2.10',
  probe: 'icmp',
  ...over,
})
const reply = { kind: 'reply', by: 'fping', rttMs: 1, sent: 3, lost: 0 } as const
const silent = { kind: 'silent', by: 'fping', sent: 3 } as const
const open = { kind: 'open', rttMs: 2, address: '192.0.2.10' } as const
const refused = { kind: 'refused', rttMs: 1 } as const
const unheard = { kind: 'silent', waitedMs: 2_000 } as const
const both = target({ probe: 'both', port: 443 })
const tcp = target({ probe: 'tcp', port: 443 })
const gateway = target({ kind: 'gateway' })

describe('a configured target', () => {
  it.each<[string, Omit<TargetFacts, 'address'>, string, string]>([
    ['replies', { target: target(), echo: reply }, 'ok', 'The target answers'],
    ['is silent', { target: target(), echo: silent }, 'critical', 'The target does not answer'],
    ['loses a packet', { target: target(), echo: { ...reply, lost: 1 } }, 'warning', 'Packets are lost on the way'],
    ['replies and accepts', { target: both, echo: reply, tcp: open }, 'ok', 'The target answers'],
    ['replies and refuses', { target: both, echo: reply, tcp: refused }, 'critical', 'The target refuses connections'],
    [
      'replies and drops TCP',
      { target: both, echo: reply, tcp: unheard },
      'critical',
      'The target answers ping but not on its port',
    ],
    [
      'accepts and drops ICMP',
      { target: both, echo: silent, tcp: open },
      'warning',
      'The target accepts TCP but does not answer ping',
    ],
    ['is silent on both', { target: both, echo: silent, tcp: unheard }, 'critical', 'The target does not answer'],
    [
      'accepts; ICMP is not possible',
      { target: both, echo: { kind: 'unavailable', because: 'no ping' }, tcp: open },
      'ok',
      'The target answers',
    ],
    [
      'has no port and ICMP is not possible',
      { target: target(), echo: { kind: 'unavailable', because: 'no ping' } },
      'skipped',
      'The target could not be asked',
    ],
    ['only needs TCP', { target: tcp, tcp: open }, 'ok', 'The target answers'],
    [
      'has a route that says no',
      { target: tcp, tcp: { kind: 'unreachable', code: 'EHOSTUNREACH' } },
      'critical',
      'The target does not answer',
    ],
    [
      'needs TCP and has no port',
      { target: target({ probe: 'tcp' }) },
      'unknown',
      'The target has no port to ask by TCP',
    ],
  ])('that %s', (_name, facts, severity, title) => {
    const [finding] = decideTargets([{ ...facts, address: '192.0.2.10' }], { configured: true })
    expect(finding).toMatchObject({ severity, title })
  })

  it('names the next command and the numbers', () => {
    const [finding] = decideTargets([{ target: both, address: '192.0.2.10', echo: silent, tcp: unheard }], {
      configured: true,
    })
    expect(finding).toMatchObject({
      evidence: '192.0.2.10:443: no reply to 3 echo requests (fping); TCP port 443 does not answer in 2 s',
      next: 'ip route get 192.0.2.10',
    })
    const [good] = decideTargets([{ target: target(), address: '192.0.2.10', echo: reply }], { configured: true })
    expect(good?.measures).toEqual([
      { label: 'rtt', value: 1, unit: 'ms', min: 0 },
      { label: 'loss', value: 0, unit: '%' },
    ])
  })
})

describe('a default gateway', () => {
  it.each<[string, Partial<TargetFacts>, string]>([
    ['replies', { echo: reply }, 'ok'],
    ['refuses TCP, which proves it alive', { echo: silent, tcp: refused }, 'ok'],
    ['is silent, but its link-layer address is known', { echo: silent, tcp: unheard, neighbour: 'known' }, 'warning'],
    ['does not even answer ARP', { echo: silent, tcp: unheard, neighbour: 'unanswered' }, 'critical'],
  ])('that %s', (_name, facts, severity) => {
    const findings = decideTargets([{ target: gateway, address: '192.0.2.1', ...facts }], { configured: false })
    expect(findings.at(-1)).toMatchObject({ severity })
  })

  it('that is dead beside a living one is a warning', () => {
    const other = {
      target: target({ kind: 'gateway', host: '2001:db8::1' }),
      address: '2001:db8::1',
      echo: silent,
      tcp: unheard,
    }
    const findings = decideTargets([{ target: gateway, address: '192.0.2.1', echo: reply }, other], {
      configured: false,
    })
    expect(findings.slice(-2)).toMatchObject([
      { severity: 'ok' },
      { severity: 'warning', title: 'One of the default gateways does not answer' },
    ])
  })
})

describe('resolvers', () => {
  const resolver = (host: string, dns: NonNullable<TargetFacts['dns']>): TargetFacts => ({
    target: target({ kind: 'resolver', subject: `resolver ${host}`, host }),
    address: host,
    dns,
  })
  const severities = (...facts: TargetFacts[]) =>
    decideTargets([{ target: gateway, address: '192.0.2.1', echo: reply }, ...facts], { configured: false }).map(
      ({ severity }) => severity,
    )

  it('is a warning when one of two is dead, critical when both are', () => {
    const [dead, alive] = [
      { kind: 'silent', waitedMs: 2_000 },
      { kind: 'answer', rttMs: 3 },
    ] as const
    expect(severities(resolver('192.0.2.53', dead), resolver('192.0.2.54', alive))).toEqual(['ok', 'warning', 'ok'])
    expect(severities(resolver('192.0.2.53', dead), resolver('192.0.2.54', { kind: 'refused' }))).toEqual([
      'ok',
      'critical',
      'critical',
    ])
  })

  it('counts a negative answer as an answer, but not SERVFAIL', () => {
    expect(severities(resolver('192.0.2.53', { kind: 'answer', rttMs: 3, failure: 'not-found' }))).toEqual(['ok', 'ok'])
    expect(severities(resolver('192.0.2.53', { kind: 'answer', rttMs: 3, failure: 'server-failure' }))).toEqual([
      'ok',
      'warning',
    ])
  })
})

describe('nothing to ask', () => {
  it('is a warning without a gateway and without a resolver, and skipped when that was configured', () => {
    expect(decideTargets([], { configured: false }).map(({ title }) => title)).toEqual([
      'This machine has no default gateway',
      'This machine has no DNS resolver',
    ])
    expect(decideTargets([], { configured: true })).toMatchObject([{ severity: 'skipped' }])
  })
})

describe('names', () => {
  it('are those to resolve and those of health checks, each once and no addresses', () => {
    const { diagnose } = configOf({
      diagnose: {
        network: { resolve: ['db.example.com', 'www.example.com'] },
        http: [
          { name: 'a', url: 'https://www.example.com/health' },
          { name: 'b', url: 'http://192.0.2.1/' },
          { name: 'c', url: 'http://[2001:db8::1]:8080/' },
        ],
      },
    })
    expect(namesOf(diagnose)).toEqual(['db.example.com', 'www.example.com'])
  })

  it('that resolve slowly are a warning', () => {
    const addresses = [{ address: '192.0.2.1', family: 4 }] as const
    expect(decideName('a.example.com', { ok: true, addresses, source: 'dns', durationMs: 1_800 })).toMatchObject({
      severity: 'warning',
    })
    expect(decideName('a.example.com', { ok: true, addresses, source: 'dns', durationMs: 20 })).toMatchObject({
      severity: 'ok',
    })
  })
})

describe('a host of the fleet', () => {
  const ssh = { host: '192.0.2.7', port: 22 }
  it.each([
    ['greets', { ...open, banner: 'SSH-2.0-OpenSSH_9.2\r\n' }, 'ok', 'The standby db-2 is reachable'],
    [
      'greets after a notice',
      { ...open, banner: 'Authorized use only\r\nSSH-2.0-x\r\n' },
      'ok',
      'The standby db-2 is reachable',
    ],
    [
      'is another service',
      { ...open, banner: '220 mail ESMTP\r\n' },
      'critical',
      'The standby db-2 accepts connections but greets with something that is not SSH',
    ],
    ['says nothing', open, 'critical', 'The standby db-2 accepts connections but says nothing'],
    ['hangs up', { ...open, banner: '' }, 'critical', 'The standby db-2 accepts connections but hangs up'],
    ['refuses', refused, 'critical', 'The standby db-2 refuses SSH'],
    ['is silent', unheard, 'critical', 'The standby db-2 does not answer'],
  ] as const)('that %s', (_name, facts, severity, title) => {
    expect(decideFleetHost({ name: 'db-2', roles: ['standby'], ssh, tcp: facts })).toMatchObject({ severity, title })
  })

  it('behind a jump host is skipped, with the way to look at it', () => {
    expect(decideFleetHost({ name: 'db-2', roles: [], ssh: { ...ssh, proxyJump: 'bastion' } })).toMatchObject({
      severity: 'skipped',
      next: 'npx zx scripts/diagnose.ts --host db-2',
    })
  })
})

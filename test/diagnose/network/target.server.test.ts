/** Network targets, fleet hosts and black holes: real sockets, real ping, real namespaces. */
import { symlink, writeFile } from 'node:fs/promises'
import { createServer, type Server, type Socket } from 'node:net'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { CheckFinding } from '../../../scripts/lib/diagnose/types.ts'
import { probeEcho } from '../../../scripts/lib/diagnose/network/echo.ts'
import { findSshOf } from '../../../scripts/lib/diagnose/network/fleet.ts'
import { networkChecks } from '../../../scripts/lib/diagnose/network/index.ts'
import { probeTargets } from '../../../scripts/lib/diagnose/network/target.ts'
import { probeTcp } from '../../../scripts/lib/diagnose/network/tcp.ts'
import { openLocalHost } from '../../../scripts/lib/host/local.ts'
import { configOf, runChecks } from '../../support/check-context.ts'
import { startDns } from '../../support/dns.ts'
import { makeBlackHole, makeNamespace, type Ended, type Namespace } from '../../support/netns.ts'
import { freePort } from '../../support/ports.ts'
import { tempDir } from '../../support/temp.ts'

const loopback = [{ address: '127.0.0.1', family: 4 }] as const

/** A TCP server on loopback that does `greet` with each connection. */
async function listen(greet: (socket: Socket) => void): Promise<{ port: number; server: Server }> {
  const server = createServer((socket) => {
    socket.on('error', () => {})
    greet(socket)
  })
  const port = await freePort()
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve))
  return { port, server }
}

describe('a TCP port', () => {
  it('that listens is open, one that does not is refused', async () => {
    const { port, server } = await listen(() => {})
    expect(await probeTcp({ addresses: loopback, port, timeoutMs: 2_000 })).toMatchObject({
      kind: 'open',
      address: '127.0.0.1',
    })
    server.close()
    expect(await probeTcp({ addresses: loopback, port: await freePort(), timeoutMs: 2_000 })).toMatchObject({
      kind: 'refused',
    })
  })

  it('is found by its second address when the first refuses', async () => {
    const { port, server } = await listen(() => {})
    const addresses = [{ address: '::1', family: 6 }, ...loopback] as const
    expect(await probeTcp({ addresses, port, timeoutMs: 2_000 })).toMatchObject({ kind: 'open', address: '127.0.0.1' })
    server.close()
  })

  it('stops at once when the caller aborts', async () => {
    const { port, server } = await listen(() => {})
    const signal = AbortSignal.abort(new Error('interrupted'))
    await expect(probeTcp({ addresses: loopback, port, timeoutMs: 2_000, signal })).rejects.toThrow('interrupted')
    server.close()
  })
})

describe('echo', () => {
  const only = async (...programs: string[]) => {
    const dir = await tempDir()
    for (const program of programs) await symlink(`/usr/bin/${program}`, join(dir, program))
    return [dir]
  }
  const many = ['127.0.0.1', '127.0.0.2', '127.0.0.3', '127.0.0.4']

  it('asks all addresses in one child with fping', async () => {
    const facts = await probeEcho(openLocalHost(), many, { timeoutMs: 2_000 })
    expect([...facts.values()].map((one) => one.kind === 'reply' && one.by)).toEqual([
      'fping',
      'fping',
      'fping',
      'fping',
    ])
  })

  it('starts two pings without fping, and asks the others by UDP', async () => {
    const facts = await probeEcho(openLocalHost(), many, { timeoutMs: 2_000, path: await only('ping') })
    expect([...facts.values()].map((one) => one.kind === 'reply' && one.by)).toEqual(['ping', 'ping', 'udp', 'udp'])
  })

  it('needs no program for a machine that refuses a closed port', async () => {
    const facts = await probeEcho(openLocalHost(), ['127.0.0.1'], { timeoutMs: 2_000, path: [] })
    expect(facts.get('127.0.0.1')).toMatchObject({ kind: 'reply', by: 'udp' })
  })
})

describe('fleet hosts', () => {
  it('are reached by their greeting, without a login', async () => {
    const lines: string[] = []
    const ssh = await listen((socket) => {
      socket.write('SSH-2.0-test\r\n')
      socket.on('data', (data) => lines.push(data.toString()))
    })
    const mute = await listen(() => {})
    const config = configOf({
      hosts: {
        'db-2': { ssh: { host: '127.0.0.1', port: ssh.port }, roles: ['standby'] },
        'web-1': { ssh: { host: '127.0.0.1', port: mute.port } },
        'web-2': { ssh: { host: '127.0.0.1', port: await freePort() } },
        'web-3': { ssh: { host: 'ignored', proxy_jump: 'web-1' } },
      },
      diagnose: { network: { targets: [], timeout: '500ms' } },
    })
    const findings = await runChecks(networkChecks(config), config)
    const of = (name: string) => findings.find(({ subject }) => subject === name)
    expect(of('db-2')).toMatchObject({ severity: 'ok', title: 'The standby db-2 is reachable' })
    expect(of('web-1')).toMatchObject({
      severity: 'critical',
      title: expect.stringContaining('says nothing') as string,
    })
    expect(of('web-2')).toMatchObject({ severity: 'critical', title: 'The host web-2 refuses SSH' })
    expect(of('web-3')).toMatchObject({ severity: 'skipped' })
    expect(lines).toEqual([])
    ssh.server.close()
    mute.server.close()
  })
})

describe('an alias of the ssh config', () => {
  it('is followed to its address, port and jump host', async () => {
    const sshConfig = join(await tempDir(), 'config')
    await writeFile(sshConfig, 'Host db\n  HostName 192.0.2.7\n  Port 2222\nHost inner\n  ProxyJump bastion\n')
    const config = configOf({ hosts: { 'db-2': { ssh: { host: 'db' } }, 'db-3': { ssh: { host: 'inner' } } } })
    const find = findSshOf(config, sshConfig)
    expect(await find('db-2')).toEqual({ host: '192.0.2.7', port: 2222 })
    expect(await find('db-3')).toMatchObject({ proxyJump: 'bastion' })
  })
})

describe('resolvers', () => {
  const ask = async (answer: Parameters<typeof startDns>[0]) => {
    const at = { address: '127.88.0.1', port: 53 }
    const dns = await startDns(answer, at)
    try {
      const target = { kind: 'resolver', subject: 'r', host: at.address, probe: 'icmp' } as const
      const [facts] = await probeTargets({ host: openLocalHost(), targets: [target], question: '.', timeoutMs: 600 })
      return facts
    } finally {
      await dns.stop()
    }
  }

  it.each([
    ['answers', { '': 'empty' }, { kind: 'answer', failure: 'no-address' }],
    ['cannot resolve', { '': 'servfail' }, { kind: 'answer', failure: 'server-failure' }],
    ['is silent', { '': 'silent' }, { kind: 'silent' }],
  ] as const)('one that %s', async (_name, answers, dns) => {
    expect(await ask(answers)).toMatchObject({ dns })
  })

  it('one whose port refuses', async () => {
    const target = { kind: 'resolver', subject: 'r', host: '127.88.0.2', probe: 'icmp' } as const
    const [facts] = await probeTargets({ host: openLocalHost(), targets: [target], question: '.', timeoutMs: 600 })
    expect(facts).toMatchObject({ dns: { kind: 'refused' } })
  })
})

/** Every kind of outward check against addresses that never answer. */
const OUTWARD = {
  hosts: { 'db-2': { ssh: { host: '198.51.100.11' }, roles: ['standby'] } },
  diagnose: {
    check_timeout: '1s',
    network: { resolve: ['db.example.com'], timeout: '800ms' },
    http: [{ name: 'site', url: 'https://198.51.100.10/health', timeout: '800ms' }],
    certificates: [{ site: '198.51.100.13' }],
    databases: [
      { name: 'shop', type: 'postgresql', host: '198.51.100.12', timeout: '800ms' },
      { name: 'cart', type: 'mariadb', host: 'cart.example.com', timeout: '800ms' },
    ],
  },
}

describe('a black hole', () => {
  let hole: Namespace
  beforeAll(async () => {
    hole = await makeBlackHole({ resolvers: ['198.51.100.53', '198.51.100.54'] })
  })
  afterAll(() => hole.remove())

  const inside = (...args: string[]) =>
    hole.measure(['node_modules/.bin/node', 'test/support/run-checks.ts', JSON.stringify(OUTWARD), ...args], 20_000)
  const read = ({ stdout, stderr }: Ended) => {
    if (stdout === '') throw new Error(stderr)
    return JSON.parse(stdout) as { findings: CheckFinding[]; answeredMs: number; aliveMs: number }
  }

  it('costs each check its own deadline, and holds no process back', async () => {
    const ended = await inside()
    const { findings, answeredMs, aliveMs } = read(ended)
    expect(ended.exitCode).toBe(0)
    expect(answeredMs).toBeLessThan(2_500)
    expect(ended.durationMs - aliveMs).toBeLessThan(1_000)
    const told = findings.map(({ check, subject, severity }) => `${check ?? ''} ${subject} ${severity}`.trim()).sort()
    expect(told).toEqual([
      '198.51.100.13:443 critical',
      'database.reachable cart critical',
      'database.reachable shop critical',
      'db-2 critical',
      'db.example.com critical',
      'gateway 192.0.2.1 warning',
      'resolver 198.51.100.53 critical',
      'resolver 198.51.100.54 critical',
      'site critical',
    ])
  })

  it('lets go at once when the operator interrupts', async () => {
    const ended = await inside('100')
    const { findings, answeredMs, aliveMs } = read(ended)
    expect(findings).toContain('interrupted')
    expect(answeredMs).toBeLessThan(700)
    expect(ended.durationMs - aliveMs).toBeLessThan(1_000)
  })
})

describe('a machine without a network', () => {
  it('says that it has no gateway and no resolver', async () => {
    const alone = await makeNamespace()
    try {
      const { stdout } = await alone.measure(['node_modules/.bin/node', 'test/support/run-checks.ts', '{}'], 20_000)
      const { findings } = JSON.parse(stdout) as { findings: CheckFinding[] }
      expect(findings.map(({ severity, title }) => `${severity}: ${title}`)).toEqual([
        'warning: This machine has no default gateway',
        'warning: This machine has no DNS resolver',
      ])
    } finally {
      await alone.remove()
    }
  })
})

describe('a firewall', () => {
  it('that drops is told from one that refuses', async () => {
    const ns = await makeNamespace()
    try {
      await ns.run('ip', 'addr', 'add', '192.0.2.1/32', 'dev', 'lo')
      await ns.run(
        'nft',
        'add table inet t; add chain inet t in { type filter hook input priority 0; }; add rule inet t in tcp dport 81 drop',
      )
      const targets = [80, 81].map((port) => ({ host: '192.0.2.1', port }))
      const config = { diagnose: { network: { targets, timeout: '500ms' } } }
      const { stdout } = await ns.measure(
        ['node_modules/.bin/node', 'test/support/run-checks.ts', JSON.stringify(config)],
        20_000,
      )
      const { findings } = JSON.parse(stdout) as { findings: CheckFinding[] }
      expect(findings.map(({ title }) => title)).toEqual([
        'The target refuses connections',
        'The target answers ping but not on its port',
      ])
    } finally {
      await ns.remove()
    }
  })
})

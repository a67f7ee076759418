/** The runbook about a link between two servers, run for real between two network namespaces. */
import { chmod, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest'
import { makeNamespace, type Namespace } from '../support/netns.ts'
import { NODE } from '../support/opskit.ts'
import { startServer, type ServerProcess } from '../support/server.ts'
import { startSshd, type Sshd } from '../support/sshd.ts'
import { makeBench, type Bench } from './shipped-support.ts'

/** The link that fails, and the one over which the other machine is managed. */
const [HERE, THERE, MANAGED] = ['192.0.2.1', '192.0.2.2', '198.51.100.2']

let here: Namespace
let there: Namespace
let keys: Sshd
let sshd: ServerProcess
let bench: Bench
const service = `opskit-net-${process.pid}`

beforeAll(async () => {
  ;[here, there] = await Promise.all([makeNamespace(), makeNamespace()])
  await connect('data', `${HERE}/24`, `${THERE}/24`)
  await connect('mgmt', '198.51.100.1/24', `${MANAGED}/24`)
  await here.run('ip', 'link', 'add', 'spare0', 'type', 'veth', 'peer', 'name', 'spare1')
  keys = await startSshd()
  sshd = await startServer({
    argv: [
      ...(['ip', 'netns', 'exec', there.name] as const),
      ...['/usr/sbin/sshd', '-D', '-e', '-f', join(keys.dir, 'sshd_config')],
      ...[THERE, MANAGED].flatMap((address) => ['-o', `ListenAddress=${address}:${keys.port}`]),
      ...['-o', 'PidFile=none'],
    ],
    ready: () => answers(here, MANAGED, keys.port),
  })
  const knownHosts = join(keys.dir, 'known_there')
  await writeFile(knownHosts, (await keys.publicKeys()).map((key) => `[${MANAGED}]:${keys.port} ${key}\n`).join(''))
  bench = await makeBench({
    hosts: {
      there: {
        ssh: {
          host: MANAGED,
          port: keys.port,
          user: 'root',
          identity_file: keys.identityFile,
          known_hosts: knownHosts,
          agent: false,
        },
      },
    },
    inside: here,
  })
})

afterAll(async () => {
  await rm(join('/etc/init.d', service), { force: true })
  for (const left of ['/var/log/opskit-networking.log', '/run/opskit-interface-up']) await rm(left, { force: true })
  await sshd?.stop()
  await Promise.all([keys?.stop(), bench?.remove()])
  await Promise.all([here?.remove(), there?.remove()])
})

beforeEach(async () => {
  await here.run('ip', 'link', 'set', 'data0', 'up')
  await here.run('ip', 'addr', 'replace', `${HERE}/24`, 'dev', 'data0')
})

/** `NAME0` here, `NAME1` there. */
async function connect(name: string, address: string, other: string): Promise<void> {
  await here.run('ip', 'link', 'add', `${name}0`, 'type', 'veth', 'peer', 'name', `${name}1`, 'netns', there.name)
  await here.run('ip', 'addr', 'add', address, 'dev', `${name}0`)
  await there.run('ip', 'addr', 'add', other, 'dev', `${name}1`)
  await here.run('ip', 'link', 'set', `${name}0`, 'up')
  await there.run('ip', 'link', 'set', `${name}1`, 'up')
}

async function answers(from: Namespace, address: string, port: number): Promise<boolean> {
  const argv = ['timeout', '2', 'bash', '-c', `exec 3<>/dev/tcp/${address}/${port}`] as const
  return (await from.measure(argv, 3_000)).exitCode === 0
}

/** The same sshd answers on both links. */
const link = () => ({ peer: THERE, port: keys.port, peer_host: 'there', host_address: HERE, host_port: keys.port })

it('switches on the interface that was down, and sees that both directions answer', async () => {
  const listen = `require('node:net').createServer((socket) => socket.end()).listen(${keys.port}, '${HERE}')`
  const back = await startServer({
    argv: ['ip', 'netns', 'exec', here.name, NODE, '-e', listen],
    ready: () => answers(there, HERE, keys.port),
  })
  try {
    await here.run('ip', 'link', 'set', 'data0', 'down')
    expect(await answers(here, THERE, keys.port)).toBe(false)
    const ran = await bench.start('link-down', { params: { ...link(), interface: 'data0' } })
    expect(ran.exitCode, ran.said).toBe(0)
    expect(ran.said).toContain('try 5: answers')
    expect(await answers(here, THERE, keys.port)).toBe(true)
  } finally {
    await back.stop()
  }
})

it('switches off again what did not help, and shows the rule that is in the way', async () => {
  await here.run('nft', 'add table inet test; add chain inet test out { type filter hook output priority 0; }')
  await here.run('nft', `add rule inet test out ip daddr ${THERE} reject`)
  try {
    const ran = await bench.start('link-down', {
      params: { peer: THERE, port: keys.port, interface: 'spare0' },
      within: '1s',
    })
    expect(ran.exitCode, ran.said).toBe(11)
    expect(ran.said).toContain(`ip daddr ${THERE} reject`)
    expect(await here.run('ip', 'link', 'show', 'spare0')).toContain('state DOWN')
  } finally {
    await here.run('nft', 'delete', 'table', 'inet', 'test')
  }
})

it('restarts the service of the network, which brings back the addresses it knows', async () => {
  const script = join('/etc/init.d', service)
  await writeFile(
    script,
    `#!/bin/sh\nip addr replace ${HERE}/24 dev data0 && ip link set data0 up && echo "$1: done"\n`,
  )
  await chmod(script, 0o755)
  await here.run('ip', 'addr', 'flush', 'dev', 'data0')
  expect(await answers(here, THERE, keys.port)).toBe(false)
  const ran = await bench.start('link-down', {
    params: { peer: THERE, port: keys.port, networking: service },
  })
  expect(ran.exitCode, ran.said).toBe(0)
  expect(ran.said).toContain('restart: done')
  expect(await answers(here, THERE, keys.port)).toBe(true)
})

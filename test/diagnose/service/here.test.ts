/** Units and ports on the machine that runs the tests, with and without a shell in between. */
import { readFileSync } from 'node:fs'
import { createServer, type AddressInfo, type Server } from 'node:net'
import { onTestFinished, describe, expect, it } from 'vitest'
import { portsCheck } from '../../../scripts/lib/diagnose/service/ports.ts'
import { readProcesses } from '../../../scripts/lib/diagnose/service/processes.ts'
import { unitsCheck } from '../../../scripts/lib/diagnose/service/units.ts'
import type { HostReader } from '../../../scripts/lib/host/types.ts'
import { createPlainHost } from '../../support/plain-host.ts'
import { freePort } from '../../support/ports.ts'
import { contextOf } from './support.ts'

const HOSTS = [
  ['directly', createPlainHost()],
  ['through sh', createPlainHost({ kind: 'ssh' })],
  ['through busybox sh', createPlainHost({ kind: 'ssh', shell: ['busybox', 'sh'] })],
] as const

/** A machine whose first process is not systemd, whatever runs the tests. */
function withoutSystemd(host: HostReader): HostReader {
  return {
    ...host,
    get: async (path, options) => (path === '/proc/1/comm' ? Buffer.from('init\n') : host.get(path, options)),
  }
}

async function listen(address: string): Promise<number> {
  const server: Server = createServer().listen(0, address)
  await new Promise((resolve) => server.once('listening', resolve))
  onTestFinished(() => void server.close())
  return (server.address() as AddressInfo).port
}

describe.each(HOSTS)('seen %s', (_, host) => {
  it('a process has its parent and its start', async () => {
    const name = readFileSync('/proc/self/comm', 'utf8').trim()
    const self = (await readProcesses(host, ['no-such-name', name])).find(({ pid }) => pid === process.pid)
    const startedAt = Date.now() - process.uptime() * 1000
    expect(self).toMatchObject({ parentPid: process.ppid, contained: false })
    expect(Math.abs((self?.startedAtMs ?? 0) - startedAt)).toBeLessThan(10_000)
  })

  it('units are skipped where systemd does not run', async () => {
    const { findings } = await unitsCheck.run(contextOf(withoutSystemd(host), { units: ['no-such-unit'] }))
    expect(findings).toMatchObject([
      {
        check: 'service.unit',
        subject: 'no-such-unit',
        severity: 'skipped',
        evidence: 'no process of that name runs either',
      },
    ])
  })

  it('nothing is said about units when none is configured', async () => {
    expect((await unitsCheck.run(contextOf(host))).findings).toEqual([])
  })

  it('ports are found, exposed or missing', async () => {
    const [inside, exposed, missing] = [await listen('127.0.0.1'), await listen('0.0.0.0'), await freePort()]
    const ports = [inside, exposed, missing].map((port) => ({ port, loopback: true }))
    const { findings } = await portsCheck.run(contextOf(host, { ports }))
    expect(findings.map(({ subject, severity }) => [subject, severity])).toEqual([
      [`${inside}/tcp`, 'ok'],
      [`${exposed}/tcp`, 'warning'],
      [`${missing}/tcp`, 'critical'],
      [undefined, 'ok'],
    ])
  })
})

/** Names to addresses, through a DNS server of our own and hosts files of our own. */
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { decideName } from '../../../scripts/lib/diagnose/network/names.ts'
import { lookup } from '../../../scripts/lib/diagnose/network/lookup.ts'
import { startDns, type DnsServer } from '../../support/dns.ts'
import { freePort } from '../../support/ports.ts'
import { tempDir } from '../../support/temp.ts'

let dns: DnsServer

beforeAll(async () => {
  dns = await startDns({
    'web.example.com': '192.0.2.10',
    'broken.example.com': 'servfail',
    'denied.example.com': 'refused',
    'silent.example.com': 'silent',
    'zone.example.com': 'empty',
    'short.example.net': '192.0.2.11',
  })
})

afterAll(() => dns.stop())

const ask = (name: string, options: object = {}) =>
  lookup(name, { timeoutMs: 2_000, servers: [dns.address], hostsFile: '/nonexistent', ...options })

describe('a look-up', () => {
  it('gives the address of a name that exists', async () => {
    expect(await ask('web.example.com')).toMatchObject({
      ok: true,
      source: 'dns',
      addresses: [{ address: '192.0.2.10', family: 4 }],
    })
  })

  it.each([
    ['gone.example.com', 'not-found', 'does not exist'],
    ['zone.example.com', 'no-address', 'has no address'],
    ['broken.example.com', 'server-failure', 'SERVFAIL'],
    ['denied.example.com', 'refused', 'refused'],
    ['silent.example.com', 'timeout', 'no resolver answered'],
  ])('tells why %s gives nothing: %s', async (name, because, title) => {
    const result = await ask(name, { timeoutMs: 600 })
    expect(result).toMatchObject({ ok: false, because })
    expect(decideName(name, result)).toMatchObject({
      severity: 'critical',
      title: expect.stringContaining(title) as string,
    })
  })

  it('tells a resolver that is not there from one that is silent', async () => {
    const result = await ask('web.example.com', { servers: [`127.0.0.1:${await freePort()}`] })
    expect(result).toMatchObject({ ok: false, because: 'no-resolver' })
  })

  it('ends at its deadline although nobody answers', async () => {
    const startedAt = performance.now()
    await ask('silent.example.com', { timeoutMs: 300 })
    expect(performance.now() - startedAt).toBeLessThan(1_500)
  })

  it('asks the second resolver when the first is silent, within the same deadline', async () => {
    const dead = await startDns({ 'web.example.com': 'silent' })
    try {
      expect(await ask('web.example.com', { servers: [dead.address, dns.address] })).toMatchObject({ ok: true })
    } finally {
      await dead.stop()
    }
  })

  it('takes a name of the hosts file without asking anyone', async () => {
    const hostsFile = join(await tempDir(), 'hosts')
    await writeFile(hostsFile, '192.0.2.20 db-1 DB-1.internal # the primary\n2001:db8::20 db-1\n')
    const asked = dns.questions.length
    expect(await ask('db-1', { hostsFile })).toMatchObject({
      source: 'hosts',
      addresses: [{ address: '192.0.2.20' }, { address: '2001:db8::20', family: 6 }],
    })
    expect(await ask('db-1.INTERNAL.', { hostsFile })).toMatchObject({ source: 'hosts' })
    expect(dns.questions).toHaveLength(asked)
  })

  it('tries the search domains for a name without a dot', async () => {
    const resolvConf = join(await tempDir(), 'resolv.conf')
    await writeFile(resolvConf, 'search example.org example.net\n')
    expect(await ask('short', { resolvConf })).toMatchObject({ ok: true, addresses: [{ address: '192.0.2.11' }] })
  })

  it('knows localhost even when no file names it', async () => {
    expect(await ask('localhost')).toMatchObject({ ok: true, source: 'hosts' })
  })
})

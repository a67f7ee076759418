import { describe, expect, it } from 'vitest'
import {
  formatIpv6,
  parseResolvConf,
  parseRoutes4,
  parseRoutes6,
  readResolvers,
} from '../../../scripts/lib/diagnose/network/defaults.ts'
import type { HostReader } from '../../../scripts/lib/host/types.ts'

const ROUTES4 = `Iface	Destination	Gateway 	Flags	RefCnt	Use	Metric	Mask		MTU	Window	IRTT
eth1	00000000	016433C6	0003	0	0	200	00000000	0	0	0
eth0	00000000	010200C0	0003	0	0	100	00000000	0	0	0
ppp0	00000000	00000000	0001	0	0	50	00000000	0	0	0
eth0	000200C0	00000000	0001	0	0	100	00FFFFFF	0	0	0
eth0	0000000A	020200C0	0003	0	0	0	000000FF	0	0	0
lo	00000000	030200C0	0203	0	0	0	00000000	0	0	0
`

const ZERO = '0'.repeat(32)
const ROUTES6 = `20010db8000000000000000000000000 40 ${ZERO} 00 ${ZERO} 00000100 00000001 00000000 00000001 eth0
${ZERO} 00 ${ZERO} 00 fe800000000000000000000000000001 00000400 00000002 00000000 00450003 eth0
${ZERO} 00 ${ZERO} 00 20010db8000000000000000000000001 00000064 00000002 00000000 00000003 eth1
${ZERO} 00 ${ZERO} 00 ${ZERO} ffffffff 00000001 00000000 00200200 lo
`

describe('default gateways', () => {
  it('takes the IPv4 defaults that have a gateway and are not rejected, preferred first', () => {
    expect(parseRoutes4(ROUTES4)).toEqual([
      { family: 4, address: '192.0.2.1', interface: 'eth0', metric: 100 },
      { family: 4, address: '198.51.100.1', interface: 'eth1', metric: 200 },
    ])
  })

  it('gives a link-local IPv6 gateway its zone', () => {
    expect(parseRoutes6(ROUTES6)).toEqual([
      { family: 6, address: '2001:db8::1', interface: 'eth1', metric: 100 },
      { family: 6, address: 'fe80::1%eth0', interface: 'eth0', metric: 1024 },
    ])
  })

  it('finds none in an empty or cut table', () => {
    expect([...parseRoutes4(''), ...parseRoutes4('Iface\neth0 00000000'), ...parseRoutes6('\n00 00')]).toEqual([])
  })

  it.each([
    [ZERO, '::'],
    [`${'0'.repeat(31)}1`, '::1'],
    ['20010db8000000000000000000000000', '2001:db8::'],
    ['20010db8000000010000000000000001', '2001:db8:0:1::1'],
    ['20010db8000100000001000100010001', '2001:db8:1:0:1:1:1:1'],
    ['fe80000000000000020000fffe000010', 'fe80::200:ff:fe00:10'],
    ['00010000000000000001000000000010', '1::1:0:0:10'],
  ])('writes %s as %s', (hex, address) => {
    expect(formatIpv6(hex)).toBe(address)
  })
})

describe('resolvers', () => {
  it('reads nameserver lines, each address once', () => {
    const text =
      '# nameserver 192.0.2.9\nnameserver 192.0.2.1 # one\n  nameserver\tfe80::1%eth0\nnameserver 192.0.2.1\n'
    expect(parseResolvConf(text, 'f').map(({ address }) => address)).toEqual(['192.0.2.1', 'fe80::1%eth0'])
  })

  it.each([
    ['the servers behind systemd-resolved', 'nameserver 192.0.2.53\n', ['192.0.2.53']],
    ['the stub when those are not known', undefined, ['127.0.0.53']],
  ])('gives %s', async (_, upstream, expected) => {
    const files: Record<string, string | undefined> = {
      '/etc/resolv.conf': 'nameserver 127.0.0.53\noptions edns0\n',
      '/run/systemd/resolve/resolv.conf': upstream,
    }
    expect((await readResolvers(fileHost(files))).map(({ address }) => address)).toEqual(expected)
  })
})

function fileHost(files: Record<string, string | undefined>): HostReader {
  return {
    name: 'web-1',
    kind: 'local',
    read: () => Promise.reject(new Error('no command is needed')),
    get: async (path) => {
      const text = files[path]
      return text === undefined ? undefined : new TextEncoder().encode(text)
    },
  }
}

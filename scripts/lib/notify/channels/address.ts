/**
 * Whether an address leads into a network that is not public. Source: IANA's special-purpose address registries (RFC 6890 and
 * its updates); addresses that carry an IPv4 address (mapped, NAT64, 6to4) count as what they carry.
 */
import { BlockList, isIP } from 'node:net'

const PRIVATE_4 = [
  ...['0.0.0.0/8', '10.0.0.0/8', '100.64.0.0/10', '127.0.0.0/8', '169.254.0.0/16', '172.16.0.0/12', '192.0.0.0/24'],
  ...['192.0.2.0/24', '192.88.99.0/24', '192.168.0.0/16', '198.18.0.0/15', '198.51.100.0/24', '203.0.113.0/24'],
  ...['224.0.0.0/4', '240.0.0.0/4'],
]
const PRIVATE_6 = [
  '::/96',
  '100::/64',
  '2001::/23',
  '2001:db8::/32',
  '3fff::/20',
  'fc00::/7',
  'fe80::/10',
  'fec0::/10',
  'ff00::/8',
]
/** `64:ff9b::/96` (RFC 6052), `64:ff9b:1::/48` (RFC 8215) and `2002::/16` (RFC 3056) reach whatever they carry. */
const CARRIERS = ['64:ff9b::/96', '64:ff9b:1::/48', '2002::/16']

/** @param address IPv4 or IPv6; anything else counts as private */
export function isPrivateAddress(address: string): boolean {
  const plain = address.replace(/%.*$/, '')
  const family = isIP(plain)
  if (family === 0) return true
  // BlockList reads `::ffff:10.0.0.1` as the IPv4 address it stands for.
  return createBlockList().check(plain, family === 4 ? 'ipv4' : 'ipv6')
}

function createBlockList(): BlockList {
  const list = new BlockList()
  const add = (type: 'ipv4' | 'ipv6') => (range: string) => {
    const [net = '', bits] = range.split('/')
    list.addSubnet(net, Number(bits), type)
  }
  PRIVATE_4.forEach(add('ipv4'))
  ;[...PRIVATE_6, ...CARRIERS].forEach(add('ipv6'))
  return list
}

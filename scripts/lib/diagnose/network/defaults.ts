/**
 * Which addresses does this machine depend on before anything is configured: its default gateways and its resolvers.
 * Nothing is probed here.
 *
 * Sources: proc_pid_net(5) and the kernel's fib_trie.c for /proc/net/route (addresses are host-order hexadecimal, so
 * little-endian on every machine opskit supports), route.c for /proc/net/ipv6_route, resolv.conf(5),
 * systemd-resolved.service(8) for the stub addresses.
 */
import type { HostReader } from '../../host/types.ts'

export interface Gateway {
  readonly family: 4 | 6
  /** Printable address; a link-local IPv6 gateway carries its zone (`fe80::1%eth0`), without which it cannot be used. */
  readonly address: string
  readonly interface: string
  /** Lower is preferred. */
  readonly metric: number
}

export interface Resolver {
  readonly address: string
  /** The file that names it. */
  readonly source: string
}

export interface LookOptions {
  readonly signal?: AbortSignal
}

const RESOLV_CONF = '/etc/resolv.conf'
/** The real servers behind systemd-resolved's stub, which only says that resolved itself runs. */
const RESOLVED_UPSTREAM = '/run/systemd/resolve/resolv.conf'
const STUB_ADDRESSES = ['127.0.0.53', '127.0.0.54']
const RTF_UP = 0x1
const RTF_GATEWAY = 0x2
const RTF_REJECT = 0x200

/** Default gateways of the main table, IPv4 before IPv6, preferred first; empty when there is no default route. */
export async function readDefaultGateways(host: HostReader, { signal }: LookOptions = {}): Promise<readonly Gateway[]> {
  const [v4, v6] = await Promise.all(
    ['/proc/net/route', '/proc/net/ipv6_route'].map((path) => readText(host, path, signal)),
  )
  return [...parseRoutes4(v4 ?? ''), ...parseRoutes6(v6 ?? '')]
}

/**
 * The name servers in use, in the order they are asked. When only systemd-resolved's stub is named, the servers behind
 * it are given in its place; when those are not known, the stub.
 */
export async function readResolvers(host: HostReader, { signal }: LookOptions = {}): Promise<readonly Resolver[]> {
  const named = parseResolvConf((await readText(host, RESOLV_CONF, signal)) ?? '', RESOLV_CONF)
  if (named.length === 0 || !named.every(({ address }) => STUB_ADDRESSES.includes(address))) return named
  const behind = parseResolvConf((await readText(host, RESOLVED_UPSTREAM, signal)) ?? '', RESOLVED_UPSTREAM)
  return behind.length > 0 ? behind : named
}

/** IPv4 default routes with a gateway, out of the text of /proc/net/route. */
export function parseRoutes4(text: string): Gateway[] {
  return text
    .split('\n')
    .slice(1)
    .map((line) => line.trim().split(/\s+/))
    .flatMap(([device, destination, gateway, flags, , , metric, mask]): Gateway[] => {
      const isDefault = destination === '00000000' && mask === '00000000'
      if (!device || !gateway || !isDefault || !isUsable(flags)) return []
      return [{ family: 4, address: formatIpv4(gateway), interface: device, metric: Number(metric) }]
    })
    .sort(byMetric)
}

/** IPv6 default routes with a gateway, out of the text of /proc/net/ipv6_route. */
export function parseRoutes6(text: string): Gateway[] {
  return text
    .split('\n')
    .map((line) => line.trim().split(/\s+/))
    .flatMap(([destination, prefix, , , gateway, metric, , , flags, device]): Gateway[] => {
      const isDefault = prefix === '00' && /^0{32}$/.test(destination ?? '')
      if (!device || !gateway || !isDefault || !isUsable(flags)) return []
      const address = formatIpv6(gateway)
      const zone = /^fe[89ab]/.test(address) ? `%${device}` : ''
      return [{ family: 6, address: address + zone, interface: device, metric: Number.parseInt(metric ?? '0', 16) }]
    })
    .sort(byMetric)
}

/** The `nameserver` lines of a resolv.conf, each address once. */
export function parseResolvConf(text: string, source: string): Resolver[] {
  const addresses = text
    .split('\n')
    .map((line) => /^\s*nameserver\s+([^\s#;]+)/.exec(line)?.[1])
    .filter((address) => address !== undefined)
  return [...new Set(addresses)].map((address) => ({ address, source }))
}

/** `010200C0` (host order, little-endian) as `192.0.2.1`. */
export function formatIpv4(hex: string): string {
  return (hex.match(/../g) ?? [])
    .reverse()
    .map((byte) => Number.parseInt(byte, 16))
    .join('.')
}

/** 32 hexadecimal digits in network order as an RFC 5952 address. */
export function formatIpv6(hex: string): string {
  const groups = (hex.match(/.{4}/g) ?? []).map((group) => Number.parseInt(group, 16).toString(16))
  const zeros = groups
    .join(':')
    .match(/(?<![0-9a-f])0(?::0)+(?![0-9a-f])/g)
    ?.reduce((longest, run) => (run.length > longest.length ? run : longest))
  if (zeros === undefined) return groups.join(':')
  const joined = groups.join(':')
  const at = new RegExp(`(?<![0-9a-f])${zeros}(?![0-9a-f])`).exec(joined)?.index ?? 0
  return `${joined.slice(0, at).replace(/:$/, '')}::${joined.slice(at + zeros.length).replace(/^:/, '')}`
}

function isUsable(flagsHex: string | undefined): boolean {
  const flags = Number.parseInt(flagsHex ?? '0', 16)
  return (flags & RTF_UP) !== 0 && (flags & RTF_GATEWAY) !== 0 && (flags & RTF_REJECT) === 0
}

function byMetric(a: Gateway, b: Gateway): number {
  return a.metric - b.metric
}

async function readText(host: HostReader, path: string, signal: AbortSignal | undefined): Promise<string | undefined> {
  const bytes = await host.get(path, { maxBytes: 1024 * 1024, ...(signal && { signal }) })
  return bytes && new TextDecoder().decode(bytes)
}

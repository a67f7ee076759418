/**
 * How addresses and ports are read and written: IPv6 in brackets where a port follows (RFC 3986 3.2.2).
 */
import { isIP, isIPv6 } from 'node:net'

/** `192.0.2.10:443`, `[2001:db8::1]:443`; without a port the bare host. */
export function formatHostPort(host: string, port?: number): string {
  if (port === undefined) return host
  return isIPv6(host) ? `[${host}]:${port}` : `${host}:${port}`
}

/**
 * Reads `host`, `host:port`, `[v6]`, `[v6]:port` or a bare IPv6 address.
 * @returns undefined when it is none of them
 */
export function parseHostPort(text: string, defaultPort: number): { host: string; port: number } | undefined {
  if (isIP(text) !== 0) return { host: text, port: defaultPort }
  const match = /^(?:\[([^\]]+)\]|([^:\s/]+))(?::(\d{1,5}))?$/.exec(text)
  if (!match) return undefined
  const [, bracketed, plain, portText] = match
  const port = portText === undefined ? defaultPort : Number(portText)
  if (port < 1 || port > 65_535) return undefined
  if (bracketed !== undefined) return isIPv6(bracketed) ? { host: bracketed, port } : undefined
  return { host: plain ?? '', port }
}

/** The host of a URL without the brackets of an IPv6 address. */
export function hostOfUrl(url: URL): string {
  return url.hostname.replace(/^\[(.*)\]$/, '$1')
}

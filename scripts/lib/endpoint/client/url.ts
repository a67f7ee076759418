/**
 * May this address be used? Lists come from QR codes and servers: an address in them could make a client talk to its own
 * network, send a password, or read a file. Addresses are compared in the canonical form of the URL standard, so that
 * `0x7f.1` is 127.0.0.1. What a name leads to is looked at when it is asked (fetch.ts).
 */
import { OpsError } from '../../core/errors.ts'
import { printableLine } from '../../core/printable.ts'

export interface UrlRules {
  /** Loopback, private and link-local addresses and names such as `localhost`; default false. */
  readonly allowPrivate?: boolean
}

const MAX_LENGTH = 2_048

/**
 * @param place how the error names it: `api_endpoints[2].url`
 * @returns the address in canonical form, without a slash at its end
 * @throws OpsError DATA_MISMATCH saying what it must not have
 */
export function parseEndpointUrl(value: unknown, place: string, { allowPrivate = false }: UrlRules = {}): string {
  if (typeof value !== 'string') return refuse(place, 'is not text')
  if (value.length > MAX_LENGTH) return refuse(place, `is longer than ${MAX_LENGTH} characters`)
  const named = `${place} (${printableLine(value, 80)})`
  const url = URL.canParse(value) ? new URL(value) : undefined
  if (!url) return refuse(named, 'is not a URL', 'Write it with its scheme: https://api.example.com')
  if (!isHttp(url)) return refuse(named, 'is neither http nor https')
  if (url.username !== '' || url.password !== '') return refuse(place, 'holds a user name or a password')
  if (url.search !== '' || url.hash !== '') return refuse(named, 'has a query or a fragment')
  if (!allowPrivate && isPrivateHost(url.hostname)) {
    return refuse(named, 'is a private address', 'Allow private addresses if this is your own network.')
  }
  return url.href.replace(/\/+$/, '')
}

export function isHttp({ protocol }: URL): boolean {
  return protocol === 'https:' || protocol === 'http:'
}

/** @param hostname as `URL.hostname` gives it: lower case, addresses in canonical form, IPv6 in brackets */
export function isPrivateHost(hostname: string): boolean {
  const host = hostname.replace(/\.$/, '')
  if (host.startsWith('[')) return isPrivateIpv6(host.slice(1, -1))
  if (/^\d+(?:\.\d+){3}$/.test(host)) return isPrivateIpv4(host.split('.').map(Number))
  return /(?:^|\.)(?:localhost|local|internal|home\.arpa|intranet|lan)$/.test(host)
}

/** RFC 6890 and what it lists; the documentation networks are left out, nobody answers there. */
function isPrivateIpv4([a = 0, b = 0, c = 0]: readonly number[]): boolean {
  if (a === 0 || a === 10 || a === 127 || a >= 224) return true
  if (a === 100) return b >= 64 && b <= 127
  if (a === 169) return b === 254
  if (a === 172) return b >= 16 && b <= 31
  if (a === 192) return b === 168 || (b === 0 && c === 0)
  return a === 198 && (b === 18 || b === 19)
}

function isPrivateIpv6(address: string): boolean {
  const words = wordsOf(address)
  const [first = 0, second = 0] = words
  // IPv4 within IPv6: mapped, compatible, NAT64 (RFC 6052), 6to4 (RFC 3056).
  const embedded = (at: number) => isPrivateIpv4(bytesOf(words.slice(at, at + 2)))
  if (words.slice(0, 5).every((word) => word === 0)) return embedded(6)
  if (first === 0x64 && second === 0xff9b) return embedded(6)
  if (first === 0x2002) return embedded(1)
  return (first & 0xfe00) === 0xfc00 || (first & 0xffc0) === 0xfe80 || (first & 0xffc0) === 0xfec0 || first >= 0xff00
}

function wordsOf(address: string): number[] {
  const [left = '', right] = address.split('::')
  const words = (part: string) => (part === '' ? [] : part.split(':').map((word) => Number.parseInt(word, 16)))
  const [head, tail] = [words(left), right === undefined ? [] : words(right)]
  return [...head, ...new Array<number>(Math.max(0, 8 - head.length - tail.length)).fill(0), ...tail]
}

function bytesOf(words: readonly number[]): number[] {
  return words.flatMap((word) => [word >> 8, word & 0xff])
}

function refuse(place: string, what: string, hint?: string): never {
  throw new OpsError('DATA_MISMATCH', `${place} ${what}`, hint === undefined ? {} : { hint })
}

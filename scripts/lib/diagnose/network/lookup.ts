/**
 * A name to its addresses, with a deadline that holds: /etc/hosts, then DNS through the machine's resolvers.
 *
 * getaddrinfo is not used: it blocks a thread that nothing can cancel, and a dead resolver would keep the process
 * alive. So other NSS sources (mDNS, LDAP) are not asked. Sources: hosts(5), resolv.conf(5) for `search`, RFC 6761 6.3
 * for `localhost`.
 */
import { Resolver } from 'node:dns/promises'
import { readFile } from 'node:fs/promises'
import { isIP, isIPv4 } from 'node:net'
import { systemCode } from '../../core/errors.ts'
import { within, type Deadline } from '../deadline.ts'

export interface Address {
  readonly address: string
  readonly family: 4 | 6
}

/** `not-found`: NXDOMAIN. `no-address`: the name exists without A or AAAA. `no-resolver`: nothing listens on port 53. */
export type LookupFailure =
  'not-found' | 'no-address' | 'server-failure' | 'refused' | 'timeout' | 'no-resolver' | 'other'

export type LookupResult =
  | {
      readonly ok: true
      /** IPv4 first, as most fleets are reached; never empty. */
      readonly addresses: readonly Address[]
      readonly source: 'literal' | 'hosts' | 'dns'
      readonly durationMs: number
    }
  | { readonly ok: false; readonly because: LookupFailure; readonly code: string; readonly durationMs: number }

export interface LookupOptions extends Deadline {
  /** Resolver addresses, `ip` or `ip:port`; default: those of /etc/resolv.conf. */
  readonly servers?: readonly string[]
  readonly hostsFile?: string
  readonly resolvConf?: string
}

const FAILURE_OF_CODE: Readonly<Record<string, LookupFailure>> = {
  ENOTFOUND: 'not-found',
  ENODATA: 'no-address',
  ESERVFAIL: 'server-failure',
  EREFUSED: 'refused',
  ETIMEOUT: 'timeout',
  ETIMEDOUT: 'timeout',
  ECANCELLED: 'timeout',
  ECONNREFUSED: 'no-resolver',
}

const FAILURE_TEXT: Readonly<Record<LookupFailure, string>> = {
  'not-found': 'does not exist (NXDOMAIN)',
  'no-address': 'has no address (no A or AAAA record)',
  'server-failure': 'could not be looked up: the resolver answered SERVFAIL',
  refused: 'could not be looked up: the resolver refused the question',
  timeout: 'could not be looked up: no resolver answered in time',
  'no-resolver': 'could not be looked up: no resolver listens',
  other: 'could not be looked up',
}

/** Milliseconds the second address family may take after the first has answered (RFC 8305 3 says 50; a busy box needs more). */
const OTHER_FAMILY_GRACE_MS = 150
/** resolv.conf(5): the search list had at most six domains in old resolvers; more only slow a look down. */
const MAX_SEARCH_DOMAINS = 6

/** `example.com does not exist (NXDOMAIN)`, without the name. */
export function describeFailure(because: LookupFailure): string {
  return FAILURE_TEXT[because]
}

/** The kind of failure behind a c-ares error code. */
export function failureOf(code: string): LookupFailure {
  return FAILURE_OF_CODE[code] ?? 'other'
}

/** Finds the addresses of a name. Failures are values; it never throws and never outlives its deadline. */
export async function lookup(name: string, options: LookupOptions): Promise<LookupResult> {
  const startedAt = performance.now()
  const durationMs = () => performance.now() - startedAt
  const family = isIP(name)
  if (family !== 0) {
    return { ok: true, addresses: [{ address: name, family: family === 4 ? 4 : 6 }], source: 'literal', durationMs: 0 }
  }
  const bare = name.replace(/\.$/, '')
  const fromHosts = await readHosts(bare, options.hostsFile)
  if (fromHosts.length > 0) return { ok: true, addresses: fromHosts, source: 'hosts', durationMs: durationMs() }
  try {
    const addresses = await within(options, (signal) => resolveName(bare, signal, options))
    return { ok: true, addresses, source: 'dns', durationMs: durationMs() }
  } catch (error) {
    const code = systemCode(error) ?? 'ETIMEOUT'
    return { ok: false, because: failureOf(code === 'TIMEOUT' ? 'ETIMEOUT' : code), code, durationMs: durationMs() }
  }
}

/** A resolver for one look, cancelled by the signal. `tries: 1`: each server is asked once, so none eats all the time. */
export function openResolver(signal: AbortSignal, timeoutMs: number, servers?: readonly string[]): Resolver {
  const count = servers?.length ?? Math.max(1, new Resolver().getServers().length)
  const resolver = new Resolver({ timeout: Math.max(250, Math.floor((timeoutMs * 0.9) / count)), tries: 1 })
  if (servers) resolver.setServers(servers)
  signal.addEventListener('abort', () => resolver.cancel(), { once: true })
  return resolver
}

/** The addresses a hosts(5) file gives for a name, in file order; RFC 6761's for `localhost` when it is silent. */
export function parseHosts(text: string, name: string): Address[] {
  const wanted = name.toLowerCase()
  const found = text.split('\n').flatMap((line): Address[] => {
    const [address = '', ...names] = (line.split('#')[0] ?? '').trim().split(/\s+/)
    if (isIP(address) === 0 || !names.some((alias) => alias.toLowerCase() === wanted)) return []
    return [{ address, family: isIPv4(address) ? 4 : 6 }]
  })
  if (found.length > 0 || !/^(.+\.)?localhost$/.test(wanted)) return found
  return [
    { address: '127.0.0.1', family: 4 },
    { address: '::1', family: 6 },
  ]
}

/** The domains that are tried behind a name without a dot. The last `search` or `domain` line wins. */
export function parseSearchDomains(text: string): string[] {
  const lines = text.split('\n').flatMap((line) => /^(?:search|domain)\s+(.*)$/.exec(line.trim())?.[1] ?? [])
  const last = lines.at(-1)
  return last === undefined
    ? []
    : last
        .split(/\s+/)
        .filter((word) => word !== '' && word !== '.')
        .slice(0, MAX_SEARCH_DOMAINS)
}

async function readHosts(name: string, path = '/etc/hosts'): Promise<Address[]> {
  const text = await readFile(path, 'utf8').catch(() => '')
  return parseHosts(text, name)
}

async function resolveName(name: string, signal: AbortSignal, options: LookupOptions): Promise<Address[]> {
  const resolver = openResolver(signal, options.timeoutMs, options.servers)
  const candidates = [name]
  if (!name.includes('.')) {
    const text = await readFile(options.resolvConf ?? '/etc/resolv.conf', 'utf8').catch(() => '')
    candidates.unshift(...parseSearchDomains(text).map((domain) => `${name}.${domain}`))
  }
  let failure: unknown
  for (const candidate of candidates) {
    try {
      return await resolveBothFamilies(resolver, candidate, signal)
    } catch (error) {
      failure = error
      if (!['ENOTFOUND', 'ENODATA'].includes(systemCode(error) ?? '')) throw error
    }
  }
  throw failure
}

async function resolveBothFamilies(resolver: Resolver, name: string, signal: AbortSignal): Promise<Address[]> {
  const v4 = resolver.resolve4(name).then((list) => list.map((address): Address => ({ address, family: 4 })))
  const v6 = resolver.resolve6(name).then((list) => list.map((address): Address => ({ address, family: 6 })))
  const both = Promise.allSettled([v4, v6])
  try {
    const first = await Promise.any([v4, v6])
    const settled = await within({ timeoutMs: OTHER_FAMILY_GRACE_MS, signal }, () => both).catch(() => undefined)
    if (!settled) return first
    return settled.flatMap((one) => (one.status === 'fulfilled' ? one.value : []))
  } catch (error) {
    throw error instanceof AggregateError ? worstOf(error.errors) : error
  }
}

/** Of the two families' errors the one that says most: a missing record of one family is not the story. */
function worstOf(errors: readonly unknown[]): unknown {
  const telling = errors.find((error) => !['ENODATA'].includes(systemCode(error) ?? ''))
  return telling ?? errors[0]
}

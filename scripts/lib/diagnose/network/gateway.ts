/**
 * Do default gateways answer? By echo, and by a TCP connection: few accept one, but a refusal is proof enough.
 *
 * A gateway is one hop away, so a living one answers at once. When one of several has, the others are not waited for to
 * the deadline: a dead second route (IPv6 without a router) must not make every diagnosis slow.
 */
import { isIPv4 } from 'node:net'
import type { HostReader } from '../../host/types.ts'
import type { Deadline } from '../deadline.ts'
import { probeEcho, type EchoFacts } from './echo.ts'
import type { Address } from './lookup.ts'
import { probeUnlessProved, type TcpFacts } from './tcp.ts'

export interface GatewayFacts {
  readonly echo?: EchoFacts
  readonly tcp?: TcpFacts
  /** The state of its link-layer address, from /proc/net/arp (IPv4 only). */
  readonly neighbour?: 'known' | 'unanswered'
}

/** Many gateways also serve DNS, and a refusal is as good. */
const GATEWAY_PORT = 53
/** A wired hop takes 1 ms, a bad radio link tens. */
const ONE_HOP_MS = 150
/** if_arp.h: the entry is complete. */
const ATF_COM = 0x2

/** Asks all gateways; once more and for longer when none has answered. @returns facts by address */
export async function askGateways(
  host: HostReader,
  addresses: readonly Address[],
  deadline: Deadline,
): Promise<ReadonlyMap<string, GatewayFacts>> {
  const first = await askOnce(host, addresses, { ...deadline, timeoutMs: Math.min(deadline.timeoutMs, ONE_HOP_MS) })
  const leftMs = deadline.timeoutMs - ONE_HOP_MS
  if (addresses.length === 0 || leftMs <= 0 || [...first.values()].some(isAlive)) return first
  return askOnce(host, addresses, { ...deadline, timeoutMs: leftMs })
}

/** Anything that came back from it proves it. */
export function isAlive({ echo, tcp }: GatewayFacts): boolean {
  return echo?.kind === 'reply' || tcp?.kind === 'open' || tcp?.kind === 'refused'
}

/** What /proc/net/arp says of an address. @returns undefined when it has no entry */
export function parseNeighbour(text: string, address: string): 'known' | 'unanswered' | undefined {
  const fields = text
    .split('\n')
    .map((line) => line.trim().split(/\s+/))
    .find(([ip]) => ip === address)
  if (!fields) return undefined
  return (Number.parseInt(fields[2] ?? '0', 16) & ATF_COM) !== 0 ? 'known' : 'unanswered'
}

async function askOnce(host: HostReader, addresses: readonly Address[], deadline: Deadline) {
  const echoes = probeEcho(
    host,
    addresses.map(({ address }) => address),
    deadline,
  )
  const facts = addresses.map(
    async (address) => [address.address, await askGateway(host, address, echoes, deadline)] as const,
  )
  const [answers] = await Promise.all([Promise.all(facts), echoes])
  return new Map(answers)
}

async function askGateway(
  host: HostReader,
  address: Address,
  echoes: Promise<ReadonlyMap<string, EchoFacts>>,
  deadline: Deadline,
): Promise<GatewayFacts> {
  const proved = new AbortController()
  const tcp = probeUnlessProved({ ...deadline, addresses: [address], port: GATEWAY_PORT, proved: proved.signal })
  const echo = (await echoes).get(address.address)
  if (echo?.kind === 'reply') proved.abort()
  const answer = await tcp
  const neighbour =
    echo?.kind === 'reply' || !isIPv4(address.address) ? undefined : await readNeighbour(host, address.address)
  return { ...(echo && { echo }), ...(answer && { tcp: answer }), ...(neighbour && { neighbour }) }
}

async function readNeighbour(host: HostReader, address: string) {
  const bytes = await host.get('/proc/net/arp')
  return bytes && parseNeighbour(new TextDecoder().decode(bytes), address)
}

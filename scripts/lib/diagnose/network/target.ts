/**
 * `network.target`: does what this machine depends on answer? The configured targets, else its own default gateways and
 * DNS resolvers. This file chooses and asks; target-decide.ts judges.
 *
 * A gateway seldom answers TCP and a resolver seldom answers ping, so each is asked what it is there for: gateway.ts,
 * resolver.ts.
 */
import { isIP } from 'node:net'
import type { DiagnoseConfig } from '../../config/types.ts'
import type { HostReader } from '../../host/types.ts'
import { budgetOf, type Deadline } from '../deadline.ts'
import type { Check, CheckContext } from '../types.ts'
import { readDefaultGateways, readResolvers } from './defaults.ts'
import { probeEcho } from './echo.ts'
import { askGateways, type GatewayFacts } from './gateway.ts'
import { lookup, type Address, type LookupResult } from './lookup.ts'
import { askResolver, type ResolverFacts } from './resolver.ts'
import { probeTcp } from './tcp.ts'
import { decideTargets } from './target-decide.ts'

export interface Target {
  readonly kind: 'configured' | 'gateway' | 'resolver'
  /** What findings call it. */
  readonly subject: string
  readonly host: string
  readonly port?: number
  /** What a configured target must answer. */
  readonly probe: 'icmp' | 'tcp' | 'both'
}

export interface TargetFacts extends GatewayFacts {
  readonly target: Target
  /** Set when the name has no address; nothing else is then known. */
  readonly unresolved?: LookupResult & { readonly ok: false }
  readonly address?: string
  readonly dns?: ResolverFacts
}

export const networkTargetCheck: Check = {
  name: 'network.target',
  group: 'network',
  scope: 'vantage',
  run: async (context) => {
    const { network } = context.settings
    const timeoutMs = budgetOf(context, network.timeout)
    const targets = network.targets ? configuredTargets(network.targets) : await readDefaultTargets(context)
    const question = network.resolve.find((name) => isIP(name) === 0) ?? '.'
    const facts = await probeTargets({ host: context.host, targets, question, timeoutMs, signal: context.signal })
    return { findings: decideTargets(facts, { configured: network.targets !== undefined }) }
  },
}

/** The targets of the config, in its order. */
export function configuredTargets(targets: NonNullable<DiagnoseConfig['network']['targets']>): Target[] {
  return targets.map(({ name, host, port, probe }) => ({
    kind: 'configured',
    subject: name ?? (port === undefined ? host : `${host} port ${port}`),
    host,
    ...(port !== undefined && { port }),
    probe: probe ?? (port === undefined ? 'icmp' : 'both'),
  }))
}

/** Each default gateway and each resolver of the machine, once. */
export async function readDefaultTargets({ host, signal }: Pick<CheckContext, 'host' | 'signal'>): Promise<Target[]> {
  const [gateways, resolvers] = await Promise.all([
    readDefaultGateways(host, { signal }),
    readResolvers(host, { signal }),
  ])
  const of = (kind: 'gateway' | 'resolver', addresses: readonly string[]) =>
    [...new Set(addresses)].map((address): Target => ({
      kind,
      subject: `${kind} ${address}`,
      host: address,
      probe: 'icmp',
    }))
  return [
    ...of(
      'gateway',
      gateways.map(({ address }) => address),
    ),
    ...of(
      'resolver',
      resolvers.map(({ address }) => address),
    ),
  ]
}

export interface ProbeTargetsOptions extends Deadline {
  readonly host: HostReader
  readonly targets: readonly Target[]
  /** The name resolvers are asked for; `.` asks for the root's name servers. */
  readonly question: string
}

/** Asks every target at once. */
export async function probeTargets({
  host,
  targets,
  question,
  ...deadline
}: ProbeTargetsOptions): Promise<TargetFacts[]> {
  const startedAt = performance.now()
  const found = await Promise.all(
    targets.map(({ host: name }) => lookup(name, { ...deadline, timeoutMs: deadline.timeoutMs / 2 })),
  )
  const left = { ...deadline, timeoutMs: Math.max(1, deadline.timeoutMs - (performance.now() - startedAt)) }
  const firstOf = (kind: (target: Target) => boolean) =>
    targets.flatMap((target, at) => (kind(target) ? addressesOf(found[at]).slice(0, 1) : []))
  const echoes = probeEcho(
    host,
    firstOf(wantsEcho).map(({ address }) => address),
    left,
  )
  const gateways = askGateways(
    host,
    firstOf(({ kind }) => kind === 'gateway'),
    left,
  )
  const facts = targets.map(async (target, at): Promise<TargetFacts> => {
    const result = found[at]
    const [first] = addressesOf(result)
    if (!first) return { target, ...(result?.ok === false && { unresolved: result }) }
    const known = { target, address: first.address }
    if (target.kind === 'resolver') return { ...known, ...(await askResolver(first, question, left)) }
    if (target.kind === 'gateway') return { ...known, ...(await gateways).get(first.address) }
    const [echo, tcp] = await Promise.all([
      wantsEcho(target) ? echoes.then((all) => all.get(first.address)) : undefined,
      target.port !== undefined && target.probe !== 'icmp'
        ? probeTcp({ addresses: addressesOf(result), port: target.port, ...left })
        : undefined,
    ])
    return { ...known, ...(echo && { echo }), ...(tcp && { tcp }) }
  })
  const [answers] = await Promise.all([Promise.all(facts), echoes, gateways])
  return answers
}

function wantsEcho({ kind, probe }: Target): boolean {
  return kind === 'configured' && probe !== 'tcp'
}

function addressesOf(result: LookupResult | undefined): readonly Address[] {
  return result?.ok ? result.addresses : []
}
